"""Checks between the values of one SLO, and with the signals of its service."""

import re
from collections.abc import Iterator
from typing import Literal

from tocsin import names
from tocsin.config import expr, texts, window
from tocsin.config.faults import Path
from tocsin.config.known import Finding, Known
from tocsin.config.models import Latency, Service, SignalBound, Sli, Slo, SloAlert
from tocsin.config.types import describe, format_duration, parse_whole_seconds
from tocsin.core import slo as core

#: Ways to say what is measured, by the keys that each one needs.
WAYS = (("bad", "total"), ("good", "total"), ("latency",), ("probe",), ("ratio",), ("threshold",))

#: What a default name ends in.
_SUFFIX: dict[core.Kind, str] = {"page": "", "ticket": "Ticket"}

_RATE = re.compile(r"\bi?rate(?=\s*\()")

#: Oldest Prometheus whose native histograms, and the functions on them, are no experiment.
_NATIVE = (3, 0)


def alert_name(service: Service, name: str, kind: core.Kind) -> str | None:
    """Name of the alert of an SLO, None where there is none: switched off, or no burn rate could ever fire it."""
    slo = service.slos[name]
    model: SloAlert | Literal[False] = getattr(slo.alert, kind)
    if model is False or not any(pair.window.kind == kind and pair.can_fire for pair in pairs(slo)):
        return None
    return model.name or names.camel(service.service, name, "ErrorBudgetBurn", _SUFFIX[kind])


def alert_names(service: Service) -> Iterator[tuple[str, Path]]:
    """Names of the alerts of all SLOs, each with its path."""
    for name in service.slos:
        for kind in _SUFFIX:
            if (alert := alert_name(service, name, kind)) is not None:
                yield alert, ("slos", name, "alert", kind)


def pairs(slo: Slo) -> tuple[core.Pair, ...]:
    """Windows and thresholds of an SLO, those that can never fire included."""
    return core.pairs(slo.objective, parse_whole_seconds(slo.period))


def check(service: Service, known: Known) -> Iterator[Finding]:
    """All findings of a service's SLOs."""
    for name, slo in service.slos.items():
        at: Path = ("slos", name)
        yield from _sli(slo.sli, (*at, "sli"), service, known)
        yield from _objective(slo, at)
        for kind in _SUFFIX:
            model: SloAlert | Literal[False] = getattr(slo.alert, kind)
            if model is not False:
                yield from texts.check(model, (*at, "alert", kind), known)


def _sli(sli: Sli, at: Path, service: Service, known: Known) -> Iterator[Finding]:
    given = tuple(key for key in type(sli).model_fields if getattr(sli, key) is not None)
    if set(given) not in [set(way) for way in WAYS]:
        ways = ", ".join(" and ".join(way) for way in WAYS)
        found = " and ".join(given) or "nothing"
        yield Finding(at, f"found {found}, expected one of: {ways}")
        return
    for key in ("bad", "good", "total"):
        if (text := getattr(sli, key)) is not None:
            yield from _counted(text, (*at, key))
    if sli.latency is not None:
        yield from _latency(sli.latency, (*at, "latency"), known)
    if sli.probe is not None and (message := expr.selector_fault(sli.probe)):
        yield Finding((*at, "probe"), message)
    if sli.ratio is not None and (message := window.fault(sli.ratio)):
        yield Finding((*at, "ratio"), message)
    if sli.threshold is not None:
        yield from _threshold(sli.threshold, (*at, "threshold"), service)


def _counted(text: str, at: Path) -> Iterator[Finding]:
    """A selector, or an expression of a number of events over a window."""
    if not window.has_window(text):
        if message := expr.selector_fault(text):
            yield Finding(at, f"{message}; or an expression with [{window.WINDOW}] that gives a number of events")
        return
    if message := window.fault(text):
        yield Finding(at, message)
    elif match := _RATE.search(expr.masked(text)):
        yield Finding(at, f"found {match[0]}(), expected increase(): events are counted, not events per second")


def _latency(latency: Latency, at: Path, known: Known) -> Iterator[Finding]:
    where = (*at, "histogram")
    if message := expr.selector_fault(latency.histogram):
        yield Finding(where, message)
    elif match := re.match(r"[^{]*(_bucket|_count|_sum)\s*(?=\{|$)", latency.histogram):
        yield Finding(where, f"found a name that ends in {match[1]}, expected the histogram's name without it")
    elif not latency.native and latency.histogram.startswith("{"):
        yield Finding(where, "found no name before the {, expected one: a classic histogram has three series names")
    if latency.native and known.target is not None:
        version = tuple(int(part) for part in known.target.prometheus.split(".")[:2])
        if version < _NATIVE:
            message = f"found true for target.prometheus {known.target.prometheus!r}, expected at least '3.0'"
            yield Finding((*at, "native"), message)


def _threshold(bound: SignalBound, at: Path, service: Service) -> Iterator[Finding]:
    for one, other in (("signal", "expr"), ("above", "below")):
        if (getattr(bound, one) is None) == (getattr(bound, other) is None):
            found = "both" if getattr(bound, one) is not None else "neither"
            yield Finding(at, f"found {found} of {one} and {other}, expected exactly one")
    if bound.signal is not None and bound.signal not in service.signals:
        known = ", ".join(service.signals) or "none is defined"
        yield Finding(
            (*at, "signal"), f"found {describe(bound.signal)}, expected a signal of this service ({known})", ()
        )
    if bound.expr is not None and (message := expr.fault(bound.expr)):
        yield Finding((*at, "expr"), message)


def _objective(slo: Slo, at: Path) -> Iterator[Finding]:
    never = [pair for pair in pairs(slo) if not pair.can_fire]
    if not never:
        return
    windows = " and ".join(format_duration(pair.window.long) for pair in never)
    if all(not pair.can_fire for pair in pairs(slo) if pair.window.kind == "page") and slo.alert.page is not False:
        message = (
            f"found {slo.objective:.12g} over {slo.period}, expected a stricter objective or `alert: {{page: false}}`: "
            f"even if everything fails the budget does not burn fast enough for a page"
        )
        yield Finding((*at, "objective"), message, ((*at, "period"), (*at, "alert")))
    else:
        message = (
            f"found {slo.objective:.12g} over {slo.period}: the burn rate over {windows} can never reach its threshold "
            "and is left out"
        )
        yield Finding((*at, "objective"), message, ((*at, "period"),), warning=True)
