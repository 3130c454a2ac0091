"""Findings about a set of rules: what Prometheus would accept and nobody could want."""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import promql_parser as promql

from tocsin import names
from tocsin.config.expr import MAX_TOKENS
from tocsin.config.models import Target
from tocsin.config.types import format_duration
from tocsin.generate.lint.book import ALERT_SERIES, EXPOSED, OF_RESOURCES, SCRAPED, TARGET_LABELS, Book, Rule
from tocsin.generate.lint.bounds import BoundsOf, Presence, contradiction
from tocsin.generate.lint.labels import LabelsOf
from tocsin.generate.lint.templated import labels_used
from tocsin.generate.lint.tree import COMPARISONS, children, equalities, metric, selectors, walk

#: Points of a subquery above which Prometheus would work on it for longer than anybody waits for an alert.
MAX_POINTS = 11_000
#: level:metric:operations, https://prometheus.io/docs/practices/rules/
_RECORDED = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*:[a-zA-Z0-9_]+(?::[a-zA-Z0-9_]+)+")


@dataclass(frozen=True, slots=True)
class Finding:
    """What is wrong with a rule, or what may surprise."""

    file: str
    group: str
    rule: str
    message: str
    warning: bool = False

    def __str__(self) -> str:
        return f"{self.file}: {self.group} / {self.rule}: {self.message}"


@dataclass(frozen=True)
class Checks:
    """A book with what is worked out of it once."""

    book: Book
    target: Target

    @cached_property
    def labels(self) -> LabelsOf:
        """Labels of each rule."""
        return LabelsOf(self.book)

    @cached_property
    def bounds(self) -> BoundsOf:
        """Values of each rule."""
        return BoundsOf(self.book)

    @cached_property
    def buckets(self) -> frozenset[str | None]:
        """Metrics whose buckets some rule reads: these need their label `le`."""
        calls = (node for rule in self.book.rules if rule.tree for node in walk(rule.tree))
        reading = (node for node in calls if isinstance(node, promql.Call) and node.func.name == "histogram_quantile")
        return frozenset(metric(selector) for node in reading for selector in selectors(node))


#: A message, and whether it is a warning.
Said = tuple[str, bool]


def findings(book: Book, target: Target) -> list[Finding]:
    """Everything that is found, in the order of the rules."""
    checks = Checks(book, target)
    twice = _twice(book.rules)
    found = []
    for rule in book.rules:
        said = [*twice(rule), *(one for check in _CHECKS for one in check(checks, rule))]
        # The same selector stands in several arms of a rule; it is said once.
        found += [
            Finding(rule.file, rule.group, rule.name, message, warning) for message, warning in dict.fromkeys(said)
        ]
    return found


def _twice(rules: Sequence[Rule]) -> Callable[[Rule], Iterator[Said]]:
    """What is there twice: alerts by name, recordings by name and labels."""

    def key(rule: Rule) -> object:
        return rule.name if rule.is_alert else (rule.name, tuple(sorted(rule.labels.items())))

    first: dict[object, Rule] = {}
    for rule in rules:
        first.setdefault(key(rule), rule)

    def check(rule: Rule) -> Iterator[Said]:
        other = first[key(rule)]
        if other is not rule:
            what = "alert of this name" if rule.is_alert else "recording of this name with the same labels"
            yield f"found a second {what}, expected one: the first is in {other.file}, {other.group}", False

    return check


def _readable(_: Checks, rule: Rule) -> Iterator[Said]:
    if isinstance(rule.parsed, str):
        yield f"found no PromQL ({rule.parsed}), expected an expression", False
    elif rule.parsed is None:
        yield f"found {rule.words} words and signs, expected at most {MAX_TOKENS}: it was not looked into", True


def _templates(checks: Checks, rule: Rule) -> Iterator[Said]:
    labels = checks.labels.result(rule)
    if not rule.is_alert or labels is None:
        return
    texts = {**rule.labels, **{key: str(value) for key, value in (rule.data.get("annotations") or {}).items()}}
    for where, template in texts.items():
        for label in labels_used(template):
            if label not in labels:
                own = "; a template does not see the rule's own labels" if label in rule.labels else ""
                have = names.joined(sorted(labels)) or "there is none"
                yield (
                    f"found the label {label!r} in {where}, expected one of the expression's result: {have}{own}",
                    False,
                )


def _metrics(checks: Checks, rule: Rule) -> Iterator[Said]:
    if rule.tree is None:
        return
    for selector in selectors(rule.tree):
        name = metric(selector)
        if name is not None and not _known(checks.book, name):
            expected = "one that Tocsin exposes, a rule records or the configuration names"
            yield f"found the metric {name}, expected {expected}", not (rule.generated or name.startswith(names.PREFIX))
        alert = equalities(selector).get(names.ALERTNAME) if name in ALERT_SERIES else None
        if alert is not None and alert not in checks.book.alerts and alert not in checks.book.declared[1]:
            yield f"found {name} of the alert {alert!r}, expected one of these files", not rule.generated


def _known(book: Book, name: str) -> bool:
    if name in book.records or name in SCRAPED or name in ALERT_SERIES or name in OF_RESOURCES or name in EXPOSED:
        return True
    return not name.startswith(names.PREFIX) and name in book.declared[0]


def _matchers(_: Checks, rule: Rule) -> Iterator[Said]:
    for selector in selectors(rule.tree) if rule.tree else ():
        if (both := contradiction(selector)) is not None:
            yield f"found {both} in one selector, expected matchers that a series can satisfy", False


def _ranges(checks: Checks, rule: Rule) -> Iterator[Said]:
    least = 2 * checks.target.scrape_interval
    for node in walk(rule.tree) if rule.tree else ():
        if isinstance(node, promql.MatrixSelector):
            seconds = node.range.total_seconds()
            if seconds < least:
                expected = f"at least {format_duration(least)}, two scrapes"
                yield f"found a range of {format_duration(seconds)}, expected {expected}", False


def _subqueries(checks: Checks, rule: Rule) -> Iterator[Said]:
    """Points of a subquery, times those of the subqueries that it is in."""
    stack: list[tuple[promql.Expr, float]] = [] if rule.tree is None else [(rule.tree, 1.0)]
    while stack:
        node, outer = stack.pop()
        points = outer
        if isinstance(node, promql.SubqueryExpr):
            step = node.step.total_seconds() if node.step else checks.target.evaluation_interval
            points = outer * (node.range.total_seconds() / step if node.range else 1.0)
            if points > MAX_POINTS:
                expected = f"at most {MAX_POINTS}: a longer step, or a recording rule"
                yield f"found a subquery of {points:.0f} points, expected {expected}", False
        stack += [(one, points) for one in children(node)]


def _fires(checks: Checks, rule: Rule) -> Iterator[Said]:
    if not rule.is_alert or rule.tree is None or rule.name == names.ALERT_WATCHDOG:
        return
    presence = checks.bounds.result(rule).presence
    if presence == Presence.NEVER:
        yield "found a condition that no value fulfils, expected an alert that can fire", False
    elif presence == Presence.ALWAYS:
        yield "found a condition that always holds, expected an alert that can resolve", False
    elif presence == Presence.WITH_SERIES:
        compared = any(_decides(node) for node in walk(rule.tree))
        what = "a condition that every value fulfils" if compared else "no condition"
        yield f"found {what}, expected one that can fail: it fires as soon as there is a series", compared


def _decides(node: promql.Expr) -> bool:
    if isinstance(node, promql.BinaryExpr):
        return str(node.op) in COMPARISONS
    return isinstance(node, promql.Call) and node.func.name in ("absent", "absent_over_time")


def _recordings(checks: Checks, rule: Rule) -> Iterator[Said]:
    if rule.is_alert or rule.tree is None:
        return
    given = any(rule.name in service.records for service in checks.book.services)
    if not given and not _RECORDED.fullmatch(rule.name):
        yield "found a name of another form, expected level:metric:operations", True
    labels = checks.labels.result(rule)
    if labels is None:
        yield "found every label of its series in the recording, expected an aggregation by those it needs", True
        return
    needless = sorted(labels & TARGET_LABELS - _asked_for(rule))
    if "le" in labels and rule.name not in checks.buckets:
        needless.append("le")
    if needless:
        yield f"found {names.joined(needless)} in the recording, expected the labels that it needs", True


def _asked_for(rule: Rule) -> frozenset[str]:
    """Labels by which the expression aggregates: somebody wants them."""
    found: set[str] = set()
    for node in walk(rule.tree) if rule.tree else ():
        if isinstance(node, promql.AggregateExpr) and node.modifier is not None:
            found |= set(node.modifier.labels)
    return frozenset(found)


_CHECKS: Sequence[Callable[[Checks, Rule], Iterator[Said]]] = (
    _readable,
    _templates,
    _metrics,
    _matchers,
    _ranges,
    _subqueries,
    _fires,
    _recordings,
)
