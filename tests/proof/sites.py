"""Processes of Tocsin on one store, and Alertmanagers that send to them until they have their answer."""

import contextlib
import hashlib
import http.client
import itertools
import json
import multiprocessing
import os
import random
import signal
import socket
import sqlite3
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

import psycopg
import yaml

from dying import TOKEN
from proof_child import Fate, Shared, serve
from stores import Place
from world import World

#: Seconds between two runs on one resource.
COOL_DOWN = 10.0
_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(["tocsin.cli.serve"])
_PORTS = itertools.count()
_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))
#: Where a new episode or a held one waits for a decision, or a decision for its end.
_OPEN = (
    "SELECT (SELECT count(*) FROM actions WHERE state IN ('intent', 'running') "
    "OR (state = 'held' AND (reason <> 'resource_held' OR episode_id IN "
    "(SELECT id FROM episodes WHERE state <> 'firing')))) + (SELECT count(*) FROM episodes WHERE state = 'firing' "
    "AND id NOT IN (SELECT episode_id FROM actions))"
)

_LEFT = "SELECT state, reason, count(*) FROM actions GROUP BY state, reason"


class Site:
    """A configuration whose one alert runs `http` on any of `resources`, on one store."""

    def __init__(
        self, folder: Path, place: Place, world: World, *, resources: int, url: str = "", timeout: str = "1s"
    ) -> None:
        folder.mkdir(exist_ok=True)
        self.place, self.world, self.resources = place, world, [f"r{i}" for i in range(resources)]
        self.path, self._shared = folder / "tocsin.yml", folder / "shared"
        self.shared = Shared(self._shared)
        parameters = {"url": f"http://{world.address}/restart", "timeout": timeout}
        shop = {
            "service": "shop",
            "alerts": [{"name": "ShopFull", "expr": "full > 1"}],
            "resources": [{"id": name} for name in self.resources],
            "remediation": [{"when": "ShopFull", "run": "http", "with": parameters, "dry_run": False}],
        }
        (folder / "shop.yml").write_text(yaml.safe_dump(shop))
        digest = hashlib.sha256(TOKEN.encode()).hexdigest()
        whole: dict[str, Any] = {
            "source": {"url": f"http://{world.address}"},
            "services": ["shop.yml"],
            "store": url or place.url,
            "principals": [{"name": "alertmanager", "token_hash": f"sha256:{digest}", "scopes": ["webhook", "read"]}],
            "guard": {
                "hosts": [world.address],
                "cool_down": f"{COOL_DOWN:g}s",
                "max_per_day": 1_000_000,
                "max_resources": 1_000_000,
                "storm": {"above": 1_000_000},
            },
        }
        if place.password is not None:
            (folder / "password").write_text(place.password)
            whole["store_password_file"] = str(folder / "password")
        self.path.write_text(yaml.safe_dump(whole))

    def start(self, port: int, fate: Fate | None = None, *, failing: bool = False) -> ForkServerProcess:
        """A process that listens on the port, perhaps soon."""
        arguments = (str(self.path), port, str(self._shared), fate or Fate(), failing)
        child = _FORKS.Process(target=serve, args=arguments, daemon=True)
        child.start()
        return child

    @contextlib.contextmanager
    def serving(self, port: int, fate: Fate | None = None, *, failing: bool = False) -> Iterator[ForkServerProcess]:
        """A process that listens, until the block ends; then it has to end well, unless it was killed."""
        child = self.start(port, fate, failing=failing)
        try:
            until(lambda: healthy(port) or not child.is_alive())
            yield child
        except BaseException:
            kill(child)
            raise
        if child.is_alive():
            child.terminate()
        child.join(20)
        if child.is_alive():
            kill(child)
            raise AssertionError("it did not end")
        assert child.exitcode in (0, -signal.SIGKILL), self.log(port)

    def log(self, port: int) -> str:
        """The last lines that the process on a port wrote."""
        return self.path.with_name(f"{port}.log").read_text()[-4000:]

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """What is stored, asked for without Tocsin."""
        if self.place.kind == "sqlite":
            with contextlib.closing(sqlite3.connect(f"file:{self.place.path}?mode=ro", uri=True)) as connection:
                return connection.execute(query).fetchall()
        with psycopg.connect(self.place.url, password=self.place.password) as server:
            return server.execute(query).fetchall()

    def settle(self, load: "Load", ports: Sequence[int]) -> None:
        """Have every alert sent, every lease be over, and everything decided; processes listen on the ports."""
        load.finish()
        ends = time.monotonic() + 60
        before: list[tuple[Any, ...]] = []
        while self.rows(_OPEN) != [(0,)]:
            assert time.monotonic() < ends, (self.rows(_LEFT), *(self.log(port) for port in ports))
            now = self.rows("SELECT seq FROM chain_head") + self.rows(_OPEN)
            if now == before:
                # Nothing more will happen at this time.
                self.shared.ahead += 61
            elif before and now[1] < before[1]:
                # Thousands of alerts take their time: only one at which nothing comes to its end is wrong.
                ends = time.monotonic() + 60
            before = now
            for port in ports:
                load.wake(port)
            time.sleep(0.15)

    def integrity(self) -> None:
        """SQLite's own look at its file."""
        if self.place.kind == "sqlite":
            assert self.rows("PRAGMA integrity_check") == [("ok",)]


class Load:
    """Alertmanagers: threads that send new alerts as far as they may, and old ones again, until they are stopped."""

    def __init__(self, site: Site, ports: Sequence[int], seed: int, *, threads: int = 3) -> None:
        self._site, self.ports, self._lock = site, list(ports), threading.Lock()
        self._allowed = self._next = 0
        self.acknowledged: set[str] = set()
        self.wrong: list[int] = []
        self._waiting: list[int] = []
        self._ended, self._finishing = threading.Event(), threading.Event()
        self._threads = [
            threading.Thread(target=self._run, args=(random.Random(seed + i),), daemon=True)  # noqa: S311  no secret
            for i in range(threads)
        ]
        for thread in self._threads:
            thread.start()

    def allow(self, count: int) -> None:
        """So many new alerts more."""
        with self._lock:
            self._allowed += count

    def finish(self) -> None:
        """Send what has no answer yet until it has one, then end."""
        self._finishing.set()
        ends = time.monotonic() + 60
        while (len(self.acknowledged) < self._next) and time.monotonic() < ends:
            time.sleep(0.01)
        self.end()
        assert len(self.acknowledged) == self._next, (self._next, self._waiting)

    def end(self) -> None:
        """Send nothing more."""
        self._ended.set()
        for thread in self._threads:
            thread.join(15)

    def wake(self, port: int) -> None:
        """Say again what is known, so that the process looks."""
        if self._next:
            post(port, [alert(0, self._site.resources)])

    def _run(self, chance: random.Random) -> None:
        while not self._ended.is_set():
            numbers, idle = self._pick(chance)
            if numbers:
                alerts = [alert(number, self._site.resources) for number in numbers]
                self._note(numbers, post(chance.choice(self.ports), alerts))
            self._ended.wait(0.05 if idle else chance.random() * 0.02)

    def _pick(self, chance: random.Random) -> tuple[list[int], bool]:
        """What to send next: new ones, ones that have no answer, or for once known ones."""
        with self._lock:
            if not self._finishing.is_set() and self._next < self._allowed and chance.random() < 0.6:
                first, self._next = self._next, min(self._allowed, self._next + chance.randint(1, 3))
                return list(range(first, self._next)), False
            if self._waiting:
                return [self._waiting.pop(0)], False
            if self._next and chance.random() < 0.3:
                return [chance.randrange(self._next)], True
            return [], True

    def _note(self, numbers: list[int], status: int) -> None:
        with self._lock:
            if status == 200:
                self.acknowledged.update(map(str, numbers))
                return
            if status not in (0, 503):
                self.wrong.append(status)
            self._waiting += [number for number in numbers if str(number) not in self.acknowledged]


def alert(number: int, resources: Sequence[str]) -> dict[str, Any]:
    """An alert as Alertmanager sends it."""
    resource = resources[number % len(resources)]
    labels = {"alertname": "ShopFull", "tocsin_service": "shop", "resource": resource, "n": str(number)}
    return {
        "status": "firing",
        "labels": labels,
        "annotations": {},
        "startsAt": "2023-11-14T22:13:20Z",
        "endsAt": "0001-01-01T00:00:00Z",
        "fingerprint": f"{number:016x}",
    }


def post(port: int, alerts: Sequence[dict[str, Any]]) -> int:
    """Send alerts once; the status of the answer, 0 without one."""
    body = json.dumps({"version": "4", "status": "firing", "receiver": "tocsin", "alerts": list(alerts)}).encode()
    headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
    request = urllib.request.Request(f"http://127.0.0.1:{port}/api/v2/webhook", body, headers, method="POST")
    try:
        with _OPENER.open(request, timeout=10) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        error.close()
        return error.code
    except (OSError, http.client.HTTPException):
        return 0


def healthy(port: int) -> bool:
    """Whether something listens."""
    return bool(page(port, "/-/healthy"))


def page(port: int, path: str) -> str:
    """What a page says, or nothing."""
    try:
        with _OPENER.open(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
            return str(answer.read().decode())
    except OSError:
        return ""


def gauge(port: int, line: str) -> float | None:
    """The value of a line of /metrics, by its name and labels."""
    found = [one for one in page(port, "/metrics").splitlines() if one.startswith(line + " ")]
    return float(found[0].rpartition(" ")[2]) if found else None


def kill(child: ForkServerProcess) -> None:
    """With SIGKILL, and wait for it; also one that is stopped."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(_pid(child), signal.SIGKILL)
    child.join(10)


def stopped(child: ForkServerProcess) -> bool:
    """Whether every thread of the process is stopped."""
    threads = Path(f"/proc/{_pid(child)}/task").glob("*/stat")
    return all(one.read_text().rpartition(")")[2].split()[0] == "T" for one in threads)


def signalled(child: ForkServerProcess, number: int) -> None:
    """Send a signal."""
    os.kill(_pid(child), number)


def _pid(child: ForkServerProcess) -> int:
    assert child.pid is not None
    return child.pid


def until(true: Callable[[], object], seconds: float = 40.0) -> None:
    """Wait until it is so."""
    ends = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < ends, "it never became so"
        time.sleep(0.01)


def ports(count: int) -> list[int]:
    """Ports that are free, and stay so while nobody listens there.

    They are below those that Linux gives to whoever asks for any, and each worker has a thousand.
    """
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    return list(itertools.islice(filter(_free, (20_000 + 1_000 * (worker % 12) + i % 1_000 for i in _PORTS)), count))


def _free(port: int) -> bool:
    with contextlib.closing(socket.socket()) as found, contextlib.suppress(OSError):
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        found.bind(("127.0.0.1", port))
        return True
    return False
