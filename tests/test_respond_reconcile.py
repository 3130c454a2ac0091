"""Alertmanager's list against what is stored, with an Alertmanager that answers as a test says."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from sqlalchemy import select

from stores import NOW, Place
from tocsin.respond import reconcile
from tocsin.respond.intake import Intake
from tocsin.respond.reconcile import ALONE, OWN_TIME, Reconciler
from tocsin.store.handle import StoreHandle
from tocsin.store.tables import episodes
from tocsin.telemetry import Telemetry

#: Long enough ago for Alertmanager to have heard of everything.
UP = NOW - 86_400


def time(t: float) -> str:
    return datetime.fromtimestamp(t, UTC).isoformat().replace("+00:00", "Z")


def fires(name: str, state: str = "active", receiver: str = "tocsin", **more: Any) -> dict[str, Any]:
    """An alert of `GET /api/v2/alerts`."""
    return {
        "labels": {"alertname": name, "replica": "a"},
        "annotations": {},
        "startsAt": time(NOW - 60),
        "endsAt": time(NOW + 240),
        "fingerprint": "f",
        "status": {"state": state, "inhibitedBy": [], "silencedBy": []},
        "receivers": [{"name": receiver}],
        **more,
    }


def notification(*names: str, status: str = "firing", **more: Any) -> bytes:
    alerts = [
        {"status": status, "labels": {"alertname": name}, "startsAt": time(NOW - 60), "endsAt": "0001-01-01T00:00:00Z"}
        for name in names
    ]
    return json.dumps({"version": "4", "receiver": "tocsin", "alerts": alerts, **more}).encode()


class World:
    """A store, an intake, and an Alertmanager that says what `alerts` and `up` are."""

    def __init__(self, folder: Path) -> None:
        self.now = NOW
        self.alerts: Any = []
        self.up = UP
        self.status = 200
        self.asked = 0
        self.url: str | None = None
        self.telemetry = Telemetry()
        self.handle = StoreHandle(f"sqlite:///{folder / 'tocsin.db'}", self.telemetry)
        self.intake = Intake(Telemetry(), self.handle, replica_labels=lambda: ("replica",))
        self.reconciler = Reconciler(
            self.intake,
            self.handle,
            self.telemetry,
            lambda: self.now,
            url=lambda: self.url,
            replica_labels=lambda: ("replica",),
        )

    def run(self, talk: Callable[[], Awaitable[None]], *, listening: bool = True) -> None:
        async def whole() -> None:
            app = web.Application()
            app.router.add_get("/am/api/v2/alerts", self._alerts)
            app.router.add_get("/am/api/v2/status", self._status)
            await self.handle.start()
            try:
                async with TestServer(app) as server:
                    self.url = str(server.make_url("/am/")) if listening else None
                    await talk()
            finally:
                await self.reconciler.stop()
                await self.handle.stop()

        asyncio.run(whole())

    async def _alerts(self, _request: web.Request) -> web.Response:
        self.asked += 1
        text = self.alerts if isinstance(self.alerts, str) else json.dumps(self.alerts)
        return web.Response(status=self.status, text=text, headers={"Location": "/am/api/v2/status"})

    async def _status(self, _request: web.Request) -> web.Response:
        return web.json_response({"cluster": {"status": "ready"}, "uptime": time(self.up)})

    async def states(self) -> dict[str, str]:
        wanted = select(episodes.c.alertname, episodes.c.state).order_by(episodes.c.first_seen)
        rows = await self.handle.read(lambda connection: connection.execute(wanted).all())
        return {row.alertname: row.state for row in rows}


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_what_fires_there_and_is_sent_to_us_is_stored(world: World) -> None:
    world.alerts = [
        fires("Sent"),
        fires("Silenced", "suppressed"),
        fires("Elsewhere", receiver="mail"),
        fires("Ours", receiver="tocsin-webhook"),
    ]

    async def talk() -> None:
        await world.reconciler.once()
        assert await world.states() == {"Ours": "firing"}
        await world.intake.receive(notification("Told"), NOW)
        await world.reconciler.once()
        assert await world.states() == {"Ours": "firing", "Told": "firing", "Sent": "firing"}

    world.run(talk)


def test_what_is_not_there_expires_only_after_its_own_time(world: World) -> None:
    world.alerts = [fires("Stays", "suppressed")]
    told: list[int] = []
    world.intake.stored = lambda stored: told.append(len(stored.ended))

    async def talk() -> None:
        await world.intake.receive(notification("Gone", "Stays"), NOW)
        for world.now, state in ((NOW + 60, "firing"), (NOW + OWN_TIME, "firing"), (NOW + OWN_TIME + 1, "expired")):
            await world.reconciler.once()
            assert await world.states() == {"Gone": state, "Stays": "firing"}
        assert sum(told) == 1
        # It was only a guess: the same firing goes on.
        await world.intake.receive(notification("Gone"), world.now)
        assert await world.states() == {"Gone": "firing", "Stays": "firing"}

    world.run(talk)


def test_an_alertmanager_that_was_restarted_is_not_believed_for_a_while(world: World) -> None:
    async def talk() -> None:
        await world.intake.receive(notification("Gone"), NOW)
        world.now, world.up = NOW + 10 * OWN_TIME, NOW + 9 * OWN_TIME
        await world.reconciler.once()
        assert await world.states() == {"Gone": "firing"}
        world.up -= 1
        await world.reconciler.once()
        assert await world.states() == {"Gone": "expired"}

    world.run(talk)


@pytest.mark.parametrize(
    ("status", "alerts"),
    [
        (500, []),
        (503, []),
        (302, []),
        (401, []),
        (200, "<html>"),
        (200, ""),
        (200, {"status": "success", "data": []}),
        (200, [fires("Other", startsAt="?")]),
        (200, "[" * 100_000),
    ],
)
def test_what_does_not_answer_well_resolves_nothing(world: World, status: int, alerts: Any) -> None:
    world.status, world.alerts = status, alerts

    async def talk() -> None:
        await world.intake.receive(notification("Stays"), NOW)
        world.now = NOW + 10 * ALONE
        await world.reconciler.once()
        assert await world.states() == {"Stays": "firing"}

    world.run(talk)
    outcomes = {one: world.telemetry.value("reconciliations_total", one) for one in ("ok", "unreachable", "unreadable")}
    # One alert of the list that cannot be read spoils it; else it was no list.
    spoiled = bool(alerts) and isinstance(alerts, list)
    assert outcomes == {"ok": 0, "unreachable": not spoiled, "unreadable": spoiled}


def test_one_that_cannot_be_reached_resolves_nothing(world: World) -> None:
    async def talk() -> None:
        await world.intake.receive(notification("Stays"), NOW)
        world.now, world.url = NOW + 10 * ALONE, "http://127.0.0.1:1"
        assert await world.reconciler.once() is None
        assert await world.states() == {"Stays": "firing"}

    world.run(talk)


def test_an_answer_that_is_too_large_is_none(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reconcile, "MAX_ANSWER", 1000)
    world.alerts = [fires("Other", annotations={"a": "x" * 1000}, receiver="tocsin-webhook")]

    async def talk() -> None:
        assert await world.reconciler.once() is None
        assert await world.states() == {}

    world.run(talk)


def test_without_its_address_an_episode_expires_when_it_must_have_been_repeated_twice(world: World) -> None:
    async def talk() -> None:
        await world.intake.receive(notification("Gone"), NOW)
        for world.now, state in ((NOW + ALONE, "firing"), (NOW + ALONE + 1, "expired")):
            await world.reconciler.once()
            assert await world.states() == {"Gone": state}

    world.run(talk, listening=False)


def test_a_resolved_one_that_fires_in_the_list_all_the_same_goes_on(world: World) -> None:
    """The other replica of a Prometheus still says so: each sends alerts of its own, with its own label."""
    world.alerts = [fires("Both", receiver="tocsin-webhook")]

    async def talk() -> None:
        await world.intake.receive(notification("Both"), NOW)
        await world.intake.receive(notification("Both", status="resolved"), NOW)
        for world.now, state in ((NOW + 60, "resolved"), (NOW + 61, "firing")):
            await world.reconciler.once()
            assert await world.states() == {"Both": state}

    world.run(talk)
    assert world.telemetry.value("reconciliations_total", "ok") == 2


def test_alerts_that_were_left_out_are_asked_for_at_once(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reconcile, "LEAST", 0.01)

    async def until(states: dict[str, str]) -> None:
        for _ in range(500):
            if await world.states() == states:
                return
            await asyncio.sleep(0.01)
        assert await world.states() == states

    async def talk() -> None:
        world.alerts = [fires("Start", receiver="tocsin-webhook")]
        world.reconciler.start()
        await until({"Start": "firing"})
        world.alerts = [fires("Told"), fires("LeftOut")]
        await world.intake.receive(notification("Told", truncatedAlerts=1), NOW)
        await until({"Start": "firing", "Told": "firing", "LeftOut": "firing"})

    world.run(talk)


def test_what_is_told_meanwhile_is_newer_than_the_list(world: World) -> None:
    world.alerts = [fires("Over", receiver="tocsin-webhook")]

    async def talk() -> None:
        await world.intake.receive(notification("Over", status="resolved"), NOW + 5)
        await world.reconciler.once()
        assert await world.states() == {"Over": "resolved"}

    world.run(talk)


def test_the_postgresql_store_expires_and_reopens_likewise(tmp_path: Path, somewhere: Place) -> None:
    world = World(tmp_path)
    world.handle = StoreHandle(somewhere.url, Telemetry(), password=lambda: somewhere.password)
    world.intake = Intake(Telemetry(), world.handle)
    world.reconciler = Reconciler(
        world.intake, world.handle, world.telemetry, lambda: world.now, url=lambda: world.url, replica_labels=tuple
    )

    async def talk() -> None:
        await world.intake.receive(notification("Gone", "Both"), NOW)
        world.now, world.alerts = NOW + OWN_TIME + 1, [fires("Both", "suppressed", labels={"alertname": "Both"})]
        await world.reconciler.once()
        assert await world.states() == {"Gone": "expired", "Both": "firing"}
        world.alerts = [fires("Gone", labels={"alertname": "Gone"})]
        await world.reconciler.once()
        assert await world.states() == {"Gone": "firing", "Both": "firing"}

    world.run(talk)
