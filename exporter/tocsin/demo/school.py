"""The workload over HTTP, on a thread of this process."""

import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self

from tocsin.demo.workload import Workload

_TEXT = "text/plain; version=0.0.4; charset=utf-8"


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    page: Callable[[], str]


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Answer the page; the name is the one that http.server looks for."""
        known = self.path in ("/", "/metrics")
        body = (self.server.page() if known else "see /metrics\n").encode()
        self.send_response(200 if known else 404)
        self.send_header("Content-Type", _TEXT)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing: a scrape per second is not worth a line."""


class School:
    """Serves /metrics of a workload on loopback until the block ends."""

    def __init__(self, workload: Workload, port: int) -> None:
        self._server = _Server(("127.0.0.1", port), _Handler)
        self._server.page = lambda: workload.page(time.time())
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.1,), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
