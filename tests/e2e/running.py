"""A running `tocsin`, a program to watch, and a fault proxy that a test can steer from outside its loop."""

import asyncio
import contextlib
import http.server
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Self, TypeVar

import structlog
import yaml
from click.testing import CliRunner
from prometheus_client.parser import text_string_to_metric_families

from tocsin.cli import main
from tocsin.demo.servers import free_port
from tools.faultproxy import Behaviour, FaultProxy, passthrough

T = TypeVar("T")
_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def until(found: Callable[[], T | None], why: str, seconds: float = 20.0) -> T:
    """The first result that is not None or False; an assertion error with `why` after that many seconds."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        result = found()
        if result is not None and result is not False:
            return result
        time.sleep(0.05)
    raise AssertionError(f"not within {seconds:g} s: {why}")


def get(url: str, method: str = "GET", body: bytes | None = None, **headers: str) -> tuple[int, str]:
    """Status and text; status 0 when nobody answers."""
    named = {key.replace("_", "-"): value for key, value in headers.items()}
    try:
        with _OPENER.open(urllib.request.Request(url, body, named, method=method), timeout=10) as answer:  # noqa: S310  loopback
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()
    except OSError:
        return 0, ""


def command(*arguments: str, cwd: Path | None = None, timeout: float = 60.0) -> tuple[int, str, str]:
    """Run `tocsin` to its end: status, output, errors."""
    done = subprocess.run(
        [sys.executable, "-m", "tocsin", *arguments],
        capture_output=True,
        text=True,
        timeout=timeout,
        cwd=cwd,
        check=False,
        env={key: value for key, value in os.environ.items() if key not in ("COLUMNS", "FORCE_COLOR")},
    )
    return done.returncode, done.stdout, done.stderr


def tocsin(*arguments: str) -> tuple[int, str, str]:
    """Run a command in this process, which saves the start of a new one: status, output, errors."""
    result = CliRunner().invoke(main, arguments, prog_name="tocsin")
    structlog.reset_defaults()
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, result.stdout, result.stderr


class Tocsin:
    """`tocsin serve` as a child; what it says is in `log`."""

    def __init__(self, config: Path, *flags: str, port: int | None = None, cwd: Path | None = None) -> None:
        self.port = port or free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._log = config.parent / f"tocsin-{self.port}.log"
        self._argv = ["serve", "--config.file", str(config), "--web.listen-address", f"127.0.0.1:{self.port}", *flags]
        self._cwd = cwd

    def __enter__(self) -> Self:
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tocsin", *self._argv], stdout=log, stderr=log, cwd=self._cwd
            )
        try:
            until(lambda: self.process.poll() is not None or get(self.url + "/-/healthy")[0] == 200, "tocsin started")
        except BaseException:
            self.process.kill()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()

    @property
    def log(self) -> str:
        return self._log.read_text()

    def stop(self) -> tuple[int, float]:
        """SIGTERM: exit status, and the seconds that it took."""
        began = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(15), time.monotonic() - began

    def samples(self, name: str, **labels: str) -> list[float]:
        """Values of all series of a metric that have these labels."""
        status, text = get(self.url + "/metrics")
        if status == 503:
            return []  # it is starting
        return [
            sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        ]

    def sample(self, name: str, **labels: str) -> float | None:
        """The one value of a series, None while it is absent."""
        found = self.samples(name, **labels)
        assert len(found) <= 1
        return found[0] if found else None


@contextlib.contextmanager
def watched(values: Mapping[str, float]) -> Iterator[int]:
    """A program with a metrics page of `load_ratio` by resource, read anew for every scrape; gives its port."""

    class Page(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            lines = [f'load_ratio{{resource="{name}"}} {value!r}\n' for name, value in dict(values).items()]
            body = "".join(lines).encode()
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class Proxy:
    """A FaultProxy in a thread: `does` tells it what to do from now on."""

    def __init__(self, upstream: str) -> None:
        self._upstream, self._ready, self._ended = upstream, threading.Event(), asyncio.Event()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run)
        self.proxy = FaultProxy(passthrough(), upstream=upstream)

    def _run(self) -> None:
        async def serve() -> None:
            async with self.proxy:
                self._ready.set()
                await self._ended.wait()

        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(serve())

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._ended.set)
        self._thread.join(10)

    @property
    def url(self) -> str:
        return self.proxy.url

    @property
    def asked(self) -> int:
        """How many requests have come so far."""
        return len(self.proxy.requests)

    def does(self, behaviour: Behaviour) -> None:
        self.proxy.script[:] = [behaviour]


def configuration(
    folder: Path,
    source: str,
    signal_more: Mapping[str, Any] | None = None,
    limits: Mapping[str, Any] | None = None,
    **process: Any,
) -> Path:
    """A process file and a service that grades `load_ratio` every second; no alert, so that nothing is too short."""
    folder.mkdir(parents=True, exist_ok=True)
    one = {"expr": "load_ratio", "by": ["resource"], "interval": "1s", "window": 20, "min_samples": 3, "alert": {}}
    service = {"service": "shop", "signals": {"load": {**one, **(signal_more or {})}}}
    (folder / "shop.yml").write_text(yaml.safe_dump(service))
    whole = {
        "source": {"url": source, "limits": {"retries": 0, "timeout": "2s", **(limits or {})}},
        "services": ["shop.yml"],
        **process,
    }
    path = folder / "tocsin.yml"
    path.write_text(yaml.safe_dump(whole))
    return path


def scrape_config(*jobs: tuple[str, int], interval: str = "1s") -> str:
    """Prometheus' configuration with one job per (name, port); that of tocsin honours labels."""
    return yaml.safe_dump(
        {
            "global": {"scrape_interval": interval},
            "scrape_configs": [
                {
                    "job_name": name,
                    "honor_labels": name == "tocsin",
                    "static_configs": [{"targets": [f"127.0.0.1:{port}"]}],
                }
                for name, port in jobs
            ],
        }
    )


def lines(text: str, *words: str) -> Sequence[str]:
    """Lines that hold all of these words."""
    return [line for line in text.splitlines() if all(word in line for word in words)]
