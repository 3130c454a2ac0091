"""One error budget as it stands: what was read of its SLI, and what follows from that."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from tocsin.core import slo
from tocsin.core.slo import Kind, Pair, Reason

#: Share of the period that has to be seen for a budget to be whole.
WHOLE = 0.99
#: How far outside of 0..1 a share of bad events may lie; Prometheus extrapolates the two counts apart.
TOLERANCE = 0.01


#: Where readings come from: the rules recorded them; the rules are not loaded and the source was asked for the same; it
#: was not read yet; the source gives no answer.
Origin = Literal["recorded", "direct", "unread", "blind"]


@dataclass(frozen=True, slots=True)
class Terms:
    """What an SLO promises; `period` in seconds. `counted`: whether its SLI has events that can be few."""

    service: str
    slo: str
    objective: float
    period: int
    min_bad: int
    counted: bool
    description: str = ""
    #: Kind and name of the alerts that there are.
    alerts: tuple[tuple[Kind, str], ...] = ()

    @property
    def pairs(self) -> tuple[Pair, ...]:
        """The windows that can fire and have an alert."""
        pairs = slo.pairs(self.objective, self.period)
        return tuple(pair for pair in pairs if pair.can_fire and pair.window.kind in dict(self.alerts))


@dataclass(frozen=True, slots=True)
class Readings:
    """What was read: shares of bad events and numbers of events by window in seconds, and of the period.

    `unanswered`: whether something is missing because the source did not answer for it.
    """

    errors: Mapping[int, float] = field(default_factory=dict)
    events: Mapping[int, float] = field(default_factory=dict)
    history: float | None = None
    remaining: float | None = None
    origin: Origin = "recorded"
    unanswered: bool = False

    @property
    def known(self) -> bool:
        """Whether there is an answer at all, be it that there is nothing."""
        return self.origin in ("recorded", "direct")


@dataclass(frozen=True, slots=True)
class SloView:
    """An error budget: what is published and explained. None or nothing for what is not known.

    `t` is the unix time that it is as of; where the source gives no answer that of the last one.
    """

    terms: Terms
    t: float
    readings: Readings
    burn: Mapping[int, float]
    exhausted_at: float | None
    #: Exact 95 % interval of the share of bad events over a day.
    interval: tuple[float, float] | None
    #: Windows at their thresholds, and those of them that little traffic holds back, with the reason.
    burning: tuple[Pair, ...]
    held_back: Mapping[Pair, Reason]
    #: Why a number is missing or less than it seems: unread, blind, unanswered, absent, idle, broken, partial_history.
    reasons: tuple[str, ...]


def assess(terms: Terms, readings: Readings, t: float) -> SloView:
    """Work out everything that follows from the readings."""
    errors = {window: min(max(share, 0.0), 1.0) for window, share in readings.errors.items()}
    burn = {window: slo.burn_rate(share, terms.objective) for window, share in errors.items()}
    exhausted_at = None
    if readings.remaining is not None and slo.RECENT in burn:
        left = slo.exhaustion(readings.remaining, terms.period, burn[slo.RECENT])
        exhausted_at = None if left is None else t + left
    burning = tuple(pair for pair in terms.pairs if _burns(pair, errors))
    held = {}
    if terms.counted:
        for pair in burning:
            total = readings.events.get(pair.window.long, 0.0)
            reason = slo.held_back(pair, errors[pair.window.long] * total, total, terms.min_bad)
            if reason is not None:
                held[pair] = reason
    return SloView(
        terms, t, readings, burn, exhausted_at, _interval(errors, readings), burning, held, _reasons(readings)
    )


def _burns(pair: Pair, errors: Mapping[int, float]) -> bool:
    if pair.window.long == slo.ALL[-1] and errors.get(pair.window.long, 0.0) >= slo.EVERYTHING:
        return True
    return all(errors.get(window, 0.0) >= pair.threshold for window in (pair.window.long, pair.window.short))


def _interval(errors: Mapping[int, float], readings: Readings) -> tuple[float, float] | None:
    total = readings.events.get(slo.RECENT)
    if total is None or slo.RECENT not in errors:
        return None
    lower, upper = slo.exact_interval(errors[slo.RECENT] * total, total)
    return None if math.isnan(lower) else (lower, upper)


def _reasons(readings: Readings) -> tuple[str, ...]:
    if not readings.known:
        return (readings.origin,)
    found = []
    shortest = slo.ALL[0]
    if readings.unanswered:
        found.append("unanswered")
    elif shortest not in readings.errors and readings.events.get(shortest) != 0:
        # As the alert has it: the long windows go on with what was there, and events without a share lack a metric.
        found.append("absent")
    elif readings.events.get(slo.HOUR) == 0:
        found.append("idle")
    if any(not -TOLERANCE <= share <= 1 + TOLERANCE for share in readings.errors.values()):
        found.append("broken")
    if readings.history is not None and readings.history < WHOLE:
        found.append("partial_history")
    return tuple(found)
