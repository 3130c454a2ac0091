"""The workload over HTTP, on a thread of this process: the school's own page, and one of all the other services."""

import threading
import time
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self

_TEXT = "text/plain; version=0.0.4; charset=utf-8"


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    pages: Mapping[str, Callable[[float], str]]


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Answer the page; the name is the one that http.server looks for."""
        page = self.server.pages.get(self.path)
        body = (page(time.time()) if page else f"see {' and '.join(self.server.pages)}\n").encode()
        self.send_response(200 if page else 404)
        self.send_header("Content-Type", _TEXT)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing: a scrape per second is not worth a line."""


class School:
    """Serves pages by their paths on loopback until the block ends; each is what there is to see at a unix time."""

    def __init__(self, pages: Mapping[str, Callable[[float], str]], port: int) -> None:
        self._server = _Server(("127.0.0.1", port), _Handler)
        self._server.pages = pages
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.1,), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
