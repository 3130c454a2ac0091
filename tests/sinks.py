"""Where tests have messages sent to: programs on loopback ports, in threads, that take everything."""

import email
import email.policy
import http.server
import json
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from email.message import EmailMessage
from typing import Any, cast

#: What Slack, PagerDuty and Jira want to hear; the issue that Jira is asked for is there, and open.
_ANSWER = {
    "ok": True,
    "status": "success",
    "dedup_key": "x",
    "issues": [{"key": "OPS-1", "fields": {"status": {"statusCategory": {"key": "new"}}}}],
    "transitions": [{"id": "1", "name": "Done"}],
}


class _Dialogue(socketserver.StreamRequestHandler):
    """What a sender expects to hear, with no extension."""

    def handle(self) -> None:
        self._say("220 mailbox")
        while line := self.rfile.readline():
            word = line.split()[0].upper() if line.split() else b""
            if word == b"DATA":
                self._say("354 go on")
                self._take()
                self._say("250 taken")
            elif word == b"QUIT":
                self._say("221 bye")
                return
            else:
                self._say("250 mailbox")

    def _say(self, text: str) -> None:
        self.wfile.write(f"{text}\r\n".encode())

    def _take(self) -> None:
        lines = []
        while (line := self.rfile.readline()) not in (b".\r\n", b""):
            lines.append(line.removeprefix(b"."))
        mail = email.message_from_bytes(b"".join(lines), policy=email.policy.default)
        cast("_Server", self.server).mails.append(mail)


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Dialogue)
        self.mails: list[EmailMessage] = []


@contextmanager
def mailbox() -> Iterator[tuple[str, list[EmailMessage]]]:
    """HOST:PORT of the server, and the mails that it has taken."""
    with _Server() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield f"127.0.0.1:{server.server_address[1]}", server.mails
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def posts() -> Iterator[tuple[str, list[tuple[str, dict[str, Any]]]]]:
    """URL of a program that takes every request; path and body of those that it has taken."""
    taken: list[tuple[str, dict[str, Any]]] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def _take(self) -> None:
            if length := int(self.headers.get("Content-Length") or 0):
                taken.append((self.path, json.loads(self.rfile.read(length))))
            answer = json.dumps(_ANSWER).encode()
            # What PagerDuty says is 202; the others take any success.
            self.send_response(202 if self.path.startswith("/pagerduty") else 200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        do_GET = do_POST = do_PUT = _take  # noqa: N815  http.server calls them so

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", taken
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
