"""Tocsin in a process that dies at a named point, what it acts on, and a checker that knows nothing of its code."""

import contextlib
import hashlib
import json
import multiprocessing
import os
import signal
import sqlite3
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

import psycopg
import yaml

from stores import Place
from tocsin.demo.servers import free_port

TOKEN = "a canary that nobody prints"  # noqa: S105  of this test alone
#: A process starts in milliseconds where everything was imported before.
_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(["tocsin.cli.serve"])
_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@dataclass
class Outside:
    """What is outside of Tocsin: the thing that is operated, which remembers every call, and a ruler that confirms."""

    address: str
    #: Idempotency key and resource of each call, in their order.
    calls: list[tuple[str, str]] = field(default_factory=list)


@contextlib.contextmanager
def outside() -> Iterator[Outside]:
    """Serve both on one port of loopback."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            answer = b"{}"
            if self.path == "/restart":
                found.calls.append((self.headers["Idempotency-Key"], json.loads(body)["resource"]))
            else:
                asked = urllib.parse.parse_qs(body.decode())
                t = float(asked["time"][0])
                # It has confirmed every alert just now, and has never scraped a Tocsin.
                confirms = "ALERTS" in asked["query"][0]
                result = [{"metric": {}, "value": [t, str(t)]}] if confirms else []
                data = {"status": "success", "data": {"resultType": "vector", "result": result}}
                answer = json.dumps(data).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None:
            """Nothing is said."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        found = Outside(f"127.0.0.1:{server.server_address[1]}")
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield found
        server.shutdown()


class Site:
    """A configuration whose one alert runs `http`, and the processes that serve it."""

    def __init__(self, folder: Path, place: Place, world: Outside) -> None:
        self.place, self.world = place, world
        self.path, self.port = folder / "tocsin.yml", free_port()
        shop = {
            "service": "shop",
            "alerts": [{"name": "ShopFull", "expr": "full > 1"}],
            "resources": [{"id": "piano"}, {"id": "organ"}],
            "remediation": [
                {
                    "when": "ShopFull",
                    "run": "http",
                    "with": {"url": f"http://{world.address}/restart", "timeout": "1s"},
                    "dry_run": False,
                }
            ],
        }
        (folder / "shop.yml").write_text(yaml.safe_dump(shop))
        digest = hashlib.sha256(TOKEN.encode()).hexdigest()
        whole: dict[str, Any] = {
            "source": {"url": f"http://{world.address}"},
            "services": ["shop.yml"],
            "store": place.url,
            "principals": [{"name": "alertmanager", "token_hash": f"sha256:{digest}", "scopes": ["webhook", "read"]}],
            "guard": {"hosts": [world.address]},
        }
        if place.password is not None:
            (folder / "password").write_text(place.password)
            whole["store_password_file"] = str(folder / "password")
        self.path.write_text(yaml.safe_dump(whole))

    @contextlib.contextmanager
    def serving(self, point: str = "", nth: int = 1, ahead: float = 0.0) -> Iterator[ForkServerProcess]:
        """Tocsin, whose clock is `ahead` seconds ahead, until the block ends or it dies at the point."""
        child = _FORKS.Process(target=_serve, args=(str(self.path), self.port, point, nth, ahead), daemon=True)
        child.start()
        try:
            self._wait(child)
            yield child
        finally:
            if child.is_alive() and child.pid is not None:
                os.kill(child.pid, signal.SIGTERM)
            child.join(15)
            assert not child.is_alive(), "it did not end"

    def _wait(self, child: ForkServerProcess) -> None:
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline and child.is_alive():
            with contextlib.suppress(OSError), _OPENER.open(f"http://127.0.0.1:{self.port}/-/healthy", timeout=5):
                return
            time.sleep(0.02)

    def tell(self, resource: str, status: str = "firing", starts: float = 1_700_000_000.0) -> int:
        """Send an alert as Alertmanager does, again after 503; the status of the answer, 0 without one."""
        labels = {"alertname": "ShopFull", "tocsin_service": "shop", "resource": resource}
        alert = {
            "status": status,
            "labels": labels,
            "annotations": {},
            "startsAt": _time(starts),
            "endsAt": "0001-01-01T00:00:00Z" if status == "firing" else _time(starts + 60),
            "fingerprint": "1",
        }
        body = json.dumps({"version": "4", "status": status, "receiver": "tocsin", "alerts": [alert]}).encode()
        deadline = time.monotonic() + 15
        while (got := self._post(body)) == 503 and time.monotonic() < deadline:
            time.sleep(0.02)
        return got

    def _post(self, body: bytes) -> int:
        headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
        url = f"http://127.0.0.1:{self.port}/api/v2/webhook"
        try:
            with _OPENER.open(urllib.request.Request(url, body, headers, method="POST"), timeout=10) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            return error.code
        except OSError:
            return 0

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """What is stored, asked for without Tocsin."""
        if self.place.kind == "sqlite":
            with contextlib.closing(sqlite3.connect(f"file:{self.place.path}?mode=ro", uri=True)) as connection:
                return connection.execute(query).fetchall()
        with psycopg.connect(self.place.url, password=self.place.password) as server:
            return server.execute(query).fetchall()  # type: ignore[arg-type]  # a constant of these tests

    def settled(self, resource: str) -> tuple[str, str | None]:
        """State and reason of the action on a resource, once it has ended."""
        deadline = time.monotonic() + 30
        found: Sequence[tuple[Any, ...]] = []
        while time.monotonic() < deadline:
            found = self.rows(f"SELECT state, reason FROM actions WHERE resource = '{resource}'")  # noqa: S608  a constant
            if found and found[0][0] not in ("held", "intent", "running"):
                break
            time.sleep(0.05)
        assert len(found) == 1, found
        return found[0][0], found[0][1]


def _time(t: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(t))


def _serve(path: str, port: int, point: str, nth: int, ahead: float) -> None:
    import dying_child

    dying_child.serve(path, port, point, nth, ahead)
