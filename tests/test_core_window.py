"""The baseline window: its statistics, intervals, what enters it and what it costs in digits."""

import math

import hypothesis
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from core_series import Driven, Floats, column, drive, noise, quick, signal
from naive_models import deviation, mean
from tocsin.core.columns import ALL, Select
from tocsin.core.settings import Seasonal
from tocsin.core.window import Window


def read_ring(window: Window, resource: int) -> list[float]:
    """The values that the ring holds, as floats, in no particular order."""
    used = window.ring[: window.n[resource], resource]
    return [float(window.ref[resource]) + float(v) for v in used]


def shifted(window: Window, resource: int) -> list[float]:
    """The same relative to the reference."""
    return [float(v) for v in window.ring[: window.n[resource], resource]]


# ---------------------------------------------------------------------------------------------------------- intervals


@pytest.mark.parametrize("n", range(2, 41))
def test_intervals_are_those_of_scipy_with_t_below_thirty_samples_and_the_normal_from_thirty(n: int) -> None:
    values = noise(n, n)
    settings = signal(min_samples=2, min_deviation_ratio=0.0, hold_from=5)  # hold nothing
    grades = drive(settings).run(column(values)).feed([values[0]])
    known = values.astype(np.float64)
    s, error = known.std(ddof=1), known.std(ddof=1) * math.sqrt(1 + 1 / n)
    if n < 30:
        of_mean = stats.t.interval(0.95, n - 1, known.mean(), stats.sem(known))
        of_next = stats.t.interval(0.95, n - 1, known.mean(), error)
    else:
        of_mean = stats.norm.interval(0.95, known.mean(), stats.sem(known))
        of_next = stats.norm.interval(0.95, known.mean(), error)
    # The ring holds float32 of the distance from the first value: seven digits of the spread.
    close = pytest.approx
    assert (grades.mean_lower[0], grades.mean_upper[0]) == close(of_mean, abs=1e-6 * s)
    assert (grades.lower[0], grades.upper[0]) == close(of_next, abs=3e-6 * s)
    assert grades.z[0] == close((values[0] - known.mean()) / s, abs=3e-6)
    assert grades.stddev[0] == close(s, rel=1e-6)
    assert grades.n.tolist() == [n]
    assert grades.mature.tolist() == [n >= 30]


def test_the_prediction_interval_of_pure_noise_holds_ninety_five_percent() -> None:
    driven = drive(signal(min_deviation_ratio=0.0), columns=200).run(noise(1, 60 * 200).reshape(60, 200))
    outside = [driven.feed(row) for row in noise(2, 50 * 200).reshape(50, 200)]
    share = np.mean([(g.x < g.lower) | (g.x > g.upper) for g in outside])
    assert 0.04 < share < 0.06


def test_the_published_band_uses_the_effective_deviation_and_the_mean_interval_the_plain_one() -> None:
    grades = drive(signal(min_deviation=3.0)).run(np.full((30, 1), 10.0)).feed([10.0])
    half = stats.norm.ppf(0.975) * 3.0 * math.sqrt(1 + 1 / 30)
    assert grades.lower[0] == pytest.approx(10 - half, rel=1e-14)
    assert grades.upper[0] == pytest.approx(10 + half, rel=1e-14)
    assert (grades.mean_lower.tolist(), grades.mean_upper.tolist()) == ([10.0], [10.0])


# ------------------------------------------------------------------------------------------------------------- floors


def flat(value: float, then: float, **changes: float) -> tuple[float, int]:
    """z and tier of a value after sixty equal ones."""
    grades = drive(signal(**changes)).run(np.full((60, 1), value)).feed([then])
    return float(grades.z[0]), int(grades.tier[0])


@pytest.mark.parametrize("value", [0.1, 1 / 3, 1e12 / 3, 1e-12 / 3, -0.7, 100.1])
@pytest.mark.parametrize("ratio", [0.0, 0.01])
def test_one_ulp_from_a_flat_baseline_is_no_anomaly(value: float, ratio: float) -> None:
    for then in (math.nextafter(value, math.inf), value, math.nextafter(value, -math.inf)):
        assert flat(value, then, min_deviation_ratio=ratio)[1] == 0


def test_three_percent_off_a_quantity_that_never_moved_is_three_deviations() -> None:
    z, tier = flat(100.0, 103.0)
    assert z == pytest.approx(3.0, rel=1e-14)
    assert tier == 2


def test_a_value_after_nothing_but_zeros_says_that_something_changed_and_not_how_much() -> None:
    assert flat(0.0, 0.0) == (0.0, 0)
    assert flat(0.0, 1e-6)[1] == 3
    assert flat(0.0, 1e12)[1] == 3
    z, tier = flat(0.0, -5.0)
    assert z == pytest.approx(-1e9, rel=1e-14)
    assert tier == 3


def test_a_flat_baseline_in_pure_z_is_action_at_most() -> None:
    assert flat(100.0, 101.0, min_deviation_ratio=0.0)[1] == 3
    assert flat(100.0, 101.0, min_deviation_ratio=0.0, min_deviation=0.1)[1] == 4


def test_the_rounding_floor_is_taken_of_the_largest_value_in_the_window() -> None:
    values = np.array([1e9, -1e9] * 15)  # a mean of 0 and a spread far above the floor
    grades = drive(signal(min_deviation_ratio=0.0)).run(column(values)).feed([0.0])
    assert grades.capped.tolist() == [False]
    rounding = drive(signal(min_deviation_ratio=0.0)).run(column([1e9 + i * 1e-6 for i in (0, 1) * 15]))
    z = rounding.feed([1e9 + 1.7]).z[0]
    assert abs(z) == pytest.approx(1.7, rel=1e-5)  # 1e-9 of 1e9 is the deviation, not the half millionth of the samples


def test_the_rounding_floor_of_a_residual_is_taken_of_the_largest_value_and_not_of_the_mean() -> None:
    # Values between -1e6 and 1e6 whose mean is 0, and a season that explains them to the last digit.
    season = np.array([1e6, -1e6, 0.0, 0.0] * 20)
    settings = signal(min_deviation_ratio=0.0, seasonal=Seasonal(slots=4), hold_from=5)
    driven = drive(settings).run(column(season))
    assert driven.feed([1e6]).seasonal_z.tolist() == [0.0]
    driven.feed([-1e6])
    grades = driven.feed([1e3])
    assert (grades.residual.tolist(), grades.stddev[0] > 7e5) == ([1e3], True)
    assert grades.seasonal_scale[0] == pytest.approx(1e-3, rel=1e-12)
    assert grades.seasonal_z[0] == pytest.approx(1e6, rel=1e-12)
    assert grades.seasonal_tier.tolist() == [3]


@pytest.mark.parametrize(
    ("values", "cv"), [([10.0] * 20, 0.0), ([1.0, 3.0] * 10, 0.5129891760425771), ([0.0, 0.0, 0.0, 100.0] * 5, 1.0)]
)
def test_the_coefficient_of_variation_is_clamped_to_one(values: list[float], cv: float) -> None:
    assert drive(signal()).run(column(values)).feed([1.0]).cv[0] == pytest.approx(cv, rel=1e-6)


@pytest.mark.parametrize("value", [0.0, -5.0])
def test_without_a_positive_mean_there_is_no_coefficient_of_variation(value: float) -> None:
    assert math.isnan(drive(signal()).run(np.full((20, 1), value)).feed([1.0]).cv[0])


# -------------------------------------------------------------------------------------------------------- what enters


def test_below_min_samples_nothing_is_said() -> None:
    driven = drive(signal()).run(column(noise(3, 10)))
    assert driven.of("tier").tolist() == [-1] * 10
    for name in ("z", "lower", "upper"):
        assert np.isnan(driven.of(name)).all()
    assert driven.feed([100.0]).tier.tolist() == [0]


@pytest.mark.parametrize("nothing", [math.nan, math.inf, -math.inf])
def test_a_value_that_is_none_has_no_tier_and_enters_nothing(nothing: float) -> None:
    driven = drive(signal()).run(column(noise(3, 60)))
    before = driven.feed([nothing])
    after = driven.feed([100.0])
    assert (before.tier.tolist(), math.isnan(before.z[0])) == ([-1], True)
    assert (before.n.tolist(), before.mean.tolist()) == (after.n.tolist(), after.mean.tolist())
    assert (before.lower.tolist(), before.upper.tolist()) == (after.lower.tolist(), after.upper.tolist())


def test_the_newest_sample_is_not_in_its_own_baseline() -> None:
    driven = drive(signal(min_samples=2)).run(column([1.0, 2.0, 3.0]))
    grades = driven.feed([1000.0])
    assert (grades.mean.tolist(), grades.stddev.tolist(), grades.n.tolist()) == ([2.0], [1.0], [3])


def test_the_window_is_the_last_learnt_samples_and_no_more() -> None:
    values = np.arange(1.0, 301.0)
    driven = drive(signal(window=50, hold_from=5)).run(column(values))
    grades = driven.feed([0.0])
    assert grades.n.tolist() == [50]
    assert grades.mean.tolist() == [275.5]
    assert grades.stddev[0] == pytest.approx(deviation(list(values[-50:])), rel=1e-12)


def test_gaps_and_excluded_times_push_nothing_out_of_the_window() -> None:
    driven = drive(signal()).run(column(noise(4, 60)))
    before = driven.feed([math.nan])
    for _ in range(200):
        driven.feed([math.nan])
        driven.feed([5000.0], excluded=True)
    after = driven.feed([math.nan])
    for name in ("mean", "stddev", "n", "lower", "upper"):
        assert getattr(after, name).tolist() == getattr(before, name).tolist()


def test_an_excluded_sample_is_graded_like_any_other() -> None:
    driven = drive(signal()).run(column(noise(4, 60)))
    grades = driven.feed([200.0], excluded=True)
    assert (grades.tier.tolist(), grades.z[0] > 50) == ([4], True)


# ------------------------------------------------------------------------------------------------------------- digits


def relative_errors(window: Window) -> tuple[float, float]:
    """Largest relative error of mean and deviation against two passes over what the ring holds."""
    means, deviations = window.moments()
    exact = [(mean(read_ring(window, i)), deviation(shifted(window, i))) for i in range(means.size)]
    of_mean = max(abs(m - e) / abs(e) for m, (e, _) in zip(means, exact, strict=True))
    return of_mean, max(abs(s - e) / e for s, (_, e) in zip(deviations, exact, strict=True))


@pytest.mark.parametrize("level", [1e9, -1e9, 0.0])
def test_running_sums_agree_with_two_passes_however_old_they_are(level: float) -> None:
    # Sums are taken anew every lap of the ring, so age beyond a few laps adds nothing; a million steps show the same.
    steps, checks = 20_000, 200
    values = level + np.random.default_rng(5).uniform(-1.0, 1.0, (steps, 2))
    window = Window.empty(60, 2)
    errors = []
    for k in range(steps):
        window.push(ALL, values[k], k)
        if k > 60 and k % checks == 37:
            errors.append(relative_errors(window))
    of_mean, of_deviation = np.array(errors).T
    assert of_mean.max() < (1e-9 if level else 1e-6)  # around a level of 0 the mean has no size to compare with
    assert of_deviation.max() < 1e-9


@hypothesis.settings(quick, max_examples=60)
@given(
    st.lists(st.floats(min_value=-1e6, max_value=1e6), min_size=3, max_size=150),
    st.integers(min_value=2, max_value=20),
)
def test_sums_agree_with_two_passes_for_any_values(values: list[float], length: int) -> None:
    window = Window.empty(length, 1)
    for k, value in enumerate(values):
        window.push(ALL, np.array([value]), k)
    means, deviations = window.moments()
    seen = shifted(window, 0)
    size = max(abs(v - values[0]) for v in values)  # of anything that ever was in the sums
    assert means[0] == pytest.approx(mean(read_ring(window, 0)), abs=1e-12 * size + 1e-15 * abs(values[0]))
    assert deviations[0] == pytest.approx(deviation(seen), abs=3e-7 * size)


def recovered(outlier: float, at: int, laps: float) -> tuple[float, float]:
    """Relative errors of mean and deviation some laps after an outlier among the first samples has left the window."""
    values = noise(6, 400, level=0.5, sigma=0.01)
    values[at] = outlier
    last = at + 1 + int(60 * laps)
    driven: Driven = drive(signal(hold_from=5)).run(column(values[:last]))
    grades, known = driven.feed([0.5]), list(values[last - 60 : last])
    return abs(grades.mean[0] / mean(known) - 1), abs(grades.stddev[0] / deviation(known) - 1)


@pytest.mark.parametrize("outlier", [100.0, 1e3, 1e4])
@pytest.mark.parametrize("at", [0, 5])
def test_an_outlier_among_the_first_samples_leaves_no_trace_once_it_left_the_window(outlier: float, at: int) -> None:
    of_mean, of_deviation = recovered(outlier, at, laps=1.02)
    assert of_mean < 1e-3
    assert of_deviation < 1e-2


@pytest.mark.parametrize("outlier", [1e6, 1e9, 1e12, 1e29])
@pytest.mark.parametrize("at", [0, 5])
def test_an_absurd_outlier_among_the_first_samples_is_forgotten_after_five_windows(outlier: float, at: int) -> None:
    of_mean, of_deviation = recovered(outlier, at, laps=5)
    assert of_mean < 1e-6
    assert of_deviation < 1e-6


@pytest.mark.parametrize("outlier", [1e5, 1e9, 1e15])
@pytest.mark.parametrize("others", [slice(None), np.array([0, 2])])
def test_sums_are_exact_as_soon_as_an_outlier_that_hid_the_others_has_left(outlier: float, others: Select) -> None:
    values = noise(9, 66, level=0.5, sigma=0.01)
    values[5] = outlier
    window = Window.empty(60, 3)
    for k, value in enumerate(values):
        window.push(others, np.full(np.arange(3)[others].size, value), k)
    assert outlier not in read_ring(window, 0)
    for i in np.arange(3)[others].tolist():
        ring = shifted(window, i)
        assert window.s1[i] == pytest.approx(math.fsum(ring), rel=1e-13)
        assert window.s2[i] == pytest.approx(math.fsum(v * v for v in ring), rel=1e-13)


@pytest.mark.parametrize("at", [0, 5])
@pytest.mark.parametrize("outlier", [1e39, 1e200, 1e300, -1e308])
def test_a_value_beyond_single_precision_does_not_stay_in_the_sums(outlier: float, at: int) -> None:
    of_mean, of_deviation = recovered(outlier, at, laps=5)
    assert of_mean < 1e-6
    assert of_deviation < 1e-6


@pytest.mark.parametrize("outlier", [1e39, 1e200, 1e300, -1e308])
def test_a_huge_value_in_one_resource_does_not_touch_another(outlier: float) -> None:
    values: Floats = np.stack([noise(7, 100), noise(8, 100)], axis=1)
    clean = drive(signal(), columns=2).run(values)
    values[5, 0] = outlier
    driven = drive(signal(), columns=2).run(values)
    for name in ("z", "mean", "stddev", "tier"):
        assert np.array_equal(driven.of(name, 1), clean.of(name, 1), equal_nan=True)
