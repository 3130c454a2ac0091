"""promtool tests of the alerts about Tocsin: each fires after its time, not before, and not while all is well."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from tocsin import names
from tocsin.config.models import Service, Target
from tocsin.core.budget import TOLERANCE
from tocsin.generate import meta
from tocsin.generate.meta_alert import Meta
from tocsin.generate.promtool import ABSENT, ENDS, Fires, Input, Labels, Run, case

#: Samples of a run that lasts to the end of its test.
_TO_THE_END = 10**9

_SIGNAL = {names.SERVICE: "example", names.SIGNAL: "load"}


def cases(services: Sequence[Service], target: Target) -> Iterator[dict[str, Any]]:
    """All tests of the alerts about Tocsin."""
    for alert in meta.alerts(services, target):
        yield from _CASES[alert.name](alert, services, target)


class _Clock:
    """Times of one alert in a test."""

    def __init__(self, alert: Meta, target: Target) -> None:
        self.alert, self.scrape, self.evaluation = alert, target.scrape_interval, target.evaluation_interval

    def after(self, start: float) -> int:
        """The evaluation at which it fires when its expression is true from `start` on."""
        first = math.ceil(start / self.evaluation)
        return (first + math.ceil(self.alert.wait / self.evaluation)) * self.evaluation

    def fires(
        self, what: str, series: Sequence[Input], start: float = 0, labels: Labels | None = None
    ) -> dict[str, Any]:
        """Fires with these labels once its time is over, and not one evaluation before."""
        at = self.after(start)
        instance = {**self.alert.labels, **(labels or {})}
        before = [Fires(self.alert.name, at - self.evaluation)] if at else []
        return self._case(what, series, [*before, Fires(self.alert.name, at, [instance])])

    def turns(self, what: str, series: Sequence[Input], start: float, before: Labels, after: Labels) -> dict[str, Any]:
        """From `start` on it fires with other labels, and not with those of before any more."""
        at = self.after(start)
        one, other = ([{**self.alert.labels, **labels}] for labels in (before, after))
        return self._case(
            what, series, [Fires(self.alert.name, at - self.evaluation, one), Fires(self.alert.name, at, other)]
        )

    def starts(self, what: str, series: Sequence[Input]) -> dict[str, Any]:
        """Waits from the first evaluation on, for a time that another test of this alert sees end."""
        return self._case(what, series, [Fires(self.alert.name, 0, [self.alert.labels], "pending")])

    def silent(self, what: str, series: Sequence[Input], until: float = 0) -> dict[str, Any]:
        """Does not fire, long after it would have."""
        return self._case(what, series, [Fires(self.alert.name, self.after(until) + 10 * self.evaluation)])

    def _case(self, what: str, series: Sequence[Input], expected: Sequence[Fires]) -> dict[str, Any]:
        samples = math.ceil(expected[-1].at / self.scrape) + 1
        cut = [
            replace(one, runs=[run._replace(samples=min(run.samples, samples)) for run in one.runs]) for one in series
        ]
        return case(f"{self.alert.name} {what}", self.scrape, cut, expected)


def _own(short: str, labels: Labels, *runs: Run) -> Input:
    return Input(names.own(short), labels, runs)


def _down(alert: Meta, _: Sequence[Service], target: Target) -> Iterator[dict[str, Any]]:
    clock = _Clock(alert, target)
    gone = [_own("build_info", {"instance": "a"}, Run(1, 4), Run(ENDS))]
    yield clock.fires("fires when Tocsin goes", gone, 4 * clock.scrape)
    two = [*gone, _own("build_info", {"instance": "b"}, Run(1, _TO_THE_END))]
    yield clock.silent("is silent while a second Tocsin runs", two)


def _stale(alert: Meta, services: Sequence[Service], target: Target) -> Iterator[dict[str, Any]]:
    clock = _Clock(alert, target)
    success = "evaluation_last_success_timestamp_seconds"
    scraped = {**_SIGNAL, "instance": "a"}
    blind = [_own("stale", scraped, Run(0, 4), Run(1, _TO_THE_END))]
    yield clock.fires("fires when the source is blind", blind, 4 * clock.scrape, _SIGNAL)
    hangs = [_own("stale", scraped, Run(0, _TO_THE_END)), _own(success, scraped, Run(0, _TO_THE_END))]
    # The age has to exceed the bound: it does at the first evaluation after it.
    bound = meta.stale_after(services, target)
    late = (bound // clock.evaluation + 1) * clock.evaluation
    yield clock.fires("fires when evaluations hang", hangs, late, _SIGNAL)
    fine = [_own("stale", scraped, Run(0, _TO_THE_END)), _own(success, scraped, Run(0, _TO_THE_END, clock.scrape))]
    yield clock.silent("is silent while evaluations succeed", fine, late)


def _reload_failed(alert: Meta, _: Sequence[Service], target: Target) -> Iterator[dict[str, Any]]:
    clock = _Clock(alert, target)
    good = _own("config_last_reload_successful", {"instance": "a"}, Run(1, _TO_THE_END))
    bad = _own("config_last_reload_successful", {"instance": "b"}, Run(1, 4), Run(0, _TO_THE_END))
    yield clock.fires("fires after a bad reload", [good, bad], 4 * clock.scrape)
    yield clock.silent("is silent after a good one", [good])


def _series_dropped(alert: Meta, _: Sequence[Service], target: Target) -> Iterator[dict[str, Any]]:
    clock = _Clock(alert, target)
    labels = {**_SIGNAL, "reason": "max_series"}
    scraped = {**labels, "instance": "a"}
    more = [_own("series_dropped_total", scraped, Run(0, 4), Run(1, _TO_THE_END, step=1))]
    yield clock.fires("fires while series are refused", more, 4 * clock.scrape, labels)
    yield clock.silent("is silent when none are", [_own("series_dropped_total", scraped, Run(7, _TO_THE_END))])


def _no_series(alert: Meta, _: Sequence[Service], target: Target) -> Iterator[dict[str, Any]]:
    clock = _Clock(alert, target)
    gone = [_own("series", {**_SIGNAL, "instance": "a"}, Run(3, 4), Run(0, _TO_THE_END))]
    yield clock.fires("fires when nothing is left", gone, 4 * clock.scrape, _SIGNAL)
    other = [*gone, _own("series", {**_SIGNAL, "instance": "b"}, Run(1, _TO_THE_END))]
    yield clock.silent("is silent while one series is there", other)


def _clock_skew(alert: Meta, _: Sequence[Service], target: Target) -> Iterator[dict[str, Any]]:
    clock = _Clock(alert, target)
    for what, beyond in (("ahead", meta.SKEW + 1), ("behind", -meta.SKEW - 1)):
        skewed = [_own("source_clock_skew_seconds", {"instance": "a"}, Run(0, 4), Run(beyond, _TO_THE_END))]
        yield clock.fires(f"fires when the source is {what}", skewed, 4 * clock.scrape)
    near = [_own("source_clock_skew_seconds", {"instance": "a"}, Run(meta.SKEW, _TO_THE_END))]
    yield clock.silent("is silent when the clocks are near", near)


#: What is recorded of an SLO is recorded by the Prometheus that has the alerts, so no label of a scrape is on it.
_SLO = {names.SERVICE: "example", names.SLO: "api"}


def _recorded(name: str, *runs: Run) -> Input:
    return Input(name, _SLO, runs)


def _slo_absent(alert: Meta, _: Sequence[Service], target: Target) -> Iterator[dict[str, Any]]:
    clock = _Clock(alert, target)
    there = _recorded(names.RECORD_OBJECTIVE, Run(0.99, _TO_THE_END))
    gone = _recorded(f"{names.RECORD_ERROR_OVER}5m", Run(0, 4), Run(ENDS))
    yield clock.fires("fires when the share of bad events ends", [there, gone], 4 * clock.scrape, _SLO)
    shown = _recorded(f"{names.RECORD_ERROR_OVER}5m", Run(0, _TO_THE_END))
    yield clock.silent("is silent while there is one", [there, shown])
    if names.RECORD_EVENTS_OVER not in alert.expr:
        return
    events = names.RECORD_EVENTS_OVER + "5m"
    ended = _recorded(events, Run(0, 4), Run(ENDS))
    yield clock.fires("fires when the events end", [there, ended], 4 * clock.scrape, _SLO)
    unknown = _recorded(events, Run(0, 4), Run(10, _TO_THE_END))
    yield clock.fires("fires when nobody says whether they are bad", [there, unknown], 4 * clock.scrape, _SLO)
    yield clock.silent("is silent when nothing happens", [there, _recorded(events, Run(0, _TO_THE_END))])


def _slo_broken(alert: Meta, _: Sequence[Service], target: Target) -> Iterator[dict[str, Any]]:
    clock, share = _Clock(alert, target), names.RECORD_ERROR_OVER + "1h"
    for what, beyond in (
        ("more is bad than there is", 1.001 + TOLERANCE),
        ("less than nothing is", -0.001 - TOLERANCE),
    ):
        broken = [_recorded(share, Run(0.5, 4), Run(beyond, _TO_THE_END))]
        yield clock.fires(f"fires when {what}", broken, 4 * clock.scrape, _SLO)
    for what, at in (("all", 1 + TOLERANCE / 2), ("none", -TOLERANCE / 2)):
        yield clock.silent(f"is silent when {what} is bad", [_recorded(share, Run(at, _TO_THE_END))])


def _slo_idle(alert: Meta, _: Sequence[Service], target: Target) -> Iterator[dict[str, Any]]:
    clock, events = _Clock(alert, target), names.RECORD_EVENTS_OVER + "1h"
    idle = [_recorded(events, Run(1, 4), Run(0, _TO_THE_END))]
    yield clock.fires("fires when nothing happens", idle, 4 * clock.scrape, _SLO)
    yield clock.silent("is silent for one event", [_recorded(events, Run(1, _TO_THE_END))])
    yield clock.silent("is silent when nothing is known", [_recorded(events, Run(0, 2), Run(ENDS))])


def _honor_labels(alert: Meta, services: Sequence[Service], target: Target) -> Iterator[dict[str, Any]]:
    clock = _Clock(alert, target)
    for i, (label, metric) in enumerate(meta.clashes(services)):
        labels = {**_SIGNAL, label: "of the target", names.EXPORTED + label: "ours"}
        renamed = [Input(metric, labels, [Run(0, _TO_THE_END)])]
        if i:
            yield clock.starts(f"starts when {label} is renamed", renamed)
        else:  # One shows how long it waits: there are dozens, and promtool takes its time for each evaluation.
            yield clock.fires(f"fires when {label} is renamed", renamed)
    whole = [
        Input(metric, {**_SIGNAL, label: "ours", "instance": "a"}, [Run(0, _TO_THE_END)])
        for label, metric in meta.clashes(services)
    ]
    yield clock.silent("is silent when labels arrive as they are", whole)


def _action_unknown(alert: Meta, _: Sequence[Service], target: Target) -> Iterator[dict[str, Any]]:
    clock, service = _Clock(alert, target), {names.SERVICE: "example"}
    held = [
        _own("actions_unknown", {**service, "instance": "a"}, Run(0, 4), Run(2, _TO_THE_END)),
        _own("actions_unknown", {**service, "instance": "b"}, Run(0, _TO_THE_END)),
    ]
    yield clock.fires("fires when one replica knows of one", held, 4 * clock.scrape, service)
    yield clock.silent("is silent when every end is known", held[1:])


def _kill_switch(alert: Meta, _: Sequence[Service], target: Target) -> Iterator[dict[str, Any]]:
    clock, flips = _Clock(alert, target), "kill_switch_generation"
    blocked = [
        _own("kill_switch_armed", {"instance": "a"}, Run(1, 4), Run(0, _TO_THE_END)),
        _own(flips, {"instance": "a"}, Run(7, 4), Run(8, _TO_THE_END)),
    ]
    yield clock.fires("fires when it is switched off", blocked, 4 * clock.scrape, {"flip": "8"})
    again = [
        _own("kill_switch_armed", {"instance": "a"}, Run(0, _TO_THE_END)),
        _own(flips, {"instance": "a"}, Run(7, 4), Run(8, 4), Run(9, _TO_THE_END)),
        _own(flips, {"instance": "b"}, Run(7, _TO_THE_END)),
    ]
    yield clock.turns("fires anew for the next flip", again, 8 * clock.scrape, {"flip": "8"}, {"flip": "9"})
    still = [
        _own("kill_switch_armed", {"instance": "a"}, Run(0, _TO_THE_END)),
        _own(flips, {"instance": "a"}, Run(8, _TO_THE_END)),
    ]
    yield clock.silent("is silent when nobody touches it", still)
    # After a quarter of an hour and one more scrape nobody is told any more.
    long_ago = 900 + 5 * max(clock.scrape, clock.evaluation)
    yield clock.silent("ends", blocked, long_ago)


def _went_back(alert: Meta, _: Sequence[Service], target: Target) -> Iterator[dict[str, Any]]:
    clock = _Clock(alert, target)
    old = [_own("audit_seq", {"instance": "a", "store": "s"}, Run(500, 4), Run(499, _TO_THE_END))]
    yield clock.fires("fires when the store is an older one", old, 4 * clock.scrape)
    elsewhere = [
        _own("audit_seq", {"instance": "a", "store": "s"}, Run(500, 4), Run(ENDS)),
        _own("audit_seq", {"instance": "b", "store": "s"}, Run(ABSENT, 4), Run(499, _TO_THE_END)),
    ]
    yield clock.fires("fires also under another address", elsewhere, 4 * clock.scrape)
    grows = [_own("audit_seq", {"instance": "a", "store": "s"}, Run(0, _TO_THE_END, 3))]
    yield clock.silent("is silent while it grows", grows)
    behind = [*grows, _own("audit_seq", {"instance": "b", "store": "s"}, Run(0, _TO_THE_END))]
    yield clock.silent("is silent while a replica is behind", behind)
    other = [_own("audit_seq", {"instance": "a", "store": "s"}, Run(500, 4), Run(ENDS))]
    other.append(_own("audit_seq", {"instance": "a", "store": "t"}, Run(ABSENT, 4), Run(0, _TO_THE_END)))
    yield clock.silent("is silent about another store", other, 6 * clock.scrape)
    restart = [
        _own("audit_seq", {"instance": "a", "store": "s"}, Run(500, 4), Run(ENDS), Run(ABSENT), Run(500, _TO_THE_END))
    ]
    yield clock.silent("is silent over a restart", restart, 6 * clock.scrape)


def _store_down(alert: Meta, _: Sequence[Service], target: Target) -> Iterator[dict[str, Any]]:
    clock = _Clock(alert, target)
    up = _own("store_up", {"instance": "a"}, Run(1, _TO_THE_END))
    lost = [up, _own("store_up", {"instance": "b"}, Run(1, 4), Run(0, _TO_THE_END))]
    yield clock.fires("fires when one replica has lost it", lost, 4 * clock.scrape)
    scraped = {"instance": "a", "reason": "full"}
    full = [up, _own("store_errors_total", scraped, Run(1, 4), Run(2, _TO_THE_END, 1))]
    yield clock.fires("fires when nothing can be written", full, 4 * clock.scrape)
    busy = [up, _own("store_errors_total", {**scraped, "reason": "busy"}, Run(1, _TO_THE_END, 1))]
    yield clock.silent("is silent when others are at it", busy)
    yield clock.silent("is silent where there is no store", [])


def _watchdog(alert: Meta, _: Sequence[Service], target: Target) -> Iterator[dict[str, Any]]:
    yield _Clock(alert, target).fires("always fires", [])


_CASES: dict[str, Callable[[Meta, Sequence[Service], Target], Iterator[dict[str, Any]]]] = {
    names.ALERT_DOWN: _down,
    names.ALERT_STALE: _stale,
    names.ALERT_RELOAD_FAILED: _reload_failed,
    names.ALERT_SERIES_DROPPED: _series_dropped,
    names.ALERT_NO_SERIES: _no_series,
    names.ALERT_CLOCK_SKEW: _clock_skew,
    names.ALERT_ACTION_UNKNOWN: _action_unknown,
    names.ALERT_KILL_SWITCH: _kill_switch,
    names.ALERT_AUDIT_WENT_BACK: _went_back,
    names.ALERT_STORE_DOWN: _store_down,
    names.ALERT_SLO_ABSENT: _slo_absent,
    names.ALERT_SLO_BROKEN: _slo_broken,
    names.ALERT_SLO_IDLE: _slo_idle,
    names.ALERT_HONOR_LABELS: _honor_labels,
    names.ALERT_WATCHDOG: _watchdog,
}
