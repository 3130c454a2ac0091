"""The slow, obvious oracle's parts: two-pass statistics, tiers, Holt-Winters, smoothing, scores, crossing a limit.

Plain floats and lists; see naive.py for the fold that uses them.
"""

import functools
import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from scipy import stats

from tocsin.core.settings import SMOOTHING, Seasonal, Settings

NAN = math.nan
MODELS = ("heuristic", "smoothing", "holt_winters")
Z95 = float(stats.norm.ppf(0.975))


def mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)


def deviation(values: Sequence[float]) -> float:
    """Sample standard deviation (n - 1) in two passes; 0 for one value."""
    middle = mean(values)
    return math.sqrt(math.fsum((v - middle) ** 2 for v in values) / (len(values) - 1)) if len(values) > 1 else 0.0


@functools.cache
def quantile(n: int) -> float:
    """97.5 % quantile: Student's t with n - 1 degrees of freedom below 30 samples, the normal from 30."""
    return float(stats.t.ppf(0.975, n - 1)) if n < 30 else Z95


def tier_of(distance: float, ends: tuple[float, float, float, float]) -> int:
    one, two, three, four = ends
    if distance > four:
        return 4
    return 3 if distance >= three else 2 if distance >= two else 1 if distance >= one else 0


def crossing(path: Sequence[tuple[float, float]], limit: float, beyond: Callable[[float], bool]) -> float:
    """The h at which a path of (h, value) first is beyond the limit, by linear interpolation; NaN when it never is."""
    for (h0, v0), (h1, v1) in itertools.pairwise(path):
        if beyond(v1):
            return h0 if beyond(v0) else h0 + (limit - v0) / (v1 - v0) * (h1 - h0)
    return NAN


def points_of(horizon: int) -> list[int]:
    if horizon <= 48:
        return list(range(1, horizon + 1))
    first, last = horizon / 48, horizon
    return sorted({round(first + i * (last - first) / 47) for i in range(48)})


@dataclass
class Ewm:
    """Exponentially weighted mean with weight max(1/i, 0.02): a plain mean of the first fifty."""

    count: int = 0
    value: float = 0.0

    def add(self, sample: float) -> None:
        self.count += 1
        self.value += max(1 / self.count, 0.02) * (sample - self.value)


@dataclass
class Score:
    """How the forecasts of one model at the horizon turned out."""

    error: Ewm = field(default_factory=Ewm)
    naive: Ewm = field(default_factory=Ewm)
    inside: Ewm = field(default_factory=Ewm)
    #: How near an outcome came to the edge of its interval: where that is tiny, rounding decides.
    margin: float = math.inf

    def settle(self, y: float, origin: float, point: float, half: float) -> None:
        """Compare a forecast, made when the value was `origin`, with what came; without a width it covers nothing."""
        error = abs(y - point)
        self.error.add(error)
        self.naive.add(abs(y - origin))
        self.inside.add(1.0 if error <= half else 0.0)
        if not math.isnan(half):
            self.margin = min(self.margin, abs(error - half))

    @property
    def ratio(self) -> float:
        if self.error.count == 0:
            return NAN
        if self.naive.value == 0:
            return 1.0 if self.error.value == 0 else math.inf
        return self.error.value / self.naive.value


@dataclass
class HoltWinters:
    """Additive Holt-Winters with its start, its hold and its relearning. Slot of grid index k is k mod m."""

    options: Seasonal
    first: dict[int, float] = field(default_factory=dict)
    second: dict[int, float] = field(default_factory=dict)
    begin: int | None = None
    started: bool = False
    level: float = NAN
    trend: float = NAN
    season: list[float] = field(default_factory=list)
    held: list[float] = field(default_factory=list)
    residuals: list[float] = field(default_factory=list)
    errors: Ewm = field(default_factory=Ewm)

    def at(self, k: int, steps: int) -> float:
        """Forecast from grid index k, `steps` ahead; 0 is the fit at k."""
        return self.level + steps * self.trend + self.season[(k + steps) % self.options.slots]

    def learn(self, k: int, y: float, tier: int, settings: Settings) -> None:
        if not self.started:
            self._collect(k, y)
        elif math.isfinite(y):
            self._update(k, y, tier, settings)

    def _collect(self, k: int, y: float) -> None:
        m = self.options.slots
        if math.isfinite(y):
            if self.begin is None:
                self.begin = k
            (self.first if k < self.begin + m else self.second)[k % m] = y
        if self.begin is None or k != self.begin + 2 * m - 1:
            return
        if len(self.first.keys() | self.second.keys()) == m:
            self._start(k)
        else:  # one season more: what was seen so far becomes the first of the two
            self.first, self.second = {**self.first, **self.second}, {}
            self.begin += m

    def _start(self, k: int) -> None:
        m = self.options.slots
        order = [(k + 1 + i) % m for i in range(m)]  # the slots in the order of time
        one = [self.first.get(slot, self.second.get(slot, NAN)) for slot in order]
        two = [self.second.get(slot, self.first.get(slot, NAN)) for slot in order]
        self.trend = (mean(two) - mean(one)) / m

        def line(i: int) -> float:  # through the two season means, each at the middle of its season
            return mean(one) + self.trend * (i - (m - 1) / 2)

        self.season = [0.0] * m
        for i, slot in enumerate(order):
            self.season[slot] = mean([one[i] - line(i), two[i] - line(m + i)])
        self.level = line(2 * m - 1)
        self.started = True

    def _update(self, k: int, y: float, tier: int, settings: Settings) -> None:
        error = y - self.at(k - 1, 1)
        slot = k % self.options.slots
        if tier < settings.hold_from:
            self.residuals = [*self.residuals, error][-settings.window :]
        if tier >= 3:
            self.held.append(y - self.season[slot])
            if len(self.held) >= settings.relearn_after:
                self.level, self.trend = mean(self.held), 0.0
                self.residuals = [v - self.level for v in self.held][-settings.window :]
                self.held = []
            return
        self.held = []
        o = self.options
        self.level, self.trend = self.level + self.trend + o.alpha * error, self.trend + o.alpha * o.beta * error
        self.season[slot] += o.gamma * error
        self.errors.add(error**2)

    def rescale(self, factor: float) -> None:
        self.first = {k: v * factor for k, v in self.first.items()}
        self.second = {k: v * factor for k, v in self.second.items()}
        self.level, self.trend = self.level * factor, self.trend * factor
        self.season = [v * factor for v in self.season]
        self.held = [v * factor for v in self.held]
        self.residuals = [v * factor for v in self.residuals]
        self.errors.value *= factor**2


@dataclass
class Smoothing:
    """Double exponential smoothing: level and trend, started at the first sample."""

    level: float = NAN
    trend: float = 0.0
    errors: Ewm = field(default_factory=Ewm)

    def learn(self, y: float) -> None:
        if math.isnan(self.level):
            self.level = y
            return
        alpha, beta = SMOOTHING
        error = y - (self.level + self.trend)
        self.level, self.trend = self.level + self.trend + alpha * error, self.trend + alpha * beta * error
        self.errors.add(error**2)


@functools.cache
def variance_factor(h: int, alpha: float, beta: float, gamma: float = 0.0, m: int = 1) -> float:
    """Of the error h steps ahead, 1 + sum over j < h of c_j^2 (Hyndman et al. 2008, chapter 6)."""
    c = [alpha * (1 + j * beta) + (gamma if j % m == 0 else 0.0) for j in range(1, h)]
    return 1 + math.fsum(v**2 for v in c)
