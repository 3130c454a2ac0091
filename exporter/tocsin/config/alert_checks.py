"""Checks of alerts on values: thresholds, absence, change, forecasts, and any expression."""

import re
from collections.abc import Iterator

from tocsin import names
from tocsin.config import expr, texts
from tocsin.config.faults import Path
from tocsin.config.known import Finding, Known
from tocsin.config.models import (
    Alert,
    Expression,
    ForecastBreach,
    Observed,
    RateOfChange,
    Service,
    Threshold,
)
from tocsin.config.types import describe, format_duration

#: The longest `for`: Prometheus forgets how long an alert has waited when it is away for longer than this.
LONGEST_WAIT = 3600
#: Evaluations that a change is looked at over, at least.
LEAST_STEPS = 4

_LABEL = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_LISTS = ("absent", "rate_of_change", "forecast_breach", "alerts")


def threshold_names(service: str, key: str, threshold: Threshold) -> dict[str, str]:
    """Name of each alert of a threshold, by level."""
    name = threshold.name or names.camel(service, key)
    levels = [level for level in ("warning", "critical") if getattr(threshold, level) is not None]
    return {level: name + (level.capitalize() if len(levels) > 1 else "") for level in levels}


def change_wait(change: RateOfChange) -> float:
    """Seconds for which a change lasts before it fires; a step is no change any more when it is as old as `over`."""
    return min(300, change.over // 2) if change.for_ is None else change.for_


def alert_names(service: Service) -> Iterator[tuple[str, Path]]:
    """Name of every alert of these kinds, with the path where it is given."""
    for key, threshold in service.thresholds.items():
        for name in threshold_names(service.service, key, threshold).values():
            yield name, ("thresholds", key, "name")
    for kind in _LISTS:
        for i, alert in enumerate(getattr(service, kind)):
            yield alert.name, (kind, i, "name")


def check(service: Service, known: Known) -> Iterator[Finding]:
    """All findings of the alerts of a service."""
    for key, threshold in service.thresholds.items():
        yield from _common(threshold, ("thresholds", key), service, known)
        yield from _bounds(threshold, ("thresholds", key))
    for kind in _LISTS:
        for i, alert in enumerate(getattr(service, kind)):
            yield from _common(alert, (kind, i), service, known)
            if isinstance(alert, RateOfChange):
                yield from _change(alert, (kind, i), known)
            elif isinstance(alert, ForecastBreach):
                yield from _breach(alert, (kind, i), service)


def _common(alert: Alert, at: Path, service: Service, known: Known) -> Iterator[Finding]:
    if (alert.for_ or 0) > LONGEST_WAIT:
        found = format_duration(alert.for_ or 0)
        yield Finding((*at, "for"), f"found {found}, expected at most {format_duration(LONGEST_WAIT)}")
    yield from texts.check(alert, at, known)
    if isinstance(alert, Observed):
        yield from _observed(alert, at, service, known)
    elif not isinstance(alert, ForecastBreach):
        yield from _expr(getattr(alert, "expr", None), at, known)
    if isinstance(alert, Observed | Expression):
        yield from _by(alert, at, service)


def _expr(text: str | None, at: Path, known: Known) -> Iterator[Finding]:
    if text is not None and (message := expr.fault(text)):
        # MetricsQL is larger than PromQL, but these rules are for Prometheus: there it would be refused.
        yield Finding((*at, "expr"), message, warning=known.kind == "victoriametrics")


def _observed(alert: Observed, at: Path, service: Service, known: Known) -> Iterator[Finding]:
    if (alert.signal is None) == (alert.expr is None):
        found = "neither" if alert.expr is None else "both"
        yield Finding(at, f"found {found}, expected exactly one of signal and expr", ((*at, "signal"), (*at, "expr")))
    elif alert.signal is not None:
        yield from _signal(alert.signal, at, service)
    yield from _expr(alert.expr, at, known)


def _signal(name: str, at: Path, service: Service) -> Iterator[Finding]:
    if name not in service.signals:
        known = ", ".join(sorted(service.signals)) or "none is defined"
        message = f"found {describe(name)}, expected a signal of this service ({known})"
        yield Finding((*at, "signal"), message, (("signals",),))


def _by(alert: Observed | Expression, at: Path, service: Service) -> Iterator[Finding]:
    by, path = alert.by, (*at, "by")
    reads: tuple[Path, ...] = ()
    signal = service.signals.get(getattr(alert, "signal", None) or "")
    if by is None and signal is not None:
        by, path = signal.by, (*at, "signal")
        reads = (("signals", getattr(alert, "signal", ""), "by"),)
    for label in dict.fromkeys(by or ()):
        if not _LABEL.fullmatch(label):
            message = f"found the label {describe(label)}, expected letters, digits and '_': rules group by it"
            yield Finding(path, message, reads)
    for label in sorted({label for label in alert.by or () if (alert.by or ()).count(label) > 1}):
        yield Finding(path, f"found {describe(label)} more than once, expected each label once")


def _bounds(threshold: Threshold, at: Path) -> Iterator[Finding]:
    warning, critical = threshold.warning, threshold.critical
    if warning is None and critical is None:
        message = "found no bound, expected warning, critical or both"
        yield Finding(at, message, ((*at, "warning"), (*at, "critical")))
    elif warning is not None and critical is not None:
        above = threshold.direction == "up"
        if not (warning < critical if above else warning > critical):
            message = (
                f"found {critical:.12g} with a warning at {warning:.12g}, expected it {'above' if above else 'below'}"
                f" that (direction: {threshold.direction})"
            )
            yield Finding((*at, "critical"), message, ((*at, "warning"), (*at, "direction")))


def _change(change: RateOfChange, at: Path, known: Known) -> Iterator[Finding]:
    if change.rise is None and change.fall is None:
        yield Finding(at, "found no bound, expected rise, fall or both", ((*at, "rise"), (*at, "fall")))
    if change_wait(change) > change.over / 2:
        half = format_duration(change.over // 2)
        message = f"found {format_duration(change.for_ or 0)}, expected at most half of over ({half}): "
        yield Finding((*at, "for"), message + "a step is one only for as long as over", ((*at, "over"),))
    every = known.target.evaluation_interval if known.target is not None else 0
    if change.over < LEAST_STEPS * every:
        least = format_duration(LEAST_STEPS * every)
        yield Finding((*at, "over"), f"found {format_duration(change.over)}, expected at least 4 evaluations ({least})")


def _breach(breach: ForecastBreach, at: Path, service: Service) -> Iterator[Finding]:
    signal = service.signals.get(breach.signal)
    if signal is None:
        yield from _signal(breach.signal, at, service)
        return
    of: Path = ("signals", breach.signal)
    where, what = (*at, "signal"), describe(breach.signal)
    if signal.limit is None:
        yield Finding(where, f"found {what}, which has no limit, expected a signal with one", ((*of, "limit"),))
    if signal.horizon is None:
        message = f"found {what}, which has forecast: false, expected a signal with a forecast"
        yield Finding(where, message, ((*of, "forecast"),))
    elif breach.within > signal.horizon:
        horizon = format_duration(signal.horizon)
        message = f"found {format_duration(breach.within)}, expected at most the forecast's horizon ({horizon})"
        yield Finding((*at, "within"), message, (of,))
