"""What an operation is given, and servers that it meets, for tests that run one."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

from aiohttp import web

from tocsin.guard.addresses import Allowed
from tocsin.respond.operations import Stopped, Task

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
NOW = 1_700_000_000.0


class Checks:
    """A check that counts, and stops the action from its nth call on."""

    def __init__(self, stop_at: int | None = None) -> None:
        self.count = 0
        self._stop_at = stop_at

    async def __call__(self) -> None:
        self.count += 1
        if self._stop_at is not None and self.count >= self._stop_at:
            raise Stopped("kill_switch")


def task(allowed: Sequence[str] = ("127.0.0.1",), **changed: Any) -> Task:
    """An action with an hour left."""
    given = {
        "action_id": "a-1",
        "service": "melody-meter",
        "resource": "room-3",
        "capacity_minutes": 480.0,
        "episode_id": "e-1",
        "deadline": NOW + 3600,
        "check": Checks(),
        "clock": lambda: NOW,
        "allowed": Allowed(allowed),
    }
    return Task(**{**given, **changed})


def secret(folder: Path, text: str) -> str:
    """Path of a new file that holds it."""
    path = folder / f"secret-{len(list(folder.iterdir()))}"
    path.write_text(text)
    return str(path)


@contextlib.asynccontextmanager
async def receiver(
    answer: Callable[[web.Request], Awaitable[web.StreamResponse]],
) -> AsyncIterator[str]:
    """URL of a server that answers so."""
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/recycle"
    finally:
        await runner.cleanup()


@contextlib.asynccontextmanager
async def raw(handler: Handler, **options: Any) -> AsyncIterator[str]:
    """URL of a server that speaks as the handler does, byte for byte."""
    handlers = set()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        current = asyncio.current_task()
        assert current is not None
        handlers.add(current)
        with contextlib.suppress(OSError, asyncio.CancelledError, asyncio.IncompleteReadError):
            await handler(reader, writer)
        writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0, **options)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/recycle"
    finally:
        server.close()
        for one in handlers:
            one.cancel()
        await asyncio.gather(*handlers, return_exceptions=True)


async def asked(reader: asyncio.StreamReader) -> bytes:
    """The whole request."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = next(
        int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length")
    )
    return head + await reader.readexactly(length)


def answering(*parts: bytes) -> Handler:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asked(reader)
        for part in parts:
            writer.write(part)
            await writer.drain()

    return handle
