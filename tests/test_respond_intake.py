"""The intake on both stores: one wait for the disk for many requests, and one bad value takes nobody with it."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

from sqlalchemy import select

from arrivals import alert
from stores import NOW, Place
from tocsin.respond.episodes import Stored
from tocsin.respond.intake import Intake
from tocsin.respond.storm import Numbers
from tocsin.store.handle import StoreHandle
from tocsin.store.tables import episodes
from tocsin.telemetry import Telemetry


def body(*names: str, **more: Any) -> bytes:
    alerts = [{"status": "firing", "labels": {"alertname": name}} for name in names]
    return json.dumps({"version": "4", "alerts": alerts, **more}).encode()


def run(where: Place, talk: Callable[[Intake, StoreHandle], Awaitable[None]], **how: Any) -> list[str]:
    """Let it talk to an intake; the points that the store has passed."""
    passed: list[str] = []

    async def whole() -> None:
        handle = StoreHandle(where.url, Telemetry(), password=lambda: where.password, probe=passed.append)
        await handle.start()
        passed.clear()
        try:
            await talk(Intake(Telemetry(), handle, **how), handle)
        finally:
            await handle.stop()

    asyncio.run(whole())
    return passed


async def names(handle: StoreHandle) -> list[str]:
    wanted = select(episodes.c.alertname).order_by(episodes.c.alertname)
    return list(await handle.read(lambda connection: connection.execute(wanted).scalars().all()))


def test_many_notifications_at_once_wait_for_the_disk_a_few_times(somewhere: Place) -> None:
    async def talk(intake: Intake, handle: StoreHandle) -> None:
        received = await asyncio.gather(*(intake.receive(body(f"A{i}", "Same"), NOW) for i in range(100)))
        assert [one.alerts for one in received] == [2] * 100
        assert sum(len(one.stored.opened) for one in received) == 101
        assert len(await names(handle)) == 101

    passed = run(somewhere, talk)
    assert passed.count("group: one written") == 100
    assert passed.count("group: committed") <= 10


def test_a_value_that_the_database_refuses_takes_nobody_with_it(somewhere: Place) -> None:
    bad = replace(alert(), identity="bad", labels={"alertname": "\ud800"})
    good = [alert(n=str(i)) for i in range(3)]
    told: list[Stored] = []

    async def talk(intake: Intake, handle: StoreHandle) -> None:
        intake.stored = told.append
        await intake.keep_listed([good[0], bad, *good[1:]], NOW)
        assert await names(handle) == ["A"] * 3

    run(somewhere, talk)
    assert [len(stored.opened) for stored in told] == [3]


def test_whoever_acts_is_told_after_it_was_stored(somewhere: Place) -> None:
    async def talk(intake: Intake, _handle: StoreHandle) -> None:
        told: list[Stored] = []
        intake.stored = told.append
        left_out: list[int] = []
        intake.truncated = lambda: left_out.append(1)
        await intake.receive(body("A", "B"), NOW)
        assert (len(told[0].opened), left_out, intake.receivers) == (2, [], set())
        found = await intake.receive(body("C", truncatedAlerts=3, receiver="tocsin"), NOW)
        assert (told[1], left_out, intake.receivers) == (found.stored, [1], {"tocsin"})

    run(somewhere, talk)


def test_the_numbers_of_a_storm_are_asked_for(somewhere: Place) -> None:
    async def talk(intake: Intake, _handle: StoreHandle) -> None:
        assert (await intake.receive(body("A"), NOW)).stored.storm is None
        assert (await intake.receive(body("B"), NOW)).stored.storm is not None

    run(somewhere, talk, numbers=lambda: Numbers(above=1))
