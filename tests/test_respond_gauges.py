"""Gauges of the episodes: what another replica stored is shown, and what nobody can see is shown no more."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from sqlalchemy import update

from stores import NOW, Place, add
from tocsin.respond import gauges
from tocsin.respond.gauges import BELIEVED, Gauges
from tocsin.store.handle import StoreHandle
from tocsin.store.tables import episodes, limits
from tocsin.telemetry import Telemetry

LABELS = {"alertname": "TooHigh", "signal": "load", "resource": "piano"}
KEY = ("TooHigh", "shop", "load", "piano")


class Shown:
    """A store that others write to, and the gauges that show it."""

    def __init__(self, where: Place) -> None:
        self.now, self.telemetry = NOW, Telemetry()
        self.handle = StoreHandle(where.url, self.telemetry, password=lambda: where.password)
        self.gauges = Gauges(self.handle, self.telemetry, lambda: self.now)

    def run(self, talk: Callable[[], Awaitable[None]]) -> None:
        async def whole() -> None:
            await self.handle.start()
            try:
                await talk()
            finally:
                await self.gauges.stop()
                await self.handle.stop()

        asyncio.run(whole())

    def series(self, name: str) -> dict[tuple[str, ...], float]:
        return {
            tuple(sample.labels.values()): sample.value
            for family in self.telemetry.registry.collect()
            for sample in family.samples
            if sample.name == name
        }


def test_what_is_open_and_acknowledged_is_shown_until_it_ends(somewhere: Place) -> None:
    shown = Shown(somewhere)

    async def talk() -> None:
        with somewhere.open() as other:
            add(other, 1, service="shop", labels=LABELS, acknowledged_at=NOW, acknowledged_by="ann")
            add(other, 2, service="shop")
            add(other, 3, service="bank")
            await shown.gauges.refresh()
            assert shown.series("tocsin_episodes") == {("shop",): 2, ("bank",): 1}
            assert shown.series("tocsin_acknowledged") == {KEY: 1}
            with other.write() as connection:
                ended = {"state": "resolved", "resolved_at": NOW, "tombstone_until": NOW + 9}
                connection.execute(update(episodes).where(episodes.c.id != "e2").values(ended))
            await shown.gauges.refresh()
            assert shown.series("tocsin_episodes") == {("shop",): 1}
            assert shown.series("tocsin_acknowledged") == {}

    shown.run(talk)


def test_one_open_alert_that_nobody_has_acknowledged_still_wakes_somebody(somewhere: Place) -> None:
    shown = Shown(somewhere)

    async def talk() -> None:
        with somewhere.open() as other:
            add(other, 1, service="shop", labels=LABELS, acknowledged_at=NOW, acknowledged_by="ann")
            add(other, 2, service="shop", labels={**LABELS, "severity": "other"})
            add(other, 3, service="shop", labels={**LABELS, "resource": "organ"})
            await shown.gauges.refresh()
            assert shown.series("tocsin_acknowledged") == {}
            with other.write() as connection:
                connection.execute(update(episodes).where(episodes.c.id == "e2").values(acknowledged_at=NOW))
            await shown.gauges.refresh()
            assert shown.series("tocsin_acknowledged") == {KEY: 1}

    shown.run(talk)


def test_a_storm_is_shown_while_it_lasts(somewhere: Place) -> None:
    shown = Shown(somewhere)

    async def talk() -> None:
        with somewhere.open() as other, other.write() as connection:
            connection.execute(limits.insert(), {"name": "storm", "blocked_since": NOW, "blocked_until": NOW + 300})
        for shown.now, expected in ((NOW + 299, 1), (NOW + 300, 0)):
            await shown.gauges.refresh()
            assert shown.telemetry.value("storm") == expected

    shown.run(talk)


def test_what_nobody_can_see_is_shown_for_a_minute_and_no_longer(tmp_path: Path) -> None:
    where = Place(f"sqlite:///{tmp_path / 'tocsin.db'}", None, None)
    shown = Shown(where)

    async def talk() -> None:
        with where.open() as other:
            add(other, 1, service="shop", labels=LABELS, acknowledged_at=NOW)
        await shown.gauges.refresh()
        where.path.rename(tmp_path / "aside.db")
        for shown.now, expected in ((NOW + BELIEVED, {KEY: 1}), (NOW + BELIEVED + 1, {})):
            await shown.gauges.refresh()
            assert shown.series("tocsin_acknowledged") == expected
        assert shown.series("tocsin_episodes") == {}
        (tmp_path / "aside.db").rename(where.path)
        await shown.gauges.refresh()
        assert shown.series("tocsin_acknowledged") == {KEY: 1}

    shown.run(talk)


def test_they_are_read_again_by_themselves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    where = Place(f"sqlite:///{tmp_path / 'tocsin.db'}", None, None)
    shown = Shown(where)

    monkeypatch.setattr(gauges, "EVERY", 0.01)

    async def talk() -> None:
        shown.gauges.start()
        with where.open() as other:
            add(other, 1, service="shop")
        for _ in range(500):
            if shown.series("tocsin_episodes"):
                break
            await asyncio.sleep(0.01)
        assert shown.series("tocsin_episodes") == {("shop",): 1}

    shown.run(talk)
