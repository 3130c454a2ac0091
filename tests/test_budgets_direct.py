"""Reading error budgets directly, where their rules are not loaded: less often, beside the others, and never frozen."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from ruler import API, AWAY, NOW, SPEED, Ruler, budgets, read, shop, views
from tocsin import names
from tocsin.budgets.recorded import QUERY
from tocsin.source.columns import Vector
from tocsin.source.errors import SourceError
from tocsin.telemetry import Telemetry

TOTAL, BAD = "sum(increase(requests_total[5m]))", "sum(increase(errors_total[5m]))"
REFUSED = SourceError("does not understand", "bad_query")


def test_what_is_not_recorded_is_asked_for_directly_every_five_minutes(tmp_path: Path) -> None:
    source = Ruler()
    reader = budgets(tmp_path, source)
    source.direct = {TOTAL: 100.0}
    with capture_logs() as logs:
        api = read(reader)["api"]
        assert (api.readings.origin, api.readings.events) == ("direct", {300: 100.0})
        assert len(source.asked) == 1 + API + SPEED
        assert read(reader, NOW + 299)["api"].t == NOW
        assert len(source.asked) == 2 + API + SPEED
        source.direct = {TOTAL: 200.0}
        assert read(reader, NOW + 300)["api"].readings.events == {300: 200.0}
    [told] = logs
    assert (told["slos"], told["names"], told["queries"], told["every"]) == (
        2,
        "shop/api, shop/speed",
        API + SPEED,
        300,
    )
    source.record("api", e_5m=0.0)
    assert read(reader, NOW + 330)["api"].readings.origin == "recorded"


def test_a_missing_metric_without_rules_is_absent_and_not_unanswered(tmp_path: Path) -> None:
    found = read(budgets(tmp_path, Ruler()))
    assert {view.reasons for view in found.values()} == {("absent",)}


def test_one_direct_query_that_fails_keeps_the_last_reading_and_is_asked_again_at_the_next_cycle(
    tmp_path: Path,
) -> None:
    source, telemetry = Ruler(), Telemetry()
    reader = budgets(tmp_path, source, telemetry)
    source.direct = {TOTAL: 100.0}
    read(reader)
    source.fails = lambda expr: None if expr == QUERY else AWAY
    api = read(reader, NOW + 300)["api"]
    assert (api.readings.origin, api.readings.events, api.t) == ("direct", {300: 100.0}, NOW)
    assert telemetry.value("slo_evaluations_total", "connection") == 2
    source.fails = lambda _: None
    api = read(reader, NOW + 315)["api"]
    assert (api.readings.events, api.t) == ({300: 100.0}, NOW + 315)


def test_two_direct_readings_without_an_answer_withdraw_the_values_and_are_tried_at_every_cycle(
    tmp_path: Path,
) -> None:
    source = Ruler()
    reader = budgets(tmp_path, source)
    source.direct = {TOTAL: 100.0}
    read(reader)
    source.fails = lambda expr: None if expr == QUERY else AWAY
    read(reader, NOW + 300)
    api = read(reader, NOW + 315)["api"]
    assert (api.readings.origin, api.reasons, api.readings.events, api.t) == ("blind", ("blind",), {}, NOW)
    asked = len(source.asked)
    read(reader, NOW + 330)
    # A source that does not answer is asked for one value of each SLO, not for all of them.
    assert len(source.asked) == asked + 1 + 2
    source.fails = lambda _: None
    assert read(reader, NOW + 345)["api"].readings.events == {300: 100.0}


def test_one_expression_that_is_refused_keeps_no_other_from_being_read(tmp_path: Path) -> None:
    source, telemetry = Ruler(), Telemetry()
    source.record("api", e_5m=0.0)
    source.fails = lambda expr: REFUSED if "[30d:" in expr else None
    source.direct = {"avg_over_time((avg(((slow_share) >= -Inf)))[5m:1m])": 0.25}
    reader = budgets(tmp_path, source, telemetry)
    found = read(reader)
    assert (found["api"].reasons, found["speed"].reasons) == ((), ("unanswered",))
    assert found["speed"].burn == {300: 25.0}
    outcomes = {one: telemetry.value("slo_evaluations_total", one) for one in ("ok", "bad_query")}
    assert outcomes == {"ok": 1, "bad_query": 1}
    read(reader, NOW + 15)
    asked = len(source.asked)
    # What is refused twice is refused for good: it costs no more than the rest.
    assert read(reader, NOW + 30)["speed"].burn == {300: 25.0}
    assert len(source.asked) == asked + 1


def test_what_one_query_gave_is_kept_while_it_fails_once(tmp_path: Path) -> None:
    source = Ruler()
    reader = budgets(tmp_path, source)
    history = dict(shop(tmp_path)[0].direct)[names.RECORD_HISTORY]
    source.direct = {TOTAL: 0.0, history: 1.0}
    read(reader)
    source.direct = {TOTAL: 0.0}
    source.fails = lambda expr: REFUSED if expr == history else None
    api = read(reader, NOW + 300)["api"]
    assert (api.readings.history, api.reasons) == (1.0, ())
    api = read(reader, NOW + 315)["api"]
    assert (api.readings.history, api.reasons) == (None, ("unanswered",))


def test_a_clock_that_goes_back_does_not_put_off_the_next_reading(tmp_path: Path) -> None:
    source = Ruler()
    reader = budgets(tmp_path, source)
    read(reader)
    source.direct = {TOTAL: 100.0}
    assert read(reader, NOW - 3600)["api"].readings.events == {300: 100.0}


def test_an_sli_that_is_refused_as_a_whole_is_asked_for_every_five_minutes(tmp_path: Path) -> None:
    source = Ruler()
    source.record("api", e_5m=0.0)
    source.fails = lambda expr: REFUSED if "slow_share" in expr else None
    reader = budgets(tmp_path, source)
    assert read(reader)["speed"].reasons == ("unread",)
    assert read(reader, NOW + 15)["speed"].reasons == ("blind",)
    asked = len(source.asked)
    read(reader, NOW + 30)
    assert len(source.asked) == asked + 1
    read(reader, NOW + 315)
    assert len(source.asked) == asked + 2 + SPEED


def test_a_direct_reading_that_never_ends_is_withdrawn_after_ten_minutes(tmp_path: Path) -> None:
    source = Ruler()
    reader = budgets(tmp_path, source)
    source.direct = {TOTAL: 100.0}
    read(reader)
    assert views(reader, NOW + 599)["api"].readings.origin == "direct"
    assert views(reader, NOW + 600)["api"].reasons == ("blind",)


def test_after_blindness_what_is_asked_directly_is_unread_until_it_is_asked(tmp_path: Path) -> None:
    source = Ruler()
    reader = budgets(tmp_path, source)
    source.direct = {TOTAL: 100.0}
    read(reader)
    source.fails = lambda _: AWAY
    read(reader, NOW + 15)
    read(reader, NOW + 30)
    source.fails = lambda _: None
    asyncio.run(reader.read(NOW + 45))
    assert views(reader, NOW + 45)["api"].reasons == ("unread",)
    assert read(reader, NOW + 45)["api"].readings.events == {300: 100.0}


def test_rules_that_go_away_leave_their_last_values_until_the_source_was_asked(tmp_path: Path) -> None:
    source = Ruler()
    reader = budgets(tmp_path, source)
    source.record("api", e_5m=0.02)
    read(reader)
    source.series.clear()
    source.direct = {TOTAL: 100.0}
    asyncio.run(reader.read(NOW + 15))
    assert views(reader, NOW + 15)["api"].burn == {300: 20.0}
    asyncio.run(reader.read(NOW + 60))
    assert views(reader, NOW + 60)["api"].reasons == ("unread",)
    assert read(reader, NOW + 60)["api"].readings.origin == "direct"


class Slow(Ruler):
    """Answers for what is recorded at once, and for everything else when it is let."""

    def __init__(self) -> None:
        super().__init__()
        self.let, self.waiting = asyncio.Event(), 0

    async def instant(self, expr: str, t: float, step: float | None = None) -> Vector:
        if expr != QUERY:
            self.waiting += 1
            await self.let.wait()
        return await super().instant(expr, t, step)


def test_what_is_recorded_does_not_wait_for_what_is_not(tmp_path: Path) -> None:
    times = iter(range(1000))

    async def run() -> None:
        source, cycles = Slow(), asyncio.Queue[None]()
        reader = budgets(tmp_path, source)
        source.record("api", e_5m=0.02)
        reader._clock, reader._sleep = lambda: NOW + next(times), _counted(cycles)
        reader.start()
        for _ in range(3):
            await cycles.get()
        # The first cycle has read, the second too; all the while one direct query waits, and only one.
        assert source.asked == [QUERY] * 3
        assert (views(reader)["api"].burn, views(reader)["speed"].reasons) == ({300: 20.0}, ("unread",))
        assert source.waiting == 1
        source.let.set()
        assert reader._asking is not None
        await reader._asking
        assert views(reader)["speed"].readings.origin == "direct"
        await reader.stop()

    asyncio.run(asyncio.wait_for(run(), 10))


def _counted(cycles: asyncio.Queue[None]) -> Callable[[float], asyncio.Future[None]]:
    """Sleep that only lets others work, and says that it was called."""

    async def sleep(_seconds: float) -> None:
        cycles.put_nowait(None)
        for _ in range(10):
            await asyncio.sleep(0)

    return sleep  # type: ignore[return-value]  # a coroutine is as good to await


@pytest.mark.parametrize("recorded_meanwhile", [True, False])
def test_direct_readings_are_few_at_a_time_and_give_way_to_what_is_recorded(
    tmp_path: Path, recorded_meanwhile: bool
) -> None:
    async def run() -> str:
        source = Slow()
        reader = budgets(tmp_path, source)
        api, speed = reader._specs
        reader._specs = (api, speed, replace(api, terms=replace(api.terms, slo="third")))
        await reader.read(NOW)
        asking = asyncio.create_task(reader.ask(NOW))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert source.waiting == 2
        if recorded_meanwhile:
            source.record("api", e_5m=0.02)
            await reader.read(NOW + 1)
        source.let.set()
        await asking
        return views(reader)["api"].readings.origin

    assert asyncio.run(run()) == ("recorded" if recorded_meanwhile else "direct")
