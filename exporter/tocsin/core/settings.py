"""What the fold needs to know of one signal, as plain frozen numbers.

Durations are whole seconds, `step` a multiple of `interval`; horizons and seasons are counted in steps.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from tocsin.core.tiers import TierTable

Direction = Literal["both", "up", "down"]
ModelChoice = Literal["auto", "heuristic", "smoothing", "holt_winters"]

#: Forecast models, in the order of every array that has one row per model.
MODELS = ("heuristic", "smoothing", "holt_winters")

#: Double exponential smoothing (level, trend), docs/numbers.md section 4.
SMOOTHING = (0.3, 0.1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Seasonal:
    """The seasonal detector: Holt-Winters with one additive season of `slots` steps."""

    slots: int
    threshold: float = 1.8
    delta_threshold: float = 0.05
    #: What one unit of residual delta is: 1 for ratios, the declared scale otherwise, None for no delta tiers.
    delta_scale: float | None = None
    alpha: float = 0.1
    beta: float = 0.01
    gamma: float = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """How far to look ahead, in steps, and with which model."""

    horizon: int
    model: ModelChoice = "auto"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """One signal, as the fold sees it. `zscore` is the threshold of the z detector, None when it is not asked for."""

    interval: int = 60
    step: int = 60
    window: int = 60
    min_samples: int = 10
    min_deviation: float = 0.0
    min_deviation_ratio: float = 0.01
    direction: Direction = "both"
    zscore: float | None = 1.8
    seasonal: Seasonal | None = None
    hold_from: int = 4
    relearn_after: int = 60
    tiers: TierTable = field(default_factory=TierTable)
    normal: tuple[float | None, float | None] | None = None
    limit: float | None = None
    forecast: Forecast | None = None
    #: Expected multiplier at a unix time (a calendar); None is 1 everywhere.
    multiplier: Callable[[float], float] | None = None

    def times_normal(self, t: float) -> float:
        """How many times normal the value is expected to be at unix time t."""
        return 1.0 if self.multiplier is None else self.multiplier(t)

    @property
    def warmup_steps(self) -> int:
        """Grid times that a warm start needs (docs/numbers.md, section 1)."""
        season = 2 * self.seasonal.slots + 30 if self.seasonal else 0
        learn = max(self.window, season) + self.relearn_after
        return max(learn, -(-3 * self.forecast.horizon // 2) if self.forecast else 0)
