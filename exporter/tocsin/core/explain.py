"""Why a resource has its tier, in plain words and as data: the numbers, the bound crossed, what would change it."""

import math
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from tocsin.core.forecast import REASONS
from tocsin.core.grades import NOISE
from tocsin.core.settings import MODELS, Settings
from tocsin.core.snapshot import Sight, SignalView
from tocsin.names import TIER_LABELS

_WHY_NO_BREACH = {
    "no_limit": "the signal has no limit",
    "stale": "there is no value now",
    "already_breached": "the value is already beyond the limit",
    "insufficient_data": "fewer than 10 forecasts have been compared with what came",
    "poor_fit": "the model is no better than assuming that nothing changes",
    "no_breach": "the forecast does not reach the limit within the horizon",
}

#: How people read a unit: (size, name) from the largest that fits.
_SIZES = {
    "bytes": tuple((2.0 ** (10 * power), name) for power, name in ((4, "TiB"), (3, "GiB"), (2, "MiB"), (1, "KiB"))),
    "seconds": ((86400.0, "d"), (3600.0, "h"), (60.0, "min"), (1.0, "s"), (1e-3, "ms"), (1e-6, "us")),
}
_SUFFIXES = {"bytes": " B", "seconds": " s", "celsius": " C", "per_second": "/s", "per_minute": "/min"}

_WHY_REFUSED = {
    "identity_collision": "they share their identity with another one; name more labels in `by`, or aggregate",
    "missing_label": "they lack a label of `by`",
    "label_too_long": "a label value is longer than 4,096 characters",
    "max_series": "there are more than max_series",
    "malformed_labels": "their labels are no text",
    "native_histogram": "they are native histograms, which have no value; use histogram_quantile()",
}


@dataclass(frozen=True, slots=True)
class Explanation:
    """One resource of one signal. Numbers are in the signal's unit, None where there is nothing to say."""

    service: str
    signal: str
    resource: str
    expr: str
    evaluated_at: str
    tier: int
    label: str
    value: float | None
    expected_lower: float | None
    expected_upper: float | None
    zscore: float | None
    baseline: dict[str, Any]
    detectors: dict[str, dict[str, Any]]
    held_samples: int
    level_shifts: int
    forecast: dict[str, Any] | None
    changes_at: dict[str, dict[str, float | None]]
    sentences: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """Plain data, ready for JSON."""
        return asdict(self)


def _number(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def instant(t: float) -> str:
    """Unix time as ISO 8601 with Z."""
    return datetime.fromtimestamp(t, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def show(value: float | None, unit: str = "none") -> str:
    """A value for people: ratios as percent, everything to four digits."""
    if value is None or not math.isfinite(value):
        return "nothing"
    if unit == "ratio":
        return f"{value * 100:.4g} %"
    for size, name in _SIZES.get(unit, ()):
        if abs(value) >= size:
            return f"{value / size:.4g} {name}"
    return f"{value:.4g}{_SUFFIXES.get(unit, '')}"


def _deviation(view: SignalView, column: int) -> float | None:
    """One standard deviation of the baseline as it counts for any value; None where it never moved at all."""
    g, settings = view.grades, view.settings
    mean, least = abs(float(g.mean[column])), settings.min_deviation * settings.times_normal(g.t)
    scale = max(float(g.stddev[column]), settings.min_deviation_ratio * mean, least)
    return scale if scale > NOISE * mean else None


def _reach(view: SignalView, column: int, tier: int) -> tuple[float | None, float | None]:
    """Values below and above which the resource is at `tier` or worse, from every detector; None for no such value."""
    g, settings, below, above = view.grades, view.settings, [], []
    scale = _deviation(view, column)
    if settings.zscore is not None and g.zscore_tier[column] >= 0 and scale is not None:
        distance = max(settings.tiers.z[tier - 1], settings.zscore) * scale
        below.append(g.mean[column] - distance)
        above.append(g.mean[column] + distance)
    how = settings.seasonal
    if how is not None and g.seasonal_tier[column] >= 0:
        far, gate = settings.tiers.z[tier - 1] * g.seasonal_scale[column], how.threshold * g.seasonal_scale[column]
        if how.delta_scale is not None:
            unit = how.delta_scale * settings.times_normal(g.t)
            far, gate = min(far, settings.tiers.delta[tier - 1] * unit), min(gate, how.delta_threshold * unit)
        centre = g.expectation[column] + g.residual_mean[column]
        below.append(centre - max(far, gate))
        above.append(centre + max(far, gate))
    low = max(below) if below and settings.direction != "up" else None
    high = min(above) if above and settings.direction != "down" else None
    if tier == 1 and settings.normal is not None:
        # Leaving the static range is tier 1 on either side, whatever the detectors say.
        least, most = settings.normal
        low = least if low is None else low if least is None else max(low, least)
        high = most if high is None else high if most is None else min(high, most)
    return (None if low is None else _number(low)), (None if high is None else _number(high))


def explain(view: SignalView, column: int) -> Explanation:
    """Explain one column of a signal."""
    identity = view.resources[column]
    assert identity is not None
    g = view.grades
    tier = int(g.tier[column]) if view.sight is Sight.CLEAR else -1
    forecast = _forecast(view, column)
    changes = {
        TIER_LABELS[t]: dict(zip(("at_or_below", "at_or_above"), _reach(view, column, t), strict=True))
        for t in range(1, 5)
    }
    return Explanation(
        service=view.service,
        signal=view.signal,
        resource=identity.resource,
        expr=view.expr,
        evaluated_at=instant(g.t),
        tier=tier,
        label=TIER_LABELS[tier],
        value=_number(g.x[column]),
        expected_lower=_number(g.lower[column]),
        expected_upper=_number(g.upper[column]),
        zscore=_number(g.z[column]),
        baseline={
            "mean": _number(g.mean[column]),
            "stddev": _number(g.stddev[column]),
            "samples": int(g.n[column]),
            "mature": bool(g.mature[column]),
            "distribution": "z" if g.mature[column] else "t",
        },
        detectors=_detectors(view, column),
        held_samples=int(view.held[column]),
        level_shifts=int(view.shifts[column]),
        forecast=forecast,
        changes_at=changes,
        sentences=tuple(_sentences(view, column, tier, forecast)),
    )


def _detectors(view: SignalView, column: int) -> dict[str, dict[str, Any]]:
    g, out = view.grades, {}
    if view.settings.zscore is not None:
        out["zscore"] = {"tier": int(g.zscore_tier[column]), "zscore": _number(g.z[column])}
    if view.settings.seasonal is not None:
        out["seasonal"] = {
            "tier": int(g.seasonal_tier[column]),
            "zscore": _number(g.seasonal_z[column]),
            "delta": _number(g.delta[column]),
            "expectation": _number(g.expectation[column]),
            "residual": _number(g.residual[column]),
            "residuals": int(g.residual_n[column]),
            "started": bool(view.season_started[column]),
        }
    return out


def _forecast(view: SignalView, column: int) -> dict[str, Any] | None:
    f = view.forecasts
    if f is None or not view.forecasts_known[column]:
        return None
    model = int(f.model[column])
    reason = int(f.reason[column])
    point, half = f.point[model, column], f.half[model, column]
    return {
        "model": MODELS[model],
        "at": instant(f.origin + f.horizon),
        "value": _number(point),
        "lower": _number(point - half),
        "upper": _number(point + half),
        "error_ratio": _number(f.ratio[model, column]),
        "scored": int(f.scored[model, column]),
        "no_breach": None if reason < 0 else REASONS[reason],
        "breach": _moment(f.breach[column]),
        "earliest": _moment(f.earliest[column]),
        "latest": _moment(f.latest[column]),
    }


def _moment(t: float) -> str | None:
    return instant(t) if math.isfinite(t) else None


def _sentences(view: SignalView, column: int, tier: int, forecast: dict[str, Any] | None) -> list[str]:
    g, unit = view.grades, view.unit
    out = []
    if view.sight is not Sight.CLEAR:
        return ["The source has given no answer for two cycles or more: nothing is known now."]
    value = _number(g.x[column])
    if value is None:
        out.append("There is no fresh value: the series is absent, not a finite number, or repeats an old sample.")
        out += [
            f"{n} series of this signal are refused: {_WHY_REFUSED.get(why, why)}." for why, n in view.refused.items()
        ]
    else:
        out.append(_band(view, column, value))
    out += _zscore_words(view, column)
    out += _seasonal_words(view, column)
    if view.settings.normal is not None:
        low, high = (show(bound, unit) if bound is not None else "anything" for bound in view.settings.normal)
        out.append(f"Its normal range is {low} to {high}; leaving it alone makes it tier 1.")
    out += _learning_words(view, column)
    if forecast is not None and view.forecasts_known[column]:
        out.append(_forecast_words(view, forecast))
    out += _change_words(view, column, tier)
    return out


def _band(view: SignalView, column: int, value: float) -> str:
    g, unit = view.grades, view.unit
    low, high = _number(g.lower[column]), _number(g.upper[column])
    if low is None or high is None:
        return f"The value is {show(value, unit)}; too few samples are known to say what to expect."
    place = "inside" if low <= value <= high else "above" if value > high else "below"
    kind = "for this time of the season" if g.seasonal_tier[column] >= 0 else "from the baseline"
    return (
        f"The value is {show(value, unit)}, {place} the expected band {kind}, "
        f"{show(low, unit)} to {show(high, unit)} (95 % prediction interval)."
    )


def _bound(distance: float, ends: tuple[float, ...], tier: int, kind: str, digits: int) -> str:
    shown = f"{distance:.{digits}f}"
    if tier <= 0:
        return f"{kind} {shown} is below {ends[0]:g}, where tier 1 begins"
    crossed = f"above {ends[3]:g}" if tier == 4 else f"at or above {ends[tier - 1]:g}"
    return f"{kind} {shown} is {crossed}, which is {TIER_LABELS[tier]}"


def _grade_of(distance: float, ends: tuple[float, ...]) -> int:
    return sum((distance >= ends[0], distance >= ends[1], distance >= ends[2], distance > ends[3]))


def _directed(distance: float, settings: Settings) -> float:
    return {"up": distance, "down": -distance, "both": abs(distance)}[settings.direction]


def _zscore_words(view: SignalView, column: int) -> list[str]:
    g, settings = view.grades, view.settings
    if settings.zscore is None:
        return []
    n = int(g.n[column])
    if g.zscore_tier[column] < 0:
        return _unready("zscore", n, settings)
    z = _directed(float(g.z[column]), settings)
    maturity = "mature" if g.mature[column] else f"immature, {n} of 30 samples, so Student's t widens the band"
    words = (
        f"Detector zscore: {_bound(z, settings.tiers.z, _grade_of(z, settings.tiers.z), 'z', 2)}. "
        f"The baseline has mean {show(float(g.mean[column]), view.unit)} and standard deviation "
        f"{show(float(g.stddev[column]), view.unit)} "
        f"over {n} samples ({maturity})."
    )
    return [words + _gate_words(z, settings.zscore, settings.tiers.z[0], capped=bool(g.capped[column]))]


def _unready(detector: str, n: int, settings: Settings) -> list[str]:
    """Why a detector says nothing: too few samples, or nothing to grade (which was said before)."""
    if n >= settings.min_samples:
        return []
    return [f"Detector {detector} is not ready: {n} of at least {settings.min_samples} samples."]


def _gate_words(z: float, threshold: float, first: float, *, capped: bool) -> str:
    out = ""
    if first <= z < threshold:
        out += f" It is below the threshold {threshold:g}, so it counts as tier 0."
    if capped and z > 0:
        out += " The baseline is flat: this says that something changed, not how extreme it is, and is tier 3 at most."
    return out


def _seasonal_words(view: SignalView, column: int) -> list[str]:
    g, settings, how = view.grades, view.settings, view.settings.seasonal
    if how is None:
        return []
    if not view.season_started[column]:
        return [f"Detector seasonal is not ready: it needs two whole seasons of {how.slots} steps first."]
    if g.seasonal_tier[column] < 0:
        return _unready("seasonal", int(g.residual_n[column]), settings)
    z = _directed(float(g.seasonal_z[column]), settings)
    words = [_bound(z, settings.tiers.z, _grade_of(z, settings.tiers.z), "residual z", 2)]
    if how.delta_scale is not None:
        delta = float(g.delta[column])
        words.append(_bound(delta, settings.tiers.delta, _grade_of(delta, settings.tiers.delta), "delta", 3))
    expected = show(float(g.expectation[column]), view.unit)
    out = f"Detector seasonal: {expected} was expected for this time; {'; '.join(words)}."
    if g.seasonal_tier[column] == 0 and z >= settings.tiers.z[0]:
        out += " Both are below their thresholds, so it counts as tier 0."
    return [out]


def _learning_words(view: SignalView, column: int) -> list[str]:
    settings, held, out = view.settings, int(view.held[column]), []
    if held:
        left = settings.relearn_after - held
        out.append(
            f"{held} samples in a row are held (too severe to learn); after {left} more the level counts as moved "
            "and becomes the new baseline."
        )
    if view.shifts[column]:
        out.append(
            f"The level was learnt anew {int(view.shifts[column])} times, last at {_moment(view.shifted_at[column])}."
        )
    if view.excluded_by is not None:
        out.append(f"Maintenance window {view.excluded_by!r} holds: samples are graded and not learnt.")
    if not view.repeats_seen:
        out.append(
            "The expression is more than one selector, so a sample that the source repeats for up to five minutes "
            "cannot be told from a new one."
        )
    if settings.seasonal is not None:
        out.append(
            f"A drift slower than about {1 / settings.seasonal.alpha:.0f} steps is learnt, not graded: "
            "the forecast and thresholds are there for that."
        )
    return out


def _forecast_words(view: SignalView, forecast: dict[str, Any]) -> str:
    unit = view.unit
    out = f"Forecast ({forecast['model']}): {show(forecast['value'], unit)} at {forecast['at']}"
    if forecast["upper"] is not None:
        out += f", 95 % interval {show(forecast['lower'], unit)} to {show(forecast['upper'], unit)}"
    if forecast["breach"] is not None:
        latest = forecast["latest"] or "never within the horizon"
        limit, when = show(view.settings.limit, unit), forecast["breach"]
        return f"{out}. It crosses the limit {limit} at {when} (earliest {forecast['earliest']}, latest {latest})."
    return f"{out}. No breach time: {_WHY_NO_BREACH[forecast['no_breach']]}."


def _change_words(view: SignalView, column: int, tier: int) -> list[str]:
    """At which values the tier would fall, and at which it would rise."""
    out = []
    if view.settings.zscore is not None and view.grades.zscore_tier[column] >= 0 and _deviation(view, column) is None:
        out.append(
            f"It never moved from {show(float(view.grades.mean[column]), view.unit)}: any other value is Action."
        )
    for target, verb in ((tier, "stays"), (tier + 1, "becomes")):
        if 1 <= target <= 4:
            low, high = _reach(view, column, target)
            sides = (("below", low), ("above", high))
            bounds = [f"at or {side} {show(bound, view.unit)}" for side, bound in sides if bound is not None]
            if bounds:
                out.append(f"It {verb} {TIER_LABELS[target]} {' or '.join(bounds)}.")
    return out
