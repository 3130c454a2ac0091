"""Real servers as children of this process: found on PATH, started on loopback, gone when we are.

How a child dies with us: where ``setpriv`` is (util-linux, every Linux distribution) the kernel kills it when the
thread that started it ends, even if we were killed ourselves; elsewhere, and for an ordinary exit, an ``atexit`` hook
stops it. So start servers from a thread that lives as long as they shall. A ``preexec_fn`` is not used: it is not
safe in a program with threads. Each child has a process group of its own, so that Ctrl-C reaches us and not it, and
the children can be stopped in order.
"""

import atexit
import contextlib
import os
import shutil
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Self

#: Names under which distributions install the same program.
PROMETHEUS = ("prometheus",)
PROMTOOL = ("promtool",)
ALERTMANAGER = ("prometheus-alertmanager", "alertmanager")

_POLL = 0.05
#: promtool reads the whole file once per block, which of two hours by default: 14 days take 40 s instead of one.
_LARGE_BLOCKS = "--max-block-duration=500h"
_LOOPBACK = "127.0.0.1"


class ServerError(Exception):
    """A server is missing, cannot start or does not become ready; the message says what to do."""


def find(names: Sequence[str]) -> str:
    """Path of the program that comes first on PATH under any of these names, whichever name that is."""
    for folder in os.get_exec_path():
        for name in names:
            if (path := shutil.which(name, path=folder)) is not None:
                return path
    raise ServerError(f"{' or '.join(names)} is not on PATH: install it, or put its directory on PATH")


def free_port() -> int:
    """Return a loopback port that nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind((_LOOPBACK, 0))
        port: int = probe.getsockname()[1]
        return port


def check_port(name: str, port: int) -> None:
    """ServerError when something listens on this loopback port already."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((_LOOPBACK, port))
        except OSError as error:
            raise ServerError(
                f"port {port} for {name} is in use: stop what listens there, or choose another"
            ) from error


class Server:
    """One child process with an HTTP address; what it prints goes to ``<directory>/<name>.log``.

    ``argv`` starts with the path of the program. Use as a context manager, or call :meth:`start`,
    :meth:`wait_ready` and :meth:`stop`.
    """

    def __init__(self, name: str, argv: Sequence[str], port: int, directory: Path, ready: str = "/-/ready") -> None:
        self.name = name
        self.port = port
        self.url = f"http://{_LOOPBACK}:{port}"
        self.log = directory / f"{name}.log"
        self._argv = list(argv)
        self._ready = self.url + ready
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        try:
            self.wait_ready()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def running(self) -> bool:
        """Whether the process has been started and has not ended."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start the process; ServerError when its port is in use."""
        check_port(self.name, self.port)
        self.log.parent.mkdir(parents=True, exist_ok=True)
        setpriv = shutil.which("setpriv")
        wrapper = [setpriv, "--pdeathsig", "KILL", "--"] if setpriv else []
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603  the program was found on PATH by its name
                wrapper + self._argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        atexit.register(self.stop)

    def wait_ready(self, timeout: float = 60.0) -> None:
        """Return when the server answers 200 at its ready address; ServerError with the end of its log otherwise."""
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            if not self.running:
                raise ServerError(f"{self.name} ended while starting:\n{self.tail()}")
            if self._answers():
                return
            time.sleep(_POLL)
        raise ServerError(f"{self.name} was not ready within {timeout:g}s:\n{self.tail()}")

    def stop(self, timeout: float = 10.0) -> None:
        """Ask the process to end, and kill it when it has not after ``timeout`` seconds."""
        atexit.unregister(self.stop)
        process, self._process = self._process, None
        if process is None:
            return
        process.terminate()
        process.send_signal(signal.SIGCONT)  # a paused process could not end
        try:
            process.wait(timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def pause(self) -> None:
        """Freeze the process: when this returns it keeps its connections and answers nothing."""
        if self._process is not None:
            self._process.send_signal(signal.SIGSTOP)
            # Sending sees whether it has ended. A thread on another core goes on for a moment after it: this returns
            # when the last one has stopped.
            if self._process.returncode is None:
                os.waitid(os.P_PID, self._process.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)

    def resume(self) -> None:
        """Undo :meth:`pause`."""
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)

    def tail(self, lines: int = 20) -> str:
        """Last lines of what the process printed."""
        if not self.log.exists():
            return "(it printed nothing)"
        return "\n".join(self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:])

    def _answers(self) -> bool:
        with contextlib.suppress(OSError, urllib.error.URLError):
            # No proxy: an http_proxy in the environment must not see requests to loopback.
            opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
            with opener.open(self._ready, timeout=2.0) as response:
                return bool(response.status == 200)
        return False


def prometheus(
    directory: Path, config: Path, *, port: int | None = None, binary: str | None = None, flags: Sequence[str] = ()
) -> Server:
    """Prometheus with the given configuration file and its data in ``directory/data``; not started yet.

    History made by :func:`backfill` in that place is there from the start. Nothing is ever dropped for its age.
    """
    port = free_port() if port is None else port
    argv = [
        binary or find(PROMETHEUS),
        f"--config.file={config}",
        f"--storage.tsdb.path={directory / 'data'}",
        "--storage.tsdb.retention.time=100y",
        f"--web.listen-address={_LOOPBACK}:{port}",
        "--log.level=warn",
        *flags,
    ]
    return Server("prometheus", argv, port, directory)


def alertmanager(
    directory: Path, config: Path, *, port: int | None = None, binary: str | None = None, flags: Sequence[str] = ()
) -> Server:
    """Alertmanager with the given configuration file, without clustering; not started yet."""
    port = free_port() if port is None else port
    argv = [
        binary or find(ALERTMANAGER),
        f"--config.file={config}",
        f"--storage.path={directory / 'alertmanager'}",
        f"--web.listen-address={_LOOPBACK}:{port}",
        "--cluster.listen-address=",
        "--log.level=warn",
        *flags,
    ]
    return Server("alertmanager", argv, port, directory)


def backfill(openmetrics: Path, data: Path, *, binary: str | None = None) -> None:
    """Turn a file of samples with timestamps in OpenMetrics text into blocks under ``data``.

    To be called before Prometheus starts there. ServerError with promtool's words when it refuses the file.
    """
    data.mkdir(parents=True, exist_ok=True)
    command = ["tsdb", "create-blocks-from", _LARGE_BLOCKS, "openmetrics", str(openmetrics), str(data)]
    argv = [binary or find(PROMTOOL), *command]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)  # noqa: S603  found on PATH by its name
    if done.returncode != 0:
        raise ServerError(f"promtool refused {openmetrics}:\n{done.stderr.strip() or done.stdout.strip()}")
