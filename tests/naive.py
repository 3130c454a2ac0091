"""The slow, obvious oracle of the fold: one resource, plain floats and lists, everything recomputed from what was kept.

It is written to be read beside the definitions, not to be fast: a window is a list, a mean is two passes with fsum,
a score is a list of origins that wait for their outcome. Values inside are in calendar-adjusted units ("y", the value
divided by the expected multiplier of its time); what is published is multiplied back.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from naive_models import (
    MODELS,
    NAN,
    Z95,
    Ewm,
    HoltWinters,
    Score,
    Smoothing,
    crossing,
    deviation,
    mean,
    points_of,
    quantile,
    tier_of,
    variance_factor,
)
from tocsin.core.settings import SMOOTHING, Settings


@dataclass
class Graded:
    """What is known of one value; the fields of Grades."""

    t: float
    x: float
    tier: int = -1
    zscore_tier: int = -1
    seasonal_tier: int = -1
    z: float = NAN
    lower: float = NAN
    upper: float = NAN
    mean: float = NAN
    mean_lower: float = NAN
    mean_upper: float = NAN
    stddev: float = NAN
    n: int = 0
    mature: bool = False
    cv: float = NAN
    expectation: float = NAN
    residual: float = NAN
    delta: float = NAN
    seasonal_z: float = NAN
    residual_n: int = 0
    #: What z and the residual's z were divided by.
    scale: float = NAN
    seasonal_scale: float = NAN
    #: Distance of the nearest boundary of a tier or gate, relative to it: where it is tiny, rounding decides the tier.
    margin: float = math.inf


@dataclass
class Path:
    """One model's way ahead: (h, point, lower, upper), the first at h = 0 (the fit, half width 0)."""

    points: list[tuple[int, float, float, float]]
    breach: float = NAN
    earliest: float = NAN
    latest: float = NAN
    reason: str = ""


class NaiveSignal:
    """One resource of one signal."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.k = 0
        self.window: list[tuple[int, float]] = []
        self.held: list[tuple[int, float]] = []
        self.smoothing = Smoothing()
        self.drift_errors = Ewm()
        self.holt_winters = HoltWinters(settings.seasonal) if settings.seasonal else None
        self.scores = {model: Score() for model in MODELS}
        self.origins: dict[int, tuple[float, dict[str, tuple[float, float, float]]]] = {}

    # ------------------------------------------------------------------------------------------------------ the fold

    def feed(self, t: float, x: float, *, excluded: bool = False, factor: float = 1.0) -> Graded:
        """One grid time: a change of capacity, the grade with what was known, then what is learnt."""
        if factor != 1:
            self.rescale(factor)
        graded = self.grade(t, x)
        self._learn(t, NAN if excluded else x, graded)
        return graded

    def grade(self, t: float, x: float) -> Graded:
        out = Graded(t, x)
        times = self.settings.times_normal(t)
        y = x / times
        self._grade_zscore(out, y, times)
        self._grade_seasonal(out, y, t, times)
        tiers = [out.zscore_tier] if self.settings.zscore is not None else []
        tiers += [out.seasonal_tier] if self.settings.seasonal else []
        out.tier = max(tiers, default=-1)
        if self.settings.normal and math.isfinite(x):
            low, high = self.settings.normal
            if (low is not None and x < low) or (high is not None and x > high):
                out.tier = max(out.tier, 1)
        return out

    def _effective(self, s: float, y: float) -> tuple[float, bool]:
        """The deviation that a distance is divided by, and whether only its last term is left."""
        values = [v for _, v in self.window]
        floor = max(s, self.settings.min_deviation, self.settings.min_deviation_ratio * abs(mean(values)))
        last = 1e-9 * max(abs(v) for v in [*values, y] if math.isfinite(v))
        return max(floor, last), last > floor

    def _grade_zscore(self, out: Graded, y: float, times: float) -> None:
        values = [v for _, v in self.window]
        n = out.n = len(values)
        out.mature = n >= 30
        if n < self.settings.min_samples:
            return
        middle, s = mean(values), deviation(values)
        s_eff, only_last = self._effective(s, y)
        out.scale = s_eff
        half, half_mean = quantile(n) * s_eff * math.sqrt(1 + 1 / n), quantile(n) * s / math.sqrt(n)
        out.mean, out.stddev = middle * times, s * times
        out.mean_lower, out.mean_upper = (middle - half_mean) * times, (middle + half_mean) * times
        out.lower, out.upper = (middle - half) * times, (middle + half) * times
        out.cv = min(s / middle, 1.0) if middle > 0 else NAN
        if math.isfinite(y):
            out.z = (y - middle) / s_eff if s_eff else 0.0
            threshold = 1.8 if self.settings.zscore is None else self.settings.zscore
            out.zscore_tier = self._tier(out, out.z, threshold, only_last)

    def _grade_seasonal(self, out: Graded, y: float, t: float, times: float) -> None:
        model, options = self.holt_winters, self.settings.seasonal
        if model is None or options is None or not model.started:
            return
        part = (t - self.k * self.settings.step) / self.settings.step  # of the way to the next grid time
        now = model.at(self.k, 0) + part * (model.at(self.k, 1) - model.at(self.k, 0))
        out.expectation = now * times
        out.residual = (y - now) * times if math.isfinite(y) else NAN
        n = out.residual_n = len(model.residuals)
        if n < self.settings.min_samples:
            return
        bias = mean(model.residuals)
        s_eff, only_last = self._effective(deviation(model.residuals), y)
        out.seasonal_scale = s_eff
        half = quantile(n) * s_eff * math.sqrt(1 + 1 / n)
        out.lower, out.upper = (now + bias - half) * times, (now + bias + half) * times
        if not math.isfinite(y):
            return
        distance = y - now - bias
        out.seasonal_z = distance / s_eff if s_eff else 0.0
        out.delta = abs(distance) / (options.delta_scale or 1.0)
        graded = out.delta if options.delta_scale else NAN  # without a scale a delta has no tier
        out.seasonal_tier = self._tier(out, out.seasonal_z, options.threshold, only_last, graded)

    def _tier(self, out: Graded, z: float, threshold: float, only_last: bool, delta: float = NAN) -> int:
        tiers, seasonal = self.settings.tiers, self.settings.seasonal
        delta_threshold = seasonal.delta_threshold if seasonal else NAN
        edges = [(abs(z) - end) / end for end in (*tiers.z, threshold) if end]
        if not math.isnan(delta):
            edges += [(delta - end) / end for end in (*tiers.delta, delta_threshold) if end]
        out.margin = min(out.margin, *map(abs, edges))
        if (self.settings.direction == "up" and z < 0) or (self.settings.direction == "down" and z > 0):
            return 0
        if abs(z) < threshold and not delta >= delta_threshold:
            return 0
        by_z = min(tier_of(abs(z), tiers.z), 3 if only_last else 4)
        return by_z if math.isnan(delta) else max(by_z, tier_of(delta, tiers.delta))

    def _learn(self, t: float, x: float, graded: Graded) -> None:
        k = round(t / self.settings.step)
        y = x / self.settings.times_normal(t)
        if math.isfinite(y):
            if graded.zscore_tier >= self.settings.hold_from:
                self._hold(k, y)
            else:
                self._learn_window(k, y)
        if self.holt_winters:
            self.holt_winters.learn(k, y, graded.seasonal_tier, self.settings)
        self.k = k
        if self.settings.forecast and math.isfinite(y):
            self._settle(k, y)
            if k % math.ceil(self.settings.forecast.horizon / 24) == 0:
                self.origins[k] = (y, {m: self._ahead(m, self.settings.forecast.horizon) for m in self._available()})

    def _learn_window(self, k: int, y: float) -> None:
        self.held = []
        if len(self.window) >= 2:
            newest, _ = self.window[-1]
            self.drift_errors.add((y - self._drift_at(k)) ** 2 / (k - newest))
        self.smoothing.learn(y)
        self.window = [*self.window, (k, y)][-self.settings.window :]

    def _hold(self, k: int, y: float) -> None:
        self.held.append((k, y))
        if len(self.held) >= self.settings.relearn_after:
            self.smoothing.level, self.smoothing.trend = mean([v for _, v in self.held]), 0.0
            self.window = self.held[-self.settings.window :]
            self.held = []

    def rescale(self, factor: float) -> None:
        """A change of capacity: everything in the value's unit times old / new."""
        self.window = [(k, v * factor) for k, v in self.window]
        self.held = [(k, v * factor) for k, v in self.held]
        self.smoothing.level *= factor
        self.smoothing.trend *= factor
        self.smoothing.errors.value *= factor**2
        self.drift_errors.value *= factor**2
        if self.holt_winters:
            self.holt_winters.rescale(factor)
        for score in self.scores.values():
            score.error.value *= factor
            score.naive.value *= factor
        for k, (y, ahead) in self.origins.items():
            scaled = {model: (a * factor, b * factor, c * factor) for model, (a, b, c) in ahead.items()}
            self.origins[k] = (y * factor, scaled)

    # ----------------------------------------------------------------------------------------------------- forecasts

    def _available(self) -> list[str]:
        started = self.holt_winters is not None and self.holt_winters.started
        usable = {
            "heuristic": len(self.window) >= 2,
            "smoothing": not math.isnan(self.smoothing.level),
            "holt_winters": started,
        }
        return [model for model in MODELS if usable[model]]

    def _drift_at(self, k: int) -> float:
        (k0, oldest), (k1, newest) = self.window[0], self.window[-1]
        return newest + (newest - oldest) / (k1 - k0) * (k - k1)

    def _ahead(self, model: str, h: int) -> tuple[float, float, float]:
        """Point, lower, upper of a model h steps from the last grid time; h = 0 is the fit, without a width.

        Before a model has made its first error nothing is known of its width.
        """
        season = self.settings.seasonal
        if model == "heuristic":
            point, errors = self._drift_at(self.k + h), self.drift_errors
            factor = h * (1 + h / len(self.window))
        elif model == "smoothing":
            point, errors = self.smoothing.level + h * self.smoothing.trend, self.smoothing.errors
            factor = variance_factor(h, *SMOOTHING)
        else:
            assert self.holt_winters is not None
            assert season is not None
            point, errors = self.holt_winters.at(self.k, h), self.holt_winters.errors
            factor = variance_factor(h, season.alpha, season.beta, season.gamma, season.slots)
        half = 0.0 if h == 0 else Z95 * math.sqrt(errors.value * factor) if errors.count else NAN
        return point, point - half, point + half

    def _settle(self, k: int, y: float) -> None:
        """Score the forecasts that were made for now."""
        assert self.settings.forecast is not None
        origin, ahead = self.origins.pop(k - self.settings.forecast.horizon, (NAN, {}))
        for model, (point, _, upper) in ahead.items():
            self.scores[model].settle(y, origin, point, upper - point)

    def published(self) -> str:
        assert self.settings.forecast is not None
        if self.settings.forecast.model != "auto":
            return self.settings.forecast.model
        scored = [model for model in MODELS if self.scores[model].error.count >= 10]
        if scored:
            return min(scored, key=lambda model: self.scores[model].ratio)
        return "holt_winters" if "holt_winters" in self._available() else "smoothing"

    def path(self, model: str, x: float) -> Path:
        """The way ahead in units of the value, its breach times (unix seconds) or the reason why there is none."""
        assert self.settings.forecast is not None
        step, limit, points = self.settings.step, self.settings.limit, []
        available = model in self._available()
        for h in [0, *points_of(self.settings.forecast.horizon)] if available else []:
            times = self.settings.times_normal((self.k + h) * step)
            point, lower, upper = (v * times for v in self._ahead(model, h))
            points.append((h, point, lower, upper))
        out = Path(points)
        down = self.settings.direction == "down"

        def beyond(value: float) -> bool:
            assert limit is not None
            return value <= limit if down else value >= limit

        score = self.scores[model]
        if limit is None:
            out.reason = "no_limit"
        elif not math.isfinite(x):
            out.reason = "stale"
        elif beyond(x):
            out.reason = "already_breached"
        elif score.error.count < 10 or not available:
            out.reason = "insufficient_data"
        elif score.ratio >= 1:
            out.reason = "poor_fit"
        else:
            hits = [crossing([(p[0], p[i]) for p in points], limit, beyond) for i in (1, 2, 3)]
            out.breach, by_lower, by_upper = ((self.k + h) * step for h in hits)
            out.earliest, out.latest = (by_lower, by_upper) if down else (by_upper, by_lower)
            out.reason = "no_breach" if math.isnan(out.breach) else ""
        return out


def run_start(graded: Sequence[Graded], tier: int) -> float:
    """When the present run at or above a tier began, NaN outside of one; unknown does not end a run."""
    start = NAN
    for g in graded:
        if g.tier >= tier:
            start = g.t if math.isnan(start) else start
        elif g.tier >= 0:
            start = NAN
    return start
