"""Why a resource has its tier: the words and numbers must be those of the grade, and say what would change it."""

import asyncio
import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any, get_args

import numpy as np
import pytest

from scripted import EXPR, STAMPS, T0, Scripted, Signal, down, spec, steady
from tocsin.core.calendar import Single, Windows
from tocsin.core.explain import Explanation, explain, show
from tocsin.core.settings import Forecast, Seasonal
from tocsin.core.snapshot import Sight, SignalView
from tocsin.evaluation import Evaluation
from tocsin.source.errors import SourceError
from tocsin.source.freshness import Unstamped


def evaluated(signal: Signal, last: float = T0, stamp: Signal | None = None, **changes: Any) -> SignalView:
    """The view after live cycles from T0 to `last`."""
    source = Scripted(("piano", signal))
    if stamp is not None:
        source.series[STAMPS] = [("piano", stamp)]
        changes["timestamps"] = STAMPS
    evaluation = Evaluation(spec(**changes), source, lambda: 1000)

    async def run() -> None:
        await evaluation.fill(T0)
        t = T0
        while t <= last:
            await evaluation.cycle(t)
            t += 60

    asyncio.run(run())
    assert evaluation.view is not None
    return evaluation.view


def explained(signal: Signal, last: float = T0, **changes: Any) -> Explanation:
    return explain(evaluated(signal, last, **changes), 0)


def surge(by: float) -> Signal:
    return lambda t: steady()(t) + (by if t >= T0 else 0.0)


def has(explanation: Explanation, *words: str) -> bool:
    return any(all(word in sentence for word in words) for sentence in explanation.sentences)


def test_the_numbers_are_those_of_the_grade() -> None:
    view = evaluated(surge(1.0))
    e, g = explain(view, 0), view.grades
    assert (e.service, e.signal, e.resource, e.expr) == ("svc", "sig", "piano", EXPR)
    assert e.evaluated_at == "2023-11-15T00:00:00Z"
    assert (e.tier, e.value, e.zscore) == (g.tier[0], g.x[0], g.z[0])
    assert (e.expected_lower, e.expected_upper) == (g.lower[0], g.upper[0])
    assert e.baseline == {
        "mean": g.mean[0],
        "stddev": g.stddev[0],
        "samples": 20,
        "mature": False,
        "distribution": "t",
    }
    assert e.detectors == {"zscore": {"tier": g.tier[0], "zscore": g.z[0]}}


@pytest.mark.parametrize(("by", "label"), [(0.0, "Normal"), (1.04, "Informational"), (1.3, "Watch"), (1.66, "Action")])
def test_the_tier_is_named_with_the_bound_that_it_crossed(by: float, label: str) -> None:
    e = explained(surge(by))
    assert e.label == label
    words = {
        "Normal": "is below 1.8, where tier 1 begins",
        "Informational": "is at or above 1.8, which is Informational",
        "Watch": "is at or above 2.5, which is Watch",
        "Action": "is at or above 3.5, which is Action",
    }
    assert has(e, f"z {abs(e.zscore or 0):.2f} {words[label]}")


def test_critical_is_above_and_not_at_its_bound() -> None:
    assert has(explained(surge(100.0)), "is above 5, which is Critical")


def test_the_band_is_said_with_the_side_on_which_the_value_is() -> None:
    assert has(explained(surge(0.0)), "inside the expected band")
    assert has(explained(surge(50.0)), "above the expected band")
    assert has(explained(surge(-50.0)), "below the expected band")


@pytest.mark.parametrize("direction", ["both", "up", "down"])
@pytest.mark.parametrize("by", [0.0, 1.3, -2.0])
def test_a_value_at_which_the_tier_changes_changes_it(by: float, direction: str) -> None:
    """The bounds are put to the proof: the same state grades a value just inside and just outside of each."""
    e = explained(surge(by), direction=direction)
    for target, bounds in enumerate(e.changes_at.values(), 1):
        assert (bounds["at_or_above"] is None) == (direction == "down")
        assert (bounds["at_or_below"] is None) == (direction == "up")
        for key, sign in (("at_or_above", 1), ("at_or_below", -1)):
            bound = bounds[key]
            if bound is None:
                continue
            for step, reached in ((1e-6, True), (-1e-6, False)):
                value = bound + sign * step

                def there(t: float, value: float = value) -> float:
                    return steady()(t) if t < T0 else value

                assert (explained(there, direction=direction).tier >= target) == reached


def test_what_would_change_the_tier_is_said() -> None:
    calm, watch = explained(surge(0.0)), explained(surge(1.3))
    assert has(calm, "It becomes Informational at or below", "or at or above")
    assert has(watch, "It stays Watch")
    assert has(watch, "It becomes Action")
    assert not has(explained(surge(100.0)), "It becomes")


def test_a_baseline_that_is_not_ready_says_how_far_it_is() -> None:
    e = explained(lambda t: 5.0 if t >= T0 - 120 else None)
    assert (e.tier, e.label, e.zscore, e.expected_lower) == (-1, "Unknown", None, None)
    assert has(e, "Detector zscore is not ready: 2 of at least 5 samples.")


def test_maturity_is_said() -> None:
    assert has(explained(surge(0.0)), "immature, 20 of 30 samples, so Student's t widens the band")
    assert has(explained(surge(0.0), window=40), "over 40 samples (mature)")


def test_no_fresh_value_is_said_and_is_unknown() -> None:
    e = explained(lambda t: steady()(t) if t < T0 else None)
    assert (e.tier, e.value) == (-1, None)
    assert has(e, "There is no fresh value")


def test_held_samples_say_when_the_level_counts_as_moved() -> None:
    e = explained(surge(500.0), T0 + 9 * 60)
    assert e.held_samples == 10
    assert has(e, "10 samples in a row are held", "after 20 more the level counts as moved")


def test_a_level_that_was_learnt_anew_is_said_with_its_time() -> None:
    e = explained(surge(500.0), T0 + 35 * 60)
    assert (e.level_shifts, e.tier) == (1, 0)
    assert has(e, "learnt anew", "2023-11-15T00:29:00Z")


def test_maintenance_is_said_by_name() -> None:
    e = explained(surge(0.0), windows=Windows((Single("upgrade", T0, T0 + 60),)))
    assert has(e, "Maintenance window 'upgrade' holds")


def test_repeats_that_cannot_be_seen_are_said() -> None:
    assert has(explained(surge(0.0)), "cannot be told from a new one")
    assert not has(explained(surge(0.0), stamp=lambda t: t), "cannot be told from a new one")


def test_a_threshold_above_the_first_tier_is_said_to_gate() -> None:
    e = explained(surge(1.0), zscore=4.0)
    assert e.tier == 0
    assert has(e, "It is below the threshold 4, so it counts as tier 0.")


def test_a_flat_baseline_caps_the_tier_and_says_so() -> None:
    e = explained(lambda t: 0.0 if t < T0 else 100.0)
    assert e.tier == 3
    assert has(e, "The baseline is flat", "tier 3 at most")
    assert not has(e, "becomes Critical")


@pytest.mark.parametrize("level", [0.0, 0.1])
def test_what_never_moved_has_no_bounds_but_the_level_itself(level: float) -> None:
    e = explained(lambda _t: level, min_deviation_ratio=0.0)
    assert e.tier == 0
    assert has(e, f"It never moved from {level:g}: any other value is Action.")
    assert e.changes_at == {
        label: {"at_or_below": None, "at_or_above": None} for label in ("Informational", "Watch", "Action", "Critical")
    }
    moved = explained(lambda t: level if t < T0 else level + 1e-6, min_deviation_ratio=0.0)
    assert moved.tier == 3


def test_the_normal_range_is_said() -> None:
    e = explained(surge(0.0), normal=(None, 5.0))
    assert e.tier == 1
    assert has(e, "Its normal range is anything to 5")


def test_a_season_that_has_not_begun_is_said() -> None:
    e = explained(lambda t: 5.0 if t >= T0 - 120 else None, seasonal=Seasonal(slots=6))
    assert has(e, "it needs two whole seasons of 6 steps first")
    assert not e.detectors["seasonal"]["started"]


def test_the_seasonal_detector_speaks_for_itself() -> None:
    def wave(t: float) -> float:
        return 10 + math.sin(t / 360 * 2 * math.pi) + steady(0, 0.1)(t) + (5.0 if t >= T0 else 0.0)

    e = explained(wave, seasonal=Seasonal(slots=6, delta_scale=10.0))
    assert has(e, "Detector seasonal:", "was expected for this time", "residual z", "delta")
    assert has(e, "A drift slower than about 10 steps is learnt")
    assert e.detectors["seasonal"]["tier"] == 4


def wave(t: float) -> float:
    """A season of six minutes; from T0 on at its trough what is normal at its crest."""
    trough = t >= T0 and round(t / 60) % 6 in (4, 5)
    return 10 + math.sin(t / 360 * 2 * math.pi) + steady(0, 0.02)(t) + (1.0 if trough else 0.0)


def test_where_the_season_graded_its_numbers_are_told_and_not_those_of_the_baseline() -> None:
    view = evaluated(wave, T0 + 4 * 60, seasonal=Seasonal(slots=6))
    e, g = explain(view, 0), view.grades
    assert (g.seasonal_tier[0], g.zscore_tier[0], e.tier) == (4, 0, 4)
    assert (e.graded_by, e.zscore) == ("seasonal", g.seasonal_z[0])
    assert has(e, "Detector seasonal:", f"residual z {abs(g.seasonal_z[0]):.2f} is above 5, which is Critical")
    assert "Detector zscore says less: tier 0, Normal." in e.sentences
    assert not has(e, "The baseline has mean")
    assert not has(e, f"z {abs(g.z[0]):.2f}")
    assert e.detectors["zscore"] == {"tier": 0, "zscore": g.z[0]}


@pytest.mark.parametrize(
    ("zscore", "seasonal", "tier", "by", "other"),
    [
        (4, 1, 4, "zscore", "Detector seasonal says less: tier 1, Informational."),
        (3, 3, 3, "seasonal", "Detector zscore says the same: tier 3, Action."),
        (0, 0, 0, "seasonal", "Detector zscore says the same: tier 0, Normal."),
        (0, 0, 1, "normal", "Detector zscore says the same: tier 0, Normal."),
        (2, -1, 2, "zscore", None),
        (-1, 2, 2, "seasonal", None),
        (-1, -1, 1, "normal", None),
        (-1, -1, -1, None, None),
    ],
)
def test_the_detector_with_the_worst_tier_speaks(
    zscore: int, seasonal: int, tier: int, by: str | None, other: str | None
) -> None:
    view = evaluated(wave, seasonal=Seasonal(slots=6))
    tiers = {"zscore_tier": zscore, "seasonal_tier": seasonal, "tier": tier}
    grades = replace(view.grades, **{name: np.array([value], np.int8) for name, value in tiers.items()})
    e = explain(replace(view, grades=grades), 0)
    assert e.graded_by == by
    assert [sentence for sentence in e.sentences if " says " in sentence] == ([other] if other else [])
    speaker = by if by in ("zscore", "seasonal") else "seasonal" if seasonal >= 0 else None
    distances = {"zscore": view.grades.z[0], "seasonal": view.grades.seasonal_z[0], None: None}
    assert e.zscore == distances[speaker]
    assert has(e, "The baseline has mean") == (speaker == "zscore")
    assert has(e, "was expected for this time") == (speaker == "seasonal")


def test_a_season_alone_is_not_given_the_distance_from_the_baseline() -> None:
    early = evaluated(lambda t: 5.0 + t % 7 if t >= T0 - 600 else None, zscore=None, seasonal=Seasonal(slots=20))
    e = explain(early, 0)
    assert math.isfinite(early.grades.z[0])
    assert (e.graded_by, e.zscore) == (None, None)


@pytest.mark.parametrize(
    ("why", "words"),
    [
        (None, "does not say when its samples were taken"),
        ("unknown", "is not understood"),
        ("range", "looks back over a range, so it has a value for as long as old samples are in it"),
        ("fixed", "looks at a fixed time (@)"),
        ("many", "is more than one selector, each with sample times of its own"),
        ("aggregate", "aggregates samples, each with a time of its own"),
        ("names", "can find metrics of several names"),
        ("computed", "computes more than a selector times or divided by constants"),
        ("nothing", None),
    ],
)
def test_why_repeats_cannot_be_seen_is_told_as_it_is(why: str | None, words: str | None) -> None:
    view = evaluated(surge(0.0))
    told = [s for s in explain(replace(view, unstamped=why), 0).sentences if s.startswith(("The expr", "The sel"))]
    assert len(told) == (words is not None)
    assert words is None or words in told[0]
    assert ("more than one selector" in "".join(told)) == (why == "many")
    assert why is None or why in get_args(Unstamped)
    seen = explain(replace(view, unstamped=why, repeats_seen=True), 0)
    assert not has(seen, "The expression")


FORECAST = {"forecast": Forecast(horizon=10, model="heuristic"), "window": 20, "warmup_steps": 100}


@pytest.mark.parametrize(
    ("signal", "limit", "reason", "words"),
    [
        (steady(), None, "no_limit", "the signal has no limit"),
        (steady(), 5.0, "already_breached", "the value is already beyond the limit"),
        (lambda t: steady()(t) if t < T0 else None, 50.0, "stale", "there is no value now"),
        (lambda t: steady()(t) if t > T0 - 900 else None, 50.0, "insufficient_data", "fewer than 10 forecasts"),
        (lambda t: t / 60 - T0 / 60, 500.0, "no_breach", "the forecast does not reach the limit"),
    ],
)
def test_every_reason_why_there_is_no_breach_time_has_its_words(
    signal: Signal, limit: float | None, reason: str, words: str
) -> None:
    e = explained(signal, limit=limit, **FORECAST)
    assert e.forecast is not None
    assert (e.forecast["no_breach"], e.forecast["breach"]) == (reason, None)
    assert has(e, "Forecast (heuristic)", f"No breach time: {words}")


def test_a_breach_is_said_with_its_time_and_interval() -> None:
    e = explained(lambda t: (t - T0) / 60 + steady(0, 0.01)(t), limit=5.0, **FORECAST)
    assert e.forecast is not None
    assert e.forecast["no_breach"] is None
    assert e.forecast["breach"][:15] == "2023-11-15T00:0"
    assert has(e, "It crosses the limit 5 at 2023-11-15T00:0", "earliest", "latest")


@pytest.mark.parametrize("sight", [Sight.BLIND, Sight.GONE])
def test_of_a_signal_that_cannot_be_seen_nothing_else_is_claimed(sight: Sight) -> None:
    e = explain(replace(evaluated(surge(100.0)), sight=sight), 0)
    assert (e.tier, e.label) == (-1, "Unknown")
    assert e.sentences == ("The source has given no answer for two cycles or more: nothing is known now.",)


def test_two_missed_cycles_make_it_unknown() -> None:
    source = Scripted(("piano", surge(100.0)))
    evaluation = Evaluation(spec(), source, lambda: 1000)

    async def run() -> None:
        await evaluation.fill(T0)
        await evaluation.cycle(T0)
        source.fault = lambda _k, _e, _t: down()
        for t in (T0 + 60, T0 + 120):
            with pytest.raises(SourceError):
                await evaluation.cycle(t)
            evaluation.miss(t)

    asyncio.run(run())
    assert evaluation.view is not None
    assert explain(evaluation.view, 0).tier == -1


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (0.8234, "ratio", "82.34 %"),
        (1536.0, "bytes", "1.5 KiB"),
        (12.0, "bytes", "12 B"),
        (5 * 2.0**40, "bytes", "5 TiB"),
        (0.0123, "seconds", "12.3 ms"),
        (7200.0, "seconds", "2 h"),
        (90.0, "seconds", "1.5 min"),
        (0.0, "seconds", "0 s"),
        (-90.0, "seconds", "-1.5 min"),
        (21.5, "celsius", "21.5 C"),
        (3.0, "per_second", "3/s"),
        (123456.0, "none", "1.235e+05"),
        (42.0, "count", "42"),
        (None, "ratio", "nothing"),
        (math.nan, "none", "nothing"),
        (math.inf, "none", "nothing"),
    ],
)
def test_values_are_shown_as_people_read_them(value: float | None, unit: str, text: str) -> None:
    assert show(value, unit) == text


def test_everything_is_plain_data() -> None:
    def check(value: object) -> None:
        assert isinstance(value, (str, int, float, bool, type(None), dict, list, tuple))
        if isinstance(value, float):
            assert math.isfinite(value)
        for inner in value.values() if isinstance(value, dict) else value if isinstance(value, (list, tuple)) else ():
            check(inner)

    signals: list[Callable[[float], float | None]] = [surge(1.0), lambda _t: None, lambda t: 1.0 if t >= T0 else None]
    for signal in signals[:1] + signals[2:]:
        check(explained(signal, seasonal=Seasonal(slots=6, delta_scale=1.0), limit=12.0, **FORECAST).as_dict())
