"""The fold over samples: grade with what was known, track how long it has been so, then learn.

Warm start, live evaluation, replay and tests are these functions over different samples, so they agree by construction.
`learn` is called once for every grid time in order; a gap, an excluded time and a repeated sample are NaN to it.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tocsin.core.columns import Bools, Floats, Index, select
from tocsin.core.forecast import at_horizon, forecast
from tocsin.core.grades import Grades, grade
from tocsin.core.held import Held
from tocsin.core.scores import is_origin
from tocsin.core.settings import Settings
from tocsin.core.state import Runs, State

__all__ = ["Runs", "State", "fold", "forecast", "grade", "learn", "track"]

#: A larger value is graded but not learnt: the window keeps single precision, and squares must stay finite.
LARGEST = 1e30
#: Holt-Winters holds from this tier on, whatever the window does: it learns a ramp within a few samples.
_SEASON_HOLDS_FROM = 3


def track(runs: Runs, grades: Grades, t: float) -> Runs:
    """Begin and end the runs at or above each tier; an unknown grade does neither."""
    tiers = np.arange(1, 5, dtype=np.int8)[:, None]
    at = grades.tier >= tiers
    ended = ~at & (grades.tier >= 0)
    since = np.where(at & np.isnan(runs.since), t, runs.since)
    return Runs(np.where(ended, np.nan, since))


def learn(state: State, x: Floats, t: float, grades: Grades, settings: Settings) -> State:
    """Take the values of grid time t, graded by `grades`, into the state; reuses its arrays.

    x: (C,) in the signal's unit; NaN where there is nothing to learn (gap, excluded, repeated). ValueError when t is
    not the grid time after the last one.
    """
    k = int(t // settings.step)
    if t % settings.step or (state.k is not None and k != state.k + 1):
        raise ValueError(f"cannot learn at {t}: not the grid time after index {state.k} of {settings.step} s")
    y = x / settings.times_normal(t)
    with np.errstate(invalid="ignore"):
        y = np.where(np.abs(y) < LARGEST, y, np.nan)
    seen = ~np.isnan(y)
    if state.scores is not None and settings.forecast is not None:
        state.scores.compare(y, k, settings.forecast.horizon)
    _learn_window(state, y, k, seen, grades, settings)
    _learn_season(state, y, k, seen, grades, settings)
    state.k = k
    if state.scores is not None and settings.forecast is not None and is_origin(k, settings.forecast.horizon):
        state.scores.keep(y, k, settings.forecast.horizon, *at_horizon(state, settings))
    return state


def _learn_window(state: State, y: Floats, k: int, seen: Bools, grades: Grades, settings: Settings) -> None:
    """The baseline window, and the two models that learn with it."""
    held = seen & (grades.zscore_tier >= settings.hold_from)
    learnt = seen & ~held
    window = state.window
    drift = window.drift()
    elapsed = (k - window.newest_k).astype(np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        error = (y - (window.newest + drift * elapsed)) ** 2 / elapsed
    state.drift_errors.add(learnt & ~np.isnan(drift), error)
    state.smoothing.learn(learnt, y)
    columns = select(learnt)
    window.push(columns, y[columns], k)
    moved = state.window_held.update(held, learnt, y, k)
    if moved.size:
        values, ks = state.window_held.take(moved)
        window.replace(moved, values, ks)
        state.smoothing.restart(moved, values.mean(axis=0))
        _shifted(state, moved, k)


def _learn_season(state: State, y: Floats, k: int, seen: Bools, grades: Grades, settings: Settings) -> None:
    """Holt-Winters and the window of its residuals."""
    hw, residuals, runs, how = state.holt_winters, state.residuals, state.season_held, settings.seasonal
    if hw is None or residuals is None or runs is None or how is None:
        return
    running = seen & hw.started
    hw.start(y, k)
    slot = k % how.slots
    residual = y - (hw.level + hw.trend + hw.season[slot])
    calm = select(running & (grades.seasonal_tier < settings.hold_from))
    residuals.push(calm, residual[calm], k)
    held = running & (grades.seasonal_tier >= _SEASON_HOLDS_FROM)
    learnt = running & ~held
    deseasoned = y - hw.season[slot]
    hw.learn(learnt, y, k, how)
    moved = runs.update(held, learnt, deseasoned, k)
    if moved.size:
        _restart_season(state, moved, runs, k)


def _restart_season(state: State, moved: Index, runs: Held, k: int) -> None:
    """The level has moved: take it from the held run; the season stays, the residuals are taken anew."""
    assert state.holt_winters is not None
    assert state.residuals is not None
    values, ks = runs.take(moved)
    level = values.mean(axis=0)
    state.holt_winters.restart(moved, level)
    state.residuals.replace(moved, values - level, ks)
    _shifted(state, moved, k)


def _shifted(state: State, columns: Index, k: int) -> None:
    """Count a relearnt baseline, once when both detectors relearn at the same time."""
    state.shifts[columns] += state.shifted_k[columns] != k
    state.shifted_k[columns] = k


def fold(
    state: State,
    runs: Runs,
    times: Sequence[float] | Floats,
    values: Floats,
    settings: Settings,
    *,
    excluded: NDArray[np.bool_] | None = None,
    factors: Floats | None = None,
) -> tuple[State, Runs, Grades]:
    """Grade, track and learn a matrix of samples (T, C) at consecutive grid times; return the last grades.

    `excluded` (T,) marks times that are graded and not learnt; `factors` (T, C) old over new capacity where it changed
    at that time, 1 elsewhere. ValueError for no times at all.
    """
    grades = None
    for i, t in enumerate(times):
        if factors is not None and (changed := np.flatnonzero(factors[i] != 1)).size:
            state.rescale(changed, factors[i, changed])
        grades = grade(state, values[i], t, settings)
        runs = track(runs, grades, t)
        hidden = excluded is not None and excluded[i]
        state = learn(state, np.full_like(values[i], np.nan) if hidden else values[i], t, grades, settings)
    if grades is None:
        raise ValueError("nothing to fold: no times")
    return state, runs, grades
