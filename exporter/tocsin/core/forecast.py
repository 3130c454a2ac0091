"""Forecasts: what each model expects at the horizon, and when the published one crosses the limit.

Three models, each a state in the fold: the drift over the window, double exponential smoothing, Holt-Winters
(docs/numbers.md, section 4). Forecasts start at the last learnt grid time. Inside, everything is in calendar-adjusted
units; what leaves is multiplied back.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from tocsin.core.columns import Floats, Index
from tocsin.core.holt_winters import spread
from tocsin.core.scores import ENOUGH
from tocsin.core.settings import MODELS, SMOOTHING, Settings
from tocsin.core.state import State

HEURISTIC, SMOOTH, HOLT_WINTERS = range(len(MODELS))
#: Points of the path that are looked at for a breach.
POINTS = 48
#: Columns that are worked on at once: their paths stay in the processor's cache.
_BLOCK = 2048

REASONS = ("no_limit", "stale", "already_breached", "insufficient_data", "poor_fit", "no_breach")
BREACH = -1


@dataclass(frozen=True, slots=True)
class Forecasts:
    """Made at unix time `origin` for `origin + horizon`; arrays are (3, C) by model or (C,) for the published one.

    `model` is the index of the published model; `reason` an index into REASONS, or -1 when there is a breach.
    Breach times are unix seconds, NaN where that path does not cross the limit within the horizon.
    """

    origin: float
    horizon: int
    point: Floats
    half: Floats
    ratio: Floats
    coverage: Floats
    scored: NDArray[np.intp]
    model: NDArray[np.intp]
    reason: NDArray[np.int8]
    breach: Floats
    earliest: Floats
    latest: Floats

    def published(self, of_models: Floats) -> Floats:
        """The row of the published model, of an array (3, C)."""
        return _row(of_models, self.model)


def _row(of_models: NDArray[Any], model: NDArray[np.intp]) -> NDArray[Any]:
    return cast("NDArray[Any]", np.take_along_axis(of_models, model[None, :], axis=0)[0])


def paths(
    state: State, settings: Settings, model: int, ahead: Sequence[int], columns: Index | slice
) -> tuple[Floats, Floats]:
    """Point and half width of the 95 % interval `ahead` steps after the last learnt grid time.

    Each (len(ahead), columns); NaN where the model is not available.
    """
    assert state.k is not None
    h = np.asarray(ahead, np.float64)[:, None]
    q = float(ndtri(0.975))
    if model == HEURISTIC:
        n = state.window.n[columns]
        level, slope = _drifted(state, columns)
        point = level + slope * h
        errors = state.drift_errors
        with np.errstate(divide="ignore"):
            widening = h * (1 + h / n)
    elif model == SMOOTH:
        part = state.smoothing
        point = part.level[columns] + part.trend[columns] * h
        errors = part.errors
        widening = spread(max(ahead), *SMOOTHING, 0.0, 0)[np.asarray(ahead) - 1][:, None]
    else:
        how, hw = settings.seasonal, state.holt_winters
        if how is None or hw is None:
            shape = (len(ahead), state.window.n[columns].size)
            return np.full(shape, np.nan), np.full(shape, np.nan)
        slots = (state.k + np.asarray(ahead)) % how.slots
        point = hw.level[columns] + hw.trend[columns] * h + _rows(hw.season, slots, columns)
        point = np.where(hw.started[columns], point, np.nan)
        errors = hw.errors
        widening = spread(max(ahead), how.alpha, how.beta, how.gamma, how.slots)[np.asarray(ahead) - 1][:, None]
    with np.errstate(invalid="ignore"):  # an empty window widens without bound and has no error yet
        half = q * np.sqrt(errors.variance[columns] * widening)
    return point, np.where(errors.count[columns] > 0, half, np.nan)


def _drifted(state: State, columns: Index | slice) -> tuple[Floats, Floats]:
    """Where the drift has got to by the last grid time, and its slope per step."""
    assert state.k is not None
    slope = state.window.drift(columns)
    return state.window.newest[columns] + slope * (state.k - state.window.newest_k[columns]), slope


def _rows(matrix: Floats, rows: Index, columns: Index | slice) -> Floats:
    return matrix[rows, columns] if isinstance(columns, slice) else matrix[rows[:, None], columns]


def at_horizon(state: State, settings: Settings) -> tuple[Floats, Floats]:
    """Point and half width of every model at the horizon, each (3, C)."""
    assert settings.forecast is not None
    each = [paths(state, settings, m, (settings.forecast.horizon,), slice(None)) for m in range(len(MODELS))]
    return np.concatenate([p for p, _ in each]), np.concatenate([h for _, h in each])


def horizon_points(horizon: int) -> list[int]:
    """Steps at which the path is looked at: all of them, or 48 spread evenly up to the horizon."""
    if horizon <= POINTS:
        return list(range(1, horizon + 1))
    return sorted({round(p) for p in np.linspace(horizon / POINTS, horizon, POINTS)})


def _choose(state: State, settings: Settings, ratio: Floats, scored: NDArray[np.intp]) -> NDArray[np.intp]:
    """Index of the published model of each resource."""
    assert settings.forecast is not None
    if settings.forecast.model != "auto":
        return np.full(scored.shape[1], MODELS.index(settings.forecast.model))
    young = np.full(scored.shape[1], SMOOTH)
    if state.holt_winters is not None:
        young[state.holt_winters.started] = HOLT_WINTERS
    believed = np.where(scored >= ENOUGH, np.nan_to_num(ratio, nan=np.inf), np.inf)
    best = believed.argmin(axis=0)
    return np.where((scored >= ENOUGH).any(axis=0), best, young)


def forecast(state: State, x: Floats, t: float, settings: Settings) -> Forecasts | None:
    """Forecast every resource from the last learnt grid time; None when nothing is asked for or nothing learnt.

    x: (C,) the values at t in the signal's unit, NaN where there is none. Pure.
    """
    how, scores = settings.forecast, state.scores
    if how is None or scores is None or state.k is None:
        return None
    origin = state.k * settings.step
    point, half = at_horizon(state, settings)
    times = settings.times_normal(origin + how.horizon * settings.step)
    ratio = scores.ratio()
    model = _choose(state, settings, ratio, scores.count)
    breach, earliest, latest = (np.full(x.shape, np.nan) for _ in range(3))
    chosen_ratio = _row(ratio, model)
    chosen_count = _row(scores.count, model)
    chosen_point = _row(point, model)
    reason = _reasons(x, settings, chosen_ratio, chosen_count, np.isfinite(chosen_point))
    for m in range(len(MODELS)):
        columns = np.flatnonzero((reason == REASONS.index("no_breach")) & (model == m))
        if not columns.size:
            continue
        columns = columns[_may_cross(state, settings, m, columns, half[m, columns], origin)]
        for start in range(0, columns.size, _BLOCK):
            block = columns[start : start + _BLOCK]
            breach[block], earliest[block], latest[block] = _crossings(state, settings, m, block, origin)
    reason[np.isfinite(breach)] = BREACH
    # Between grid times the origin is in the past; what is still to come is not.
    breach, earliest, latest = (np.maximum(when, t) for when in (breach, earliest, latest))
    return Forecasts(
        origin=origin,
        horizon=how.horizon * settings.step,
        point=point * times,
        half=half * times,
        ratio=ratio,
        coverage=np.where(scores.count > 0, scores.inside, np.nan),
        scored=scores.count.copy(),
        model=model,
        reason=reason,
        breach=breach,
        earliest=earliest,
        latest=latest,
    )


def _reasons(
    x: Floats, settings: Settings, ratio: Floats, count: NDArray[np.intp], available: NDArray[np.bool_]
) -> NDArray[np.int8]:
    """The first reason that holds, as an index into REASONS; the last one where a path has to be looked at."""
    if settings.limit is None:
        return np.zeros(x.shape, np.int8)
    with np.errstate(invalid="ignore"):
        beyond = x <= settings.limit if settings.direction == "down" else x >= settings.limit
        tests = (
            np.zeros(x.shape, np.bool_),
            ~np.isfinite(x),
            beyond,
            (count < ENOUGH) | ~available,
            ~(ratio < 1),
        )
    return np.select(tests, range(len(tests)), len(tests)).astype(np.int8)


def _may_cross(
    state: State, settings: Settings, model: int, columns: Index, half: Floats, origin: float
) -> NDArray[np.bool_]:
    """Whether the near bound could reach the limit at all: a bound without the path, which few resources pass."""
    assert settings.forecast is not None
    assert settings.limit is not None
    sign, horizon = (-1.0 if settings.direction == "down" else 1.0), settings.forecast.horizon
    hw = state.holt_winters
    if model == HOLT_WINTERS and hw is not None:
        season = hw.season.min(axis=0) if sign < 0 else hw.season.max(axis=0)
        level, trend = (hw.level + season)[columns], hw.trend[columns]
    elif model == SMOOTH:
        level, trend = state.smoothing.level[columns], state.smoothing.trend[columns]
    else:
        level, trend = _drifted(state, columns)
    furthest = sign * level + np.maximum(sign * trend * horizon, 0.0) + np.nan_to_num(half)
    times = [1.0]
    if settings.multiplier is not None:
        ahead = (0, *horizon_points(horizon))
        times = [settings.multiplier(origin + float(h) * settings.step) for h in ahead]
    reach = np.maximum(furthest * max(times), furthest * min(times))
    return np.asarray(reach >= sign * settings.limit)


def _crossings(
    state: State, settings: Settings, model: int, columns: Index, origin: float
) -> tuple[Floats, Floats, Floats]:
    """Unix times at which the point, near and far paths of these columns first cross the limit; NaN for never."""
    assert settings.forecast is not None
    assert settings.limit is not None
    ahead = horizon_points(settings.forecast.horizon)
    point, half = paths(state, settings, model, ahead, columns)
    fit = _fit(state, model, columns)[None, :]
    half = np.nan_to_num(np.concatenate([np.zeros_like(fit), half]))
    point = np.concatenate([fit, point])
    when = origin + np.array([0, *ahead]) * float(settings.step)
    if settings.multiplier is not None:
        times = np.array([settings.multiplier(float(t)) for t in when])[:, None]
        point, half = point * times, half * times
    sign = -1.0 if settings.direction == "down" else 1.0
    excess = sign * (point - settings.limit)
    never = np.full(columns.shape, np.nan)
    near = _first_crossing(excess + half, when)
    if np.isnan(near).all():
        return never, near, never
    return _first_crossing(excess, when), near, _first_crossing(excess - half, when)


def _fit(state: State, model: int, columns: Index) -> Floats:
    """What the model makes of the origin itself: the point from which its path starts."""
    assert state.k is not None
    if model == HEURISTIC:
        return _drifted(state, columns)[0]
    if model == SMOOTH:
        return state.smoothing.level[columns]
    hw = state.holt_winters
    assert hw is not None
    return cast("Floats", hw.level[columns] + hw.season[state.k % len(hw.season), columns])


def _first_crossing(excess: Floats, when: Floats) -> Floats:
    """Time at which each column of `excess` (P + 1, C) first reaches 0 after its first row; NaN for never."""
    across = excess[1:] >= 0
    first = across.argmax(axis=0)
    columns = np.arange(excess.shape[1])
    before, after = excess[first, columns], excess[first + 1, columns]
    with np.errstate(divide="ignore", invalid="ignore"):
        share = np.where(before >= 0, 0.0, before / (before - after))
    at = when[first] + share * (when[first + 1] - when[first])
    return np.where(across[first, columns], at, np.nan)
