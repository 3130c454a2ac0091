"""The watched kill switch: what it publishes, when it is believed no more, and whom it tells."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from sqlalchemy import text
from structlog.testing import capture_logs

from stores import NOW, Place, place
from tocsin import names
from tocsin.guard.switch import flip
from tocsin.guard.watch import Watch
from tocsin.store.handle import StoreHandle
from tocsin.telemetry import Telemetry


class Watching:
    """A watch over a real store, with a clock that the test moves."""

    def __init__(self, where: Place) -> None:
        self.where, self.telemetry = where, Telemetry()
        self.now, self.calls = 1000.0, list[str]()
        self.handle = StoreHandle(where.url, self.telemetry, password=lambda: where.password)
        self.watch = Watch(self.handle, self.telemetry, clock=lambda: self.now)
        self.watch.on_disarmed(self.calls.append)

    def run(self, test: Callable[[], Awaitable[None]]) -> None:
        async def opened() -> None:
            await self.handle.start()
            try:
                await test()
            finally:
                await self.watch.stop()
                await self.handle.stop()

        asyncio.run(opened())

    def flip(self, *, enabled: bool) -> str:
        with self.where.open() as store, store.write() as connection:
            return flip(connection, enabled=enabled, principal="ops", reason="fire", now=NOW).hash

    def shown(self, short: str) -> float | None:
        found = [
            sample.value
            for family in self.telemetry.registry.collect()
            for sample in family.samples
            if sample.name == names.own(short)
        ]
        assert len(found) <= 1
        return found[0] if found else None

    def hashes(self) -> list[str]:
        (family,) = [one for one in self.telemetry.registry.collect() if one.name == names.own("audit_head_info")]
        return [sample.labels["hash"] for sample in family.samples]


@pytest.fixture
def watching(somewhere: Place) -> Watching:
    return Watching(somewhere)


def test_nothing_may_run_before_the_switch_was_read(watching: Watching) -> None:
    assert (watching.watch.armed, watching.watch.why_not) == (False, "kill_switch_unreadable")
    assert watching.shown("kill_switch_armed") is None


def test_a_new_store_is_armed_and_has_no_audit(watching: Watching) -> None:
    async def test() -> None:
        await watching.watch.refresh()
        assert (watching.watch.armed, watching.watch.why_not) == (True, None)
        shown = [watching.shown(short) for short in ("kill_switch_armed", "kill_switch_generation", "audit_seq")]
        assert (shown, watching.hashes(), watching.calls) == ([1, 1, 0], [], [])

    watching.run(test)


def test_each_flip_is_published_and_what_runs_is_told_to_end(watching: Watching) -> None:
    async def test() -> None:
        await watching.watch.refresh()
        for enabled, generation, calls in (
            (False, 2, ["kill_switch"]),
            (False, 3, ["kill_switch"]),
            (True, 4, ["kill_switch"]),
            (False, 5, ["kill_switch"] * 2),
        ):
            newest = watching.flip(enabled=enabled)
            await watching.watch.refresh()
            assert watching.watch.armed is enabled
            assert watching.shown("kill_switch_armed") == enabled
            assert watching.shown("kill_switch_generation") == generation
            assert watching.shown("audit_seq") == generation - 1
            assert watching.hashes() == [newest]
            assert watching.calls == calls

    watching.run(test)


def test_a_switch_that_was_off_between_two_readings_ends_what_runs(watching: Watching) -> None:
    async def test() -> None:
        await watching.watch.refresh()
        watching.flip(enabled=False)
        watching.flip(enabled=True)
        await watching.watch.refresh()
        assert (watching.watch.armed, watching.calls) == (True, ["kill_switch"])
        watching.flip(enabled=True)
        await watching.watch.refresh()
        assert watching.calls == ["kill_switch"]

    watching.run(test)


def test_a_switch_that_cannot_be_read_for_two_seconds_is_off(watching: Watching) -> None:
    async def test() -> None:
        await watching.watch.refresh()
        await watching.handle.stop()
        watching.now += 2
        await watching.watch.refresh()
        assert (watching.watch.armed, watching.calls) == (True, [])
        watching.now += 0.001
        assert not watching.watch.armed
        await watching.watch.refresh()
        assert watching.watch.why_not == "kill_switch_unreadable"
        assert watching.calls == ["kill_switch_unreadable"]
        # What was last known stays: an alert about an older store must not see the number fall.
        shown = [watching.shown(short) for short in ("kill_switch_armed", "kill_switch_generation", "audit_seq")]
        assert shown == [0, 1, 0]
        await watching.handle.start()
        await watching.watch.refresh()
        assert (watching.watch.armed, watching.shown("kill_switch_armed")) == (True, 1)

    watching.run(test)


def test_each_change_is_logged_once(watching: Watching) -> None:
    async def test() -> None:
        with capture_logs() as lines:
            for enabled in (None, False, True):
                if enabled is not None:
                    watching.flip(enabled=enabled)
                for _ in range(3):
                    await watching.watch.refresh()
            await watching.handle.stop()
            watching.now += 3
            for _ in range(3):
                await watching.watch.refresh()
        assert [line for line in lines if "operation" in line["event"]] == [
            {"event": "operations may run", "generation": 1, "log_level": "info"},
            {"event": "no operation may run: switched off", "by": "ops", "said": "fire", "log_level": "warning"},
            {"event": "operations may run", "generation": 3, "log_level": "info"},
            {"event": "no operation may run: the kill switch cannot be read", "log_level": "warning"},
        ]

    watching.run(test)


def test_a_reading_that_hangs_does_not_keep_it_armed(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    where = place("postgresql", request, tmp_path)
    watching = Watching(where)

    async def test() -> None:
        told = asyncio.Event()
        watching.watch.on_disarmed(lambda _: told.set())
        await watching.watch.refresh()
        with where.open() as store, store.write() as connection:
            connection.execute(text("LOCK TABLE kill_switch IN ACCESS EXCLUSIVE MODE"))
            await watching.watch.start()
            watching.now += 2.5
            await asyncio.wait_for(told.wait(), 3)
            assert watching.calls == ["kill_switch_unreadable"]
            assert watching.shown("kill_switch_armed") == 0

    watching.run(test)


def test_a_flip_is_seen_within_a_second(watching: Watching) -> None:
    watching.watch = Watch(watching.handle, watching.telemetry)

    async def test() -> None:
        told = asyncio.Event()
        watching.watch.on_disarmed(lambda _: told.set())
        await watching.watch.refresh()
        await watching.watch.start()
        began = time.monotonic()
        await asyncio.to_thread(watching.flip, enabled=False)
        await asyncio.wait_for(told.wait(), 5)
        assert time.monotonic() - began < 1
        assert watching.shown("kill_switch_armed") == 0

    watching.run(test)
