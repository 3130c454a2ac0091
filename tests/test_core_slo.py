"""Burn rates against the table of vectors, intervals against scipy.stats, and the gate against low traffic."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy.stats import binomtest

from tocsin.core import slo
from tocsin.core.slo import Detection

VECTORS = json.loads((Path(__file__).parent / "testdata" / "slo_burn_vectors.json").read_text())
MONTH = VECTORS["period_seconds"]
CASES = [pytest.param(case, id=f"{case['slo']}-{case['error_ratio']}") for case in VECTORS["cases"]]


def test_there_are_all_vectors() -> None:
    assert len(CASES) == 56


@pytest.mark.parametrize("case", CASES)
def test_each_vector_is_answered(case: dict[str, Any]) -> None:
    objective, ratio = case["slo"], case["error_ratio"]
    burn = slo.burn_rate(ratio, objective)
    assert burn == pytest.approx(case["burn_rate"], rel=1e-12)
    assert slo.exhaustion(1.0, MONTH, burn) == pytest.approx(case["time_to_exhaust_budget_s"], rel=1e-12)
    pairs = slo.pairs(objective, MONTH)
    assert len(pairs) == len(case["rules"])
    for pair, rule in zip(pairs, case["rules"], strict=True):
        assert (pair.window.long, pair.window.short) == (rule["long_s"], rule["short_s"])
        assert pair.window.kind == rule["rule"].partition("_")[0]
        assert (pair.factor, pair.threshold) == (rule["burn_threshold"], rule["threshold_error_ratio"])
        found = slo.detection(pair, ratio, MONTH, objective)
        assert (found is not None) == rule["fires"]
        if found is not None:
            expected = (rule["detection_s"], rule["budget_consumed_at_detection"], rule["reset_s_after_stop"])
            assert (found.seconds, found.spent, found.reset) == pytest.approx(expected, rel=1e-9, abs=1e-9)


def simulated(pair: slo.Pair, error_ratio: float, tick: float) -> Detection | None:
    """The same by looking at both windows at every tick of a long outage that then ends."""
    end = pair.window.long * 2

    def bad(window: int, now: float, until: float) -> float:
        return error_ratio * max(0.0, min(now, until) - max(0.0, now - window)) / window

    def fires(now: float, until: float) -> bool:
        return all(bad(w, now, until) >= pair.threshold - 1e-12 for w in (pair.window.long, pair.window.short))

    ticks = range(int(end / tick))
    start = next((n * tick for n in ticks if fires(n * tick, math.inf)), None)
    if start is None:
        return None
    reset = next(n * tick for n in ticks if not fires(start + n * tick, start))
    return Detection(start, math.nan, reset)


@pytest.mark.parametrize("error_ratio", [0.02, 0.1, 1.0])
@pytest.mark.parametrize("index", [0, 1])
def test_detection_and_reset_are_what_a_simulation_of_both_windows_sees(index: int, error_ratio: float) -> None:
    pair, tick = slo.pairs(0.999, MONTH)[index], 5.0
    expected, found = simulated(pair, error_ratio, tick), slo.detection(pair, error_ratio, MONTH, 0.999)
    assert expected is not None
    assert found is not None
    assert 0 <= expected.seconds - found.seconds < tick + 1e-6
    assert 0 <= expected.reset - found.reset < tick + 1e-6


@pytest.mark.parametrize(
    ("days", "factors"),
    [(7, [3.36, 1.4, 1, 1]), (28, [13.44, 5.6, 2.8, 1]), (30, [14.4, 6, 3, 1]), (90, [43.2, 18, 9, 3])],
)
def test_the_burn_rates_follow_the_period_and_are_at_least_one(days: int, factors: list[float]) -> None:
    assert [pair.factor for pair in slo.pairs(0.999, days * 86400)] == factors


def test_a_threshold_above_one_can_never_fire() -> None:
    found = [(pair.threshold, pair.can_fire) for pair in slo.pairs(0.9, MONTH)]
    assert found == [(1.44, False), (0.6, True), (0.3, True), (0.1, True)]
    assert slo.detection(slo.pairs(0.9, MONTH)[0], 1.0, MONTH, 0.9) is None


@given(st.integers(0, 300), st.integers(1, 300))
def test_intervals_are_those_of_scipy(bad: int, more: int) -> None:
    total = bad + more
    test = binomtest(bad, total)
    exact, wilson = test.proportion_ci(0.95, "exact"), test.proportion_ci(0.95, "wilson")
    assert slo.exact_interval(bad, total) == pytest.approx((exact.low, exact.high), abs=1e-9)
    assert slo.wilson_lower(bad, total) == pytest.approx(wilson.low, abs=1e-9)


@given(st.integers(0, 400), st.integers(1, 400), st.floats(1e-4, 0.99))
def test_the_score_in_one_line_says_the_same_as_the_lower_bound(bad: int, more: int, threshold: float) -> None:
    total = bad + more
    bound, found = slo.wilson_lower(bad, total), (bad / total - threshold) * math.sqrt(total)
    assume(abs(bound - threshold) > 1e-9)
    assert (found >= slo.score(threshold)) == (bound >= threshold)


def test_intervals_at_the_ends() -> None:
    assert slo.exact_interval(4, 4) == pytest.approx((binomtest(4, 4).proportion_ci().low, 1.0))
    assert slo.exact_interval(7, 4) == slo.exact_interval(4, 4)  # a broken SLI has an interval too
    assert all(math.isnan(bound) for bound in slo.exact_interval(0, 0))
    assert slo.wilson_lower(0, 0) == 0.0


def test_the_gate_asks_for_bad_events_and_then_for_significance_only_where_traffic_is_low() -> None:
    page = slo.pairs(0.999, MONTH)[0]  # threshold 0.0144: from 694.4 events on there is no gate
    assert slo.held_back(page, 4, 200, 5) == "few_bad_events"
    assert slo.held_back(page, 5, 200, 5) == "not_significant"  # 2.5 %, lower bound 1.07 %
    assert slo.held_back(page, 8, 200, 5) is None  # lower bound 2.04 %
    assert slo.held_back(page, 2, 100, 2) == "not_significant"
    assert slo.held_back(page, 4, 695, 5) is None
    assert slo.held_back(page, 4, 694, 5) == "few_bad_events"


def test_everything_failing_over_three_days_always_tells() -> None:
    pairs = slo.pairs(0.999, MONTH)
    assert slo.held_back(pairs[3], 1, 1, 5) is None
    assert slo.held_back(pairs[3], 2, 3, 5) == "few_bad_events"
    assert slo.held_back(pairs[2], 1, 1, 5) == "few_bad_events"


def test_the_budget_counts_what_was_seen_only() -> None:
    assert slo.remaining(1.0, 0.0005, 0.999) == pytest.approx(0.5)
    assert slo.remaining(0.1, 0.0005, 0.999) == pytest.approx(0.95)
    assert slo.remaining(1.0, 0.002, 0.999) == pytest.approx(-1.0)


def test_nothing_is_exhausted_where_nothing_burns_or_is_left_or_that_is_out_of_sight() -> None:
    assert slo.exhaustion(0.5, MONTH, 2.0) == MONTH / 4
    assert slo.exhaustion(0.5, MONTH, 0.0) is None
    assert slo.exhaustion(0.0, MONTH, 2.0) is None
    assert slo.exhaustion(1.0, MONTH, 0.01) == 100 * MONTH
    assert slo.exhaustion(1.0, MONTH, 0.0099) is None
    assert slo.exhaustion(1.0, MONTH, 5e-324) is None
