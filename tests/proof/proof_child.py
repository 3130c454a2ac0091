"""The process that is killed, stopped or failed: the program as `tocsin serve` runs it, with a clock from outside."""

import asyncio
import ctypes
import mmap
import os
import signal
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tocsin.cli.logs import configure
from tocsin.cli.serve import Listen, run
from tocsin.config.load import load
from tocsin.respond.operations import http

#: What a test and its processes share: how far the clock is ahead, after how many writes one fails, and how.
_SHARED = struct.Struct("=dqq")
#: The point between the last look at the store and the first byte of the request. The program has none there.
BEFORE_THE_FIRST_BYTE = "action: before the first byte"


class Shared:
    """A file in memory: what one process writes there the others read at once."""

    def __init__(self, path: Path) -> None:
        if not path.exists():
            path.write_bytes(_SHARED.pack(0.0, 0, 0))
        with path.open("r+b") as file:
            self._map = mmap.mmap(file.fileno(), _SHARED.size)

    def _get(self) -> tuple[float, int, int]:
        ahead, writes, errno = _SHARED.unpack(self._map[:])
        return ahead, writes, errno

    @property
    def ahead(self) -> float:
        """Seconds by which the clock is ahead."""
        return self._get()[0]

    @ahead.setter
    def ahead(self, seconds: float) -> None:
        self._map[:] = _SHARED.pack(seconds, *self._get()[1:])

    @property
    def writes(self) -> int:
        """The write that fails, counted from now; 0 when none does, or it has failed."""
        return self._get()[1]

    def fail(self, nth: int, errno: int) -> None:
        """Have the nth write from now fail once."""
        self._map[:] = _SHARED.pack(self.ahead, nth, errno)

    def write(self) -> int:
        """Count a write; the error with which it fails, or 0."""
        ahead, writes, errno = self._get()
        if writes:
            self._map[:] = _SHARED.pack(ahead, writes - 1, errno)
        return errno if writes == 1 else 0


@dataclass(frozen=True)
class Fate:
    """`number` is the signal that the process sends itself when it is at the point for the nth time."""

    point: str = ""
    nth: int = 1
    number: int = signal.SIGKILL


def serve(path: str, port: int, shared: str, fate: Fate, failing: bool) -> None:
    """Serve until SIGTERM, or as the fate will have it."""
    left = fate.nth
    world = Shared(Path(shared))

    def probe(name: str) -> None:
        nonlocal left
        if name == fate.point:
            left -= 1
            if left == 0:
                os.kill(os.getpid(), fate.number)

    log = Path(path).with_name(f"{port}.log").open("a")
    os.dup2(log.fileno(), 1)
    os.dup2(log.fileno(), 2)
    configure("info", "logfmt")
    if fate.point == BEFORE_THE_FIRST_BYTE:
        _probe_before_the_first_byte(probe)
    kept = fail_writes(world.write) if failing else None
    listen = Listen("127.0.0.1", port)
    clock: Callable[[], float] = lambda: time.time() + world.ahead  # noqa: E731
    code = asyncio.run(run(Path(path), load(path), listen, clock=clock, probe=probe))
    del kept
    raise SystemExit(code)


def _probe_before_the_first_byte(probe: Callable[[str], None]) -> None:
    connected = http._Request._connected

    async def and_then(request: http._Request) -> None:
        await connected(request)
        probe(BEFORE_THE_FIRST_BYTE)

    setattr(http._Request, "_connected", and_then)  # noqa: B010  the program has no probe there


class _Vfs(ctypes.Structure):
    """https://www.sqlite.org/c3ref/vfs.html, as far as the functions that replace system calls."""

    _fields_ = (
        ("version", ctypes.c_int),
        ("file_size", ctypes.c_int),
        ("longest_path", ctypes.c_int),
        ("next", ctypes.c_void_p),
        ("name", ctypes.c_char_p),
        *((f"unused_{i}", ctypes.c_void_p) for i in range(14)),
        ("set_system_call", ctypes.c_void_p),
        ("get_system_call", ctypes.c_void_p),
    )


_WRITE = ctypes.CFUNCTYPE(ctypes.c_ssize_t, ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t, use_errno=True)
_PWRITE = ctypes.CFUNCTYPE(
    ctypes.c_ssize_t, ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int64, use_errno=True
)
_TRUNCATE = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int, ctypes.c_int64, use_errno=True)


def library() -> ctypes.CDLL | None:
    """SQLite as this Python has it; None where it is inside, and shows nothing of itself."""
    import _sqlite3

    found = ctypes.CDLL(_sqlite3.__file__)
    return found if hasattr(found, "sqlite3_vfs_find") else None


def fail_writes(failing: Callable[[], int]) -> list[Any]:
    """Have SQLite ask `failing` before each write; what it returns has to be kept alive as long as SQLite is used.

    SQLite lets a test replace its system calls (xSetSystemCall): no part of it, or of Tocsin, is another one by this.
    """
    sqlite, libc = library(), ctypes.CDLL(None, use_errno=True)
    assert sqlite is not None
    sqlite.sqlite3_vfs_find.restype = ctypes.POINTER(_Vfs)
    vfs = sqlite.sqlite3_vfs_find(None)
    replace = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p)(
        vfs.contents.set_system_call
    )
    kept: list[Any] = []
    for name, real_name, shape in (
        ("write", "write", _WRITE),
        ("pwrite", "pwrite", _PWRITE),
        ("pwrite64", "pwrite64", _PWRITE),
        ("ftruncate", "ftruncate64", _TRUNCATE),
    ):
        real = shape((real_name, libc))

        def instead(*arguments: Any, real: Any = real) -> int:
            if errno := failing():
                ctypes.set_errno(errno)
                return -1
            return int(real(*arguments))

        kept.append(shape(instead))
        # A name that this SQLite does not have is not found, and is not used.
        replace(ctypes.addressof(vfs.contents), name.encode(), ctypes.cast(kept[-1], ctypes.c_void_p))
    return kept
