"""One signal over time: history, gaps, a source that is away."""

from dataclasses import replace

import numpy as np
import pytest

from live import RICH, Live, hostile, page, sometimes, state
from scripted import CAPACITY, STAMPS, T0, Scripted, down, spec, steady
from tocsin.core.calendar import Single, Windows
from tocsin.core.snapshot import Sight
from tocsin.evaluation import PATIENCE
from tocsin.source.errors import SourceError

# ------------------------------------------------------------------------------------------------ live == warm start


@pytest.mark.parametrize("capacity", [False, True])
@pytest.mark.parametrize("chunk", [11_000, 13])
def test_folded_live_is_what_a_warm_start_over_the_same_samples_gives(chunk: int, capacity: bool) -> None:
    source = Scripted(*hostile(), chunk=chunk)
    source.series[CAPACITY] = [(name, lambda t: 10.0 if t < T0 + 900 else 20.0) for name, _ in hostile()]
    maintenance = Windows((Single("upgrade", T0 + 600, T0 + 900),))
    how = spec(windows=maintenance, capacity=CAPACITY if capacity else None, warmup_steps=100, **RICH)
    live = Live(source, how)
    live.over(T0, T0 + 3600)
    started = Live(source, replace(how, warmup_steps=160))
    started.at(T0 + 3600)
    assert page(live.view) == page(started.view)
    assert live.resources() == {name for name, _ in hostile()}
    columns = [[one.column(name) for name, _ in hostile()] for one in (live, started)]
    first, second = state(live.evaluation, columns[0]), state(started.evaluation, columns[1])
    for name, array in first.items():
        np.testing.assert_array_equal(array, second[name], err_msg=name)


@pytest.mark.parametrize("down_from", [1, 2, 10, 25])
def test_a_gap_that_was_filled_leaves_no_trace(down_from: int) -> None:
    source = Scripted(*hostile())
    how = spec(warmup_steps=100, **RICH)
    whole, broken = Live(source, how), Live(source, how)
    whole.over(T0, T0 + 3600)
    broken.over(T0, T0 + 600)
    source.fault = lambda _kind, _expr, _t: down()
    broken.over(T0 + 660, T0 + 600 + 60 * down_from)
    source.fault = lambda _kind, _expr, _t: None
    source.asked.clear()
    broken.over(T0 + 660 + 60 * down_from, T0 + 3600)
    assert source.ranges() == [(T0 + 660, T0 + 600 + 60 * down_from)]
    assert page(broken.view) == page(whole.view)


def test_a_source_that_comes_back_after_an_hour_is_asked_for_that_hour_once() -> None:
    source = Scripted(("a", steady()))
    live = Live(source, spec(warmup_steps=100))
    live.over(T0, T0 + 300)
    source.fault = lambda _kind, _expr, _t: down()
    live.over(T0 + 360, T0 + 300 + 3600)
    assert live.view.sight is Sight.BLIND
    source.fault = lambda _kind, _expr, _t: None
    source.asked.clear()
    live.at(T0 + 3960)
    assert source.ranges() == [(T0 + 360, T0 + 3900)]
    assert (live.view.sight, live.of("a")["tier"], live.of("a")["n"]) == (Sight.CLEAR, 0, 20)


def test_after_a_gap_longer_than_the_warm_up_it_starts_anew() -> None:
    source = Scripted(("a", lambda t: steady()(t) + (0.0 if t < T0 + 3600 else 1000.0)))
    live = Live(source, spec())
    live.over(T0, T0 + 300)
    source.asked.clear()
    later = T0 + 86_400
    live.at(later)
    assert source.ranges() == [(later - 50 * 60, later - 60)]
    assert (live.of("a")["tier"], live.of("a")["n"]) == (0, 20)
    assert live.of("a")["mean"] == pytest.approx(1010, abs=2)


def test_a_warm_start_that_breaks_off_goes_on_where_it_was() -> None:
    source = Scripted(("a", steady()), chunk=10)
    whole = Live(Scripted(("a", steady())), spec())
    whole.at(T0)
    source.fault = lambda kind, _e, t: down() if kind == "range" and t >= T0 - 30 * 60 else None
    live = Live(source, spec())
    with pytest.raises(SourceError):
        live.at(T0)
    source.fault = lambda _kind, _expr, _t: None
    source.asked.clear()
    live.at(T0)
    assert source.ranges() == [(T0 - 30 * 60, T0 - 60)]
    assert page(live.view) == page(whole.view)


@pytest.mark.parametrize("which", [STAMPS, CAPACITY])
def test_a_chunk_whose_companion_query_fails_is_asked_for_again_whole(which: str) -> None:
    source = Scripted(("a", steady()))
    source.series[STAMPS] = [("a", lambda t: t - 5)]
    source.series[CAPACITY] = [("a", lambda _t: 10.0)]
    live = Live(source, spec(timestamps=STAMPS, capacity=CAPACITY))
    source.fault = lambda kind, expr, _t: down() if (kind, expr) == ("range", which) else None
    with pytest.raises(SourceError):
        live.at(T0)
    source.fault = lambda _kind, _expr, _t: None
    live.at(T0)
    assert live.of("a")["n"] == 20
    assert live.evaluation.missing == 0


# ------------------------------------------------------------------------------------------------ no history


@pytest.mark.parametrize("klass", ["bad_query", "too_many_samples", "bad_response"])
def test_a_source_that_refuses_history_gives_a_cold_start_and_is_not_asked_for_ever(klass: str) -> None:
    source = Scripted(("a", steady()))
    source.fault = lambda kind, _e, _t: down(klass, retry=False) if kind == "range" else None
    live = Live(source, spec())
    live.at(T0)
    assert live.evaluation.history_error == "the source is down"
    assert (live.of("a")["n"], live.of("a")["tier"]) == (0, -1)
    live.over(T0 + 60, T0 + 600)
    assert len(source.ranges()) == 1
    assert (live.of("a")["n"], live.of("a")["tier"]) == (10, 0)


def test_a_wrong_token_does_not_cost_the_history() -> None:
    source = Scripted(("a", steady()))
    source.fault = lambda _kind, _e, _t: down("unauthorized", retry=False)
    live = Live(source, spec())
    live.over(T0, T0 + 600)
    assert live.evaluation.view is None
    source.fault = lambda _kind, _expr, _t: None
    live.at(T0 + 660)
    assert (live.of("a")["n"], live.evaluation.history_error) == (20, None)


def test_history_that_never_comes_in_time_is_given_up_when_the_source_answers_otherwise() -> None:
    source = Scripted(("a", steady()))
    source.fault = lambda kind, _e, _t: down("timeout") if kind == "range" else None
    live = Live(source, spec())
    live.over(T0, T0 + 60 * (PATIENCE - 2))
    assert live.evaluation.view is None
    live.at(T0 + 60 * (PATIENCE - 1))
    assert live.evaluation.history_error == "the source is down"
    assert live.of("a")["tier"] == -1


def test_a_refused_gap_is_a_gap() -> None:
    source = Scripted(("a", steady()))
    live = Live(source, spec())
    live.over(T0, T0 + 300)
    before = live.of("a")["mean"]
    source.fault = lambda kind, _e, _t: down("bad_query", retry=False) if kind == "range" else None
    live.at(T0 + 1200)
    assert live.evaluation._state.k == (T0 + 1200) / 60
    assert live.of("a")["n"] == 20
    assert live.of("a")["mean"] == pytest.approx(before, abs=0.1)
    source.fault = lambda _kind, _expr, _t: None
    live.at(T0 + 1500)
    assert live.evaluation.history_error is None


def test_missing_samples_of_the_warm_start_are_counted_per_series() -> None:
    source = Scripted(("a", steady()), ("b", sometimes(steady(), lambda t: t < T0 - 600)))
    live = Live(source, spec())
    live.at(T0)
    assert live.evaluation.missing == 20.0


# ------------------------------------------------------------------------------------------------ blind and gone


def test_one_missed_cycle_changes_nothing_two_are_blind_and_after_forget_after_it_is_gone() -> None:
    source = Scripted(("a", steady()))
    live = Live(source, spec(forget_after=600))
    live.at(T0)
    known = live.view
    source.fault = lambda _kind, _expr, _t: down()
    live.over(T0 + 60, T0 + 60)
    assert live.view is known
    live.over(T0 + 120, T0 + 120)
    assert (live.view.sight, live.evaluation.misses) == (Sight.BLIND, 2)
    live.over(T0 + 180, T0 + 660)
    assert live.view.sight is Sight.BLIND
    live.over(T0 + 720, T0 + 720)
    assert live.view.sight is Sight.GONE
    source.fault = lambda _kind, _expr, _t: None
    live.at(T0 + 780)
    assert (live.view.sight, live.evaluation.misses, live.of("a")["tier"]) == (Sight.CLEAR, 0, 0)


def test_every_other_cycle_missed_is_never_blind() -> None:
    source = Scripted(("a", steady()))
    source.fault = lambda kind, _expr, t: down() if kind == "instant" and t // 60 % 2 else None
    live = Live(source, spec())
    sights = set()
    for i in range(10):
        live.over(T0 + 60 * i, T0 + 60 * i)
        sights.add(live.view.sight)
    assert sights == {Sight.CLEAR}


def test_a_source_down_from_the_start_publishes_nothing_and_then_starts_warm() -> None:
    source = Scripted(("a", steady()))
    source.fault = lambda _kind, _expr, _t: down()
    live = Live(source, spec())
    live.over(T0, T0 + 300)
    assert live.evaluation.view is None
    source.fault = lambda _kind, _expr, _t: None
    live.at(T0 + 360)
    assert (live.of("a")["tier"], live.of("a")["n"]) == (0, 20)


@pytest.mark.parametrize("which", [STAMPS, CAPACITY])
def test_a_cycle_without_one_of_its_answers_is_a_missed_cycle(which: str) -> None:
    source = Scripted(("a", steady()))
    source.series[STAMPS] = [("a", lambda t: t)]
    source.series[CAPACITY] = [("a", lambda _t: 10.0)]
    live = Live(source, spec(timestamps=STAMPS, capacity=CAPACITY))
    live.at(T0)
    source.fault = lambda kind, expr, _t: down() if (kind, expr) == ("instant", which) else None
    with pytest.raises(SourceError):
        live.at(T0 + 60)
    assert live.view.grades.t == T0
