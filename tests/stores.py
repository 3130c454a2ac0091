"""Stores for tests: the same test runs on SQLite and on a real PostgreSQL, each in a database of its own."""

import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select

from tocsin.store import Store, StoreError
from tocsin.store.tables import episodes
from tools.postgres import PASSWORD, Cluster

NOW = 1_700_000_000.0


@dataclass(frozen=True)
class Place:
    """Where a store is, or will be."""

    url: str
    password: str | None
    cluster: Cluster | None

    @property
    def kind(self) -> str:
        return self.url.partition(":")[0]

    @property
    def path(self) -> Path:
        return Path(self.url.removeprefix("sqlite:///"))

    def open(self, **options: Any) -> Store:
        return Store.open(self.url, password=self.password, **{"now": NOW, **options})


@pytest.fixture(scope="session")
def postgresql() -> Iterator[Cluster]:
    with Cluster() as running:
        yield running


def place(kind: str, request: pytest.FixtureRequest, folder: Path) -> Place:
    if kind == "sqlite":
        return Place(f"sqlite:///{folder / 'tocsin.db'}", None, None)
    cluster = request.getfixturevalue("postgresql")
    url = cluster.take()
    request.addfinalizer(lambda: cluster.give_back(url))
    return Place(url, PASSWORD, cluster)


@pytest.fixture(params=["sqlite", "postgresql"])
def somewhere(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """Nothing is stored there yet."""
    return place(request.param, request, tmp_path)


@pytest.fixture
def store(somewhere: Place) -> Iterator[Store]:
    with somewhere.open() as opened:
        yield opened


def episode(number: int, **changed: Any) -> dict[str, Any]:
    """Row of a firing episode."""
    row = {
        "id": f"e{number}",
        "identity": f"identity-{number}",
        "service": "melody-meter",
        "alertname": "TooHigh",
        "fingerprint": f"{number:016x}",
        "labels": {"alertname": "TooHigh", "resource": f"room-{number}"},
        "annotations": {"summary": "Piano booked ♫"},
        "starts_at": NOW,
        "first_seen": NOW,
        "last_seen": NOW,
        "state": "firing",
    }
    return {**row, **changed}


def link(seq: int) -> dict[str, Any]:
    """Row of the audit, with hashes that are none."""
    row = {"seq": seq, "prev_hash": f"h{seq - 1}", "hash": f"h{seq}", "at": NOW, "principal": "p", "kind": "K"}
    return {**row, "result": "ok", "detail": {"b": 1, "a": [None, "x"]}}


def add(store: Store, number: int, **changed: Any) -> None:
    """Store a firing episode."""
    with store.write() as connection:
        connection.execute(episodes.insert(), episode(number, **changed))


def count(store: Store) -> int:
    """How many episodes are stored."""
    with store.read() as connection:
        return connection.execute(select(func.count()).select_from(episodes)).scalar_one()


def together(count: int, work: Callable[[int], None]) -> None:
    """Do it in so many threads at once; raises what one of them raised."""
    barrier = threading.Barrier(count)

    def run(number: int) -> None:
        barrier.wait(10)
        work(number)

    with ThreadPoolExecutor(count) as pool:
        for done in [pool.submit(run, number) for number in range(count)]:
            done.result(60)


def named(error: StoreError) -> tuple[str, bool, bool]:
    """Reason, whether to try again, and whether it may have been done."""
    return error.reason, error.retry, error.uncertain


_DYING = """
import os, signal, sys
from stores import *
from tocsin.store import Store, StoreError
from tocsin.store.tables import episodes

where = Place(sys.argv[1], sys.argv[2] or None, None)

def die_at(point, nth=1):
    left = [nth]
    def probe(name):
        if name == point:
            left[0] -= 1
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)
    return probe
"""


def run_until_killed(where: Place, program: str) -> list[str]:
    """Run the program, which ends by `die_at`, in a process of its own; returns the lines that it printed before."""
    code = _DYING + textwrap.dedent(program)
    argv = [sys.executable, "-u", "-c", code, where.url, where.password or ""]
    done = subprocess.run(argv, capture_output=True, text=True, cwd=Path(__file__).parent, timeout=60, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    return done.stdout.splitlines()
