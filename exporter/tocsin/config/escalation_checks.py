"""Escalation policies: their levels, which alerts they follow, and checks with the rest of the service."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

from tocsin import names
from tocsin.config.escalation import Escalation, Step, When, parse_times, parse_when
from tocsin.config.faults import Path
from tocsin.config.known import Finding, Known
from tocsin.config.models import Service, Target, TierAlert
from tocsin.config.scales import SCALES
from tocsin.config.signals import relearn_after, wait
from tocsin.config.types import describe, format_duration

#: The longest `after`, and the longest time over which firings are counted.
LONGEST = 86400
#: Points at which a level looks back over its `after`, and over the time in which it counts.
POINTS, POINTS_OF_TIMES = 30, 120
#: A run of a tier is not missed where points are no further apart than this, however long the time is.
TIMES_STEP = 60


@dataclass(frozen=True, slots=True)
class Level:
    """A step that has an alert of its own, and the name of that."""

    index: int
    step: Step
    name: str


def levels(service: Service, policy: str) -> list[Level]:
    """The levels that rules watch; none for a policy of the responder."""
    model = service.escalation[policy]
    if model.via != "rules":
        return []
    return [
        Level(i, step, step.name or names.camel(service.service, "Escalation", policy, step.to))
        for i, step in enumerate(model.steps)
        if _conditions(step)
    ]


def alert_names(service: Service) -> Iterator[tuple[str, Path]]:
    """Names of the alerts of all levels, each with its path."""
    for policy in service.escalation:
        for level in levels(service, policy):
            yield level.name, ("escalation", policy, "steps", level.index, "name")


def looks_every(after: float, target: Target) -> int:
    """Seconds between the points at which it is looked whether something lasts."""
    return max(target.evaluation_interval, target.scrape_interval, round(after / POINTS))


def counts_every(within: int, target: Target) -> int:
    """Seconds between the points at which it is looked whether something has come back."""
    return max(target.evaluation_interval, target.scrape_interval, min(TIMES_STEP, round(within / POINTS_OF_TIMES)))


def severity_of(service: Service, alert: TierAlert) -> str:
    """Severity label of a tier alert."""
    return alert.severity or SCALES[service.severity].tiers[alert.tier - 1]


def first_alerts(service: Service, policy: Escalation) -> dict[str, list[str]]:
    """Tier alerts that are the first level of a policy, by signal: levels of `alert`.

    With a tier these are the alerts on the highest tier that is not above it: they fire whenever the policy's tier is
    reached. With a severity they are the ones that have it. A signal without any is not there.
    """
    when = parse_when(policy.when)
    found: dict[str, list[str]] = {}
    for name, signal in service.signals.items():
        if policy.signals and name not in policy.signals:
            continue
        if when.severity is not None:
            fit = [key for key, alert in signal.alert.items() if severity_of(service, alert) == when.severity]
        else:
            highest = max((a.tier for a in signal.alert.values() if a.tier <= (when.tier or 0)), default=None)
            fit = [key for key, alert in signal.alert.items() if alert.tier == highest]
        if fit:
            found[name] = fit
    return found


def longest_after(service: Service, signal: str) -> int:
    """Seconds after its first alert for which a tier of this signal must last so that every level can fire; 0: none."""
    return max((seconds for _, seconds, _ in _lasting(service, signal)), default=0)


def _lasting(service: Service, signal: str) -> Iterator[tuple[str, int, int]]:
    """Policies that wait for this signal to last: name, the longest `after`, the index of its step."""
    for name, policy in service.escalation.items():
        after, i = max(((step.after or 0, i) for i, step in enumerate(policy.steps)), default=(0, 0))
        if after and signal in first_alerts(service, policy):
            yield name, after, i


def _conditions(step: Step) -> list[str]:
    given = {"after": step.after, "or": step.or_, "if": step.if_}
    return [key for key, value in given.items() if value is not None]


def check(service: Service, known: Known) -> Iterator[Finding]:
    """All findings of a service's escalation."""
    if service.default_receiver is not None:
        yield from _receiver(service.default_receiver, ("default_receiver",), known)
    for name, policy in service.escalation.items():
        at: Path = ("escalation", name)
        yield from _when(service, policy, at)
        for i, step in enumerate(policy.steps):
            where = (*at, "steps", i)
            yield from _receiver(step.to, (*where, "to"), known)
            yield from _step(step, where, parse_when(policy.when))
            if policy.via == "rules" and known.target is not None:
                yield from _resolution(step, where, known.target)
        yield from _order(policy, at)
    for name in service.signals:
        yield from _relearning(service, name)


def _receiver(name: str, at: Path, known: Known) -> Iterator[Finding]:
    if known.receivers is not None and name not in known.receivers:
        there = ", ".join(sorted(known.receivers)) or "none is defined"
        yield Finding(at, f"found {describe(name)}, expected a receiver of the process file ({there})")


def _when(service: Service, policy: Escalation, at: Path) -> Iterator[Finding]:
    when, first = parse_when(policy.when), first_alerts(service, policy)
    reads: tuple[Path, ...] = (("signals",), ("severity",))
    if when.severity is not None:
        if policy.signals:
            message = "found signals with `when: severity`, which is about all alerts, expected them with `tier` only"
            yield Finding((*at, "signals"), message, ((*at, "when"),))
        there = severities(service)
        if when.severity not in there:
            words = ", ".join(there) or "there is none"
            message = f"found {describe(when.severity)}, expected a severity that an alert of the service has ({words})"
            yield Finding((*at, "when"), message, reads)
        return
    for i, name in enumerate(policy.signals):
        if name not in service.signals:
            there = sorted(service.signals)
            words = ", ".join(there) or "there is none"
            yield Finding((*at, "signals", i), f"found {describe(name)}, expected a signal of this service ({words})")
        elif policy.signals.index(name) != i:
            yield Finding((*at, "signals", i), f"found {describe(name)} again, expected each signal once")
        elif name not in first:
            message = f"found {describe(name)}, which has no alert on tier {when.tier} or lower, expected one that has"
            yield Finding((*at, "signals", i), message, (*reads, (*at, "when")))
    if not policy.signals and not first:
        message = f"found `{policy.when}`, expected an alert on tier {when.tier} or lower: nothing tells the first step"
        yield Finding((*at, "when"), message, reads)


def severities(service: Service) -> list[str]:
    """Words that the severity label of the service's alerts can have."""
    words = SCALES[service.severity]
    found: dict[str, None] = {}
    for signal in service.signals.values():
        found |= dict.fromkeys(severity_of(service, alert) for alert in signal.alert.values())
    for threshold in service.thresholds.values():
        for bound, word in ((threshold.warning, words.warning), (threshold.critical, words.critical)):
            if bound is not None:
                found[threshold.severity or word] = None
    for one in (*service.absent, *service.rate_of_change, *service.forecast_breach, *service.alerts):
        found[one.severity or getattr(words, one.level)] = None
    for slo in service.slos.values():
        for model, word in ((slo.alert.page, words.page), (slo.alert.ticket, words.ticket)):
            if model is not False:
                found[model.severity or word] = None
    return sorted(found)


def _step(step: Step, at: Path, when: When) -> Iterator[Finding]:
    given = _conditions(step)
    if not given and at[-1] != 0:
        yield Finding(at, "found no condition, expected after, or, or if: without one only the first step is told")
    if step.if_ is not None and len(given) > 1:
        message = f"found if beside {' and '.join(given[:-1])}, expected it in a step of its own"
        yield Finding((*at, "if"), message, tuple((*at, key) for key in given[:-1]))
    if step.if_ is not None and when.severity is not None:
        message = "found a share of resources with `when: severity`, expected `when: tier >= N`: only tiers say how "
        yield Finding((*at, "if"), message + "many resources there are", ((*at[:-2], "when"),))
    if step.after is not None and step.after > LONGEST:
        yield Finding((*at, "after"), f"found {format_duration(step.after)}, expected at most 1d")
    if step.or_ is not None and parse_times(step.or_).within > LONGEST:
        yield Finding((*at, "or"), f"found {describe(step.or_)}, expected at most 1d")


def _resolution(step: Step, at: Path, target: Target) -> Iterator[Finding]:
    """What Prometheus cannot see, because it scrapes and evaluates too seldom."""
    least = 2 * max(target.scrape_interval, target.evaluation_interval)
    if step.after is not None and step.after < least:
        message = f"found {format_duration(step.after)}, expected at least two scrapes and two evaluations of"
        yield Finding((*at, "after"), f"{message} Prometheus ({format_duration(least)})")
    if step.or_ is not None:
        times = parse_times(step.or_)
        # Each time needs a point at which it is there and one at which it is not, on scrapes that fall in between.
        most = times.within // (4 * counts_every(times.within, target))
        if times.count > most:
            message = f"found {describe(step.or_)}, expected at most {most} times: Prometheus cannot see more"
            yield Finding((*at, "or"), message)


def _order(policy: Escalation, at: Path) -> Iterator[Finding]:
    before: tuple[int, int] | None = None
    for i, step in enumerate(policy.steps):
        if step.after is None:
            continue
        where = (*at, "steps", i, "after")
        if before is not None and step.after <= before[1]:
            message = f"found {format_duration(step.after)}, expected more than the {format_duration(before[1])} of"
            yield Finding(where, f"{message} an earlier step", ((*at, "steps", before[0], "after"),))
        before = (i, step.after)


def _relearning(service: Service, name: str) -> Iterator[Finding]:
    """A level that has become normal can no longer last."""
    signal, lasting = service.signals[name], list(_lasting(service, name))
    if not lasting:
        return
    policy, after, i = max(lasting, key=lambda one: one[1])
    first = first_alerts(service, service.escalation[policy])[name]
    longest = math.ceil(min(wait(signal.alert[key], signal.interval) for key in first)) + after
    steps = relearn_after(signal, longest_after(service, name))
    held, why = format_duration(steps * signal.grid), "the new level would be normal before the last step is told"
    if steps * signal.grid > longest:
        return
    at: Path = ("signals", name)
    where: Path = ("escalation", policy, "steps", i, "after")
    if signal.relearn_after is not None:
        message = f"found {steps} steps ({held}), expected more than the escalation {policy!r} takes"
        message += f" ({format_duration(longest)}): {why}"
        yield Finding((*at, "relearn_after"), message, (at, where))
        return
    message = f"found {format_duration(after)}, expected less for the signal {name!r}, which learns a new level after"
    yield Finding(where, f"{message} {steps} steps at most ({held}): {why}; a longer step of the signal helps", (at,))
