"""What must hold whatever the samples are."""

import copy
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core_series import Driven, Floats, arrays, assert_same, drive, noise, quick, signal
from tocsin.core.fold import Runs, State, fold, forecast, grade, learn
from tocsin.core.settings import Forecast, Seasonal, Settings

EVERYTHING = signal(
    seasonal=Seasonal(slots=6, delta_scale=100.0),
    forecast=Forecast(horizon=7),
    limit=120.0,
    window=20,
    relearn_after=12,
)
#: Nothing held and no floor: z is the pure distance in standard deviations.
PURE = signal(min_deviation_ratio=0.0, hold_from=5, window=20)

#: Of these a grade says something only where the detector is ready.
NOT_READY = (".scale", ".seasonal_scale")

seeds = st.integers(min_value=0, max_value=2**32 - 1)


def messy(seed: int, length: int = 80, columns: int = 5) -> Floats:
    """Noise with gaps, infinities, steps, spikes, a flat and an empty resource, (length, columns)."""
    rng = np.random.default_rng(seed)
    values = rng.normal(100, 1, (length, columns))
    values += 20 * (np.arange(length)[:, None] > rng.integers(20, 2 * length, columns))
    values += 60 * (rng.random(values.shape) < 0.03)
    values[rng.random(values.shape) < 0.1] = np.nan
    values[rng.random(values.shape) < 0.02] = np.inf
    values[:, 0] = 0.1
    values[rng.integers(1, 40) :, 1] = np.nan
    return values


def times_of(count: int, start: int = 0) -> list[float]:
    return [60.0 * (start + i) for i in range(count)]


# ------------------------------------------------------------------------------------------------- value and its unit


@quick
@given(seeds, st.integers(min_value=-(2**20), max_value=2**20))
def test_adding_a_constant_does_not_change_z(seed: int, constant: int) -> None:
    values = np.round(noise(seed, 60) * 64).reshape(-1, 1) / 64  # exact in any shift
    one, two = drive(PURE).run(values), drive(PURE).run(values + constant)
    ready = one.of("n") >= 10
    assert two.of("z")[ready] == pytest.approx(one.of("z")[ready], rel=1e-7, abs=1e-7)
    assert two.of("stddev")[ready] == pytest.approx(one.of("stddev")[ready], rel=1e-9)


@quick
@given(seeds, st.integers(min_value=-20, max_value=20))
def test_scaling_by_a_power_of_two_changes_no_bit_of_any_z_and_no_tier(seed: int, exponent: int) -> None:
    how = signal(seasonal=Seasonal(slots=6), window=20, relearn_after=12)
    one, two = (drive(how, columns=5).run(messy(seed) * factor) for factor in (1.0, 2.0**exponent))
    for before, after in zip(one.grades, two.grades, strict=True):
        for name in ("z", "seasonal_z", "tier", "zscore_tier", "seasonal_tier", "cv"):
            assert np.array_equal(getattr(before, name), getattr(after, name), equal_nan=True), name
        for name in ("mean", "lower", "upper", "expectation", "residual"):
            assert np.array_equal(getattr(before, name) * 2.0**exponent, getattr(after, name), equal_nan=True), name


@quick
@given(seeds, st.floats(min_value=1e-9, max_value=1e9))
def test_scaling_by_anything_changes_z_by_rounding_only(seed: int, factor: float) -> None:
    values = noise(seed, 60).reshape(-1, 1)
    one, two = drive(PURE).run(values), drive(PURE).run(values * factor)
    ready = one.of("n") >= 10
    assert two.of("z")[ready] == pytest.approx(one.of("z")[ready], rel=1e-5, abs=1e-5)


@quick
@given(seeds)
def test_a_mirrored_signal_has_the_mirrored_grades(seed: int) -> None:
    values = messy(seed)
    one, two = (
        drive(signal(direction="up"), columns=5).run(values),
        drive(signal(direction="down"), columns=5).run(-values),
    )
    for up, down in zip(one.grades, two.grades, strict=True):
        assert np.array_equal(up.tier, down.tier)
        assert np.array_equal(up.z, -down.z, equal_nan=True)
        assert np.array_equal(up.upper, -down.lower, equal_nan=True)


# ---------------------------------------------------------------------------------------------------------- resources


@quick
@given(seeds, st.permutations(range(5)))
def test_the_order_of_resources_does_not_matter(seed: int, order: list[int]) -> None:
    values = messy(seed)
    one, two = drive(EVERYTHING, columns=5).run(values), drive(EVERYTHING, columns=5).run(values[:, order])
    for before, after in zip(one.grades, two.grades, strict=True):
        assert_same(before, after, columns=order)
    assert_same(one.state, two.state, columns=order)
    assert_same(one.runs, two.runs, columns=order)
    x = values[-1]
    assert_same(
        forecast(one.state, x, one.t - 60.0, EVERYTHING),
        forecast(two.state, x[order], one.t - 60.0, EVERYTHING),
        columns=order,
    )


@quick
@given(seeds)
def test_a_resource_does_not_know_its_neighbours(seed: int) -> None:
    values = messy(seed)
    together = drive(EVERYTHING, columns=5).run(values)
    for i in range(5):
        alone = drive(EVERYTHING).run(values[:, [i]])
        # What is done with is let go when the last resource is done with it.
        assert_same(alone.state, together.state, of_two=[i], but=(".scores.origins", ".holt_winters.second"))
        assert_same(alone.grades[-1], together.grades[-1], of_two=[i])


@quick
@given(seeds)
def test_nothing_that_is_no_number_stays_in_the_state(seed: int) -> None:
    driven = drive(EVERYTHING, columns=5).run(messy(seed)).run(noise(seed, 200).reshape(40, 5))
    # A forecast's origin without a value, and models that have not started, are the only NaN there may be.
    allowed = (".scores.origins", ".scores.points", ".scores.halves", ".holt_winters.second")
    for name, value in arrays(driven.state).items():
        if isinstance(value, np.ndarray) and not name.startswith(allowed):
            assert np.isfinite(value).all(), name


def test_a_resource_that_vanishes_and_returns_has_kept_its_baseline() -> None:
    values = noise(1, 60).reshape(-1, 1)
    driven = drive(signal(), columns=1).run(values)
    before = driven.feed([np.nan])
    driven.run(np.full((500, 1), np.nan))
    after = driven.feed([100.0])
    assert (after.tier.tolist(), after.n.tolist()) == ([0], [60])
    assert (after.mean.tolist(), after.stddev.tolist()) == (before.mean.tolist(), before.stddev.tolist())
    assert driven.feed([130.0]).tier.tolist() == [4]


@quick
@given(seeds)
def test_a_forgotten_resource_starts_like_a_new_one(seed: int) -> None:
    old, new = messy(seed, length=50), messy(seed + 1, length=60)
    driven = drive(EVERYTHING, columns=5).run(old)
    driven.state.wipe(np.array([1, 3]))
    driven.runs = driven.runs.without(np.array([1, 3]))
    driven.run(new)
    fresh = drive(EVERYTHING, columns=5, start=50 * 60).run(new)
    kept = drive(EVERYTHING, columns=5).run(np.concatenate([old, new]))
    for grades, of_new, of_old in zip(driven.grades[50:], fresh.grades, kept.grades[50:], strict=True):
        assert_same(grades, of_new, columns=[1, 3], of_two=[1, 3], but=NOT_READY)
        assert_same(grades, of_old, columns=[0, 2, 4], of_two=[0, 2, 4])
    assert_same(driven.runs, fresh.runs, columns=[1, 3], of_two=[1, 3])


@quick
@given(seeds)
def test_room_for_more_resources_changes_none_that_is_there(seed: int) -> None:
    values = messy(seed, length=90)
    grown = drive(EVERYTHING, columns=3).run(values[:45, :3])
    grown.state.grow(5)
    grown.runs = grown.runs.resized(5)
    grown.run(values[45:])
    whole = drive(EVERYTHING, columns=5).run(values)
    fresh = drive(EVERYTHING, columns=5, start=45 * 60).run(values[45:])
    for grades, of_old, of_new in zip(grown.grades[45:], whole.grades[45:], fresh.grades, strict=True):
        assert_same(grades, of_old, columns=[0, 1, 2], of_two=[0, 1, 2])
        assert_same(grades, of_new, columns=[3, 4], of_two=[3, 4], but=NOT_READY)


# --------------------------------------------------------------------------------------------------------------- time


@quick
@given(seeds, st.integers(min_value=1, max_value=79))
def test_a_grade_does_not_change_when_later_samples_come(seed: int, until: int) -> None:
    values, other = messy(seed), messy(seed + 1)
    driven = drive(EVERYTHING, columns=5).run(values[:until])
    then = copy.deepcopy(driven.grades)
    driven.run(values[until:])
    for before, after in zip(then, driven.grades, strict=False):
        assert_same(before, after)
    different = drive(EVERYTHING, columns=5).run(np.concatenate([values[:until], other[until:]]))
    for before, after in zip(then, different.grades, strict=False):
        assert_same(before, after)


def whole(values: Floats, excluded: Any, factors: Floats, how: Settings, start: int) -> tuple[State, Runs, Any]:
    columns = values.shape[1]
    state, runs = State.empty(how, columns), Runs.empty(columns)
    return fold(state, runs, times_of(len(values), start), values, how, excluded=excluded, factors=factors)


@quick
@given(seeds, st.integers(min_value=1, max_value=79), st.integers(min_value=0, max_value=100_000))
def test_live_evaluation_warm_start_and_replay_end_in_the_same_state_to_the_last_bit(
    seed: int, cut: int, start: int
) -> None:
    rng = np.random.default_rng(seed)
    values, excluded, factors = messy(seed), rng.random(80) < 0.1, np.ones((80, 5))
    factors[rng.random(80) < 0.03] = 0.5
    warm_state, warm_runs, warm_grades = whole(values, excluded, factors, EVERYTHING, start)

    live = drive(EVERYTHING, columns=5, start=60 * start)
    for row, hidden, factor in zip(values, excluded, factors, strict=True):
        live.feed(row, excluded=bool(hidden), factors=factor)
        grade(live.state, row * 1.5, live.t - 45.0, EVERYTHING)  # between grid times
        forecast(live.state, row, live.t - 45.0, EVERYTHING)
    assert_same(live.state, warm_state)
    assert_same(live.runs, warm_runs)
    assert_same(live.grades[-1], warm_grades)

    state, runs, _ = whole(values[:cut], excluded[:cut], factors[:cut], EVERYTHING, start)
    rest = times_of(80 - cut, start + cut)
    state, runs, grades = fold(
        state, runs, rest, values[cut:], EVERYTHING, excluded=excluded[cut:], factors=factors[cut:]
    )
    assert_same(state, warm_state)
    assert_same(runs, warm_runs)
    assert_same(grades, warm_grades)


def fed(seed: int) -> tuple[Driven, Floats]:
    values = messy(seed)
    return drive(EVERYTHING, columns=5).run(values), values


@quick
@given(seeds)
def test_grading_and_forecasting_change_nothing(seed: int) -> None:
    driven, values = fed(seed)
    before = copy.deepcopy(driven.state)
    x = values[-1].copy()
    for part in (15.0, 30.0, 60.0):
        grade(driven.state, x, driven.t - 60 + part, EVERYTHING)
        forecast(driven.state, x, driven.t - 60 + part, EVERYTHING)
    assert_same(driven.state, before)
    assert np.array_equal(x, values[-1], equal_nan=True)


def test_learning_does_not_change_the_samples_it_is_given() -> None:
    driven, values = fed(1)
    x = values[-1].copy()
    learn(driven.state, x, float(driven.t), grade(driven.state, x, float(driven.t), EVERYTHING), EVERYTHING)
    assert np.array_equal(x, values[-1], equal_nan=True)


@pytest.mark.parametrize("t", [79 * 60.0, 81 * 60.0, 80 * 60.0 + 1, 0.0])
def test_learning_takes_every_grid_time_once_and_in_order(t: float) -> None:
    driven, values = fed(2)
    assert driven.t == 80 * 60
    with pytest.raises(ValueError, match="cannot learn"):
        learn(driven.state, values[-1], t, driven.grades[-1], EVERYTHING)


def test_nothing_to_fold_is_an_error() -> None:
    with pytest.raises(ValueError, match="nothing to fold"):
        fold(State.empty(PURE, 1), Runs.empty(1), [], np.empty((0, 1)), PURE)


def test_nobody_to_grade_is_no_error() -> None:
    driven = drive(EVERYTHING, columns=0).run(np.empty((30, 0)))
    assert driven.grades[-1].tier.shape == (0,)
    assert forecast(driven.state, np.empty(0), driven.t - 60.0, EVERYTHING) is not None
