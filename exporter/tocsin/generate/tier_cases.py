"""promtool tests of tier alerts: each one fires at its tier after its time, not before and not below, and holds."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from tocsin import names
from tocsin.config.models import Service, Target
from tocsin.generate.paging import Page
from tocsin.generate.promql import HOLD
from tocsin.generate.promtool import ABSENT, ENDS, Fires, Input, Labels, Run, case
from tocsin.generate.tier import Rule, rules_of

#: A label value as awkward as somebody will once send.
AWKWARD = 'grand "piano" \\ {{ $labels.signal }}'

LEVEL = names.metric("severity_level")
BUILD = names.own("build_info")
STALE = names.own("stale")

#: Labels of the scrape, of which no alert has any; those of another Tocsin.
_SCRAPED, _ELSEWHERE = {"instance": "a"}, {"instance": "b"}

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
    for level in dict.fromkeys(clock.rule.level for clock in clocks):
        for what, found in _pages([clock for clock in clocks if clock.rule.level == level]):
            yield _case(target, f"{level}: {what}", found)
    if clocks:
        every = _Every(clocks, target)
        yield _case(target, "all: what fires is held for an hour while Tocsin is down", [every.down()])
        yield _case(target, "all: ... and no longer if restarted while the source is away", [every.restarted()])
        yield _case(target, "all: ... and until a grade after a restart ends it", [every.graded_again()])
        yield _case(target, "all: a second Tocsin that sees nothing holds nothing", [every.replica()])


def _pages(clocks: Sequence["_Clock"]) -> Iterator[tuple[str, list[Part]]]:
    """What pages for an alert that goes to Tocsin alone: later than that, and not while something is done about it."""
    paged = [(clock, page) for clock in clocks if (page := clock.rule.page) is not None]
    if paged:
        yield "pages where nothing has helped until then", [clock.pages(page) for clock, page in paged]
        yield "does not page while something is done about it", [clock.held(page) for clock, page in paged]


def _case(target: Target, name: str, parts: Sequence[Part]) -> dict[str, Any]:
    series = [one for part in parts for one in part[0]]
    expected = sorted((one for part in parts for one in part[1]), key=lambda fires: fires.at)
    return case(name, target.scrape_interval, series, expected)


def _series(rule: Rule, resource: str, *runs: tuple[float, int]) -> Input:
    return Input(LEVEL, {**rule.matchers, names.RESOURCE: resource}, [Run(*run) for run in runs])


def _then(series: Input, more: Sequence[Run]) -> Input:
    return replace(series, runs=[*series.runs, *more])


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

    def pages(self, page: Page) -> Part:
        """One resource stays at the tier for as long as the page waits too, one just below it."""
        rule, at = self.rule, self.fires + self.evaluated(page.grace)
        n = self.samples(at)
        series = [_series(rule, AWKWARD, (self.tier, n)), _series(rule, "below", (self.tier - 1, n))]
        told = {**rule.told, **rule.matchers, names.RESOURCE: AWKWARD}
        return series, [Fires(page.name, at - self.evaluation), Fires(page.name, at, [told])]

    def held(self, page: Page) -> Part:
        """The same, while something is done about it."""
        series, expected = self.pages(page)
        hold = page.held(expected[-1].instances[0], self.samples(expected[-1].at))
        return [*series, *([hold] if hold else [])], [Fires(page.name, expected[-1].at)]

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


class _Every:
    """Tests of all alerts of a service at once, because those of one signal are fired by the same series.

    Tocsin grades for `alive` samples, which fires every alert. Where it is restarted it is away for `gap` samples, so
    that an evaluation falls into them.
    """

    def __init__(self, clocks: Sequence[_Clock], target: Target) -> None:
        self.clocks = clocks
        self.scrape, self.evaluation = target.scrape_interval, target.evaluation_interval
        self.alive = max(clock.many for clock in clocks) + 1
        self.gap = math.ceil(2 * self.evaluation / self.scrape) + 1
        self.stop = self.alive * self.scrape

    def _inputs(self, then: Sequence[Run], stale: Sequence[Run], up: Sequence[Run]) -> list[Input]:
        """What one Tocsin shows; each argument is what follows the samples that fire: tiers, stale, build_info."""
        series = [Input(BUILD, _SCRAPED, [Run(1, self.alive), *up])]
        for clock in {clock.rule.signal_name: clock for clock in self.clocks}.values():
            rule = clock.rule
            series.append(_then(_series(rule, "held", (4, self.alive)), then))
            few = min(other.few for other in self.clocks if other.rule.signal_name == rule.signal_name)
            if few:
                series.append(_then(_series(rule, "pending", (0, self.alive - few), (4, few)), then))
            series.append(Input(STALE, {**rule.matchers, **_SCRAPED}, [Run(0, self.alive), *stale]))
        return series

    def _fires(self, at: float) -> list[Fires]:
        return [Fires(clock.rule.name, at, [_instance(clock.rule, "held")]) for clock in self.clocks]

    def _an_hour(self) -> list[Fires]:
        """They fire shortly before the hour is over, and no more when `keep_firing_for` has passed too."""
        late = math.floor((self.stop + HOLD - 2 * self.scrape) / self.evaluation) * self.evaluation
        return self._fires(late) + [Fires(clock.rule.name, self._over(clock)) for clock in self.clocks]

    def _over(self, clock: _Clock) -> int:
        return clock.evaluated(self.stop + HOLD + clock.rule.keep + 2 * self.evaluation)

    def down(self) -> Part:
        """Tocsin goes and does not come back."""
        end = [Run(ENDS)]
        return self._inputs(end, end, end), self._an_hour()

    def restarted(self) -> Part:
        """Restarted elsewhere, and after a while so often that `keep_firing_for` never passes in between."""
        often = max(1, math.floor(min(clock.rule.keep for clock in self.clocks) / 2 / self.scrape))
        samples = math.ceil(max(map(self._over, self.clocks)) / self.scrape)
        ups = [HOLD // 2 // self.scrape]
        while self.alive + sum(ups) + len(ups) * self.gap < samples:
            ups.append(often)
        gap, end = Run(ABSENT, self.gap - 1), [Run(ENDS)]
        phases = [Run(ABSENT, self.alive), *(run for up in ups for run in (*end, gap, Run(1, up)))]
        series = self._inputs(end, end, end)
        return [*series, Input(BUILD, _ELSEWHERE, phases), *self._stale(phases)], self._an_hour()

    def graded_again(self) -> Part:
        """After the restart nothing is seen for longer than `keep_firing_for`, then all is normal."""
        longest = max(clock.rule.keep for clock in self.clocks) + 3 * self.evaluation
        away = math.ceil(min(longest, HOLD / 2) / self.scrape) + 1
        normal = Run(0, math.ceil(longest / self.scrape) + 3)
        gap = [Run(ENDS), Run(ABSENT, self.gap - 1)]
        series = self._inputs(
            [*gap, Run(ABSENT, away), normal], [*gap, Run(1, away), normal], [*gap, Run(1, away + normal.samples)]
        )
        return series, self._resolve((self.alive + self.gap + away) * self.scrape)

    def replica(self) -> Part:
        """One of two has never seen anything; the other sees that all is normal."""
        samples = math.ceil((max(clock.rule.keep for clock in self.clocks) + 3 * self.evaluation) / self.scrape) + 3
        series = self._inputs([Run(0, samples)], [Run(0, samples)], [Run(1, samples)])
        return [*series, *self._stale([Run(1, self.alive + samples)])], self._resolve(self.stop)

    def _stale(self, runs: Sequence[Run]) -> list[Input]:
        """How a Tocsin elsewhere sees each signal."""
        signals = {clock.rule.signal_name: clock.rule.matchers for clock in self.clocks}
        return [Input(STALE, {**matchers, **_ELSEWHERE}, runs) for matchers in signals.values()]

    def _resolve(self, normal: float) -> list[Fires]:
        """They fire before the time of the first normal grade and as long after it as they are kept."""
        ends = math.ceil(normal / self.evaluation) * self.evaluation
        expected = self._fires(ends - self.evaluation)
        for clock in self.clocks:
            over = ends + clock.evaluated(clock.rule.keep)
            expected.append(Fires(clock.rule.name, over - self.evaluation, [_instance(clock.rule, "held")]))
            expected.append(Fires(clock.rule.name, over))
        return expected
