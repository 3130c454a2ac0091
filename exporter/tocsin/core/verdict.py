"""What each detector says of a resource, and which of them gave the tier."""

from tocsin.core.readable import show
from tocsin.core.settings import Settings
from tocsin.core.snapshot import SignalView
from tocsin.names import TIER_LABELS


def leader(view: SignalView, column: int) -> str | None:
    """The detector with the worst tier; of two the seasonal one, whose band is published. None: neither is ready."""
    g, how = view.grades, view.settings
    zscore = int(g.zscore_tier[column]) if how.zscore is not None else -1
    seasonal = int(g.seasonal_tier[column]) if how.seasonal is not None else -1
    if max(zscore, seasonal) < 0:
        return None
    return "seasonal" if seasonal >= zscore else "zscore"


def detector_words(view: SignalView, column: int) -> list[str]:
    """The detector that gave the tier with its numbers; of another one only what it says."""
    g, worst = view.grades, leader(view, column)
    zscore, seasonal = int(g.zscore_tier[column]), int(g.seasonal_tier[column])
    if worst == "seasonal" and view.settings.zscore is not None and zscore >= 0:
        return [*_seasonal_words(view, column), _other_words("zscore", zscore, seasonal)]
    if worst == "zscore" and view.settings.seasonal is not None and seasonal >= 0:
        return [*_zscore_words(view, column), _other_words("seasonal", seasonal, zscore)]
    return [*_zscore_words(view, column), *_seasonal_words(view, column)]


def _other_words(detector: str, tier: int, worst: int) -> str:
    return f"Detector {detector} says {'less' if tier < worst else 'the same'}: tier {tier}, {TIER_LABELS[tier]}."


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
