"""Additive Holt-Winters with one season, and double exponential smoothing, for all resources at once.

Error-correction form: with e = x - (level + trend + season), level += trend + alpha e, trend += alpha beta e and
season += gamma e (Hyndman et al., Forecasting with Exponential Smoothing, 2008, chapter 2). statsmodels'
`smoothing_trend` is the same beta.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from tocsin.core.columns import Bools, Columns, Floats, Index, blank, select
from tocsin.core.settings import SMOOTHING, Seasonal

#: Weight of a new squared error in a model's variance, and of a new outcome in its score; the start is a plain mean.
MEMORY = 0.02


def weight(count: NDArray[np.intp]) -> Floats:
    """Weight of the count-th observation (count >= 1): a plain mean at first, exponential once that is slower."""
    return np.maximum(1.0 / count, MEMORY)


@dataclass(slots=True)
class Errors(Columns):
    """Mean squared one-step error of a model, exponentially weighted."""

    count: NDArray[np.intp]
    variance: Floats

    fills: ClassVar[dict[str, float]] = {}

    @classmethod
    def empty(cls, columns: int) -> "Errors":
        """No errors seen."""
        return cls(count=blank(columns, dtype=np.intp), variance=blank(columns))

    def add(self, where: Bools, squared: Floats) -> None:
        """Take the squared errors of the masked columns."""
        columns = select(where)
        count = self.count[columns] + 1
        old = self.variance[columns]
        self.count[columns] = count
        self.variance[columns] = old + weight(count) * (squared[columns] - old)

    def scale(self, columns: Index, factor: Floats) -> None:
        """Follow a change of unit of the signal."""
        self.variance[columns] *= factor * factor


@dataclass(slots=True)
class Smoothing(Columns):
    """Double exponential smoothing: level and trend, NaN before the first sample."""

    level: Floats
    trend: Floats
    errors: Errors

    fills: ClassVar[dict[str, float]] = {"level": np.nan}

    @classmethod
    def empty(cls, columns: int) -> "Smoothing":
        """Nothing learnt."""
        return cls(level=blank(columns, fill=np.nan), trend=blank(columns), errors=Errors.empty(columns))

    def learn(self, learnt: Bools, y: Floats) -> None:
        """Take the masked columns of y."""
        alpha, beta = SMOOTHING
        first = learnt & np.isnan(self.level)
        if first.any():
            self.level[first] = y[first]
            learnt = learnt & ~first
            if not learnt.any():
                return
        error = y - (self.level + self.trend)
        self.errors.add(learnt, error * error)
        columns = select(learnt)
        self.level[columns] += self.trend[columns] + alpha * error[columns]
        self.trend[columns] += alpha * beta * error[columns]

    def restart(self, columns: Index, level: Floats) -> None:
        """The level has moved."""
        self.level[columns], self.trend[columns] = level, 0.0

    def scale(self, columns: Index, factor: Floats) -> None:
        """Follow a change of unit of the signal."""
        self.level[columns] *= factor
        self.trend[columns] *= factor
        self.errors.scale(columns, factor)


@dataclass(slots=True)
class HoltWinters(Columns):
    """Level, trend and `season` (m, C) per resource; `begun` is the grid index of the first of two seasons to see.

    Until a resource has started, `season` holds the first of its two seasons and `second` the other; while nobody is in
    his second season there is no such array.
    """

    started: Bools
    begun: NDArray[np.int64]
    level: Floats
    trend: Floats
    season: Floats
    second: Floats | None
    errors: Errors

    fills: ClassVar[dict[str, float]] = {"begun": -1, "level": np.nan, "season": np.nan, "second": np.nan}

    @classmethod
    def empty(cls, slots: int, columns: int) -> "HoltWinters":
        """Nothing seen."""
        return cls(
            started=blank(columns, dtype=np.bool_),
            begun=blank(columns, fill=-1, dtype=np.int64),
            level=blank(columns, fill=np.nan),
            trend=blank(columns),
            season=blank(slots, columns, fill=np.nan),
            second=None,
            errors=Errors.empty(columns),
        )

    def expected(self, k: int, step_share: float) -> Floats:
        """Expectation at a share (0, 1] of the way from grid index k to the next one; NaN where not started.

        Linear between level + season of slot k and the one-step forecast for slot k + 1.
        """
        slots = len(self.season)
        ahead = self.level + self.trend + self.season[(k + 1) % slots]
        if step_share < 1:
            here = self.level + self.season[k % slots]
            ahead = here + (ahead - here) * step_share
        return np.where(self.started, ahead, np.nan)

    def learn(self, learnt: Bools, y: Floats, k: int, how: Seasonal) -> None:
        """Take the masked columns of y (all of them started) at grid index k."""
        columns = select(learnt)
        season = self.season[k % len(self.season)]
        error = y - (self.level + self.trend + season)
        self.errors.add(learnt, error * error)
        error = error[columns]
        self.level[columns] += self.trend[columns] + how.alpha * error
        self.trend[columns] += how.alpha * how.beta * error
        season[columns] += how.gamma * error

    def start(self, y: Floats, k: int) -> None:
        """See y at grid index k in the columns that have not started; start those whose second season ends here."""
        young = ~self.started
        if not young.any():
            return
        slots = len(self.season)
        seen = np.isfinite(y)
        fresh = young & (self.begun < 0) & seen
        self.begun[fresh] = k
        offset = k - self.begun
        young &= self.begun >= 0
        first, second = young & (offset < slots), young & (offset >= slots)
        if first.any():
            self.season[k % slots, first] = np.where(seen, y, np.nan)[first]
        if second.any():
            if self.second is None:
                self.second = blank(slots, self.started.size, fill=np.nan)
            self.second[k % slots, second] = np.where(seen, y, np.nan)[second]
            done = np.flatnonzero(second & (offset == 2 * slots - 1))
            if done.size:
                self._begin(done, self.second)
                if (self.started | (self.begun < 0)).all():
                    self.second = None

    def _begin(self, columns: Index, seconds: Floats) -> None:
        """Initial level, trend and season from two whole seasons (docs/numbers.md, section 4)."""
        slots = len(self.season)
        one, two = self.season[:, columns], seconds[:, columns]
        one, two = np.where(np.isnan(one), two, one), np.where(np.isnan(two), one, two)
        whole = ~np.isnan(one).any(axis=0)
        late = columns[~whole]
        # A slot was in neither season: the newer season becomes the first and a third one is awaited.
        self.season[:, late], seconds[:, late] = two[:, ~whole], np.nan
        self.begun[late] += slots
        columns, one, two = columns[whole], one[:, whole], two[:, whole]
        mean = one.mean(axis=0)
        trend = (two.mean(axis=0) - mean) / slots
        place = (np.arange(slots)[:, None] - self.begun[columns]) % slots
        line = mean + trend * (place - (slots - 1) / 2)
        self.season[:, columns] = ((one - line) + (two - (line + trend * slots))) / 2
        self.level[columns] = mean + trend * (2 * slots - 1 - (slots - 1) / 2)
        self.trend[columns] = trend
        self.started[columns] = True

    def restart(self, columns: Index, level: Floats) -> None:
        """The level has moved: trend 0, the season is kept."""
        self.level[columns], self.trend[columns] = level, 0.0

    def scale(self, columns: Index, factor: Floats) -> None:
        """Follow a change of unit of the signal."""
        self.level[columns] *= factor
        self.trend[columns] *= factor
        self.season[:, columns] *= factor
        if self.second is not None:
            self.second[:, columns] *= factor
        self.errors.scale(columns, factor)


@lru_cache(maxsize=64)
def spread(horizon: int, alpha: float, beta: float, gamma: float, slots: int) -> Floats:
    """Variance of the h-step error over that of one step, for h = 1..horizon: 1 + sum over j < h of c_j squared.

    c_j = alpha (1 + j beta) + gamma [j mod m = 0]; Hyndman et al. 2008, chapter 6, class 1. `slots` 0: no season.
    """
    j = np.arange(1, horizon)
    c = alpha * (1 + j * beta) + (gamma * (j % slots == 0) if slots else 0.0)
    out: Floats = 1 + np.concatenate([[0.0], np.cumsum(c * c)])
    out.flags.writeable = False
    return out
