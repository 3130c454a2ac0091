"""Forecasts: when a limit is reached, why nothing is said, and whether the intervals mean what they claim."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core_series import Driven, Floats, column, drive, noise, quick, signal
from tocsin.core.fold import forecast
from tocsin.core.forecast import REASONS, Forecasts, horizon_points
from tocsin.core.scores import Scores
from tocsin.core.settings import MODELS, SMOOTHING, Forecast, Seasonal, Settings

#: A baseline that never becomes ready: nothing held, every sample learnt.
LEARNS_ALL = {"min_samples": 1_000_000}
seeds = st.integers(min_value=0, max_value=2**32 - 1)


def now(driven: Driven, x: Any = None) -> Forecasts:
    """The forecast after the newest sample."""
    values = driven.grades[-1].x if x is None else np.atleast_1d(np.asarray(x, np.float64))
    forecasts = forecast(driven.state, values, driven.t - float(driven.settings.step), driven.settings)
    assert forecasts is not None
    return forecasts


def reason(driven: Driven, x: Any = None, resource: int = 0) -> str:
    """Why there is no breach, empty where there is one."""
    index = int(now(driven, x).reason[resource])
    return REASONS[index] if index >= 0 else ""


def ahead(horizon: int, model: Any = "auto", **changes: Any) -> Settings:
    return signal(forecast=Forecast(horizon=horizon, model=model), **changes)


def ramp(length: int, start: float = 100.0, slope: float = 0.5) -> Floats:
    return column(start + slope * np.arange(length))


# ------------------------------------------------------------------------------------------------------------- breach


@pytest.mark.parametrize("model", ["auto", "heuristic", "smoothing", "holt_winters"])
@pytest.mark.parametrize("horizon", [20, 48, 49, 300])
def test_a_clean_ramp_breaches_when_the_line_reaches_the_limit(model: str, horizon: int) -> None:
    length, slope = 500, 0.5
    exact = 100 + slope * (length - 1 + horizon * 0.37)  # not on a grid time
    settings = ahead(horizon, model, limit=exact, seasonal=Seasonal(slots=4), **LEARNS_ALL)
    driven = drive(settings, start=6000).run(ramp(length, slope=slope))
    forecasts = now(driven)
    # Double smoothing has come as near to the slope as 500 samples bring it.
    tolerance = 2.0 if model == "smoothing" else 1e-3
    assert forecasts.reason.tolist() == [-1]
    assert forecasts.breach[0] == pytest.approx(forecasts.origin + horizon * 0.37 * 60, abs=tolerance)
    assert forecasts.earliest[0] <= forecasts.breach[0]


@pytest.mark.parametrize(("direction", "sign"), [("up", 1.0), ("both", 1.0), ("down", -1.0)])
def test_a_limit_is_crossed_upwards_or_downwards(direction: str, sign: float) -> None:
    settings = ahead(40, limit=sign * 155.0, direction=direction)
    driven = drive(settings).run(sign * ramp(100))
    forecasts = now(driven)
    assert forecasts.breach[0] == pytest.approx(110 * 60, abs=1e-6)


def test_a_breach_is_looked_for_between_the_origin_and_the_first_step_too() -> None:
    driven = drive(ahead(10, limit=100 + 0.5 * 99.25)).run(ramp(100))
    assert now(driven).breach[0] == pytest.approx(99.25 * 60, abs=1e-6)


def test_a_limit_that_is_reached_exactly_is_breached() -> None:
    assert now(drive(ahead(10, limit=100 + 0.5 * 109)).run(ramp(100))).breach.tolist() == [109 * 60.0]
    assert reason(drive(ahead(10, limit=100 + 0.5 * 109.01)).run(ramp(100))) == "no_breach"


def test_between_grid_times_no_breach_is_in_the_past() -> None:
    driven = drive(ahead(10, limit=100 + 0.5 * 99.25)).run(ramp(100))
    forecasts = forecast(driven.state, np.array([149.6]), 99.5 * 60, driven.settings)
    assert forecasts is not None
    assert forecasts.breach.tolist() == [99.5 * 60]


def test_a_calendar_breaches_in_the_hours_in_which_the_value_is_expected_to_be_high() -> None:
    def thrice(t: float) -> float:
        return 3.0 if t >= 130 * 60 else 1.0

    driven = drive(ahead(48, limit=250.0, multiplier=thrice, **LEARNS_ALL)).run(column(100 + 0.125 * np.arange(120)))
    # 114.875 at the origin; 116.25 before the peak begins between two points, 348.75 after.
    before, after = 100 + 0.125 * 129, 3 * (100 + 0.125 * 130)
    share = (250 - before) / (after - before)
    assert now(driven).breach[0] == pytest.approx((129 + share) * 60, abs=1e-6)


@quick
@given(seeds, st.sampled_from([5, 40, 120]), st.sampled_from(["up", "down"]))
def test_the_earliest_breach_is_not_after_the_breach_nor_the_latest_before_it(
    seed: int, horizon: int, direction: str
) -> None:
    rng = np.random.default_rng(seed)
    sign = 1.0 if direction == "up" else -1.0
    columns = 40
    walk = 100 * sign + sign * np.cumsum(rng.normal(0.2, 0.3, (250, columns)), axis=0)
    settings = ahead(horizon, limit=160.0 * sign, direction=direction, seasonal=Seasonal(slots=6))
    driven = drive(settings, columns=columns).run(walk)
    forecasts = now(driven)
    breached = np.isfinite(forecasts.breach)
    assert (breached == (forecasts.reason == -1)).all()
    assert (forecasts.earliest[breached] <= forecasts.breach[breached]).all()
    late = breached & np.isfinite(forecasts.latest)
    assert (forecasts.latest[late] >= forecasts.breach[late]).all()
    assert not np.isfinite(forecasts.latest[~breached]).any()
    for when in (forecasts.breach, forecasts.earliest, forecasts.latest):
        seen = when[np.isfinite(when)]
        assert ((seen >= forecasts.origin) & (seen <= forecasts.origin + forecasts.horizon)).all()


def test_breaches_of_every_kind_are_among_the_drawn_ones() -> None:
    walk = 100 + np.cumsum(np.random.default_rng(3).normal(0.2, 0.3, (250, 200)), axis=0)
    forecasts = now(drive(ahead(120, limit=175.0), columns=200).run(walk))
    breached = np.isfinite(forecasts.breach)
    assert 20 < breached.sum() < 200
    assert 0 < np.isfinite(forecasts.latest).sum() < breached.sum() < np.isfinite(forecasts.earliest).sum()


# ------------------------------------------------------------------------------------------------------------ reasons


def test_flat_noise_breaches_in_next_to_no_cycle() -> None:
    columns, breaches, cycles = 100, 0, 0
    settings = ahead(48, limit=103.0)  # three deviations above the mean
    driven = drive(settings, columns=columns).run(noise(1, 150 * columns).reshape(150, columns))
    for row in noise(2, 100 * columns).reshape(100, columns):
        driven.feed(row)
        forecasts = now(driven)
        breaches += int(np.isfinite(forecasts.breach).sum())
        cycles += columns
        assert set(np.unique(forecasts.reason)) <= {
            -1,
            *map(REASONS.index, ("already_breached", "poor_fit", "no_breach")),
        }
    assert cycles == 10_000
    assert breaches <= 10


def test_a_model_that_is_no_better_than_the_last_value_says_poor_fit() -> None:
    walk = np.cumsum(np.random.default_rng(5).normal(0, 1, (400, 50)), axis=0)
    forecasts = now(drive(ahead(20, "smoothing", limit=1000.0, **LEARNS_ALL), columns=50).run(walk))
    assert (forecasts.ratio[1] > 1).mean() > 0.9
    assert (forecasts.reason[forecasts.ratio[1] >= 1] == REASONS.index("poor_fit")).all()


def test_reasons_come_in_their_order() -> None:
    young, known, walk = ramp(12), ramp(60), column(np.where(np.arange(60) % 2, 90.0, 110.0))
    assert reason(drive(ahead(5)).run(young), np.nan) == "no_limit"
    assert reason(drive(ahead(5, limit=0.0)).run(young), np.nan) == "stale"
    assert reason(drive(ahead(5, limit=0.0)).run(young), np.inf) == "stale"
    assert reason(drive(ahead(5, limit=0.0)).run(young)) == "already_breached"
    assert reason(drive(ahead(5, limit=105.5)).run(young), 105.5) == "already_breached"
    assert reason(drive(ahead(5, limit=1e6)).run(young)) == "insufficient_data"
    assert reason(drive(ahead(4, "heuristic", limit=1e6, **LEARNS_ALL)).run(walk)) == "poor_fit"
    assert reason(drive(ahead(5, limit=1e6)).run(known)) == "no_breach"
    assert reason(drive(ahead(5, limit=131.0)).run(known)) == ""


@pytest.mark.parametrize(("length", "expected"), [(10 + 5 + 1, "insufficient_data"), (10 + 5 + 2, "no_breach")])
def test_ten_scored_forecasts_are_enough(length: int, expected: str) -> None:
    # Drift is there from the second sample on, and its first outcome five steps later.
    driven = drive(ahead(5, "heuristic", limit=1e6)).run(ramp(length - 1))
    assert now(driven).scored[0].tolist() == [length - 1 - 6]
    assert reason(driven) == expected


def test_a_model_that_has_not_started_is_insufficient_data() -> None:
    settings = ahead(5, "holt_winters", limit=1e6, seasonal=Seasonal(slots=40))
    assert reason(drive(settings).run(ramp(79))) == "insufficient_data"
    assert math.isnan(now(drive(settings).run(ramp(79))).point[2, 0])


def test_without_a_season_there_is_no_holt_winters_to_publish() -> None:
    driven = drive(ahead(5, "holt_winters", limit=1e6)).run(ramp(100))
    assert reason(driven) == "insufficient_data"


def test_a_signal_without_a_forecast_has_none() -> None:
    driven = drive(signal()).run(ramp(100))
    assert forecast(driven.state, np.array([1.0]), driven.t - 60.0, driven.settings) is None


def test_a_signal_without_a_limit_is_forecast_all_the_same() -> None:
    forecasts = now(drive(ahead(10)).run(ramp(100)))
    assert forecasts.reason.tolist() == [REASONS.index("no_limit")]
    assert forecasts.published(forecasts.point)[0] == pytest.approx(100 + 0.5 * 109, abs=1e-6)


def test_an_empty_resource_is_forecast_without_a_word() -> None:
    forecasts = now(drive(ahead(10, limit=1.0, seasonal=Seasonal(slots=4))).run(np.full((30, 1), np.nan)))
    assert np.isnan(forecasts.point).all()
    assert forecasts.reason.tolist() == [REASONS.index("stale")]


# -------------------------------------------------------------------------------------------------- the model published


def test_before_there_are_scores_holt_winters_is_published_if_it_has_started_and_smoothing_otherwise() -> None:
    settings = ahead(24, limit=1e6, seasonal=Seasonal(slots=4))
    assert now(drive(settings).run(ramp(7))).model.tolist() == [1]
    assert now(drive(settings).run(ramp(8))).model.tolist() == [2]


def test_the_model_with_the_least_relative_error_is_published() -> None:
    t = np.arange(300)
    seasonal = 100 + 10 * np.sin(2 * np.pi * t / 12) + noise(1, 300, level=0.0, sigma=0.2)
    values = np.stack([100 + 0.25 * t, seasonal], axis=1)
    settings = ahead(6, limit=1e6, seasonal=Seasonal(slots=12), hold_from=5)
    forecasts = now(drive(settings, columns=2).run(values))
    assert MODELS[forecasts.model[0]] == "heuristic"
    assert MODELS[forecasts.model[1]] == "holt_winters"
    for i in range(2):
        assert forecasts.ratio[forecasts.model[i], i] == forecasts.ratio[:, i].min()


@pytest.mark.parametrize("model", MODELS)
def test_a_model_that_was_asked_for_is_published_whatever_its_score(model: str) -> None:
    settings = ahead(6, model, limit=1e6, seasonal=Seasonal(slots=12))
    assert [MODELS[i] for i in now(drive(settings).run(ramp(100))).model] == [model]


# ------------------------------------------------------------------------------------------------------------- paths


@pytest.mark.parametrize("horizon", [1, 2, 47, 48, 49, 60, 95, 96, 97, 288, 1440, 20160])
def test_the_horizon_is_looked_at_in_at_most_forty_eight_points(horizon: int) -> None:
    points = horizon_points(horizon)
    assert points[-1] == horizon
    assert points[0] >= 1
    assert len(points) == min(horizon, 48)
    assert (np.diff(points) > 0).all()


def test_after_a_gap_the_drift_goes_on_with_the_clock() -> None:
    driven = drive(ahead(10, "heuristic")).run(ramp(60)).run(np.full((20, 1), np.nan))
    # The line of the ramp at the last grid time (79) and ten steps on, as its own one-step error would have it.
    assert now(driven, 139.5).point[0, 0] == pytest.approx(100 + 0.5 * 89, abs=1e-6)


def test_drift_is_the_slope_between_the_ends_of_the_window() -> None:
    values = noise(1, 100)
    driven = drive(ahead(7, "heuristic", window=30, hold_from=5)).run(column(values))
    slope = (values[-1] - values[-30]) / 29
    assert now(driven).point[0, 0] == pytest.approx(values[-1] + 7 * slope, abs=1e-5)


def test_drift_counts_the_time_between_the_samples_and_not_the_samples() -> None:
    values = ramp(100)
    values[np.arange(100) % 3 == 1] = np.nan
    driven = drive(ahead(7, "heuristic", window=20)).run(values)
    assert now(driven).point[0, 0] == pytest.approx(100 + 0.5 * 106, abs=1e-6)


# ------------------------------------------------------------------------------------------------------------ coverage


def covered(settings: Settings, values: Floats, model: str) -> float:
    driven = drive(settings, columns=values.shape[1]).run(values)
    return float(now(driven).coverage[MODELS.index(model)].mean())


def test_drift_intervals_of_a_random_walk_with_drift_hold_ninety_five_percent() -> None:
    walk = np.cumsum(np.random.default_rng(11).normal(0.3, 1.0, (400, 300)), axis=0)
    assert covered(ahead(10, **LEARNS_ALL), walk, "heuristic") == pytest.approx(0.95, abs=0.02)


def innovations(alpha: float, beta: float, gamma: float, slots: int, length: int, columns: int) -> Floats:
    """Series that the model itself would make: level, trend and season moved by one normal error a step."""
    errors = np.random.default_rng(12).normal(0.0, 1.0, (length, columns))
    level, trend, season = np.zeros(columns), np.zeros(columns), np.zeros((slots, columns))
    values = np.empty_like(errors)
    for k, e in enumerate(errors):
        values[k] = level + trend + season[k % slots] + e
        level, trend = level + trend + alpha * e, trend + alpha * beta * e
        season[k % slots] += gamma * e
    return values


def test_smoothing_intervals_of_its_own_series_hold_ninety_five_percent() -> None:
    values = innovations(*SMOOTHING, 0.0, 1, length=400, columns=300)
    assert covered(ahead(10, **LEARNS_ALL), values, "smoothing") == pytest.approx(0.95, abs=0.02)


def test_holt_winters_intervals_of_its_own_series_hold_ninety_five_percent() -> None:
    values = innovations(0.1, 0.01, 0.2, 6, length=500, columns=300)
    settings = ahead(10, seasonal=Seasonal(slots=6), **LEARNS_ALL)
    assert covered(settings, values, "holt_winters") == pytest.approx(0.95, abs=0.02)


def test_the_relative_error_is_the_mean_error_over_that_of_the_last_value() -> None:
    walk = column(np.cumsum(np.random.default_rng(13).normal(0.3, 1.0, 80)))[:, 0]
    forecasts = now(drive(ahead(4, window=10, **LEARNS_ALL)).run(column(walk)))
    origins = range(1, 76)
    drift = [(walk[k] - walk[max(0, k - 9)]) / min(k, 9) for k in range(1, 76)]
    error = [abs(walk[k + 4] - (walk[k] + 4 * d)) for k, d in zip(origins, drift, strict=True)]
    naive = [abs(walk[k + 4] - walk[k]) for k in origins]

    def weighted(samples: list[float]) -> float:
        total = 0.0
        for i, sample in enumerate(samples, start=1):
            total += max(1 / i, 0.02) * (sample - total)
        return total

    assert forecasts.scored[0].tolist() == [75]
    assert forecasts.ratio[0, 0] == pytest.approx(weighted(error) / weighted(naive), rel=1e-6)


def test_held_samples_are_scored_and_excluded_ones_are_not() -> None:
    driven = drive(ahead(4)).run(column(noise(3, 60)))
    before = int(now(driven).scored[0, 0])
    driven.run(np.full((5, 1), 200.0))
    assert int(now(driven).scored[0, 0]) == before + 5
    for _ in range(5):
        driven.feed([100.0], excluded=True)
    assert int(now(driven).scored[0, 0]) == before + 5
    driven.run(np.full((4, 1), 100.0))  # what was excluded is no origin either
    assert int(now(driven).scored[0, 0]) == before + 5
    driven.feed([100.0])
    assert int(now(driven).scored[0, 0]) == before + 5 + 1


def test_a_forecast_is_scored_once() -> None:
    scores = Scores.empty(2)
    scores.keep(np.array([10.0, 20.0]), 0, 4, np.full((3, 2), 15.0), np.full((3, 2), 1.0))
    scores.compare(np.array([12.0, math.nan]), 4, 4)
    assert scores.count.tolist() == [[1, 0]] * 3
    assert scores.error.tolist() == [[3.0, 0.0]] * 3
    # The same place comes around after 24 forecasts; what was made for another time must not be left in it.
    scores.compare(np.array([100.0, 100.0]), 4 + 24, 4)
    assert scores.count.tolist() == [[1, 0]] * 3
    assert scores.error.tolist() == [[3.0, 0.0]] * 3


def test_a_newcomer_is_not_scored_by_the_forecasts_of_whoever_had_its_column() -> None:
    driven = drive(ahead(4, **LEARNS_ALL), columns=2).run(np.full((30, 2), 100.0))
    driven.state.wipe(np.array([0]))
    others = now(driven).scored[:, 1]
    driven.run(np.full((4, 2), 50.0))
    assert now(driven).scored.T.tolist() == [[0, 0, 0], [others[0] + 4, others[1] + 4, 0]]
    # The drift of a window needs two samples, smoothing one.
    driven.run(np.full((2, 2), 50.0))
    assert now(driven).scored[:, 0].tolist() == [1, 2, 0]
