"""20,000 alerts in a minute, as Alertmanager would send them: how long it waits for its answer, and what that takes.

A real `tocsin serve` with a store on the disk receives them; receiver.py, which commits each alert as it comes, is the
peer. The sender does as Alertmanager does: a group is sent again, after a growing pause, until it was answered 200.
"""

import asyncio
import math
import random
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import aiohttp
import orjson
import pytest
import yaml
from harness import Row
from sqlalchemy import distinct, func, select

from tocsin.demo.servers import Server, free_port
from tocsin.store import Store
from tocsin.store.tables import episodes

# The server that the tests start is the one that is started here.
sys.path.append(str(Path(__file__).parents[1] / "tests"))

from tools import postgres

#: Seconds from a notification to its answer, and bytes, at the rate of 20,000 alerts in a minute.
LONGEST, MOST = 0.25, 256e6
#: Alerts in a notification of a group.
GROUP = 100
PEER = "a receiver that commits each alert as it comes"
_TOKEN = "deliver"  # noqa: S105  of a process that lives as long as the benchmark
#: Connections at once when everything is sent as fast as it is taken.
_CONNECTIONS = 16
#: Alertmanager's pauses between two attempts, seconds: the first, by what they grow, the longest, how far they scatter.
_FIRST, _GROWTH, _LAST, _SCATTER = 0.5, 1.5, 60.0, 0.5


@dataclass(frozen=True, slots=True)
class Load:
    """Alerts in notifications of `per` each, sent evenly within `seconds`, or as fast as they are taken."""

    alerts: int
    per: int
    seconds: float | None = None

    def bodies(self) -> list[bytes]:
        """What is sent: every alert once, none the same as another."""
        return [_body(range(i, min(i + self.per, self.alerts))) for i in range(0, self.alerts, self.per)]


@dataclass(frozen=True, slots=True)
class Taken:
    """Seconds from each notification to its answer, to the last answer of all; answers other than 200; peak memory."""

    waits: tuple[float, ...]
    wall: float
    again: int
    memory: float

    def quantile(self, q: float) -> float:
        """Seconds in which that share of the notifications was answered: a wait that occurred, none in between."""
        return sorted(self.waits)[math.ceil(q * len(self.waits)) - 1]


@dataclass(frozen=True, slots=True)
class Place:
    """Where the receivers store: a database of its own for each of them."""

    kind: str
    url: str
    password: str


# ---------------------------------------------------------------------------------------------------- what is sent


def _body(numbers: Sequence[int]) -> bytes:
    shared = {"alertname": "RoomBookedOut", "tocsin_service": "melody-meter", "severity": "critical"}
    return orjson.dumps(
        {
            "version": "4",
            "groupKey": f'{{}}:{{instance="web-{numbers[0]}"}}',
            "truncatedAlerts": 0,
            "status": "firing",
            "receiver": "tocsin",
            "groupLabels": {"alertname": shared["alertname"]},
            "commonLabels": shared,
            "commonAnnotations": {},
            "externalURL": "http://alertmanager.example.com:9093",
            "alerts": [_alert(number, shared) for number in numbers],
        }
    )


def _alert(number: int, shared: dict[str, str]) -> dict[str, object]:
    where = {"signal": "booked", "resource": f"room-{number}", "instance": f"web-{number % 97}:9100", "job": "web"}
    return {
        "status": "firing",
        "labels": {**shared, **where, "region": "eu-central-1", "team": "rooms"},
        "annotations": {
            "summary": f"Room {number} is booked out",
            "description": f"Room {number} has been booked for 97% of its hours since noon; expected 60%.",
            "runbook_url": "https://wiki.example.com/runbooks/RoomBookedOut",
        },
        "startsAt": datetime.now(UTC).isoformat(),
        "endsAt": "0001-01-01T00:00:00Z",
        "generatorURL": "http://prometheus.example.com:9090/graph?g0.expr=booked_ratio+%3E+0.9&g0.tab=1",
        "fingerprint": f"{number:016x}",
    }


class Sender:
    """Sends notifications as Alertmanager does: whatever is not answered 200 is sent again."""

    def __init__(self, url: str, token: str) -> None:
        self._url, self._headers = url, {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        self.waits: list[float] = []
        self.again = 0

    async def send(self, load: Load) -> float:
        """Send all of it; seconds from the first notification to the last answer."""
        # Alertmanager has a connection for each notification that is under way; those of one rush come one by one.
        connector = aiohttp.TCPConnector(limit=_CONNECTIONS if load.seconds is None else 0)
        bodies = load.bodies()
        pause = None if load.seconds is None else load.seconds / len(bodies)
        turns = asyncio.Semaphore(_CONNECTIONS if load.seconds is None else len(bodies))
        async with aiohttp.ClientSession(connector=connector, headers=self._headers) as session:
            began = time.monotonic()
            async with asyncio.TaskGroup() as group:
                for i, body in enumerate(bodies):
                    # Due at its time, however late the others are answered.
                    due = None if pause is None else began + i * pause
                    await asyncio.sleep(0 if due is None else max(0, due - time.monotonic()))
                    group.create_task(self._one(session, body, turns, due))
            return time.monotonic() - began

    async def _one(
        self, session: aiohttp.ClientSession, body: bytes, turns: asyncio.Semaphore, due: float | None
    ) -> None:
        async with turns:
            began, pause = due or time.monotonic(), _FIRST
            while not await self._answered(session, body):
                self.again += 1
                await asyncio.sleep(pause * random.uniform(1 - _SCATTER, 1 + _SCATTER))  # noqa: S311  no secret
                pause = min(pause * _GROWTH, _LAST)
            self.waits.append(time.monotonic() - began)

    async def _answered(self, session: aiohttp.ClientSession, body: bytes) -> bool:
        try:
            async with session.post(self._url, data=body) as answer:
                if 400 <= answer.status < 500:
                    raise RuntimeError(f"answered {answer.status}: {await answer.text()}")
                return answer.status == 200
        except (aiohttp.ClientError, TimeoutError):
            return False


# ---------------------------------------------------------------------------------------------------- who receives


class _Receiving(Server):
    """A receiver as a child."""

    def memory(self) -> float:
        """Its largest resident memory so far, in bytes."""
        assert self._process is not None
        status = Path(f"/proc/{self._process.pid}/status").read_text()
        return float(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1]) * 1024


def ours(folder: Path, place: Place) -> _Receiving:
    """`tocsin serve`, not started yet."""
    secrets = {"token": _TOKEN, "password": place.password}
    for name, text in secrets.items():
        (folder / name).write_text(text)
    service = {"service": "melody-meter", "signals": {"booked": {"expr": "booked", "by": ["resource"], "alert": {}}}}
    config = {
        "source": {"url": "http://127.0.0.1:1"},
        "services": ["service.yml"],
        "store": place.url,
        "principals": [{"name": "alertmanager", "token_file": "token", "scopes": ["webhook"]}],
        **({"store_password_file": "password"} if place.password else {}),
    }
    (folder / "service.yml").write_text(yaml.safe_dump(service))
    (folder / "tocsin.yml").write_text(yaml.safe_dump(config))
    port = free_port()
    listens = f"--web.listen-address=127.0.0.1:{port}"
    argv = [sys.executable, "-m", "tocsin", "serve", f"--config.file={folder / 'tocsin.yml'}", listens]
    # It has opened its store when it answers this.
    return _Receiving("tocsin", argv, port, folder, ready="/api/alerts/active")


def peer(folder: Path, place: Place) -> _Receiving:
    """The peer, not started yet."""
    port = free_port()
    argv = [sys.executable, str(Path(__file__).with_name("receiver.py")), place.url, place.password, str(port)]
    return _Receiving("peer", argv, port, folder, ready="/-/healthy")


def measure(server: _Receiving, place: Place, load: Load) -> Taken:
    """Send the load; RuntimeError unless every alert is stored once."""
    sender = Sender(server.url + "/api/v2/webhook", _TOKEN)
    wall = asyncio.run(sender.send(load))
    memory = server.memory()
    check(place, load.alerts)
    return Taken(tuple(sender.waits), wall, sender.again, memory)


def check(place: Place, alerts: int) -> None:
    """RuntimeError unless so many alerts are stored, each once."""
    query = select(func.count(), func.count(distinct(episodes.c.identity))).where(episodes.c.state == "firing")
    with Store.open(place.url, password=place.password, now=time.time()) as store, store.read() as connection:
        stored, different = connection.execute(query).one()
    if (stored, different) != (alerts, alerts):
        raise RuntimeError(f"found {stored} episodes of {different} alerts, expected {alerts} of each")


@contextmanager
def _places(kind: str, folder: Path) -> Iterator[Iterator[Place]]:
    """New stores of that kind."""
    if kind == "SQLite":
        yield (Place(kind, f"sqlite:///{folder}/{i}.db", "") for i in range(100))
        return
    with postgres.Cluster(fsync=True) as cluster:
        yield (Place(kind, cluster.database(), postgres.PASSWORD) for _ in range(100))


def _stored(place: Place) -> Place:
    """The place, with the tables in it."""
    Store.open(place.url, password=place.password, now=time.time()).close()
    return place


# ---------------------------------------------------------------------------------------------------- the rows


def _rows(kind: str, folder: Path, alerts: int, seconds: float) -> Iterator[Row]:
    with _places(kind, folder) as places:

        def taken(load: Load, *, theirs: bool = False) -> Taken:
            place = _stored(next(places))
            with (peer if theirs else ours)(folder, place) as server:
                return measure(server, place, load)

        for per in (GROUP, 1):
            got = taken(Load(alerts, per, seconds))
            what = f"{kind}, {_many(alerts, per)} in {seconds:g} s{_again(got)}"
            yield Row(f"{what}: to the answer, 99 in 100", got.quantile(0.99), at_most=LONGEST)
            yield Row(f"{what}: to the answer, half", got.quantile(0.5))
            yield Row(f"{what}: peak memory", got.memory, "B", at_most=MOST)
        for load in (Load(alerts, GROUP), Load(alerts // 5, 1)):
            got, other = taken(load), taken(load, theirs=True)
            what = f"{kind}, {_many(load.alerts, load.per)} as fast as they are taken{_again(got)}"
            yield Row(f"{what}, {load.alerts / got.wall:,.0f}/s: wall", got.wall, "s", PEER, other.wall)
            yield Row(f"{what}: to the answer, 99 in 100", got.quantile(0.99), "s", PEER, other.quantile(0.99))
            yield Row(f"{what}: peak memory", got.memory, "B", PEER, other.memory)


def _many(alerts: int, per: int) -> str:
    return f"{alerts:,} alerts, " + (f"{per} in a notification," if per > 1 else "each alone,")


def _again(got: Taken) -> str:
    return f", {got.again} sent again" if got.again else ""


def kinds() -> tuple[str, ...]:
    """The stores that can be had here."""
    try:
        postgres.require()
    except pytest.skip.Exception:
        return ("SQLite",)
    return ("SQLite", "PostgreSQL")


def benchmark(alerts: int, seconds: float) -> Iterator[Row]:
    """So many alerts within so many seconds, and as fast as they are taken, on each store."""
    for kind in kinds():
        with tempfile.TemporaryDirectory(prefix="tocsin-bench-") as folder:
            yield from _rows(kind, Path(folder), alerts, seconds)
