"""An error budget in plain words, for somebody who has never met one."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from tocsin.core import slo
from tocsin.core.budget import SloView
from tocsin.core.readable import instant, show

_DAY, _HOUR, _MINUTE = 86400, 3600, 60

_WHY = {
    "unread": "It was not read yet: that is done as soon as the source answers.",
    "blind": "Nothing is known of it since {t}: the source gives no answer.",
    "unanswered": "The source did not answer for all of it, so that numbers are missing; it is asked again.",
    "absent": (
        "What its SLI asks for has no result now, so that no alert of it can fire. Is the target up, are the metrics "
        "and their labels still called so, and has the histogram of a latency a bucket at exactly `le`?"
    ),
    "idle": "Nothing happened in the last hour, so nothing was bad; that is no fault.",
    "broken": "More is bad than there is, or less than nothing: the expressions of the SLI do not fit together.",
    "partial_history": "Not all of the period has been seen yet, so that the budget may look fuller than it is.",
}
#: The same in a few words.
_NOTES = {
    "unread": "not read yet",
    "blind": "no answer from the source",
    "unanswered": "not all was answered",
    "absent": "its SLI has no result",
    "idle": "no events in the last hour",
    "broken": "its SLI does not add up",
    "partial_history": "the period was not seen whole yet",
}
_HELD = {
    "few_bad_events": "there are fewer bad events than min_bad",
    "not_significant": "so few events may be bad by chance",
}


@dataclass(frozen=True, slots=True)
class Explanation:
    """What is known of an SLO, as numbers and as sentences."""

    view: SloView
    sentences: tuple[str, ...]

    @property
    def notes(self) -> tuple[str, ...]:
        """What is missing, in a few words each."""
        rules = ("its rules are not loaded",) if self.view.readings.origin == "direct" else ()
        return (*rules, *(_NOTES[reason] for reason in self.view.reasons))

    def as_dict(self) -> dict[str, Any]:
        """Plain data; what is not known is null."""
        view, terms = self.view, self.view.terms
        burning = [name for name, pairs in _firing(view) if pairs]
        recorded = view.readings.origin == "recorded"
        return {
            "service": terms.service,
            "slo": terms.slo,
            "evaluated_at": instant(view.t) if view.readings.known else None,
            "objective": terms.objective,
            "period_seconds": terms.period,
            "burn_rates": {length(window): burn for window, burn in sorted(view.burn.items())},
            "error_budget_remaining": view.readings.remaining,
            "exhausted_at": None if view.exhausted_at is None else instant(view.exhausted_at),
            "history": view.readings.history,
            "error_ratio_interval": view.interval,
            "origin": view.readings.origin,
            "firing": burning if recorded else [],
            "would_fire": [] if recorded else burning,
            "held_back": sorted(set(view.held_back.values())),
            "reasons": list(view.reasons),
            "sentences": list(self.sentences),
        }


def explain(view: SloView) -> Explanation:
    """Say what the SLO promises, how it stands, what is missing and what would page."""
    parts = (_promise, _standing, _missing, _alerts, _held_back)
    return Explanation(view, tuple(sentence for part in parts for sentence in part(view)))


def length(seconds: float) -> str:
    """A span of time in its largest whole unit: 6h, 30m, 52s."""
    for unit, size in (("d", _DAY), ("h", _HOUR), ("m", _MINUTE)):
        if seconds >= size and seconds % size == 0:
            return f"{seconds / size:.0f}{unit}"
    return about(seconds)


def about(seconds: float) -> str:
    """A span of time for reading: two units at most."""
    whole = round(seconds)
    units = (("d", _DAY), ("h", _HOUR), ("m", _MINUTE), ("s", 1))
    for (unit, size), (less, smaller) in pairwise(units):
        if whole >= size:
            n, rest = divmod(whole, size)
            return f"{n}{unit}" + (f" {rest // smaller}{less}" if rest // smaller else "")
    return f"{whole}s"


def percent(ratio: float) -> str:
    """A ratio as a percentage, without more digits than say something."""
    return f"{100 * ratio:.4g}%"


def _promise(view: SloView) -> Iterator[str]:
    terms = view.terms
    if terms.description:
        yield terms.description
    allowed = 1 - terms.objective
    budget = f"{percent(allowed)} may be bad: that is the error budget"
    if not terms.counted:
        budget += f", {about(allowed * terms.period)} of bad time"
    yield f"{percent(terms.objective)} has to be good over {length(terms.period)}; {budget}."


def _standing(view: SloView) -> Iterator[str]:
    left, history = view.readings.remaining, view.readings.history
    if left is not None:
        seen = "" if history is None else f" ({percent(history)} of the period was seen)"
        yield f"{percent(left)} of the budget is left{seen}." if left > 0 else f"The budget is spent{seen}."
    burn = view.burn.get(slo.RECENT)
    if burn is None:
        return
    if burn == 0:
        yield "Nothing was bad in the last day, so nothing burns."
        return
    end = ""
    if view.exhausted_at is None and left is not None and left > 0:
        end = f"; at that rate it lasts longer than {slo.IN_SIGHT} periods"
    elif view.exhausted_at is not None:
        when = f"{about(view.exhausted_at - view.t)} from now, at {instant(view.exhausted_at)}"
        end = f"; at that rate nothing is left {when}"
    yield f"Over the last day it burned {show(burn)} times as fast as the budget allows{end}."
    if view.interval is not None:
        lower, upper = view.interval
        yield f"With so many events the true share of bad ones is between {percent(lower)} and {percent(upper)} (95 %)."


def _missing(view: SloView) -> Iterator[str]:
    if view.readings.origin == "direct":
        yield (
            "Its recording rules are not loaded (`tocsin generate rules` writes them), so its alerts cannot fire; the "
            "source is asked for its numbers directly, every five minutes."
        )
    yield from (_WHY[reason].format(t=instant(view.t)) for reason in view.reasons)


def _firing(view: SloView) -> Iterator[tuple[str, list[slo.Pair]]]:
    for kind, name in view.terms.alerts:
        yield name, [p for p in view.burning if p.window.kind == kind and p not in view.held_back]


def _alerts(view: SloView) -> Iterator[str]:
    terms = view.terms
    for (kind, name), (_, firing) in zip(terms.alerts, _firing(view), strict=True):
        pairs = [pair for pair in terms.pairs if pair.window.kind == kind]
        bounds = " or ".join(
            f"{show(p.factor)} over {length(p.window.long)} and {length(p.window.short)} ({percent(p.threshold)} bad)"
            for p in pairs
        )
        if firing:
            now = ", ".join(f"{show(view.burn.get(p.window.long, 0.0))} over {length(p.window.long)}" for p in firing)
            fires = "fires" if view.readings.origin == "recorded" else "would fire if its rules were loaded"
            yield f"{name} ({kind}) {fires}: the burn rate is {now}. Its bounds: {bounds}."
            continue
        found = [slo.detection(pair, 1.0, terms.period, terms.objective) for pair in pairs]
        soonest = min((d.seconds for d in found if d is not None), default=0.0)
        yield f"{name} ({kind}) would fire at a burn rate of {bounds}; if everything failed, after {about(soonest)}."
    if not terms.alerts:
        yield "It has no alert."


def _held_back(view: SloView) -> Iterator[str]:
    for pair, reason in view.held_back.items():
        yield f"The burn rate over {length(pair.window.long)} is at its bound, but nothing fires: {_HELD[reason]}."
