"""The rules that are looked at together, and what is known of the series beside them."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import product
from typing import Any

import promql_parser as promql

from tocsin import names
from tocsin.config import expr as text
from tocsin.config.models import Service
from tocsin.config.slo import Sli
from tocsin.config.window import over
from tocsin.core.resources import exported_name
from tocsin.generate.lint.tree import equalities, metric, selectors

#: What Prometheus itself writes for every target.
SCRAPED = frozenset(
    {"up", "scrape_duration_seconds", "scrape_samples_scraped", "scrape_samples_post_metric_relabeling"}
    | {"scrape_series_added"}
)
#: What it writes for every alert that is pending or fires.
ALERT_SERIES = frozenset({names.ALERTS, "ALERTS_FOR_STATE"})
#: Labels of a target that every scraped series has.
TARGET_LABELS = frozenset({"job", "instance"})
#: What Tocsin exposes beside the gauges of resources, each with its labels.
EXPOSED = {family.name: family.labels for family in (*names.OWN.values(), *names.SLO_FAMILIES.values())}
EXPOSED[names.ACKNOWLEDGED] = (names.ALERTNAME, *names.BASE_LABELS)
#: Gauges of resources, each with the labels that it has beside theirs.
OF_RESOURCES = {family.name: family.labels for family in names.FAMILIES.values()}


@dataclass(frozen=True, eq=False)
class Rule:
    """One rule of a file; `generated` tells ours from somebody's own."""

    file: str
    group: str
    data: Mapping[str, Any]
    generated: bool = True

    @property
    def is_alert(self) -> bool:
        """Whether it is an alert and not a recording."""
        return "alert" in self.data

    @property
    def name(self) -> str:
        """Name of the alert, or of the recorded series."""
        return str(self.data.get("alert", self.data.get("record")))

    @property
    def labels(self) -> dict[str, str]:
        """Labels that the rule adds."""
        return {key: str(value) for key, value in (self.data.get("labels") or {}).items()}

    @property
    def expr(self) -> str:
        """The expression as it is written."""
        return str(self.data.get("expr", ""))

    @cached_property
    def words(self) -> int:
        """How many words and signs the expression has."""
        return text.tokens(self.expr)

    @cached_property
    def parsed(self) -> promql.Expr | str | None:
        """The tree; the parser's words when it cannot read it, None when that would be too long to try."""
        if self.words > text.MAX_TOKENS:
            return None
        try:
            return text.parse(self.expr)
        except ValueError as error:
            return str(error).rstrip(".")

    @property
    def tree(self) -> promql.Expr | None:
        """The tree, if there is one."""
        return self.parsed if isinstance(self.parsed, promql.Expr) else None


def rules_of(file: str, data: Mapping[str, Any], *, generated: bool = True) -> list[Rule]:
    """The rules of a file's data, in order; none of what has not the form of rules."""
    found = []
    groups = data.get("groups")
    for group in groups if isinstance(groups, list) else []:
        rules = group.get("rules") if isinstance(group, Mapping) else None
        found += [
            Rule(file, str(group.get("name")), one, generated)
            for one in (rules if isinstance(rules, list) else [])
            if isinstance(one, Mapping)
        ]
    return found


@dataclass(frozen=True)
class Book:
    """All rules, and the configuration's part: what its expressions name, and which labels its resources have."""

    rules: Sequence[Rule]
    services: Sequence[Service] = ()
    records: dict[str, list[Rule]] = field(init=False, default_factory=dict)
    alerts: dict[str, list[Rule]] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        for rule in self.rules:
            (self.alerts if rule.is_alert else self.records).setdefault(rule.name, []).append(rule)

    @cached_property
    def declared(self) -> tuple[frozenset[str], frozenset[str]]:
        """Metrics and alerts that an expression of the configuration names."""
        metrics, alerts = set(), set()
        for expression in (one for service in self.services for one in _expressions(service)):
            try:
                tree = text.parse(over(expression, "5m"))
            except ValueError:
                continue
            for selector in selectors(tree):
                metrics.add(metric(selector))
                alerts.add(equalities(selector).get(names.ALERTNAME))
        return frozenset(metrics - {None}), frozenset(alerts - {None})  # type: ignore[arg-type]  # None is taken out

    def recorded(self, selector: promql.VectorSelector) -> list[Rule]:
        """Rules that may record what is selected; those with another value of a label that is asked for do not."""
        wanted = equalities(selector)
        return [
            rule
            for rule in self.records.get(metric(selector) or "", ())
            if all(rule.labels.get(label, value) == value for label, value in wanted.items())
        ]

    @cached_property
    def _identities(self) -> dict[tuple[str | None, str | None], frozenset[str] | None]:
        """Labels by which resources are exported, by service and signal; None stands for every one."""
        found: dict[tuple[str | None, str | None], frozenset[str] | None] = {}
        for service in self.services:
            for name, signal in service.signals.items():
                by = signal.by
                labels = None if by is None else frozenset(exported_name(label, alone=len(by) == 1) for label in by)
                for key in product((service.service, None), (name, None)):
                    known = found.get(key, frozenset())
                    found[key] = None if labels is None or known is None else known | labels
        return found

    def identity_labels(self, wanted: Mapping[str, str]) -> frozenset[str] | None:
        """Labels by which the resources of these signals are exported; None when only the source knows."""
        return self._identities.get((wanted.get(names.SERVICE), wanted.get(names.SIGNAL)), frozenset())


def _expressions(service: Service) -> Iterator[str]:
    """Every expression of a service file, and each series of a histogram."""
    found: list[str | None] = []
    for signal in service.signals.values():
        found += [signal.expr, signal.capacity]
    found += [one.expr for one in (*service.thresholds.values(), *service.rate_of_change)]
    found += [*service.records.values(), *(one.expr for one in service.absent)] + [one.expr for one in service.alerts]
    for slo in service.slos.values():
        found += _of_sli(slo.sli)
    return (one for one in found if one is not None)


def _of_sli(sli: Sli) -> Iterable[str | None]:
    yield from (sli.bad, sli.good, sli.total, sli.probe, sli.ratio)
    if sli.threshold is not None:
        yield sli.threshold.expr
    if sli.latency is not None:
        name, brace, matchers = sli.latency.histogram.partition("{")
        yield from (f"{name.strip()}{suffix}{brace}{matchers}" for suffix in ("", "_bucket", "_count", "_sum"))
