"""promtool tests of SLO alerts: each fires from its burn rate on, not below, and not on an accident of little traffic.

Where the SLI is made of selectors its own metrics are fed, so that the whole way from the counters is tested. Of other
expressions it is not known what they need, so the tests feed the first series that is recorded of them.
"""

import math
from collections.abc import Iterator
from typing import Any

from tocsin import names
from tocsin.config.models import Service, Target
from tocsin.config.types import format_duration
from tocsin.config.window import has_window
from tocsin.core import slo as core
from tocsin.generate.example import Selector, Series, example
from tocsin.generate.paging import Page
from tocsin.generate.promtool import Fires, Input, Run, case
from tocsin.generate.slo import COUNTED, KINDS, Objective, objectives

#: Next to a threshold, in shares of it.
_NEAR = 0.001
#: Scrapes after which every window has seen enough to give a ratio.
_SCRAPES = 6
#: What is less than enough bad events, as a share of it; Prometheus extrapolates a count by up to a tenth here.
_FEW = 0.8
#: Events at the threshold in each scrape interval: far more than what is little traffic.
_PLENTY = 100


def cases(service: Service, target: Target) -> Iterator[dict[str, Any]]:
    """All tests of a service's SLO alerts; SLOs may share metrics, so each has tests of its own."""
    for slo in objectives(service, target):
        feed = _feed(slo)
        alerts = [kind for kind in KINDS if slo.alert_name(kind) is not None]
        if not alerts:
            continue
        for share, fires, what in _boundaries(slo, alerts):
            yield _case(slo, what, feed.constant(share), fires)
        for kind in alerts:
            if (page := slo.page_of(kind)) is not None:
                yield from _paged(slo, feed, kind, page)
        if isinstance(feed, _Counters) and (few := _few(slo)):
            yield _case(slo, "little traffic: few bad events tell nobody", feed.few(few), ())
            yield _case(
                slo, "little traffic: enough bad events do", feed.few(slo.model.min_bad + _PLENTY), tuple(alerts)
            )


def _paged(slo: Objective, feed: "_Feed", kind: core.Kind, page: Page) -> Iterator[dict[str, Any]]:
    """What pages for an alert that goes to Tocsin alone: later than that, and not while something is done about it."""
    evaluation, scrape = slo.target.evaluation_interval, slo.target.scrape_interval
    grace = math.ceil(page.grace / evaluation) * evaluation
    at = _known(slo) + grace
    lasts = math.ceil(at / scrape) + 1
    series = feed.constant(min(_lowest(slo, kind) * (1 + _NEAR), 1.0), lasts)
    told = slo.told_labels(kind)
    expected = [Fires(page.name, grace - evaluation), Fires(page.name, at, [told])]
    yield case(f"{slo.name}: {kind}: pages where nothing has helped until then", scrape, series, expected)
    if (hold := page.held(told, lasts)) is not None:
        name = f"{slo.name}: {kind}: does not page while something is done about it"
        yield case(name, scrape, [*series, hold], [Fires(page.name, at)])


def _known(slo: Objective) -> int:
    """Seconds after which every window has seen enough, and the rules have seen that."""
    return 2 * _SCRAPES * slo.target.scrape_interval + 2 * slo.target.evaluation_interval


def _lowest(slo: Objective, kind: core.Kind) -> float:
    """The lowest share of bad events that fires an alert."""
    return min(pair.threshold for pair in slo.pairs(kind))


def _few(slo: Objective) -> int:
    """Bad events that are too few, in traffic that is too little for any of the windows to do without the gate."""
    most = max(pair.threshold for kind in KINDS for pair in slo.pairs(kind))
    return int(min(_FEW * slo.model.min_bad, _FEW * core.ENOUGH / most / 2))


def _boundaries(slo: Objective, alerts: list[core.Kind]) -> Iterator[tuple[float, tuple[core.Kind, ...], str]]:
    """Share of bad events, which alerts it fires, and in words."""
    lowest = {kind: _lowest(slo, kind) for kind in alerts}
    for kind in alerts:
        at = lowest[kind]
        below = tuple(other for other in alerts if lowest[other] <= at * (1 - _NEAR))
        yield at * (1 - _NEAR), below, f"{kind}: does not fire just below a share of {at:.12g}"
        above = tuple(other for other in alerts if lowest[other] <= at * (1 + _NEAR))
        yield min(at * (1 + _NEAR), 1.0), above, f"{kind}: fires just above it"


def _case(slo: Objective, what: str, series: list[Input], fires: tuple[core.Kind, ...]) -> dict[str, Any]:
    expected = [
        Fires(name, _known(slo), [slo.alert_labels(kind)] if kind in fires else [])
        for kind in KINDS
        if (name := slo.alert_name(kind)) is not None
    ]
    return case(f"{slo.name}: {what}", slo.target.scrape_interval, series, expected)


# ------------------------------------------------------------------------------------------------ what is fed


class _Recorded:
    """Feeds what is recorded first, for expressions of which nothing is known."""

    def __init__(self, slo: Objective) -> None:
        self._slo = slo

    def constant(self, share: float, scrapes: int = 4 * _SCRAPES) -> list[Input]:
        """A constant share of bad events."""
        runs, labels = [Run(share, scrapes)], self._slo.identity
        if self._slo.measure.now is not None:
            return [Input(names.RECORD_ERROR, labels, runs)]
        found = [Input(names.RECORD_ERROR_OVER + format_duration(window), labels, runs) for window in core.ALL]
        if self._slo.measure.counted:
            plenty = [Run(1e9, scrapes)]
            found += [Input(names.RECORD_EVENTS_OVER + format_duration(w), labels, plenty) for w in COUNTED]
        return found


class _Counters:
    """Feeds counters: per event of each series, how many are bad, and how many there are in all."""

    def __init__(self, slo: Objective, bad: list[tuple[Series, int, int]]) -> None:
        """Each series comes with what it counts: by how much it rises for a bad event, and for a good one."""
        self._slo, self._series = slo, bad

    def constant(self, share: float, scrapes: int = 4 * _SCRAPES) -> list[Input]:
        """A constant share of bad events in much traffic."""
        least = min(pair.threshold for kind in KINDS for pair in self._slo.pairs(kind))
        each = _PLENTY / least
        return self._inputs(share * each, (1 - share) * each, scrapes)

    def few(self, bad: int) -> list[Input]:
        """So many bad events, spread over the first scrapes, and so few others that every window is far above."""
        most = max(pair.threshold for kind in KINDS for pair in self._slo.pairs(kind))
        good = bad * (1 - most) / (1 + most)
        return self._inputs(bad / _SCRAPES, good / _SCRAPES, _SCRAPES)

    def _inputs(self, bad: float, good: float, scrapes: int) -> list[Input]:
        found = []
        for series, per_bad, per_good in self._series:
            step = _exact(per_bad * bad + per_good * good)
            runs = [Run(0, scrapes + 1, step), Run(step * scrapes, max(0, 4 * _SCRAPES - scrapes))]
            found.append(Input(series.name, dict(series.labels), runs))
        return found


def _exact(step: float) -> float:
    """The step in binary fractions that add up without rounding: what falls by one bit is a reset of the counter."""
    return round(step * 1024) / 1024


_Feed = _Recorded | _Counters


def _feed(slo: Objective) -> _Feed:
    sli = slo.model.sli
    found: list[tuple[Series, int, int]] | None = None
    if sli.total is not None and not any(map(has_window, filter(None, (sli.total, sli.bad, sli.good)))):
        total = Selector.of(sli.total)
        found = _events(total, Selector.of(sli.bad or sli.good or ""), bad=sli.bad is not None)
    elif sli.latency is not None and not sli.latency.native:
        found = _histogram(sli.latency.histogram, sli.latency.le)
    return _Counters(slo, found) if found else _Recorded(slo)


def _events(total: Selector, part: Selector, *, bad: bool) -> list[tuple[Series, int, int]] | None:
    """A series of the part, and one of the rest; the part may be series of the total or a metric of its own."""
    one, rest = example(part), example(total, avoid=part)
    if one is None or rest is None:
        return None
    inside = total.finds(one)
    per_part, per_rest = (1, 0), (0, 1) if inside else (1, 1)
    if not bad:
        per_part, per_rest = per_part[::-1], per_rest[::-1]
    return [(one, *per_part), (rest, *per_rest)]


def _histogram(histogram: str, le: float) -> list[tuple[Series, int, int]] | None:
    selector = Selector.of(histogram)
    base = example(selector)
    if base is None:
        return None
    bucket = Series(f"{base.name}_bucket", (*base.labels, ("le", f"{le:.15g}")))
    return [(bucket, 0, 1), (Series(f"{base.name}_count", base.labels), 1, 1)]
