"""promtool tests of escalation levels: each fires after its time, number or share, and not just below it.

Whether a point at the very beginning of a range is in it differs between Prometheus 2 and 3. So what fires is asked at
the evaluations before and after that time, and not at it.
"""

import math
from collections.abc import Iterator, Sequence
from typing import Any

from tocsin import names
from tocsin.config.models import Service, Target
from tocsin.generate.escalation import LEAST_RESOURCES, OF_META, Arm, Level, Range, levels
from tocsin.generate.promtool import ABSENT, ENDS, Fires, Input, Labels, Run, case

LEVEL = names.metric("severity_level")
#: An alert that is no level's first one, and the signal that it is about.
OTHER = "SomethingElse"
#: Most resources of a test in which an exact share of them is looked for.
_MOST = 20


def cases(service: Service, target: Target) -> Iterator[dict[str, Any]]:
    """All tests of a service's escalation."""
    for level in levels(service, target):
        if level.share is not None:
            yield from _Share(level).cases()
        elif level.when.severity is not None:
            yield from _Alerts(level).cases()
        else:
            yield from _Tiers(level).cases()


class _Clock:
    """Times of one level in a test, in seconds; samples are a scrape apart."""

    def __init__(self, level: Level) -> None:
        self.level, self.least = level, level.least if level.when.tier is not None else 1
        self.scrape, self.evaluation = level.target.scrape_interval, level.target.evaluation_interval

    def samples(self, seconds: float) -> int:
        """Samples that begin within so many seconds."""
        return math.ceil(seconds / self.scrape)

    def before(self, at: float) -> int:
        """The last evaluation before a time."""
        return (math.ceil(at / self.evaluation) - 1) * self.evaluation

    def since(self, at: float) -> int:
        """The first evaluation at a time or after it."""
        return math.ceil(at / self.evaluation) * self.evaluation

    def after(self, at: float) -> int:
        """The first evaluation after a time."""
        return (math.floor(at / self.evaluation) + 1) * self.evaluation

    def onset(self, over: Range, least: float = 0) -> int:
        """A time that is a point of the range, a scrape and an evaluation, with one of each before it."""
        every = math.lcm(over.step, self.scrape, self.evaluation)
        return max(1, math.ceil(least / every)) * every

    def sampled(self, seconds: float) -> int:
        """The first scrape at a time or after it."""
        return self.samples(seconds) * self.scrape

    def missing(self, points: int, over: Range, *, least: bool) -> int:
        """Samples of a gap in which so many points are at most, or at least."""
        return math.ceil(points * over.step / self.scrape) if least else points * over.step // self.scrape

    def case(
        self, what: str, series: Sequence[Input], expected: Sequence[tuple[float, Sequence[Labels]]]
    ) -> dict[str, Any]:
        """One test, in the order of time."""
        found = {at: Fires(self.level.name, at, instances) for at, instances in expected if at >= 0}
        return case(f"{self.level.name} {what}", self.scrape, series, [found[at] for at in sorted(found)])

    def acknowledged(self, alert: str, labels: Labels, *runs: Run) -> Input:
        """That somebody has acknowledged an alert."""
        own = {label: labels[label] for label in names.BASE_LABELS if label in labels}
        return Input(names.ACKNOWLEDGED, {names.ALERTNAME: alert, **own}, runs)


def _missing(over: Range) -> tuple[int, int]:
    """Points that may be missing, and as many that may not, whatever the phase of the range; 0: too few to tell."""
    some, many = over.points - over.enough - 1, over.points + 2 - over.enough
    return max(some, 0), many if many + 2 < over.points else 0


class _Tiers(_Clock):
    """Levels on tiers: the resources of one signal, each with a course of its own."""

    def cases(self) -> Iterator[dict[str, Any]]:
        """One for each time that a signal has to last, and one for how often it comes back."""
        if self.level.step.after is not None:
            for arm in self.level.arms:
                yield self._lasts(arm)
        if self.level.times is not None:
            length = self.sampled(self.level.counted.step)
            if self.level.step.after is None or all(arm.range.seconds > 2 * length for arm in self.level.arms):
                yield self._repeats(length, self.level.times.count)

    def _series(self, signal: str, resource: str, *runs: Run) -> Input:
        return Input(LEVEL, self._identity(signal, resource), runs)

    def _identity(self, signal: str, resource: str) -> dict[str, str]:
        return {names.SERVICE: self.level.service.service, names.SIGNAL: signal, names.RESOURCE: resource}

    def _lasts(self, arm: Arm) -> dict[str, Any]:
        signal, over, high, low = arm.signals[0], arm.range, self.least, self.least - 1
        onset = self.onset(over)
        # The last point below the tier; when it has left the range the level fires.
        due = onset - over.step + over.seconds
        end = self.sampled(self.after(due) + self.evaluation)
        ends = math.ceil(end / over.step) * over.step
        calm, high_for = self.samples(onset), self.samples(end - onset)
        last = self.samples(ends - end) + 2 * self.samples(self.evaluation)
        whole = [Run(low, calm), Run(high, high_for), Run(high, last)]
        courses = {
            "below": [Run(low, calm + high_for + last)],
            "lasts": [Run(low, calm), Run(high, high_for), Run(low, last)],
            "acknowledged": whole,
            "acknowledged later": whole,
            "another acknowledged": whole,
        }
        some, many = _missing(over)
        gaps = (("unknown", some, False), ("absent", some, True), ("too long unknown", many, False))
        for name, points, absent in gaps:
            if gap := self.missing(points, over, least=points == many):
                begun = self.samples(over.step)
                rest = Run(high, high_for - begun - gap + last)
                courses[name] = [Run(low, calm), Run(high, begun), *_gap(gap, absent=absent), rest]
        all_of_it = calm + high_for + last
        first = next(alert.pager for alert in self.level.first if alert.signal_name == signal)
        acknowledged = {
            "acknowledged": (first, [Run(1, all_of_it)]),
            "acknowledged later": (first, [Run(0, calm + high_for), Run(1, last)]),
            "another acknowledged": (OTHER, [Run(1, all_of_it)]),
        }
        series = [self._series(signal, name, *runs) for name, runs in courses.items()]
        for name, (alert, runs) in acknowledged.items():
            series.append(self.acknowledged(alert, self._identity(signal, name), *runs))

        def fire(at: float) -> list[Labels]:
            until = {"lasts": ends, "acknowledged later": end}
            never = {"below", "acknowledged", "too long unknown"}
            return [
                {**self.level.labels, **self._identity(signal, name)}
                for name in courses
                if name not in never and at < until.get(name, math.inf)
            ]

        times = (self.after(due), self.before(end), self.before(ends), self.since(ends))
        expected = [(self.before(due), []), *((at, fire(at)) for at in times if at >= self.after(due))]
        return self.case(f"fires when {signal!r} lasts, not before, not below", series, expected)

    def _repeats(self, length: int, count: int) -> dict[str, Any]:
        """Runs and pauses of the same length, in each of which there is a point."""
        signal, over, high, low = self.level.signals[0], self.level.counted, self.least, self.least - 1
        onset, run = self.onset(over), self.samples(length)
        rises = [math.ceil((onset + 2 * i * length) / over.step) * over.step for i in range(count)]
        gone = rises[0] - over.step + over.seconds
        calm = Run(low, self.samples(onset))
        rest = Run(low, self.samples(gone - onset) - 2 * run * count + 3 * self.samples(self.evaluation))
        pauses = {"often": [Run(low, run)], "unknown": _gap(run), "absent": _gap(run, absent=True)}
        courses = {
            name: [calm, *(one for _ in range(count) for one in (Run(high, run), *pause)), rest]
            for name, pause in pauses.items()
        }
        courses["acknowledged"] = courses["often"]
        courses["seldom"] = [calm, *(Run(high, run), Run(low, run)) * (count - 1), Run(low, 2 * run), rest]
        series = [self._series(signal, name, *runs) for name, runs in courses.items()]
        alert = next(one.pager for one in self.level.first if one.signal_name == signal)
        whole = sum(run.samples for run in courses["often"])
        series.append(self.acknowledged(alert, self._identity(signal, "acknowledged"), Run(1, whole)))
        often = [{**self.level.labels, **self._identity(signal, "often")}]
        expected = [
            (self.before(rises[-1]), []),
            (self.since(rises[-1]), often),
            (self.before(gone), often),
            (self.after(gone), []),
        ]
        return self.case(f"fires after {count} times, not before", series, expected)


class _Share(_Clock):
    """Levels on a share of all resources."""

    def cases(self) -> Iterator[dict[str, Any]]:
        """At the share exactly and above it, and with too few resources."""
        over, share = self.level.everywhere, self.level.share or 0
        exact = (n for n in range(LEAST_RESOURCES, _MOST) if abs(share * n - round(share * n)) < 1e-9)
        resources = next(exact, LEAST_RESOURCES + 1)
        few = math.floor(share * resources + 1e-9)
        onset = self.onset(over, over.seconds + over.step)
        due = onset - over.step + over.seconds
        end = self.sampled(self.after(due) + self.evaluation)
        ends = self.since(math.ceil(end / over.step) * over.step)
        kept = ends + self.since(self.level.keep)
        calm, bad = self.samples(onset), self.samples(end - onset)
        rest = self.samples(kept - end) + 2 * self.samples(self.evaluation)
        whole, step = calm + bad + rest, [Run(self.least - 1, calm), Run(self.least, bad), Run(self.least - 1, rest)]
        first, last = self.level.signals[0], self.level.signals[-1]
        series = [self._series(first, i, Run(self.least if i < few else self.least - 1, whole)) for i in range(few)]
        series += [self._series(first, i, Run(self.least - 1, whole)) for i in range(few + (first == last), resources)]
        series.append(self._series(last, few, *step))
        fires = [{**self.level.labels, names.SERVICE: self.level.service.service}]
        expected: list[tuple[float, Sequence[Labels]]] = [(self.before(due), []), (self.after(due), fires)]
        kept_on = [(kept - self.evaluation, fires), (kept, [])]
        yield self.case("fires above its share, not at it", series, [*expected, *kept_on])
        alert = next(one.pager for one in self.level.first if one.signal_name == last)
        one = self.acknowledged(alert, self._identity(last, few), Run(1, whole))
        yield self.case("counts no resource that is acknowledged", [*series, one], [(at, []) for at, _ in expected])
        everything = self.acknowledged(self.level.name, {names.SERVICE: self.level.service.service}, Run(1, whole))
        yield self.case("ends with its own acknowledgement", [*series, everything], [(at, []) for at, _ in expected])
        two = [self._series(first, i, Run(self.least, calm)) for i in range(LEAST_RESOURCES - 1)]
        late = self.before(onset)
        yield self.case("is silent with two resources", two, [(late, [])])

    def _identity(self, signal: str, resource: int) -> dict[str, str]:
        return {names.SERVICE: self.level.service.service, names.SIGNAL: signal, names.RESOURCE: f"r{resource}"}

    def _series(self, signal: str, resource: int, *runs: Run) -> Input:
        return Input(LEVEL, self._identity(signal, resource), runs)


class _Alerts(_Clock):
    """Levels on alerts of a severity, which are given as Prometheus keeps them."""

    def cases(self) -> Iterator[dict[str, Any]]:
        """One for how long an alert fires, one for how often."""
        if self.level.step.after is not None:
            yield self._lasts()
        if self.level.times is not None:
            length = self.sampled(self.level.counted.step)
            if self.level.step.after is None or self.level.lasts.seconds > 2 * length:
                yield self._repeats(length, self.level.times.count)

    def _identity(self, resource: str) -> dict[str, str]:
        return {names.SERVICE: self.level.service.service, names.RESOURCE: resource, names.PAGE: "true"}

    def _series(self, resource: str, *runs: Run, state: str = "firing", **more: str) -> Input:
        labels = {names.ALERTNAME: OTHER, names.SEVERITY: self.level.severity, names.ALERTSTATE: state}
        return Input(names.ALERTS, {**labels, **self._identity(resource), **more}, runs)

    def _fire(self, *resources: str) -> list[Labels]:
        own = {names.ESCALATED: OTHER, names.PAGE: "true"}
        return [{**self.level.labels, **self._identity(name), **own} for name in resources]

    def _lasts(self) -> dict[str, Any]:
        over = self.level.lasts
        onset = self.onset(over)
        due = onset + over.seconds
        end = self.sampled(self.since(due) + self.evaluation)
        before, fires_for = Run(ABSENT, self.samples(onset)), self.samples(end - onset)
        rest = 2 * self.samples(self.evaluation)
        whole = [before, Run(1, fires_for + rest)]
        begun = self.samples(over.step)
        late_by = math.ceil(begun * self.scrape / over.step) * over.step
        series = [
            self._series("lasts", *whole),
            self._series("ends", before, Run(1, fires_for), Run(ENDS)),
            self._series("begins later", Run(ABSENT, before.samples + begun), Run(1, fires_for + rest)),
            self._series("waits", *whole, state="pending"),
            self._series("is a level", *whole, **{names.ESCALATION: "another"}),
            self._series("is acknowledged", *whole),
            self.acknowledged(OTHER, self._identity("is acknowledged"), Run(1, self.samples(end) + rest)),
            self.acknowledged(f"{OTHER}Again", self._identity("lasts"), Run(1, self.samples(end) + rest)),
        ]
        if self.level.severity in OF_META:
            series.append(self._series("is about Tocsin", *whole, **{names.ALERTNAME: names.ALERT_NO_SERIES}))
        from_when: dict[str, float] = {"lasts": due, "ends": due, "begins later": due + late_by}
        some, many = _missing(over)
        # A gap in what fires is one more time that it fires.
        gaps = (
            () if self.level.times is not None and self.level.times.count == 2 else ((some, "gap"), (many, "long gap"))
        )
        for points, name in gaps:
            if gap := self.missing(points, over, least=points == many):
                runs = [Run(1, begun), *_gap(gap, absent=True), Run(1, fires_for - begun - gap + rest)]
                series.append(self._series(name, before, *runs))
                from_when[name] = math.inf if points == many else due

        def fire(at: float) -> list[Labels]:
            return self._fire(
                *[name for name, since in from_when.items() if since <= at < (end if name == "ends" else math.inf)]
            )

        times = (self.before(due), self.since(due), self.since(end))
        return self.case(
            "fires when an alert lasts, not before, and ends with it", series, [(at, fire(at)) for at in times]
        )

    def _repeats(self, length: int, count: int) -> dict[str, Any]:
        over = self.level.counted
        onset, run = self.onset(over), self.samples(length)
        begins = [math.ceil((onset + 2 * i * length) / over.step) * over.step for i in range(count)]
        gone = begins[0] + over.seconds
        before, time = Run(ABSENT, self.samples(onset)), [Run(1, run), *_gap(run, absent=True)]
        series = [
            self._series("often", before, *time * count),
            self._series("acknowledged", before, *time * count),
            self._series("seldom", before, *time * (count - 1)),
            self.acknowledged(OTHER, self._identity("acknowledged"), Run(1, self.samples(gone))),
        ]
        expected = [
            (self.before(begins[-1]), []),
            (self.since(begins[-1]), self._fire("often")),
            (self.before(gone), self._fire("often")),
            (self.after(gone), []),
        ]
        return self.case(f"fires after {count} times, not before", series, expected)


def _gap(samples: int, *, absent: bool = False) -> list[Run]:
    """So many samples of what is not known: -1, or a series that has ended."""
    return [Run(ENDS), Run(ABSENT, samples - 1)] if absent else [Run(-1, samples)]
