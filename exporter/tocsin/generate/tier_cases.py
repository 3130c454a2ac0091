"""promtool tests of tier alerts: each one fires at its tier after its time, not before and not below, and holds."""

import math
from collections.abc import Iterator, Sequence
from typing import Any

from tocsin import names
from tocsin.config.models import Service, Target
from tocsin.generate.promql import HOLD_WHILE_DOWN
from tocsin.generate.promtool import ENDS, Fires, Input, Labels, Run, case
from tocsin.generate.tier import Rule, rules_of

#: A label value as awkward as somebody will once send.
AWKWARD = 'grand "piano" \\ {{ $labels.signal }}'

LEVEL = names.metric("severity_level")
BUILD = names.own("build_info")

Part = tuple[list[Input], list[Fires]]


def cases(service: Service, target: Target) -> Iterator[dict[str, Any]]:
    """All tests of a service's tier alerts.

    Those of one level are tested together: promtool evaluates every rule of the file in every test anyway, and they
    look at different signals.
    """
    clocks = [_Clock(rule) for rule in rules_of(service, target)]
    for level in dict.fromkeys(clock.rule.level for clock in clocks):
        same = [clock for clock in clocks if clock.rule.level == level]
        yield _case(target, f"{level}: fires at its tier, not at the one below", [c.boundary() for c in same])
        waiting = [clock.outlasts() for clock in same if clock.rule.wait > 0]
        if waiting:
            yield _case(target, f"{level}: fires after its grades or its time, not earlier", waiting)
        yield _case(target, f"{level}: holds while the tier is unknown, which starts none", [c.unknown() for c in same])
    if clocks:
        yield _case(target, "all: what fires is held for an hour while Tocsin is down", [_down(clocks, target)])


def _case(target: Target, name: str, parts: Sequence[Part]) -> dict[str, Any]:
    series = [one for part in parts for one in part[0]]
    expected = sorted((one for part in parts for one in part[1]), key=lambda fires: fires.at)
    return case(name, target.scrape_interval, series, expected)


def _series(rule: Rule, resource: str, *runs: tuple[float, int]) -> Input:
    return Input(LEVEL, {**rule.matchers, names.RESOURCE: resource}, [Run(*run) for run in runs])


def _ending(series: Input) -> Input:
    return Input(series.metric, series.labels, [*series.runs, Run(ENDS)])


def _instance(rule: Rule, resource: str) -> Labels:
    return {**rule.labels, **rule.matchers, names.RESOURCE: resource}


class _Clock:
    """The times of one alert, in samples and in seconds."""

    def __init__(self, rule: Rule) -> None:
        self.rule, self.tier = rule, rule.model.tier
        self.scrape, self.evaluation = rule.target.scrape_interval, rule.target.evaluation_interval
        #: Most samples at the tier that do not fire the alert, and samples that do: n - 1 grades and n of them.
        self.few = math.floor(rule.wait / self.scrape)
        interval = rule.signal.interval if rule.model.for_ is None else 0
        self.many = math.ceil(max(rule.model.grades * interval, rule.wait + 2 * self.evaluation) / self.scrape)
        self.fires = math.ceil(rule.wait / self.evaluation) * self.evaluation

    def samples(self, seconds: float) -> int:
        """Samples that span at least so many seconds."""
        return math.ceil(seconds / self.scrape) + 1

    def evaluated(self, seconds: float) -> int:
        """The first evaluation at or after a time."""
        return math.ceil(seconds / self.evaluation) * self.evaluation

    def boundary(self) -> Part:
        """One resource stays at the tier, one just below it."""
        rule, n = self.rule, self.samples(self.fires)
        series = [_series(rule, AWKWARD, (self.tier, n)), _series(rule, "below", (self.tier - 1, n))]
        before = [Fires(rule.name, self.fires - self.evaluation)] if rule.wait > 0 else []
        return series, [*before, Fires(rule.name, self.fires, [_instance(rule, AWKWARD)])]

    def outlasts(self) -> Part:
        """One resource is at the tier for too short a time, one for long enough."""
        rule = self.rule
        series = [
            _series(rule, "too short", (0, 1), (self.tier, self.few), (0, self.many - self.few)),
            _series(rule, "long enough", (0, 1), (self.tier, self.many)),
        ]
        end = self.evaluated((1 + self.many) * self.scrape)
        return series, [Fires(rule.name, end, [_instance(rule, "long enough")])]

    def unknown(self) -> Part:
        """Unknown grades hold what fires, start nothing, and a normal grade then ends it."""
        rule = self.rule
        known, unknown = self.many + 1, self.samples(rule.keep + self.fires + 2 * self.evaluation)
        series = [
            _series(rule, "held", (self.tier, known), (-1, unknown), (0, self.samples(rule.keep) + 2)),
            _series(rule, "pending", (self.tier, self.few), (-1, known + unknown - self.few)),
            _series(rule, "never known", (-1, known + unknown)),
        ]
        ends = self.evaluated((known + unknown) * self.scrape)
        expected = [
            Fires(rule.name, ends - self.evaluation, [_instance(rule, "held")]),
            Fires(rule.name, ends + self.evaluated(rule.keep) - self.evaluation, [_instance(rule, "held")]),
            Fires(rule.name, ends + self.evaluated(rule.keep)),
        ]
        return series, expected


def _down(clocks: Sequence[_Clock], target: Target) -> Part:
    """All alerts of a service at once: a signal's are fired by the same series."""
    scrape, evaluation = target.scrape_interval, target.evaluation_interval
    alive = max(clock.many for clock in clocks) + 1
    series = [Input(BUILD, {}, [Run(1, alive), Run(ENDS)])]
    for clock in {clock.rule.signal_name: clock for clock in clocks}.values():
        series.append(_ending(_series(clock.rule, "held", (4, alive))))
        few = min(other.few for other in clocks if other.rule.signal_name == clock.rule.signal_name)
        if few:
            series.append(_ending(_series(clock.rule, "pending", (0, alive - few), (4, few))))
    stop = alive * scrape
    late = math.floor((stop + HOLD_WHILE_DOWN - 2 * scrape) / evaluation) * evaluation
    expected = [Fires(clock.rule.name, late, [_instance(clock.rule, "held")]) for clock in clocks]
    for clock in clocks:
        over = clock.evaluated(stop + HOLD_WHILE_DOWN + clock.rule.keep + 2 * evaluation)
        expected.append(Fires(clock.rule.name, over))
    return series, expected
