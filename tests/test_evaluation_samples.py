"""One signal over time: samples that repeat, capacities that change, what is learnt."""

import math
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from live import RICH, Live, hostile, page, sometimes
from scripted import CAPACITY, EXPR, STAMPS, T0, Scripted, Signal, down, spec, steady, wire
from tocsin.core.calendar import Single, Windows
from tocsin.core.snapshot import Sight
from tocsin.source.columns import Vector

# ------------------------------------------------------------------------------------------------ samples


def scraped(every: float, offset: float = 0.0, until: float = math.inf) -> Signal:
    """Time of the last scrape at t; the source repeats it for five minutes."""

    def at(t: float) -> float | None:
        last = min((t - offset) // every * every + offset, until)
        return last if t - last < 300 else None

    return at


def sampled(value: Signal, stamp: Signal) -> Signal:
    def at(t: float) -> float | None:
        when = stamp(t)
        return None if when is None else value(when)

    return at


def test_a_repeated_sample_is_graded_and_not_learnt_and_a_stale_one_is_unknown() -> None:
    stamp = scraped(60, 0, until=T0)
    source = Scripted(("a", sampled(steady(), stamp)))
    source.series[STAMPS] = [("a", stamp)]
    live = Live(source, spec(timestamps=STAMPS, window=100, warmup_steps=50))
    live.at(T0)
    live.at(T0 + 60)
    assert (live.of("a")["n"], live.of("a")["tier"]) == (51, 0)
    live.at(T0 + 120)
    assert (live.of("a")["n"], live.of("a")["tier"], live.of("a")["x"]) == (51, 0, steady()(T0))
    live.at(T0 + 180)
    assert (live.of("a")["n"], live.of("a")["tier"]) == (51, -1)
    assert math.isnan(live.of("a")["x"])


def test_history_does_not_learn_repeated_samples_either() -> None:
    stamp = scraped(120)
    source = Scripted(("a", sampled(steady(), stamp)))
    source.series[STAMPS] = [("a", stamp)]
    live = Live(source, spec(timestamps=STAMPS, window=100, warmup_steps=50))
    live.at(T0)
    assert live.of("a")["n"] == 25


@pytest.mark.parametrize(("every", "offset"), [(15, 3), (15, 11), (60, 5), (60, 59), (30, 0)])
def test_between_grid_times_a_sample_is_graded_and_at_the_next_one_still_learnt(every: float, offset: float) -> None:
    """Evaluated six times a step, it must learn what a warm start over the same samples learns."""
    stamp = scraped(every, offset)
    source = Scripted(("a", sampled(steady(), stamp)))
    source.series[STAMPS] = [("a", stamp)]
    how = spec(timestamps=STAMPS, interval=10, step=60, window=200, warmup_steps=50)
    live = Live(source, how)
    live.over(T0, T0 + 1200)
    started = Live(source, replace(how, warmup_steps=70))
    started.at(T0 + 1200)
    assert live.of("a") == started.of("a")
    assert live.of("a")["n"] == 70


def test_only_the_grade_at_a_grid_time_is_followed_by_learning() -> None:
    source = Scripted(("a", steady()))
    live = Live(source, spec(interval=20, step=60, window=100, warmup_steps=10))
    counts = []
    for t in range(0, 200, 20):
        live.at(T0 + t)
        counts.append(live.of("a")["n"])
    assert counts == [10, 11, 11, 11, 12, 12, 12, 13, 13, 13]


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_no_number_is_unknown_and_not_learnt(value: float) -> None:
    source = Scripted(("a", sometimes(steady(), lambda t: t == T0 + 60, value)))
    live = Live(source, spec(window=100, warmup_steps=30))
    live.at(T0)
    live.at(T0 + 60)
    assert (live.of("a")["tier"], live.of("a")["n"]) == (-1, 31)
    live.at(T0 + 120)
    assert (live.of("a")["tier"], live.of("a")["n"]) == (0, 31)


def test_an_empty_vector_is_an_answer() -> None:
    source = Scripted()
    live = Live(source, spec())
    report = live.at(T0)
    assert (report.series, report.refused, live.view.sight) == (0, {}, Sight.CLEAR)
    source.series[EXPR] = [("a", steady())]
    assert live.at(T0 + 60).series == 1
    source.series[EXPR] = []
    live.at(T0 + 120)
    assert live.of("a")["tier"] == -1


def test_native_histograms_are_counted_as_refused() -> None:
    class Histograms(Scripted):
        async def instant(self, expr: str, t: float, step: float | None = None) -> Vector:
            found = await super().instant(expr, t, step)
            return Vector(t, found.metrics, found.values, histograms=2)

    live = Live(Histograms(("a", steady())), spec())
    assert live.at(T0).refused == {"native_histogram": 2}


# ------------------------------------------------------------------------------------------------ capacity, windows


def test_a_change_of_capacity_is_no_anomaly() -> None:
    """Half the room for the same bookings doubles the ratio: graded against the doubled baseline."""
    moved = T0 + 300
    source = Scripted(("a", lambda t: steady(0.4, 0.02)(t) * (2.0 if t >= moved else 1.0)))
    source.series[CAPACITY] = [("a", lambda t: 120.0 if t >= moved else 240.0)]
    told, untold = Live(source, spec(capacity=CAPACITY)), Live(source, spec())
    tiers = []
    for t in np.arange(T0, T0 + 1200, 60).tolist():
        told.at(t)
        untold.at(t)
        tiers.append((told.of("a")["tier"], untold.of("a")["tier"]))
    assert {told for told, _ in tiers} == {0}
    assert max(untold for _, untold in tiers) == 4
    assert told.of("a")["mean"] == pytest.approx(0.8, rel=0.05)


def test_a_capacity_that_is_absent_zero_or_no_number_changes_nothing() -> None:
    odd = {T0 + 60: None, T0 + 120: 0.0, T0 + 180: math.nan, T0 + 240: math.inf, T0 + 300: -5.0}
    source = Scripted(("a", steady()))
    source.series[CAPACITY] = [("a", lambda t: odd.get(t, 240.0))]
    live = Live(source, spec(capacity=CAPACITY))
    means = []
    for t in np.arange(T0, T0 + 600, 60).tolist():
        live.at(t)
        means.append(live.of("a")["mean"])
    assert max(abs(a - b) for a, b in pairwise(means)) < 0.1
    assert live.of("a")["tier"] == 0


def test_a_maintenance_window_is_graded_and_not_learnt() -> None:
    source = Scripted(("a", lambda t: steady()(t) + (500.0 if T0 + 120 <= t < T0 + 300 else 0.0)))
    window = Windows((Single("upgrade", T0 + 120, T0 + 300),))
    live = Live(source, spec(windows=window))
    live.over(T0, T0 + 240)
    assert (live.of("a")["tier"], live.view.excluded_by, live.view.held[0]) == (4, "upgrade", 0)
    live.at(T0 + 300)
    assert (live.of("a")["tier"], live.view.excluded_by, live.of("a")["n"]) == (0, None, 20)


# ------------------------------------------------------------------------------------------------ fold bookkeeping


def test_a_lasting_surge_stays_critical_until_relearn_after_and_then_is_the_baseline() -> None:
    source = Scripted(("a", lambda t: steady()(t) + (500.0 if t >= T0 else 0.0)))
    live = Live(source, spec())
    seen, shifts = [], 0
    for t in np.arange(T0, T0 + 60 * 32, 60).tolist():
        shifts += live.at(t).shifts
        seen.append((live.of("a")["tier"], int(live.view.held[0])))
    assert seen[:30] == [(4, held) for held in [*range(1, 30), 0]]
    assert seen[30:] == [(0, 0), (0, 0)]
    assert shifts == 1
    assert live.view.shifted_at[0] == T0 + 29 * 60
    assert live.of("a")["mean"] == pytest.approx(510, abs=2)


def test_a_run_begins_with_its_tier_and_unknown_does_not_end_it() -> None:
    def value(t: float) -> float | None:
        return None if t == T0 + 120 else steady()(t) + (500.0 if T0 + 60 <= t < T0 + 240 else 0.0)

    live = Live(Scripted(("a", value)), spec())
    runs = []
    for t in range(0, 300, 60):
        live.at(T0 + t)
        runs.append(live.view.since[3, 0])
    np.testing.assert_array_equal(runs, [np.nan, T0 + 60, T0 + 60, T0 + 60, np.nan])


def test_a_view_does_not_change_when_the_next_cycle_comes() -> None:
    live = Live(Scripted(*hostile()), spec(forget_after=180, **RICH))
    live.over(T0, T0 + 1200)
    view, before = live.view, page(live.view)
    live.over(T0 + 1260, T0 + 3600)
    assert page(view) == before


def test_queries_are_asked_with_the_step_at_the_evaluation_time() -> None:
    source = Scripted(("a", steady()))
    source.series[STAMPS] = [("a", lambda t: t)]
    live = Live(source, spec(timestamps=STAMPS, interval=20, step=60))
    live.at(T0 + 20)
    instants = [asked for asked in source.asked if asked[0] == "instant"]
    assert instants == [("instant", EXPR, T0 + 20, 60), ("instant", STAMPS, T0 + 20, 60)]
    assert wire("a") == b'{"resource": "a"}'


def test_a_source_that_was_away_may_fail_to_give_the_history_once_more() -> None:
    source = Scripted(("a", steady()))
    source.fault = lambda _kind, _expr, _t: down()
    live = Live(source, spec())
    live.over(T0, T0 + 600)
    failing = iter([True])
    source.fault = lambda kind, _expr, _t: down("timeout") if kind == "range" and next(failing, False) else None
    live.over(T0 + 660, T0 + 780)
    assert live.of("a")["n"] == 20
    assert live.evaluation.history_error is None
