"""The nth write of the store fails, once, for every n: what is stored and what was done agree all the same."""

import contextlib
import errno
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from checker import check
from proof_child import library
from sites import COOL_DOWN, Load, Site, ports, until
from sizes import sized, told
from stores import Place
from tools.postgres import PASSWORD, Cluster
from world import outside

NTH = sized(20, 100, 100)
#: Every how many of them both ways to fail are tried.
BOTH = sized(10, 1, 1)
#: What a write begins with, as it goes over the line: its transaction, or a statement in it.
_WRITES = (b"COMMIT", b"INSERT", b"UPDATE", b"DELETE")


def test_the_nth_write_to_the_file_fails_and_nothing_is_wrong(tmp_path: Path) -> None:
    if library() is None:
        pytest.skip("this Python has SQLite inside, and shows nothing of it")
    where = Place(f"sqlite:///{tmp_path / 'tocsin.db'}", None, None)
    (port,) = ports(1)
    failed = 0
    with outside() as world:
        site = Site(tmp_path, where, world, resources=2 * NTH)
        with site.serving(port, failing=True):
            load = Load(site, [port], 0, threads=1)
            for nth in range(1, NTH + 1):
                for how in (errno.EIO, errno.ENOSPC)[: 1 if nth % BOTH else 2]:
                    site.shared.fail(nth, how)
                    one_alert(site, load)
                    failed += site.shared.writes == 0
            site.shared.fail(0, 0)
            site.settle(load, [port])
        found = check(site.rows, world.calls, load.acknowledged, cool_down=COOL_DOWN)
    site.integrity()
    assert (found.wrong, load.wrong) == ((), [])
    # Most alerts are more than twenty writes, or the next ones do what is missing.
    assert failed >= NTH / 2
    told(f"{failed} writes failed at {len(load.acknowledged)} alerts, actions {dict(found.states)}")


def one_alert(site: Site, load: Load) -> None:
    """Have one more alert stored and its action ended, or found that it will end later."""
    before = len(load.acknowledged)
    load.allow(1)
    until(lambda: len(load.acknowledged) > before)
    ends = time.monotonic() + 0.5
    while time.monotonic() < ends and site.rows(_LEFT) != [(0,)]:
        time.sleep(0.01)


_LEFT = (
    "SELECT (SELECT count(*) FROM episodes) - (SELECT count(*) FROM actions WHERE state NOT IN ('intent', 'running'))"
)


class Line:
    """A line to PostgreSQL that is cut at the nth write: before it is sent, or after it and before its answer."""

    def __init__(self, server: tuple[str, int]) -> None:
        self._server, self._listener = server, socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._lock = threading.Lock()
        self._left, self._sent, self._open = 0, False, True
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self, nth: int, *, sent: bool) -> None:
        with self._lock:
            self._left, self._sent = nth, sent

    @property
    def left(self) -> int:
        return self._left

    def close(self) -> None:
        self._open = False
        self._listener.close()

    def _accept(self) -> None:
        while self._open:
            with contextlib.suppress(OSError):
                client, _ = self._listener.accept()
                client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                try:
                    server = socket.create_connection(self._server)
                except OSError:
                    client.close()
                    continue
                server.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                for work in (self._up, self._down):
                    threading.Thread(target=work, args=(client, server), daemon=True).start()

    def _counted(self, data: bytes) -> bool:
        """Whether it is the one."""
        if not any(word in data for word in _WRITES):
            return False
        with self._lock:
            self._left = max(0, self._left - 1) if self._left else -1
            found, self._left = self._left == 0, max(0, self._left)
            return found

    def _up(self, client: socket.socket, server: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := client.recv(65536):
                if self._counted(data):
                    # The answer never comes back: the way down is closed first.
                    _shut(client)
                    if self._sent:
                        server.sendall(data)
                        time.sleep(0.05)
                    break
                server.sendall(data)
        _shut(server, client)

    def _down(self, client: socket.socket, server: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := server.recv(65536):
                client.sendall(data)
        _shut(client, server)
        client.close()
        server.close()


def _shut(*sockets: socket.socket) -> None:
    for one in sockets:
        with contextlib.suppress(OSError):
            one.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def line(postgresql: Cluster) -> Iterator[Line]:
    made = Line(("127.0.0.1", postgresql.port))
    yield made
    made.close()


def test_the_line_is_cut_at_the_nth_write_and_nothing_is_wrong(tmp_path: Path, postgresql: Cluster, line: Line) -> None:
    where = Place(postgresql.database(), PASSWORD, postgresql)
    address = urlsplit(where.url)
    url = where.url.replace(f":{address.port}/", f":{line.port}/")
    (port,) = ports(1)
    cut = 0
    with outside() as world:
        site = Site(tmp_path, where, world, resources=2 * NTH, url=url)
        with site.serving(port):
            load = Load(site, [port], 0, threads=1)
            for nth in range(1, NTH + 1):
                for sent in (True, False)[: 1 if nth % BOTH else 2]:
                    line.cut(nth, sent=sent)
                    one_alert(site, load)
                    cut += line.left == 0
            line.cut(0, sent=False)
            site.settle(load, [port])
        found = check(site.rows, world.calls, load.acknowledged, cool_down=COOL_DOWN)
    assert (found.wrong, load.wrong) == ((), [])
    assert cut >= NTH / 2
    told(f"the line was cut {cut} times at {len(load.acknowledged)} alerts, actions {dict(found.states)}")
