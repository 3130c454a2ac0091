"""The loop: when signals are evaluated, what a failure of one does, and what is published."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from typing import Any

import pytest
import structlog

from engines import LABELS, Program, until
from scripted import EXPR, T0, Scripted, down, spec, steady
from tocsin.core.snapshot import Missed, Sight, Snapshot
from tocsin.engine import aligned
from tocsin.source.columns import Matrix


@pytest.fixture(autouse=True)
def logged() -> Iterator[list[dict[str, Any]]]:
    with structlog.testing.capture_logs() as lines:
        yield lines  # type: ignore[misc]  # structlog's event dictionaries


# ------------------------------------------------------------------------------------------------ times


@pytest.mark.parametrize(("now", "interval", "t"), [(119.9, 60, 60), (120.0, 60, 120), (0.5, 1, 0), (-1.0, 60, -60)])
def test_evaluation_times_are_multiples_of_the_interval(now: float, interval: int, t: float) -> None:
    assert aligned(now, interval) == t


def run_for(program: Program, end: float) -> list[float]:
    """Let the engine's own loop run until the clock has passed `end`; the evaluation times."""

    async def run() -> None:
        program.engine.start()
        await until(lambda: program.clock.now > end)
        await program.engine.stop()

    asyncio.run(run())
    return [t for kind, _, t, _ in program.source.asked if kind == "instant" and t <= end]


def test_the_loop_evaluates_once_at_every_multiple_of_the_interval() -> None:
    program = Program(Scripted(("a", steady())), spec(), now=T0 + 17.5)
    assert run_for(program, T0 + 300) == [T0, T0 + 60, T0 + 120, T0 + 180, T0 + 240, T0 + 300]
    assert program.clock.pauses[0] == 42.5


def test_a_source_that_lags_is_asked_for_what_it_has() -> None:
    program = Program(Scripted(("a", steady())), spec(), now=T0 + 17.5, query_delay=30.0)
    assert run_for(program, T0 + 120)[:3] == [T0 - 60, T0, T0 + 60]
    assert program.clock.pauses[0] == 12.5


def test_a_cycle_that_takes_too_long_skips_to_the_present_and_fills_what_it_skipped() -> None:
    class Slow(Scripted):
        async def instant(self, expr: str, t: float, step: float | None = None) -> Any:
            if t == T0 + 60:
                program.clock.now += 200
            return await super().instant(expr, t, step)

    source = Slow(("a", steady()))
    program = Program(source, spec(window=100, warmup_steps=10))
    assert run_for(program, T0 + 400) == [T0, T0 + 60, T0 + 240, T0 + 300, T0 + 360]
    assert source.ranges()[1:] == [(T0 + 120, T0 + 180)]


def test_a_clock_that_goes_back_a_little_learns_nothing_twice_and_says_so(logged: list[dict[str, Any]]) -> None:
    program = Program(Scripted(("a", steady())), spec())

    async def run() -> None:
        program.engine.start()
        await until(lambda: program.clock.now > T0 + 100)
        program.clock.now -= 110
        await until(lambda: program.telemetry.value("evaluations_total", *LABELS, "clock_went_back") >= 1)
        await until(lambda: program.clock.now > T0 + 400)
        await program.engine.stop()

    asyncio.run(run())
    asked = [t for kind, _, t, _ in program.source.asked if kind == "instant"]
    assert asked == sorted(set(asked))
    assert program.sights() == {"sig": Sight.CLEAR}
    assert "clock went back" in {line["event"] for line in logged}


def test_a_clock_that_was_far_ahead_is_not_waited_for(logged: list[dict[str, Any]]) -> None:
    program = Program(Scripted(("a", steady())), spec(), now=T0 + 86_400)

    async def run() -> None:
        program.engine.start()
        await until(lambda: program.tiers() == {"sig": [0]})
        program.clock.now = T0
        await until(lambda: program.engine.snapshot.signals[0].grades.t < T0 + 600)
        await program.engine.stop()

    asyncio.run(run())
    assert program.sights() == {"sig": Sight.CLEAR}
    assert program.tiers() == {"sig": [0]}
    assert "clock went back" in {line["event"] for line in logged}


def test_a_signal_whose_cycle_hangs_is_blind_to_those_who_look() -> None:
    program = Program(Scripted(("a", steady())), spec())
    program.cycles(T0)
    for later, sight in ((T0 + 179, Sight.CLEAR), (T0 + 180, Sight.BLIND)):
        program.clock.now = later
        assert program.engine.view().signals[0].sight is sight
        assert program.telemetry.value("stale", *LABELS) == float(sight)


def test_how_old_a_grade_is_counts_from_what_the_source_had_then() -> None:
    program = Program(Scripted(("a", steady())), spec(), query_delay=600.0)
    program.cycles(T0)
    for later, sight in ((T0 + 779, Sight.CLEAR), (T0 + 780, Sight.BLIND)):
        program.clock.now = later
        assert program.engine.view().signals[0].sight is sight
        assert program.telemetry.value("stale", *LABELS) == float(sight)


# ------------------------------------------------------------------------------------------------ one cycle


def test_a_cycle_is_counted_and_published_whole() -> None:
    program = Program(Scripted(("a", steady()), ("b", steady())), spec())
    assert not program.engine.ready
    program.cycles(T0)
    assert program.engine.ready
    assert program.tiers() == {"sig": [0, 0]}
    value = program.telemetry.value
    assert value("evaluations_total", *LABELS, "ok") == 1
    assert value("evaluation_last_success_timestamp_seconds", *LABELS) == T0
    assert value("series", *LABELS) == 2
    assert value("stale", *LABELS) == 0
    assert value("warm_start_missing_samples", *LABELS) == 0
    assert program.engine.snapshot.t == T0


def test_what_was_never_graded_is_stale_from_the_start_until_its_first_grade() -> None:
    program = Program(Scripted(("a", steady())), spec())
    assert (program.telemetry.value("stale", *LABELS), program.engine.ready) == (1, False)
    program.source.fault = lambda _k, _e, _t: down()
    program.cycles(T0)
    assert (program.telemetry.value("stale", *LABELS), program.engine.ready) == (1, True)
    assert program.tiers() == {}
    program.source.fault = lambda _k, _e, _t: None
    program.cycles(T0 + 60)
    assert (program.telemetry.value("stale", *LABELS), program.tiers()) == (0, {"sig": [0]})


def test_signals_without_a_grade_from_their_last_cycle_are_published_with_the_reason() -> None:
    program = Program(Scripted(("a", steady())), spec())
    assert program.engine.snapshot.missed == (Missed("svc", "sig", EXPR, graded=False, reason=None),)
    program.source.fault = lambda _k, _e, _t: down("unauthorized", retry=False)
    program.cycles(T0)
    assert program.engine.snapshot.missed == (Missed("svc", "sig", EXPR, graded=False, reason="unauthorized"),)
    program.source.fault = lambda _k, _e, _t: None
    program.cycles(T0 + 60)
    assert program.engine.snapshot.missed == ()
    program.source.fault = lambda _k, _e, _t: ZeroDivisionError("a bug")
    program.cycles(T0 + 120)
    assert program.engine.snapshot.missed == (Missed("svc", "sig", EXPR, graded=True, reason="internal_error"),)
    assert program.sights() == {"sig": Sight.CLEAR}


def test_a_failed_cycle_is_counted_by_class_and_logged_with_its_reason(logged: list[dict[str, Any]]) -> None:
    program = Program(Scripted(("a", steady())), spec())
    program.cycles(T0)
    program.source.fault = lambda _k, _e, _t: down("unavailable")
    program.cycles(T0 + 60, T0 + 120)
    assert program.telemetry.value("evaluations_total", *LABELS, "unavailable") == 2
    assert program.telemetry.value("evaluation_last_success_timestamp_seconds", *LABELS) == T0
    assert program.telemetry.value("stale", *LABELS) == 1
    warnings = [line for line in logged if line["event"] == "no answer"]
    assert [(w["signal"], w["misses"], w["reason"]) for w in warnings] == [
        ("svc/sig", 1, "the source is down"),
        ("svc/sig", 2, "the source is down"),
    ]
    program.source.fault = lambda _k, _e, _t: None
    program.cycles(T0 + 180)
    assert program.sights() == {"sig": Sight.CLEAR}
    assert program.telemetry.value("stale", *LABELS) == 0


def test_one_missed_cycle_is_not_stale() -> None:
    program = Program(Scripted(("a", steady())), spec())
    program.cycles(T0)
    program.source.fault = lambda _k, _e, _t: down()
    program.cycles(T0 + 60)
    assert program.telemetry.value("stale", *LABELS) == 0
    assert program.sights() == {"sig": Sight.CLEAR}


def test_a_signal_that_fails_does_not_touch_another(logged: list[dict[str, Any]]) -> None:
    source = Scripted(("a", steady()))
    source.series["broken"] = [("a", steady())]

    def fault(_kind: str, expr: str, _t: float) -> Exception | None:
        return ZeroDivisionError("a bug") if expr == "broken" else None

    source.fault = fault
    program = Program(source, spec(signal="bad", expr="broken"), spec())
    program.cycles(T0, T0 + 60, T0 + 120)
    assert program.tiers() == {"sig": [0]}
    assert program.telemetry.value("evaluations_total", "svc", "bad", "internal_error") == 3
    assert program.telemetry.value("evaluations_total", *LABELS, "ok") == 3
    assert program.engine.ready
    assert [line["event"] for line in logged if line["log_level"] == "error"] == ["evaluation failed"] * 3


def test_a_bug_that_goes_away_leaves_a_signal_that_works() -> None:
    program = Program(Scripted(("a", steady())), spec())
    program.cycles(T0)
    program.source.fault = lambda _k, _e, _t: RuntimeError("a bug")
    program.cycles(T0 + 60, T0 + 120)
    assert program.sights() == {"sig": Sight.BLIND}
    program.source.fault = lambda _k, _e, _t: None
    program.cycles(T0 + 180)
    assert (program.sights(), program.tiers()) == ({"sig": Sight.CLEAR}, {"sig": [0]})


def test_no_history_is_said_once_and_is_no_failure(logged: list[dict[str, Any]]) -> None:
    program = Program(Scripted(("a", steady())), spec())
    program.source.fault = lambda k, _e, _t: down("bad_query", retry=False) if k == "range" else None
    program.cycles(T0, T0 + 60, T0 + 120)
    assert [line["reason"] for line in logged if line["event"] == "no history"] == ["the source is down"]
    assert program.telemetry.value("evaluations_total", *LABELS, "ok") == 3


def test_refused_series_are_counted_by_reason_in_every_cycle() -> None:
    program = Program(Scripted(("a", steady()), ({"x": "1"}, steady())), spec(by=("resource",)))
    program.cycles(T0, T0 + 60)
    assert program.telemetry.value("series_dropped_total", *LABELS, "missing_label") == 2
    assert program.telemetry.value("series", *LABELS) == 1


def test_what_the_history_refuses_is_counted_once() -> None:
    source = Scripted(("a", steady()), ("gone", lambda t: 1.0 if t < T0 - 600 else None), chunk=7)
    program = Program(source, spec(), max_series=1)
    program.cycles(T0, T0 + 60, T0 + 120)
    assert program.telemetry.value("series_dropped_total", *LABELS, "max_series") == 1
    assert program.engine.snapshot.signals[0].refused == {}


def test_counters_of_a_signal_are_there_at_zero_before_they_count() -> None:
    program = Program(Scripted(("a", steady())), spec())
    program.reconfigure(spec(), spec(signal="second"))
    found = {
        (sample.name, sample.labels["signal"], sample.labels.get("reason")): sample.value
        for family in program.telemetry.registry.collect()
        for sample in family.samples
        if sample.name in ("tocsin_series_dropped_total", "tocsin_level_shifts_total")
    }
    reasons = ("identity_collision", "label_too_long", "missing_label", "malformed_labels", "max_series")
    dropped = [("tocsin_series_dropped_total", reason) for reason in (*reasons, "native_histogram")]
    assert found == {
        (name, signal, reason): 0
        for name, reason in [("tocsin_level_shifts_total", None), *dropped]
        for signal in ("sig", "second")
    }


def test_a_level_shift_is_counted() -> None:
    program = Program(Scripted(("a", lambda t: steady()(t) + (500.0 if t >= T0 else 0.0))), spec())
    program.cycles(*(T0 + 60 * i for i in range(31)))
    assert program.telemetry.value("level_shifts_total", *LABELS) == 1


def test_the_limit_over_all_signals_holds_across_them() -> None:
    source = Scripted(("a", steady()), ("b", steady()))
    source.series["other"] = [("c", steady()), ("d", steady())]
    program = Program(source, spec(), spec(signal="second", expr="other"), max_series=3)
    program.cycles(T0)
    assert {signal: len(tiers) for signal, tiers in program.tiers().items()} == {"sig": 2, "second": 1}
    assert program.telemetry.value("series_dropped_total", "svc", "second", "max_series") == 1


def test_progress_of_a_fill_is_told() -> None:
    told: list[tuple[str, int, int]] = []
    source = Scripted(("a", steady()), chunk=25)
    program = Program(source, spec(), progress=lambda what, done, total: told.append((what, done, total)))
    program.cycles(T0)
    assert told == [("svc/sig", 25, 50), ("svc/sig", 50, 50)]


def test_stopping_in_the_middle_of_a_query_ends_every_task() -> None:
    class Hanging(Scripted):
        async def instant(self, expr: str, t: float, step: float | None = None) -> Any:
            await super().instant(expr, t, step)
            await asyncio.Event().wait()

    class HangingHistory(Scripted):
        async def range(self, expr: str, start: float, end: float, step: float) -> AsyncIterator[Matrix]:
            async for matrix in super().range(expr, start, end, step):
                await asyncio.Event().wait()
                yield matrix

    async def run(source: Scripted) -> None:
        program = Program(source, spec())
        program.engine.start()
        await until(lambda: bool(source.asked))
        assert program.engine.running
        await asyncio.wait_for(program.engine.stop(), 10)
        assert not program.engine.running
        assert program.telemetry.value("collector_running") == 0
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(run(Hanging(("a", steady()))))
    asyncio.run(run(HangingHistory(("a", steady()))))


def test_a_published_snapshot_is_never_changed() -> None:
    program = Program(Scripted(("a", steady())), spec())
    program.cycles(T0)
    old = program.engine.snapshot
    tier = old.signals[0].grades.tier.copy()
    program.source.series[EXPR] = [("a", lambda _t: 1000.0)]
    program.cycles(T0 + 60)
    assert program.engine.snapshot is not old
    assert (old.signals[0].grades.tier == tier).all()
    assert isinstance(old, Snapshot)
    assert replace(old, t=0.0).signals is old.signals
