"""One step of the fold per series against a fit of statsmodels' ExponentialSmoothing on the same window."""

import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, replace
from importlib.metadata import version
from typing import Any

import numpy as np
from canned import FIRST, HORIZON, SLOTS, STEP, Floats, Workload, spec
from harness import Row, isolated, middle

from tocsin.core.fold import Runs, State, fold, forecast, grade, learn, track
from tocsin.core.settings import Settings

AIM = 10_000.0


@dataclass
class Folded:
    """A state that has learnt a stretch of history, and where it stands."""

    load: Workload
    settings: Settings
    state: State
    runs: Runs
    k: int

    def step(self, x: Floats) -> None:
        """Grade, track, learn and forecast the next grid time."""
        t = float(self.k * STEP)
        grades = grade(self.state, x, t, self.settings)
        self.runs = track(self.runs, grades, t)
        self.state = learn(self.state, x, t, grades, self.settings)
        forecast(self.state, x, t, self.settings)
        self.k += 1


def folded(count: int, steps: int, window: int = 500, **changes: Any) -> Folded:  # noqa: ANN401  fields of Settings
    """`count` resources after `steps` grid times."""
    load, settings = Workload(count), replace(spec(window).settings, **changes)
    times = STEP * np.arange(FIRST, FIRST + steps, dtype=np.float64)
    state, runs, _ = fold(State.empty(settings, count), Runs.empty(count), times, load.rows(FIRST, steps), settings)
    return Folded(load, settings, state, runs, FIRST + steps)


def ours(count: int, steps: int, repeats: int) -> float:
    """CPU seconds of a step of all resources, median."""
    at = folded(count, steps)
    taken = []
    for _ in range(repeats):
        x = at.load.at(at.k)
        began = time.process_time()
        at.step(x)
        taken.append(time.process_time() - began)
    return middle(taken)


def fitted(y: Floats) -> Floats:
    """The peer as it is used: parameters and initial state estimated from the window, then a forecast."""
    from statsmodels.tsa.holtwinters import ExponentialSmoothing

    model = ExponentialSmoothing(
        y, trend="add", seasonal="add", seasonal_periods=SLOTS, initialization_method="estimated"
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that the optimizer did not converge costs no less
        return np.asarray(model.fit().forecast(HORIZON))


def replayed(y: Floats, level: float, trend: float, season: Floats) -> Floats:
    """The peer at its cheapest: our parameters and initial state, nothing estimated; its forecast equals ours."""
    from statsmodels.tsa.holtwinters import ExponentialSmoothing

    how = spec().settings.seasonal
    assert how is not None
    model = ExponentialSmoothing(
        y,
        trend="add",
        seasonal="add",
        seasonal_periods=SLOTS,
        initialization_method="known",
        initial_level=level,
        initial_trend=trend,
        initial_seasonal=season,
    )
    parameters = {"smoothing_level": how.alpha, "smoothing_trend": how.beta, "smoothing_seasonal": how.gamma}
    return np.asarray(model.fit(**parameters, optimized=False).forecast(HORIZON))


def peers(fits: int, window: int) -> tuple[float, float]:
    """CPU seconds of a fit and of a replay of one series, medians over `fits` series."""
    series = Workload(max(fits, 2)).rows(FIRST, window).T
    season = np.zeros(SLOTS)
    fitted(series[0][: 4 * SLOTS])  # the first use pays for imports
    estimated, known = [], []
    for y in series[:fits]:
        began = time.process_time()
        fitted(y)
        middle_of = time.process_time()
        replayed(y, float(y[0]), 0.0, season)
        estimated.append(middle_of - began)
        known.append(time.process_time() - middle_of)
    return middle(estimated), middle(known)


def benchmark(count: int, fits: int, repeats: int) -> Iterator[Row]:
    """Cost per series; a few fits stand for all."""
    steps = spec().warmup_steps
    each = isolated(ours, count, steps, repeats) / count
    estimated, known = isolated(peers, fits, 500)
    peer = f"statsmodels {version('statsmodels')} ExponentialSmoothing"
    what = f"one step per series ({count:,} series, window 500, season {SLOTS})"
    yield Row(what, each, "s", f"{peer}, fit and forecast, {fits} series", estimated, at_least=AIM)
    yield Row("the same", each, "s", f"{peer}, parameters given, nothing fitted", known)


def same_forecast(window: int) -> tuple[Floats, Floats]:
    """Holt-Winters' forecasts of one series, ours and the peer's from the same start: for the test.

    One step short of a season: at a whole season the peer repeats the slot as it was before the last sample.
    """
    # A baseline that is never ready: nothing is held, every sample learnt, as the peer does.
    at = folded(1, 2 * SLOTS, min_samples=1_000_000)
    hw = at.state.holt_winters
    assert hw is not None
    start = float(hw.level[0]), float(hw.trend[0]), np.roll(hw.season[:, 0], -(at.k % SLOTS))
    values = at.load.rows(at.k, window)
    for x in values:
        at.step(x)
    ahead = at.k - 1 + np.arange(1, HORIZON + 1)
    mine = hw.level[0] + hw.trend[0] * (ahead - at.k + 1) + hw.season[ahead % SLOTS, 0]
    return mine[: SLOTS - 1], replayed(values[:, 0], *start)[: SLOTS - 1]
