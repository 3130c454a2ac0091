"""promtool tests of alerts on values: each trial as series, and what has to fire when.

The series are those of the alert's own expression where it is known how to feed it. Where it is not, a copy of the
alert in a file for tests alone (`stand_ins`) looks at a plain series instead: then the expression itself is not tested,
and the name of the test says so.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import promql_parser

from tocsin import names
from tocsin.config import expr
from tocsin.config.models import Target
from tocsin.generate import promql, promtool
from tocsin.generate.alerts.alert import Alert, Context, Trial
from tocsin.generate.feed.solve import Fed
from tocsin.generate.feed.values import Leaf, Unsolved
from tocsin.generate.lint.tree import metric, selectors, walk
from tocsin.generate.paging import Page
from tocsin.generate.promtool import ENDS, Fires, Input, Run

#: A label value as awkward as somebody will once send.
AWKWARD = 'grand "piano" / \\ {{ $labels.signal }}'
#: Labels of the scrape, which all series have; and such as would wake somebody, were they an alert's.
_SCRAPED = {"job": "a job", "instance": "192.0.2.1:9100", names.PAGE: "true", names.RECEIVER: "a receiver"}
#: The metric of the copies.
STAND_IN = "stand_in"


def stand_in(alert: Alert) -> str:
    """The series that stands for an alert's value."""
    return promql.selector(STAND_IN, {"alert": alert.base})


def is_fed(alert: Alert, context: Context) -> bool:
    """Whether it is known how to feed the alert's own expression."""
    return _own(alert, context) is not None


def cases(alerts: Sequence[Alert], context: Context) -> Iterator[dict[str, Any]]:
    """All tests of these alerts.

    Those that show the same are one test where they share no metric: promtool evaluates every rule of the file in every
    test anyway.
    """
    tests: list[list[_Part]] = []
    for alert in alerts:
        for part in _own(alert, context) or _tried(alert, context, own=False):
            test = next((test for test in tests if all(part.fits(other) for other in test)), None)
            if test is None:
                tests.append([part])
            else:
                test.append(part)
    for test in tests:
        series = [one for part in test for one in part.series]
        expected = sorted((one for part in test for one in part.expected), key=lambda fires: fires.at)
        who = ", ".join(part.alert for part in test)
        yield promtool.case(f"{test[0].what}: {who}", test[0].every, series, expected)


def _own(alert: Alert, context: Context) -> list["_Part"] | None:
    try:
        return _tried(alert, context, own=True)
    except (Unsolved, ValueError, RecursionError):
        # The parser refuses what only other servers than Prometheus know.
        return None


def _tried(alert: Alert, context: Context, *, own: bool) -> list["_Part"]:
    value = alert.value if own else stand_in(alert)
    tree = expr.parse(value)
    reads = frozenset(metric(one) or "" for one in selectors(tree)) if own else frozenset({value})
    labels = {**_SCRAPED, **dict.fromkeys(context.process.source.replica_labels, "a")}
    labels |= {label: AWKWARD if i == 0 else f"{i}" for i, label in enumerate(alert.by or (names.RESOURCE,))}
    clock = _Clock(alert, context.process.target, _shortest(tree))
    how = "" if own else ", on a plain series instead of its expression"
    parts = []
    for trial in alert.trials:
        series, expected = clock.plan(trial, trial.feed(tree, labels))
        parts.append(_Part(alert.name, f"{trial.what}{how}", clock.every, reads, series, expected))
        if alert.page is not None and trial.fires:
            parts += _held(alert.page, parts[-1])
    return parts


@dataclass(frozen=True, slots=True)
class _Part:
    """What one alert adds to a test; `reads` are the metrics that its expression looks at."""

    alert: str
    what: str
    every: float
    reads: frozenset[str]
    series: Sequence[Input]
    expected: Sequence[Fires]

    def fits(self, other: "_Part") -> bool:
        """Whether both can be shown at once."""
        return (self.what, self.every) == (other.what, other.every) and not self.reads & other.reads


def _held(page: Page, part: _Part) -> Iterator[_Part]:
    """The same while something is being done: nobody is paged."""
    first = next(fires for fires in part.expected if fires.instances)
    hold = page.held(first.instances[0], math.ceil(first.at / part.every) + 1)
    if hold is not None:
        reads = part.reads | {hold.metric}
        what = f"{part.what}, but not while something is done about it"
        yield replace(part, what=what, reads=reads, series=[*part.series, hold], expected=[Fires(page.name, first.at)])


def _shortest(tree: promql_parser.Expr) -> float:
    """The shortest range of an expression."""
    found = (node.range for node in walk(tree) if isinstance(node, promql_parser.MatrixSelector))
    return min((float(one.total_seconds()) for one in found), default=math.inf)


class _Clock:
    """Times of one alert in its tests, in seconds."""

    def __init__(self, alert: Alert, target: Target, shortest: float) -> None:
        self.alert, self.evaluation = alert, target.evaluation_interval
        #: The alert that it pages for fires first, in the same evaluation in which the page begins to wait.
        grace = 0 if alert.page is None else alert.page.grace
        self.waits = self.evaluated(alert.wait) + self.evaluated(grace)
        # Samples at every evaluation, and two of them at least in every range.
        self.every = self.evaluation / math.ceil(self.evaluation / min(target.scrape_interval, shortest / 2))

    def evaluated(self, seconds: float) -> float:
        """The first evaluation at or after a time."""
        return math.ceil(round(seconds / self.evaluation, 9)) * self.evaluation

    def plan(self, trial: Trial, feds: Sequence[Fed]) -> tuple[list[Input], list[Fires]]:
        """Series and what is seen: it fires after its time and not before, or not at all."""
        alert, last = self.alert, feds[-1]
        settled = max(fed.settles for fed in feds)
        slack = settled + 2 * self.every if settled else 0.0
        changed = self.evaluated(trial.past + slack) + 2 * self.evaluation if len(feds) > 1 else 0.0
        at = self.evaluated(changed + slack) + self.waits
        if len(feds) > 1 and at + self.evaluation >= changed + trial.past:
            raise Unsolved("a change that is over before it has lasted")
        if not trial.fires:
            late = at + (self.evaluated(alert.keep) + 2 * self.evaluation if settled else 0)
            series = _series(feds, changed, self.every, late + self.every)
            return series, [Fires(alert.name, late)]
        instance = {**alert.identity(dict(sorted(last.labels or ()))), **alert.labels}
        early = changed + self.waits - self.evaluation
        expected = [Fires(alert.name, early)] if early >= 0 else []
        expected.append(Fires(alert.name, at, [instance]))
        ends = at + self.evaluation
        if trial.resolves and last.leaves:
            expected += self._resolves(ends, slack, instance)
        return _series(feds, changed, self.every, ends), expected

    def _resolves(self, ends: float, slack: float, instance: dict[str, str]) -> Iterator[Fires]:
        """It fires on for as long as it is kept, from the end of its series on."""
        name, keep = self.alert.name, self.evaluated(self.alert.keep)
        if keep:
            yield Fires(name, ends + keep - self.evaluation, [instance])
        yield Fires(name, ends + self.evaluated(slack) + keep)


def _series(feds: Sequence[Fed], changed: float, every: float, ends: float) -> list[Input]:
    """The series of a test, which end then."""
    last = {leaf.key: leaf for leaf in feds[-1].leaves}
    if any({leaf.key for leaf in fed.leaves} != set(last) for fed in feds):
        raise Unsolved("series that are not the same before and after")
    first = {leaf.key: leaf for leaf in feds[0].leaves}
    samples = round(changed / every)
    return [
        Input(
            leaf.metric,
            leaf.labels,
            [
                *([_run(first[leaf.key], 0.0, samples, every)] if samples else []),
                _run(leaf, changed, round(ends / every) - samples, every, first[leaf.key] if samples else None),
                Run(ENDS),
            ],
        )
        for leaf in last.values()
    ]


def _run(leaf: Leaf, begin: float, samples: int, every: float, before: Leaf | None = None) -> Run:
    line = before.line if before is not None and before.counter else leaf.line
    return Run(line.start + line.slope * begin, samples, leaf.line.slope * every)
