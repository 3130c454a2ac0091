"""Holt-Winters and double exponential smoothing against statsmodels, and what is ours alone: start, gaps, scales."""

import math
from typing import Any

import numpy as np
import pandas as pd  # type: ignore[import-untyped]  # its stubs are not among the tools
import pytest
from statsmodels.tsa.exponential_smoothing.ets import ETSModel
from statsmodels.tsa.holtwinters import ExponentialSmoothing, Holt

from core_series import Driven, Floats, column, drive, noise, signal
from naive import NaiveSignal
from naive_models import variance_factor
from tocsin.core.fold import forecast, grade
from tocsin.core.holt_winters import spread
from tocsin.core.settings import SMOOTHING, Forecast, Seasonal

#: A baseline that never becomes ready: no tiers, nothing held, every sample learnt.
LEARNS_ALL = {"min_samples": 1_000_000}


def seasonal_series(seed: int, slots: int, length: int) -> Floats:
    """A level with a slope, a season and noise."""
    t = np.arange(length)
    values: Floats = 50 + 0.02 * t + 8 * np.sin(2 * np.pi * t / slots) + noise(seed, length, level=0.0)
    return values


def states_of(driven: Driven, values: Floats) -> tuple[Floats, Floats, Floats, Floats]:
    """One-step forecast before, and level, trend and season of the slot after each of the values."""
    model = driven.state.holt_winters
    assert model is not None
    rows = []
    for value in values:
        slot = driven.t // driven.settings.step % len(model.season)
        grades = driven.feed([value])
        rows.append((grades.expectation[0], model.level[0], model.trend[0], model.season[slot, 0]))
    one, two, three, four = np.array(rows).T
    return one, two, three, four


@pytest.mark.parametrize(
    ("slots", "alpha", "beta", "gamma"),
    [(2, 0.5, 0.3, 0.4), (7, 0.1, 0.01, 0.2), (24, 0.1, 0.01, 0.2), (48, 0.9, 0.9, 0.05), (24, 0.3, 0.0, 0.0)],
)
def test_holt_winters_is_that_of_statsmodels(slots: int, alpha: float, beta: float, gamma: float) -> None:
    """The parameters map one to one onto ExponentialSmoothing's smoothing_level, _trend and _seasonal.

    statsmodels writes b_t = beta (l_t - l_(t-1)) + (1 - beta) b_(t-1), and l_t - l_(t-1) - b_(t-1) = alpha e, so its
    smoothing_trend is our beta and the gain of the trend on the error is alpha beta. Its season is gamma (y - l_(t-1) -
    b_(t-1)) + (1 - gamma) s, which is s + gamma e. (Its ETSModel, in contrast, calls alpha beta its smoothing_trend.)
    """
    values = seasonal_series(1, slots, 2 * slots + 600)
    settings = signal(seasonal=Seasonal(slots=slots, alpha=alpha, beta=beta, gamma=gamma), **LEARNS_ALL)
    driven = drive(settings, start=3 * 60).run(column(values[: 2 * slots]))
    model = driven.state.holt_winters
    assert model is not None
    assert model.started.all()
    season = [model.season[(3 + 2 * slots + i) % slots, 0] for i in range(slots)]
    reference = ExponentialSmoothing(
        values[2 * slots :],
        trend="add",
        seasonal="add",
        seasonal_periods=slots,
        initialization_method="known",
        initial_level=model.level[0],
        initial_trend=model.trend[0],
        initial_seasonal=season,
    ).fit(smoothing_level=alpha, smoothing_trend=beta, smoothing_seasonal=gamma, optimized=False)
    expected, level, trend, of_slot = states_of(driven, values[2 * slots :])
    assert np.abs(expected - reference.fittedvalues).max() < 1e-9
    assert np.abs(level - reference.level).max() < 1e-9
    assert np.abs(trend - reference.trend).max() < 1e-9
    assert np.abs(of_slot - reference.season).max() < 1e-9


@pytest.mark.parametrize("horizon", [1, 5, 23, 24, 25, 40, 48])
def test_forecasts_at_the_horizon_are_those_of_statsmodels(horizon: int) -> None:
    """ETSModel is the reference for the season: its smoothing_trend is our alpha beta.

    ExponentialSmoothing.forecast takes the season of one period earlier where the horizon is a multiple of the season
    (it overwrites the newest one before it reads it), so it cannot serve for those.
    """
    slots, length = 24, 548
    values = seasonal_series(2, slots, length)
    settings = signal(seasonal=Seasonal(slots=slots), forecast=Forecast(horizon=horizon), **LEARNS_ALL)
    driven = drive(settings).run(column(values[: 2 * slots]))
    model = driven.state.holt_winters
    assert model is not None
    start = {
        "initial_level": model.level[0],
        "initial_trend": model.trend[0],
        "initial_seasonal": model.season[:, 0].copy(),
        "seasonal_periods": slots,
        "initialization_method": "known",
    }
    driven.run(column(values[2 * slots :]))
    seasonal = ETSModel(pd.Series(values[2 * slots :]), error="add", trend="add", seasonal="add", **start)
    double = Holt(values[1:], initialization_method="known", initial_level=values[0], initial_trend=0.0).fit(
        smoothing_level=SMOOTHING[0], smoothing_trend=SMOOTHING[1], optimized=False
    )
    forecasts = forecast(driven.state, values[-1:], driven.t - 60.0, settings)
    assert forecasts is not None
    assert forecasts.origin == (length - 1) * 60
    expected = seasonal.smooth([0.1, 0.1 * 0.01, 0.2]).forecast(horizon).iloc[-1]
    assert forecasts.point[2, 0] == pytest.approx(expected, abs=1e-9)
    assert forecasts.point[1, 0] == pytest.approx(double.forecast(horizon)[-1], abs=1e-9)
    if horizon % slots:
        other = ExponentialSmoothing(values[2 * slots :], trend="add", seasonal="add", **start).fit(
            smoothing_level=0.1, smoothing_trend=0.01, smoothing_seasonal=0.2, optimized=False
        )
        assert forecasts.point[2, 0] == pytest.approx(other.forecast(horizon)[-1], abs=1e-9)


def test_smoothing_is_holt_of_statsmodels_started_at_the_first_sample() -> None:
    values = seasonal_series(3, 24, 600)
    reference = Holt(values[1:], initialization_method="known", initial_level=values[0], initial_trend=0.0).fit(
        smoothing_level=SMOOTHING[0], smoothing_trend=SMOOTHING[1], optimized=False
    )
    driven = drive(signal(**LEARNS_ALL))
    levels, trends = [], []
    for value in values:
        driven.feed([value])
        levels.append(driven.state.smoothing.level[0])
        trends.append(driven.state.smoothing.trend[0])
    assert (levels[0], trends[0]) == (values[0], 0.0)
    assert np.abs(np.array(levels[1:]) - reference.level).max() < 1e-9
    assert np.abs(np.array(trends[1:]) - reference.trend).max() < 1e-9


# ---------------------------------------------------------------------------------------------------------- variances


@pytest.mark.parametrize(
    ("alpha", "beta", "gamma", "slots"), [(0.1, 0.01, 0.2, 6), (0.3, 0.1, 0.0, 0), (0.6, 0.4, 0.3, 4)]
)
def test_the_variance_of_a_forecast_grows_as_statsmodels_says(
    alpha: float, beta: float, gamma: float, slots: int
) -> None:
    """ETSModel's smoothing_trend is the gain of the trend on the error: our alpha beta."""
    values = pd.Series(seasonal_series(4, 6, 60))
    start: dict[str, Any] = {"initial_level": 50.0, "initial_trend": 0.0}
    parameters = [alpha, alpha * beta]
    if slots:
        start |= {"initial_seasonal": np.zeros(slots), "seasonal": "add", "seasonal_periods": slots}
        parameters.append(gamma)
    model = ETSModel(values, error="add", trend="add", initialization_method="known", **start)
    result = model.smooth(parameters)
    exact = result.get_prediction(start=60, end=60 + 39, method="exact").forecast_variance / result.mse
    assert exact[0] == pytest.approx(1.0, rel=1e-12)
    assert np.abs(spread(40, alpha, beta, gamma, slots) / exact - 1).max() < 1e-12


@pytest.mark.parametrize(("gamma", "slots"), [(0.2, 7), (0.0, 0)])
def test_the_variance_factors_are_the_written_sum(gamma: float, slots: int) -> None:
    expected = [variance_factor(h, 0.1, 0.01, gamma, slots or 1) for h in range(1, 101)]
    assert spread(100, 0.1, 0.01, gamma, slots) == pytest.approx(expected, rel=1e-14)


def test_a_one_step_forecast_is_as_wide_as_the_errors_of_the_model() -> None:
    settings = signal(forecast=Forecast(horizon=1), **LEARNS_ALL)
    driven = drive(settings).run(column(noise(5, 40)))
    errors = NaiveSignal(settings)
    for i, value in enumerate(noise(5, 40)):
        errors.feed(60.0 * i, float(value))
    forecasts = forecast(driven.state, np.array([100.0]), driven.t - 60.0, settings)
    assert forecasts is not None
    half = 1.959963984540054 * math.sqrt(errors.smoothing.errors.value)
    assert forecasts.half[1, 0] == pytest.approx(half, rel=1e-12)


# -------------------------------------------------------------------------------------------------------------- start


def test_a_line_with_a_season_on_it_is_known_exactly_after_two_seasons() -> None:
    slots = 12
    t = np.arange(5 * slots)
    values = 10 + 0.25 * t + np.tile(np.arange(slots) % 5, 5)
    driven = drive(signal(seasonal=Seasonal(slots=slots)), start=7 * 60).run(column(values))
    expected = driven.of("expectation")
    assert np.isnan(expected[: 2 * slots]).all()
    assert np.abs(expected[2 * slots :] - values[2 * slots :]).max() < 1e-9
    assert driven.of("residual_n")[2 * slots :].tolist() == list(range(36))


def test_the_start_is_the_line_through_the_two_season_means_and_the_average_of_what_is_left() -> None:
    slots = 6
    values = noise(6, 2 * slots)
    driven = drive(signal(seasonal=Seasonal(slots=slots))).run(column(values))
    one, two = values[:slots], values[slots:]
    trend = (two.mean() - one.mean()) / slots
    line = one.mean() + trend * (np.arange(2 * slots) - (slots - 1) / 2)
    left = values - line
    model = driven.state.holt_winters
    assert model is not None
    assert model.trend[0] == pytest.approx(trend, rel=1e-12)
    assert model.level[0] == pytest.approx(line[-1], rel=1e-12)
    assert model.season[:, 0] == pytest.approx((left[:slots] + left[slots:]) / 2, rel=1e-9)


def started_after(missing: set[int], slots: int = 4, first: int = 0, length: int = 40) -> int | None:
    """Number of grid times from the resource's first sample until Holt-Winters has started."""
    driven = drive(signal(seasonal=Seasonal(slots=slots)), start=60 * first)
    model = driven.state.holt_winters
    assert model is not None
    for i in range(length):
        driven.feed([math.nan if i in missing else 100.0 + i % slots])
        if model.started[0]:
            return i + 1
    return None


@pytest.mark.parametrize(
    ("missing", "after"),
    [
        (set(), 8),
        ({2}, 8),
        ({6}, 8),
        ({7}, 8),
        ({3, 4}, 8),
        ({2, 6}, 12),  # missing in both: one season more
        ({2, 6, 10}, 16),
        ({2, 6, 11}, 12),
        ({0}, 9),  # the first season begins at the first sample
        ({0, 1, 2}, 11),
        (set(range(1, 4)) | set(range(5, 8)), 12),
    ],
)
@pytest.mark.parametrize("first", [0, 1, 3, 1001])
def test_holt_winters_starts_when_every_slot_was_seen_in_one_of_two_seasons(
    missing: set[int], after: int, first: int
) -> None:
    assert started_after(missing, first=first) == after


def test_a_slot_that_is_missing_takes_the_value_of_the_other_season() -> None:
    values = noise(7, 8)
    holed = values.copy()
    holed[[1, 6]] = math.nan
    filled = values.copy()
    filled[1], filled[6] = values[5], values[2]
    settings = signal(seasonal=Seasonal(slots=4))
    one, two = drive(settings).run(column(holed)), drive(settings).run(column(filled))
    assert one.feed([100.0]).expectation[0] == pytest.approx(two.feed([100.0]).expectation[0], rel=1e-14)


def test_excluded_samples_do_not_start_a_season() -> None:
    driven = drive(signal(seasonal=Seasonal(slots=3)))
    for _ in range(10):
        driven.feed([999.0], excluded=True)
    driven.run(np.full((6, 1), 5.0))
    assert driven.feed([5.0]).expectation.tolist() == [5.0]


# --------------------------------------------------------------------------------------------------- gaps, and between


def test_at_a_gap_the_season_moves_on_and_level_and_trend_stand() -> None:
    slots = 5
    driven = drive(signal(seasonal=Seasonal(slots=slots))).run(column(seasonal_series(8, slots, 50)))
    model = driven.state.holt_winters
    assert model is not None
    level, trend, season = model.level[0], model.trend[0], model.season[:, 0].copy()
    for k in range(50, 73):
        grades = driven.feed([math.nan])
        assert grades.expectation[0] == level + trend + season[k % slots]
    assert (model.level[0], model.trend[0], model.season[:, 0].tolist()) == (level, trend, season.tolist())


def test_between_grid_times_the_expectation_is_a_straight_line() -> None:
    settings = signal(interval=15, seasonal=Seasonal(slots=5))
    driven = drive(settings).run(column(seasonal_series(9, 5, 50)))
    model = driven.state.holt_winters
    assert model is not None
    here = model.level[0] + model.season[49 % 5, 0]
    ahead = model.level[0] + model.trend[0] + model.season[50 % 5, 0]
    for part in (0.25, 0.5, 0.75, 1.0):
        grades = grade(driven.state, np.array([50.0]), 60 * (49 + part), settings)
        assert grades.expectation[0] == pytest.approx(here + part * (ahead - here), rel=1e-14)
