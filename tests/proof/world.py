"""What is outside of Tocsin: the thing that is operated, which notes every call, and a ruler that confirms."""

import contextlib
import json
import threading
import time
import urllib.parse
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from checker import Call

#: How the thing behaves: whether it does what it is asked for, and its answer; 0 is none. By the key, so that it is
#: the same every time, and most often well.
_WELL = (True, 200)
_BEHAVIOUR = [*[_WELL] * 14, (False, 409), (False, 500), (True, 502), (False, 503), (True, 0), (False, 0)]


@dataclass
class World:
    """Every call in its order; `slow` is how long each takes to be answered, in seconds."""

    address: str = ""
    calls: list[Call] = field(default_factory=list)
    slow: float = 0.0
    always_well: bool = False


class _Server(ThreadingHTTPServer):
    request_queue_size = 256
    world: World

    def handle_error(self, *_: object) -> None:
        """Who is killed does not read its answer."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.path == "/restart":
            self._operate(json.loads(body))
        else:
            self._confirm(urllib.parse.parse_qs(body.decode()))

    def _operate(self, asked: dict[str, Any]) -> None:
        world, key = self.server.world, self.headers["Idempotency-Key"]
        done, status = _WELL if world.always_well else _BEHAVIOUR[zlib.crc32(key.encode()) % len(_BEHAVIOUR)]
        # It is noted before anybody can know of it.
        world.calls.append(
            Call(key, asked["episode_id"], asked["operation"], asked["resource"], done, time.monotonic())
        )
        time.sleep(world.slow)
        if status:
            self._answer(status, {})
        else:
            self.close_connection = True

    def _confirm(self, asked: dict[str, list[str]]) -> None:
        t = float(asked["time"][0])
        result = [{"metric": {}, "value": [t, str(t)]}] if "ALERTS" in asked["query"][0] else []
        self._answer(200, {"status": "success", "data": {"resultType": "vector", "result": result}})

    def _answer(self, status: int, document: object) -> None:
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nothing is said."""


@contextlib.contextmanager
def outside() -> Iterator[World]:
    """Serve both on one port of loopback."""
    with _Server(("127.0.0.1", 0), _Handler) as server:
        world = server.world = World(f"127.0.0.1:{server.server_address[1]}")
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield world
        server.shutdown()
