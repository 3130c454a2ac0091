"""Resources of one signal that come, go and return: what is kept of them, and who has room."""

from dataclasses import replace

import numpy as np
import pytest

from live import RICH, Live, hostile, page, sometimes
from scripted import CAPACITY, EXPR, STAMPS, T0, Scripted, Signal, down, spec, steady
from tocsin.core.resources import IDENTITY_COLLISION, MAX_SERIES, MISSING_LABEL
from tocsin.core.snapshot import Snapshot
from tocsin.source.columns import Vector


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


@pytest.mark.parametrize("chunk", [11_000, 60])
def test_who_is_there_now_comes_before_the_dead_of_a_long_history(chunk: int) -> None:
    dead = [(f"old-{i}", lambda t: 1.0 if t < T0 - 150 * 60 else None) for i in range(20)]
    alive = [(f"new-{i}", lambda t: steady()(t) if t >= T0 - 100 * 60 else None) for i in range(20)]
    live = Live(Scripted(*dead, *alive, chunk=chunk), spec(warmup_steps=200, max_series=25), room=25)
    assert live.at(T0).refused == {}
    assert {name for name, _ in alive} <= live.resources()
    assert min(live.of(name)["n"] for name, _ in alive) == 20
