"""Why a resource has its tier, in plain words and as data: the numbers, the bound crossed, what would change it."""

import math
from dataclasses import asdict, dataclass
from typing import Any

from tocsin.core.forecast import REASONS
from tocsin.core.grades import NOISE
from tocsin.core.readable import instant, show
from tocsin.core.settings import MODELS
from tocsin.core.snapshot import Sight, SignalView
from tocsin.core.verdict import detector_words, leader
from tocsin.names import TIER_LABELS

__all__ = ["Explanation", "explain", "instant", "show"]

_WHY_NO_BREACH = {
    "no_limit": "the signal has no limit",
    "stale": "there is no value now",
    "already_breached": "the value is already beyond the limit",
    "insufficient_data": "fewer than 10 forecasts have been compared with what came",
    "poor_fit": "the model is no better than assuming that nothing changes",
    "no_breach": "the forecast does not reach the limit within the horizon",
}

_REPEATED = "a sample that the source repeats for up to five minutes cannot be told from a new one."
#: What it means that the expression has no sample times, by the reason; none where nothing could repeat.
_UNSTAMPED = {
    None: f"The expression does not say when its samples were taken, so {_REPEATED}",
    "unknown": f"The expression is not understood, so nobody asks when its samples were taken: {_REPEATED}",
    "range": (
        "The expression looks back over a range, so it has a value for as long as old samples are in it: one without "
        "a new sample cannot be told from one with."
    ),
    "fixed": "The expression looks at a fixed time (@), so it repeats the same sample on purpose.",
    "many": f"The expression is more than one selector, each with sample times of its own, so {_REPEATED}",
    "aggregate": f"The expression aggregates samples, each with a time of its own, so {_REPEATED}",
    "names": f"The selector can find metrics of several names, whose sample times would collide, so {_REPEATED}",
    "computed": (
        "The expression computes more than a selector times or divided by constants, which alone says when a sample "
        f"was taken, so {_REPEATED}"
    ),
}

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
    """One resource of one signal. Numbers are in the signal's unit, None where there is nothing to say.

    `graded_by` is the detector that gave the tier, or `normal` where the static range did; `zscore` is the distance
    that the detector saw, the worst one's where no detector gave it.
    """

    service: str
    signal: str
    resource: str
    expr: str
    evaluated_at: str
    tier: int
    label: str
    graded_by: str | None
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
    worst = leader(view, column)
    detectors = _detectors(view, column)
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
        graded_by=_graded_by(worst, detectors, tier),
        zscore=None if worst is None else detectors[worst]["zscore"],
        baseline={
            "mean": _number(g.mean[column]),
            "stddev": _number(g.stddev[column]),
            "samples": int(g.n[column]),
            "mature": bool(g.mature[column]),
            "distribution": "z" if g.mature[column] else "t",
        },
        detectors=detectors,
        held_samples=int(view.held[column]),
        level_shifts=int(view.shifts[column]),
        forecast=forecast,
        changes_at=changes,
        sentences=tuple(_sentences(view, column, tier, forecast)),
    )


def _graded_by(worst: str | None, detectors: dict[str, dict[str, Any]], tier: int) -> str | None:
    if tier < 0:
        return None
    return worst if worst is not None and detectors[worst]["tier"] == tier else "normal"


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
    out += detector_words(view, column)
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
    if not view.repeats_seen and view.unstamped in _UNSTAMPED:
        out.append(_UNSTAMPED[view.unstamped])
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
