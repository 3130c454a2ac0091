"""Grade: how far a value is from what was known before it, and its tier (docs/numbers.md, sections 2 and 3)."""

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri, stdtrit

from tocsin.core.columns import Bools, Floats
from tocsin.core.settings import Settings
from tocsin.core.state import State
from tocsin.core.tiers import UNKNOWN, Tiers, tier_of

#: From this many samples on the normal distribution is used (Melody & Meter runbook, section 3).
MATURE = 30
#: The part of the largest value below which a deviation is floating point noise.
NOISE = 1e-9


@cache
def quantiles() -> Floats:
    """97.5 % quantile by number of samples: Student's t with n - 1 degrees of freedom for n = 2..29, then normal."""
    q = np.full(MATURE + 1, np.nan)
    q[2:MATURE] = stdtrit(np.arange(1, MATURE - 1), 0.975)
    q[MATURE] = ndtri(0.975)
    return q


@dataclass(frozen=True, slots=True)
class Grades:
    """One evaluation of all resources at unix time t; every array is (C,), NaN where there is nothing to say.

    Values, bands, means and residuals are in the unit of x; `delta` is a ratio of the
    signal's scale (of 1 where it has none). `zscore_tier` and
    `seasonal_tier` are -1 while that detector is not ready, `tier` is their worst. `capped` marks distances measured
    against floating point noise alone, which are tier 3 at most.
    """

    t: float
    x: Floats
    tier: Tiers
    zscore_tier: Tiers
    seasonal_tier: Tiers
    z: Floats
    lower: Floats
    upper: Floats
    mean: Floats
    mean_lower: Floats
    mean_upper: Floats
    stddev: Floats
    n: NDArray[np.intp]
    cv: Floats
    expectation: Floats
    residual: Floats
    delta: Floats
    seasonal_z: Floats
    residual_n: NDArray[np.intp]
    capped: Bools
    #: One standard deviation as it counts (s_eff), of the baseline and of the residuals, and the residuals' mean.
    scale: Floats
    seasonal_scale: Floats
    residual_mean: Floats

    @property
    def mature(self) -> Bools:
        """Whether the baseline has enough samples for the normal distribution."""
        return self.n >= MATURE


@dataclass(frozen=True, slots=True)
class _Distance:
    """Of a value from a window: signed deviation, its z, the half width of the prediction interval."""

    deviation: Floats
    z: Floats
    half: Floats
    capped: Bools
    ready: Bools
    scale: Floats


@dataclass(frozen=True, slots=True)
class _Now:
    """The values being graded, calendar-adjusted, and the moments of the window that they are graded against."""

    state: State
    y: Floats
    mean: Floats
    spread: Floats

    def largest(self, base: Floats) -> Floats:
        """Largest abs value in each window, exact wherever it can matter against `base` and a lower bound elsewhere.

        No sample is further from the mean than (n - 1) / sqrt(n) standard deviations (Samuelson's inequality), so the
        ring is read only where even that bound would exceed the other terms.
        """
        window, largest = self.state.window, np.abs(self.mean)
        bound = largest + np.nan_to_num(self.spread) * np.sqrt(window.n)
        matters = NOISE * bound > base
        if matters.any():
            matters &= (bound > np.abs(np.nan_to_num(self.y))) & (self.spread > 0)
            columns = np.flatnonzero(matters)
            largest[columns] = window.max_abs(columns)
        return largest

    def distance(self, deviation: Floats, spread: Floats, n: NDArray[np.intp], settings: Settings) -> _Distance:
        """How far `deviation` is from what n samples of standard deviation `spread` make likely."""
        ready = n >= settings.min_samples
        with np.errstate(invalid="ignore", divide="ignore"):
            base = np.maximum(spread, settings.min_deviation_ratio * np.abs(self.mean))
            if settings.min_deviation:
                base = np.maximum(base, settings.min_deviation)
            floor = NOISE * np.fmax(self.largest(base), np.abs(self.y))
            scale = np.fmax(base, floor)
            z = np.where(scale == 0, 0.0, deviation / scale)
            half = quantiles()[np.minimum(n, MATURE)] * scale * np.sqrt(1 + 1 / n)
        z, half = np.where(ready, z, np.nan), np.where(ready, half, np.nan)
        return _Distance(deviation, z, half, floor > base, ready, np.where(ready, scale, np.nan))


def _directed(distance: Floats, settings: Settings) -> Floats:
    """Distance in the direction that counts; negative on the other side."""
    if settings.direction == "up":
        return distance
    return -distance if settings.direction == "down" else np.abs(distance)


def _zscore_tier(distance: _Distance, settings: Settings) -> Tiers:
    threshold = settings.tiers.z[0] if settings.zscore is None else settings.zscore
    z = _directed(distance.z, settings)
    tier = np.where(z < threshold, np.int8(0), tier_of(z, settings.tiers.z))
    tier = np.where(distance.capped, np.minimum(tier, np.int8(3)), tier)
    return np.where(np.isfinite(distance.z), tier, np.int8(UNKNOWN))


@dataclass(frozen=True, slots=True)
class _Season:
    """What the seasonal detector says of each value; NaN and -1 where it has nothing to say."""

    tier: Tiers
    expectation: Floats
    residual: Floats
    residual_mean: Floats
    delta: Floats
    z: Floats
    scale: Floats
    half: Floats
    n: NDArray[np.intp]
    capped: Bools

    @classmethod
    def silent(cls, columns: int) -> "_Season":
        nothing, none = np.full(columns, np.nan), np.zeros(columns, np.intp)
        tier = np.full(columns, UNKNOWN, np.int8)
        return cls(tier, nothing, nothing, nothing, nothing, nothing, nothing, nothing, none, none > 0)


def _season(now: _Now, t: float, settings: Settings) -> _Season:
    """Grade the residuals at unix time t."""
    state, how = now.state, settings.seasonal
    if state.residuals is None or state.holt_winters is None or state.k is None or how is None:
        return _Season.silent(now.y.size)
    expectation = state.holt_winters.expected(state.k, t / settings.step - state.k)
    residual = now.y - expectation
    mean, spread = state.residuals.moments()
    n = state.residuals.n
    distance = now.distance(residual - mean, spread, n, settings)
    z, gate = _directed(distance.z, settings), np.abs(distance.z) < how.threshold
    tier = tier_of(z, settings.tiers.z)
    tier = np.where(distance.capped, np.minimum(tier, np.int8(3)), tier)
    delta = np.where(distance.ready, distance.deviation / (how.delta_scale or 1.0), np.nan)
    if how.delta_scale is not None:
        gate &= np.abs(delta) < how.delta_threshold
        tier = np.maximum(tier, tier_of(_directed(delta, settings), settings.tiers.delta))
    tier = np.where(np.isfinite(distance.z), np.where(gate, np.int8(0), tier), np.int8(UNKNOWN))
    capped = distance.ready & distance.capped
    return _Season(
        tier, expectation, residual, mean, np.abs(delta), distance.z, distance.scale, distance.half, n, capped
    )


def _outside_normal(x: Floats, settings: Settings) -> Bools:
    low, high = settings.normal or (None, None)
    outside = np.zeros(x.shape, np.bool_)
    with np.errstate(invalid="ignore"):
        if low is not None:
            outside |= x < low
        if high is not None:
            outside |= x > high
    return outside


def grade(state: State, x: Floats, t: float, settings: Settings) -> Grades:
    """Grade the newest value of each resource at unix time t. Pure.

    x: (C,) float64 in the signal's unit, NaN or infinite where there is no value. t may lie between grid times, at most
    one step after the last one learnt.
    """
    x = np.where(np.isfinite(x), x, np.nan)
    times = settings.times_normal(t)
    y = x / times
    n = state.window.n
    mean, spread = state.window.moments()
    now = _Now(state, y, mean, spread)
    plain = now.distance(y - mean, spread, n, settings)
    zscore_tier = _zscore_tier(plain, settings)
    season = _season(now, t, settings)
    seasonal = np.isfinite(season.half)
    centre = np.where(seasonal, season.expectation + season.residual_mean, mean)
    half = np.where(seasonal, season.half, plain.half)
    tier = season.tier if settings.zscore is None else np.maximum(zscore_tier, season.tier)
    tier = np.where(_outside_normal(x, settings), np.maximum(tier, np.int8(1)), tier)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean_half = quantiles()[np.minimum(n, MATURE)] * spread / np.sqrt(n)
        cv = np.where(mean > 0, np.clip(spread / mean, 0.0, 1.0), np.nan)
    return Grades(
        t=t,
        x=x,
        tier=tier,
        zscore_tier=zscore_tier,
        z=plain.z,
        lower=(centre - half) * times,
        upper=(centre + half) * times,
        mean=mean * times,
        mean_lower=(mean - mean_half) * times,
        mean_upper=(mean + mean_half) * times,
        stddev=spread * times,
        n=n.copy(),
        cv=cv,
        expectation=season.expectation * times,
        residual=season.residual * times,
        delta=season.delta,
        seasonal_z=season.z,
        residual_n=season.n.copy(),
        capped=plain.capped | season.capped,
        scale=plain.scale * times,
        seasonal_scale=season.scale * times,
        residual_mean=season.residual_mean * times,
        seasonal_tier=season.tier,
    )
