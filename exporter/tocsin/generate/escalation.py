"""Timed escalation without state: one alert for each level that rules watch.

Nothing waits in memory, in `for` or in `keep_firing_for`: each expression looks back over gauges, or over the alerts,
that Prometheus has stored. So a restart of Prometheus, of Tocsin or of both changes neither when a level fires nor
whether it does, as long as it takes less than a fifth of the level's time.
"""

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from tocsin import names
from tocsin.config import escalation_checks
from tocsin.config.escalation import Escalation, Step, Times, When, parse_share, parse_times, parse_when
from tocsin.config.models import Service, Target
from tocsin.config.scales import SCALES
from tocsin.config.types import format_duration
from tocsin.generate import escalation_text, promql, rule, tier

#: Share of the points of a time at which something must be known to last: what is missing may have been a restart.
ENOUGH = 0.8
#: Severities that alerts about Tocsin itself can have: these are not told to a service's people.
OF_META = ("critical", "warning", "none")
#: Resources below which a share of them says nothing.
LEAST_RESOURCES = 3

#: Identity of what a level is about: a resource of a signal, a resource, all of the service.
SERIES = names.joined(names.BASE_LABELS)
_RESOURCE = names.joined((names.SERVICE, names.RESOURCE))


@dataclass(frozen=True, slots=True)
class Range:
    """A time to look back over in steps, both in seconds."""

    seconds: int
    step: int

    def __str__(self) -> str:
        return f"[{format_duration(self.seconds)}:{format_duration(self.step)}]"

    @property
    def points(self) -> int:
        """Points of which at least so many are in it."""
        return self.seconds // self.step

    @property
    def enough(self) -> int:
        """Points at which something must hold, to hold for the whole time."""
        return math.ceil(round(ENOUGH * self.points, 6))


@dataclass(frozen=True)
class Arm:
    """Signals whose first alert waits equally long, and the time for which they must last."""

    signals: tuple[str, ...]
    range: Range


@dataclass(frozen=True)
class Level:
    """A level that has an alert, with everything that its rule and its tests need."""

    service: Service
    policy: str
    level: escalation_checks.Level
    target: Target

    @property
    def name(self) -> str:
        """Name of the alert."""
        return self.level.name

    @property
    def step(self) -> Step:
        """The level as the configuration has it."""
        return self.level.step

    @property
    def model(self) -> Escalation:
        """The policy as the configuration has it."""
        return self.service.escalation[self.policy]

    @cached_property
    def when(self) -> When:
        """What the policy is about."""
        return parse_when(self.model.when)

    @property
    def least(self) -> int:
        """The least tier; only where the policy is about one."""
        assert self.when.tier is not None
        return self.when.tier

    @property
    def times(self) -> Times | None:
        """How often it must come back, if that is a condition."""
        return None if self.step.or_ is None else parse_times(self.step.or_)

    @property
    def share(self) -> float | None:
        """The share of resources, if that is the condition."""
        return None if self.step.if_ is None else parse_share(self.step.if_)

    @cached_property
    def first(self) -> list[tier.Rule]:
        """The tier alerts that this level follows; with a tier only."""
        first = escalation_checks.first_alerts(self.service, self.model)
        found = tier.rules_of(self.service, self.target)
        return [alert for alert in found if alert.level in first.get(alert.signal_name, ())]

    @property
    def signals(self) -> tuple[str, ...]:
        """Signals that the policy is about."""
        return tuple(dict.fromkeys(alert.signal_name for alert in self.first))

    @property
    def severity(self) -> str:
        """Severity label: that of the policy, else the word of the service's scale for its tier."""
        return self.when.severity or SCALES[self.service.severity].tiers[self.least - 1]

    @property
    def labels(self) -> dict[str, str]:
        """Labels that the rule adds.

        A level pages where one of the alerts does that it follows: `page` is asked for there, once. With a severity
        each level has it, and the dimension, from the alert itself.
        """
        first = [] if self.when.tier is None else self.first
        dimensions = {alert.signal.dimension for alert in first}
        dimension = dimensions.pop() if len(dimensions) == 1 else None
        page = any(alert.model.page for alert in first)
        labels = rule.labels(self.service, self.severity, dimension=dimension, page=page)
        return labels | {names.ESCALATION: self.policy, names.RECEIVER: self.step.to}

    @property
    def arms(self) -> list[Arm]:
        """How long each signal must last: `after` counts from when its first alert fires, which itself waits."""
        assert self.step.after is not None
        waits: dict[int, list[str]] = {}
        for name in self.signals:
            wait = min(alert.waits for alert in self.first if alert.signal_name == name)
            waits.setdefault(math.ceil(wait), []).append(name)
        every = escalation_checks.looks_every(self.step.after, self.target)
        return [Arm(tuple(found), Range(self.step.after + wait, every)) for wait, found in waits.items()]

    @property
    def lasts(self) -> Range:
        """How long an alert must fire, where the policy is about alerts."""
        assert self.step.after is not None
        return Range(self.step.after, escalation_checks.looks_every(self.step.after, self.target))

    @property
    def gap(self) -> Range:
        """How long an alert may be away while it lasts."""
        lasts = self.lasts
        return Range(max(2 * lasts.step, lasts.seconds - lasts.enough * lasts.step), lasts.step)

    @property
    def counted(self) -> Range:
        """The time over which it is counted how often it came back."""
        assert self.times is not None
        return Range(self.times.within, escalation_checks.counts_every(self.times.within, self.target))

    @property
    def everywhere(self) -> Range:
        """How long a share must last: as long as the slowest of the first alerts waits, so that no outlier counts."""
        wait = math.ceil(max(alert.waits for alert in self.first))
        every = escalation_checks.looks_every(wait, self.target)
        return Range(max(wait, every), every)

    @property
    def keep(self) -> int:
        """Seconds of `keep_firing_for`: a share is looked at over too short a time to outlast a restart of Tocsin."""
        return 0 if self.share is None else tier.KEEP_FIRING

    @property
    def acknowledges(self) -> list[str]:
        """Alerts whose acknowledgement ends this level, with a tier: those that it follows, and the policy's levels."""
        levels = escalation_checks.levels(self.service, self.policy)
        return [*(alert.pager for alert in self.first), *(level.name for level in levels)]


def levels(service: Service, target: Target) -> list[Level]:
    """All levels of a service that have an alert, policy by policy."""
    return [
        Level(service, policy, level, target)
        for policy in service.escalation
        for level in escalation_checks.levels(service, policy)
    ]


def groups(service: Service, target: Target) -> Iterator[dict[str, Any]]:
    """One rule group for each policy."""
    for policy in service.escalation:
        rules = [data(level) for level in levels(service, target) if level.policy == policy]
        if rules:
            yield rule.group(names.rule_group(service.service, "escalation", policy), target.evaluation_interval, rules)


def data(level: Level) -> dict[str, Any]:
    """The rule as Prometheus reads it."""
    texts = {"summary": escalation_text.summary(_told(level)), "description": escalation_text.description(_told(level))}
    subject = level.signals[0] if level.when.tier is not None and len(level.signals) == 1 else level.policy
    links = rule.links(level.service, level.name, subject, resource=level.share is None)
    return rule.alert(level.name, expr(level), level.labels, texts | links, keep=level.keep)


def _told(level: Level) -> escalation_text.Told:
    repeats = None
    if level.times is not None and level.when.tier is not None:
        any_signal = f"max by ({SERIES}) ({names.metric('severity_level')}{escalation_text.HERE}) >= 0"
        repeats = _rises(any_signal, level.least, level.counted)
    return escalation_text.Told(level.service.service, level.policy, level.when, level.step, repeats)


def expr(level: Level) -> str:
    """The expression of a level, as what it is about asks for."""
    if level.share is not None:
        return _share(level)
    if level.when.severity is not None:
        return _of_alerts(level)
    return _of_tiers(level)


# ------------------------------------------------------------------------------------------------ tiers


def tiers(level: Level, signals: Sequence[str]) -> str:
    """Known tiers of these signals; what is unknown is not there."""
    metric, service = names.metric("severity_level"), {names.SERVICE: level.service.service}
    if len(signals) == 1:
        found = promql.selector(metric, service | {names.SIGNAL: signals[0]})
    elif len(signals) == len(level.service.signals):
        found = promql.selector(metric, service)
    else:
        found = _matching(metric, service, names.SIGNAL, signals)
    return f"max by ({SERIES}) ({found}) >= 0"


def _matching(metric: str, equal: dict[str, str], label: str, values: Sequence[str]) -> str:
    """A selector in which one label has one of several values."""
    pattern = promql.quote("|".join(re.escape(value) for value in values))
    return f"{promql.selector(metric, equal)[:-1]}, {label}=~{pattern}}}"


def _of_tiers(level: Level) -> str:
    arms = []
    if level.step.after is not None:
        for arm in level.arms:
            known = tiers(level, arm.signals)
            arms.append(
                f"min_over_time(({known}){arm.range}) >= {level.least}\n"
                f"  and count_over_time(({known} >= {level.least}){arm.range}) >= {arm.range.enough}"
            )
    if level.times is not None:
        known = tiers(level, level.signals)
        arms.append(f"{_rises(known, level.least, level.counted)} >= {level.times.count}")
    acknowledged = _matching(
        names.ACKNOWLEDGED, {names.SERVICE: level.service.service}, names.ALERTNAME, level.acknowledges
    )
    return f"({_either(arms)})\nunless on ({SERIES}) max by ({SERIES}) ({acknowledged} == 1)"


def _rises(known: str, least: int, over: Range) -> str:
    """How often a tier was reached from below: all changes of a 0 or 1, less those to 0."""
    reached = f"(({known}) >= bool {least}){over}"
    return f"changes({reached}) - resets({reached})"


def _either(arms: Sequence[str]) -> str:
    return "\nor ".join(arms)


def _share(level: Level) -> str:
    """The share of the service's known resources, by their worst signal; an acknowledged one counts as well."""
    service, over = {names.SERVICE: level.service.service}, level.everywhere
    known = tiers(level, level.signals)
    acknowledged = _matching(names.ACKNOWLEDGED, service, names.ALERTNAME, level.acknowledges)
    worst = f"max by ({_RESOURCE}) ({known})"
    open_ = f"max by ({_RESOURCE}) ({known} unless on ({SERIES}) max by ({SERIES}) ({acknowledged} == 1))"
    resources = f"(count by ({names.SERVICE}) ({worst}) >= {LEAST_RESOURCES})"
    share = f"(sum by ({names.SERVICE}) ({open_} >= bool {level.least} or {worst} * 0) / {resources})"
    of_all = promql.selector(names.ACKNOWLEDGED, service | {names.ALERTNAME: level.name})
    return (
        f"(min_over_time({share}{over}) > {level.share:.12g}\n"
        f"  and count_over_time({resources}{over}) >= {over.enough})\n"
        f"unless on ({names.SERVICE}) max by ({names.SERVICE}) ({of_all} == 1)"
    )


# ------------------------------------------------------------------------------------------------ alerts


def _of_alerts(level: Level) -> str:
    """Every alert of a severity but the levels themselves, each by its own labels.

    `ALERTS` has no series for an alert that does not fire, so nothing tells one that was away for a moment from one
    that has just begun: it must have fired at the beginning of the time too, in most of it, and now.
    """
    arms = []
    if level.step.after is not None:
        lasts, offset = level.lasts, format_duration(level.lasts.seconds)
        arms.append(
            f"{_firing(level)}\n"
            f"  and count_over_time(({_firing(level)}){lasts}) >= {lasts.enough}\n"
            f"  and count_over_time(({_firing(level)}){level.gap} offset {offset}) >= 1"
        )
    if level.times is not None:
        counted = level.counted
        before = _firing(level, f" offset {format_duration(counted.step)}")
        began = f"({_firing(level)} unless {before}){counted}"
        arms.append(f"count_over_time({began}) >= {level.times.count}")
    own = names.joined((names.ALERTNAME, *names.BASE_LABELS))
    acknowledged = promql.selector(names.ACKNOWLEDGED, {names.SERVICE: level.service.service})
    return (
        f"label_replace(\n({_either(arms)})\n"
        f"unless on ({own}) max by ({own}) ({acknowledged} == 1),\n"
        f'"{names.ESCALATED}", "$1", "{names.ALERTNAME}", "(.*)")'
    )


def _firing(level: Level, offset: str = "") -> str:
    matchers = {names.SERVICE: level.service.service, names.SEVERITY: level.severity, names.ALERTSTATE: "firing"}
    found = promql.selector(names.ALERTS, matchers | {names.ESCALATION: ""})
    if level.severity in OF_META:
        found = f"{found[:-1]}, {names.ALERTNAME}!~{promql.quote('|'.join(names.META_ALERTS))}}}"
    return f"max without ({names.ALERTSTATE}) ({found}{offset})"
