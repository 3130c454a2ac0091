"""One signal over time: samples that repeat, resources and capacities that come and go, what is learnt."""

import math
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from live import RICH, Live, hostile, page, sometimes
from scripted import CAPACITY, EXPR, STAMPS, T0, Scripted, Signal, down, spec, steady, wire
from tocsin.core.calendar import Single, Windows
from tocsin.core.resources import IDENTITY_COLLISION, MAX_SERIES, MISSING_LABEL
from tocsin.core.snapshot import Sight, Snapshot
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


# ------------------------------------------------------------------------------------------------ resources


def test_a_resource_that_vanishes_is_unknown_at_once_and_dropped_after_forget_after() -> None:
    source = Scripted(("a", sometimes(steady(), lambda t: t >= T0 + 60)), ("b", steady()))
    live = Live(source, spec(forget_after=300))
    live.at(T0)
    assert live.of("a")["tier"] == 0
    live.at(T0 + 60)
    assert live.of("a")["tier"] == -1
    live.over(T0 + 120, T0 + 300)
    assert live.resources() == {"a", "b"}
    live.at(T0 + 360)
    assert live.resources() == {"b"}
    assert live.of("b")["tier"] == 0


def test_only_time_in_which_the_source_answered_counts_towards_forgetting() -> None:
    source = Scripted(("a", sometimes(steady(), lambda t: t >= T0 + 60)), ("b", steady()))
    source.fault = lambda kind, _e, t: down() if T0 + 180 <= t < T0 + 7200 or (kind == "range" and t > T0) else None
    live = Live(source, spec(forget_after=300, warmup_steps=500))
    live.over(T0, T0 + 7140)
    source.fault = lambda kind, _e, _t: down("bad_query", retry=False) if kind == "range" else None
    live.at(T0 + 7200)
    assert live.resources() == {"a", "b"}
    assert live.of("a")["tier"] == -1


def test_a_resource_that_returns_in_time_kept_its_baseline_and_later_starts_anew() -> None:
    back = {"at": T0 + 300}
    source = Scripted(("a", lambda t: steady()(t) if t < T0 + 60 or t >= back["at"] else None), ("b", steady()))
    live = Live(source, spec(forget_after=600))
    live.over(T0, T0 + 300)
    assert (live.of("a")["tier"], live.of("a")["n"]) == (0, 20)
    back["at"] = T0 + 86_400
    live.over(T0 + 360, T0 + 1200)
    assert live.resources() == {"b"}
    back["at"] = 0
    live.at(T0 + 1260)
    assert (live.of("a")["tier"], live.of("a")["n"]) == (-1, 0)


def test_a_column_that_is_used_again_carries_nothing_over() -> None:
    """Held samples, runs, seasons, forecasts and capacities of the old resource must not judge the new one."""
    present = {"name": "old"}
    surge: Signal = lambda t: steady()(t) + (500.0 if t > T0 else 0.0)  # noqa: E731  two series share it
    source = Scripted()
    source.series[EXPR] = [
        ("old", lambda t: surge(t) if present["name"] == "old" else None),
        ("new", lambda t: steady(5.0)(t) if present["name"] == "new" and t >= T0 + 960 else None),
    ]
    source.series[CAPACITY] = [("old", lambda _t: 10.0), ("new", lambda _t: 40.0)]
    source.series[STAMPS] = [("old", lambda t: t), ("new", lambda t: t - 50)]
    how = spec(capacity=CAPACITY, timestamps=STAMPS, forget_after=180, **RICH)
    live = Live(source, how)
    live.over(T0, T0 + 600)
    assert live.of("old")["tier"] == 4
    column = live.column("old")
    present["name"] = "nobody"
    live.over(T0 + 660, T0 + 900)
    assert live.resources() == set()
    present["name"] = "new"
    live.over(T0 + 960, T0 + 1500)
    assert live.column("new") == column
    fresh = Live(source, replace(how, warmup_steps=1))
    fresh.over(T0 + 960, T0 + 1500)
    assert page(live.view) == page(fresh.view)


def test_a_resource_whose_series_was_replaced_keeps_its_history_through_a_restart() -> None:
    """A new pod behind the same identity: live nothing is lost, so a warm start must not lose it either."""
    source = Scripted(
        ({"resource": "a", "pod": "1"}, sometimes(steady(), lambda t: t >= T0 - 600)),
        ({"resource": "a", "pod": "2"}, sometimes(steady(), lambda t: t < T0 - 600)),
    )
    live = Live(source, spec(by=("resource",), window=100, warmup_steps=50))
    live.at(T0)
    assert (live.of("a")["n"], live.evaluation.missing) == (50, 0)


def test_where_two_series_of_one_identity_overlap_history_has_a_gap_and_a_cycle_refuses_both() -> None:
    source = Scripted(
        ({"resource": "a", "pod": "1"}, sometimes(steady(), lambda t: t >= T0 - 600)),
        ({"resource": "a", "pod": "2"}, sometimes(steady(), lambda t: t < T0 - 900)),
    )
    live = Live(source, spec(by=("resource",), window=100, warmup_steps=50))
    live.at(T0)
    assert live.of("a")["n"] == 45
    source.series[EXPR].append(({"resource": "a", "pod": "3"}, steady()))
    assert live.at(T0 + 60).refused == {IDENTITY_COLLISION: 2}
    assert live.of("a")["tier"] == -1


def test_dead_series_of_the_history_take_no_room_from_the_living() -> None:
    dead = [(f"dead-{i}", sometimes(steady(), lambda t: t > T0 - 7200)) for i in range(30)]
    recent = ("recent", sometimes(steady(), lambda t: t > T0 - 600))
    source = Scripted(*dead, recent, ("alive", steady()))
    live = Live(source, spec(warmup_steps=200, forget_after=3600), room=2)
    assert live.at(T0).refused == {}
    assert live.resources() == {"alive", "recent"}
    assert (live.of("alive")["tier"], live.of("recent")["tier"]) == (0, -1)
    assert len(live.view.resources) < 20


def until(minutes: int) -> Signal:
    """A series that ended so many minutes before T0."""
    return sometimes(steady(), lambda t: t > T0 - 60 * minutes)


def test_where_room_is_short_history_gives_it_to_those_who_were_seen_last() -> None:
    past = [(f"until-{minutes}", until(minutes)) for minutes in (50, 20, 40, 10, 30)]
    live = Live(Scripted(*past, ("alive", steady())), spec(warmup_steps=100), room=3)
    live.at(T0)
    assert live.resources() == {"alive", "until-10", "until-20"}


@pytest.mark.parametrize("chunk", [11_000, 60, 7])
def test_who_is_refused_in_the_history_is_counted_by_reason_and_once(chunk: int) -> None:
    source = Scripted(
        ("alive", steady()),
        ("no room now", steady()),
        ("no room lately", until(10)),
        ({"other": "label"}, until(20)),
        ("dead for long", until(100)),
        chunk=chunk,
    )
    live = Live(source, spec(by=("resource",), warmup_steps=200, max_series=1, forget_after=3600))
    assert live.at(T0).refused == {MAX_SERIES: 2, MISSING_LABEL: 1}
    assert live.view.refused == {MAX_SERIES: 1}
    assert live.at(T0 + 60).refused == {MAX_SERIES: 1}
    # A gap brings its own: one that came and went in it.
    source.series[EXPR].append(("brief", sometimes(steady(), lambda t: not T0 + 120 <= t <= T0 + 300)))
    assert live.at(T0 + 600).refused == {MAX_SERIES: 2}


@pytest.mark.parametrize("chunk", [11_000, 13])
def test_the_history_tells_for_how_long_a_resource_has_been_unseen(chunk: int) -> None:
    source = Scripted(("a", sometimes(steady(), lambda t: t > T0 - 3000)), ("b", steady()), chunk=chunk)
    live = Live(source, spec(warmup_steps=100, forget_after=3600))
    live.over(T0, T0 + 600)
    assert live.resources() == {"a", "b"}
    live.at(T0 + 660)
    assert live.resources() == {"b"}


def test_a_gap_counts_towards_forgetting_only_from_when_a_resource_was_seen_last() -> None:
    source = Scripted(("a", sometimes(steady(), lambda t: t > T0 + 1800)), ("b", steady()))
    live = Live(source, spec(warmup_steps=100, forget_after=600))
    live.at(T0)
    live.at(T0 + 2400)
    assert live.resources() == {"a", "b"}
    live.at(T0 + 2460)
    assert live.resources() == {"b"}


def test_a_resource_in_a_column_that_was_used_has_neither_its_samples_nor_its_capacity() -> None:
    source = Scripted(
        ("old", sometimes(steady(), lambda t: t >= T0 + 60)), ("new", sometimes(steady(), lambda t: t < T0 + 600))
    )
    # The samples of the old one were of a clock far ahead: nothing of the new one would be newer than they.
    source.series[STAMPS] = [("old", lambda t: t + 86_400), ("new", lambda t: t)]
    source.series[CAPACITY] = [("old", lambda _t: 10.0), ("new", lambda t: 40.0 if t >= T0 + 1500 else None)]
    live = Live(source, spec(timestamps=STAMPS, capacity=CAPACITY, forget_after=180))
    live.at(T0)
    column = live.column("old")
    live.over(T0 + 60, T0 + 1440)
    assert (live.column("new"), live.of("new")["n"]) == (column, 14)
    mean = live.of("new")["mean"]
    live.at(T0 + 1500)
    assert live.of("new")["mean"] == pytest.approx(mean, abs=0.1)


def test_a_column_that_nobody_has_is_not_among_the_worst() -> None:
    source = Scripted(("gone", sometimes(steady(), lambda t: t > T0)), ("a", steady()))
    live = Live(source, spec(forget_after=180))
    live.over(T0, T0 + 300)
    assert live.view.live.tolist() == [False, True]
    assert [column for _, column in Snapshot(T0, (live.view,)).worst(10)] == [1]


def test_the_limit_of_a_signal_keeps_those_that_were_first() -> None:
    source = Scripted(("a", steady()), ("b", steady()))
    live = Live(source, spec(max_series=2))
    live.at(T0)
    source.series[EXPR].insert(0, ("c", steady()))
    report = live.at(T0 + 60)
    assert (report.refused, report.series, live.resources()) == ({MAX_SERIES: 1}, 2, {"a", "b"})


def test_the_order_of_series_changes_nothing() -> None:
    one, other = Live(Scripted(*hostile()), spec(**RICH)), Live(Scripted(*reversed(hostile())), spec(**RICH))
    one.over(T0, T0 + 1200)
    other.over(T0, T0 + 1200)
    assert page(one.view) == page(other.view)


def test_a_bad_label_object_takes_only_its_own_series() -> None:
    class Broken(Scripted):
        async def instant(self, expr: str, t: float, step: float | None = None) -> Vector:
            vector = await super().instant(expr, t, step)
            return Vector(t, [*vector.metrics, b'{"resource":"\xff"}'], np.append(vector.values, 1.0))

    live = Live(Broken(("a", steady())), spec())
    assert live.at(T0).refused == {"malformed_labels": 1}
    assert live.of("a")["tier"] == 0


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


@pytest.mark.parametrize("chunk", [11_000, 60])
def test_who_is_there_now_comes_before_the_dead_of_a_long_history(chunk: int) -> None:
    dead = [(f"old-{i}", lambda t: 1.0 if t < T0 - 150 * 60 else None) for i in range(20)]
    alive = [(f"new-{i}", lambda t: steady()(t) if t >= T0 - 100 * 60 else None) for i in range(20)]
    live = Live(Scripted(*dead, *alive, chunk=chunk), spec(warmup_steps=200, max_series=25), room=25)
    assert live.at(T0).refused == {}
    assert {name for name, _ in alive} <= live.resources()
    assert min(live.of(name)["n"] for name, _ in alive) == 20


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
