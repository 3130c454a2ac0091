"""Tier alerts: one rule for each alert of each signal."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from tocsin import names
from tocsin.config.models import Service, Signal, Target, TierAlert
from tocsin.config.signals import alert_names
from tocsin.config.types import format_duration
from tocsin.generate import promql, templates
from tocsin.generate.paging import Page, pages, quiet
from tocsin.generate.rule import group, links
from tocsin.generate.rule import labels as rule_labels
from tocsin.generate.scales import SCALES

#: Shortest time that an alert fires on after its tier is left.
KEEP_FIRING = 300


@dataclass(frozen=True, slots=True)
class Rule:
    """An alert of a signal, with everything that its rule and its tests need."""

    service: Service
    signal_name: str
    level: str
    target: Target
    #: The alert that pages for this one, if this one goes to Tocsin alone.
    page: Page | None = None

    @property
    def signal(self) -> Signal:
        """The signal whose tier is looked at."""
        return self.service.signals[self.signal_name]

    @property
    def model(self) -> TierAlert:
        """The alert as the configuration has it."""
        return self.signal.alert[self.level]

    @property
    def name(self) -> str:
        """Name of the alert."""
        return alert_names(self.service.service, self.signal_name, {self.level: self.model})[self.level]

    @property
    def severity(self) -> str:
        """Severity label: the alert's own, else the word of the service's scale for the tier."""
        return self.model.severity or SCALES[self.service.severity].tiers[self.model.tier - 1]

    @property
    def matchers(self) -> dict[str, str]:
        """Labels of every series of the signal."""
        return {names.SERVICE: self.service.service, names.SIGNAL: self.signal_name}

    @property
    def labels(self) -> dict[str, str]:
        """Labels that the rule adds."""
        return quiet(self.told) if self.page else self.told

    @property
    def told(self) -> dict[str, str]:
        """Labels of the alert that people are told of."""
        return rule_labels(self.service, self.severity, dimension=self.signal.dimension, page=self.model.page)

    @property
    def wait(self) -> float:
        """Seconds of `for`: n grades are n - 1 intervals apart, and a grade is seen up to one scrape late."""
        if self.model.for_ is not None:
            return self.model.for_
        return (self.model.grades - 1) * self.signal.interval + self.target.scrape_interval

    @property
    def pager(self) -> str:
        """Name of the alert that people are told of."""
        return self.page.name if self.page else self.name

    @property
    def waits(self) -> float:
        """Seconds after which people are told."""
        return self.wait + (self.page.grace if self.page else 0)

    @property
    def keep(self) -> float:
        """Seconds of `keep_firing_for`."""
        return max(self.model.keep_firing_for or 0, KEEP_FIRING, 2 * self.signal.interval)


def rules_of(service: Service, target: Target) -> Iterator[Rule]:
    """All tier alerts of a service, signal by signal."""
    found = pages(service)
    for name, signal in service.signals.items():
        for level in signal.alert:
            rule = Rule(service, name, level, target)
            yield replace(rule, page=found.get(rule.name))


def groups(service: Service, target: Target) -> list[dict[str, Any]]:
    """One rule group per signal that has alerts, so that Prometheus can evaluate them in parallel."""
    found: dict[str, list[dict[str, Any]]] = {}
    for rule in rules_of(service, target):
        found.setdefault(rule.signal_name, []).extend(_rules(rule))
    return [
        group(names.rule_group(service.service, name), target.evaluation_interval, rules)
        for name, rules in found.items()
    ]


def _rules(rule: Rule) -> Iterator[dict[str, Any]]:
    made, page = data(rule), rule.page
    yield made
    if page is not None:
        yield page.rule(made, rule.told)


def data(rule: Rule) -> dict[str, Any]:
    """The rule as Prometheus reads it."""
    labels = rule.labels
    own = {name: labels[name] for name in (names.SEVERITY, names.REMEDIATION) if name in labels}
    return {
        "alert": rule.name,
        "expr": promql.tier(rule.name, own, rule.matchers, rule.model.tier),
        "for": format_duration(rule.wait),
        "keep_firing_for": format_duration(rule.keep),
        "labels": {name: templates.inert(value) for name, value in labels.items()},
        "annotations": annotations(rule),
    }


def annotations(rule: Rule) -> dict[str, str]:
    """Summary, description and those links that the service gives."""
    service, tier = rule.service.service, rule.model.tier
    return {
        "summary": rule.model.summary or templates.summary(service, rule.signal_name, tier),
        "description": rule.model.description or templates.description(rule.signal, tier),
    } | links(rule.service, rule.name, rule.signal_name)
