"""Alerts on values: thresholds, absence, change, forecasts, and any expression.

A kind is a module with a function `alerts(context)`; adding one is adding it to KINDS. :mod:`.trials` makes the
tests of all of them from what an alert says of itself.
"""

from collections.abc import Callable, Iterator
from typing import Any

from tocsin.config.models import ProcessModel, Service
from tocsin.generate import rule
from tocsin.generate.alerts import absent, breach, change, expression, threshold, trials
from tocsin.generate.alerts.alert import Alert, Context
from tocsin.generate.paging import pages

KINDS: dict[str, Callable[[Context], Iterator[Alert]]] = {
    "thresholds": threshold.alerts,
    "absent": absent.alerts,
    "rate_of_change": change.alerts,
    "forecast_breach": breach.alerts,
    "alerts": expression.alerts,
}


def made(service: Service, process: ProcessModel) -> list[Alert]:
    """All alerts of these kinds that a service has."""
    found = pages(service)
    plain = (alert for kind in KINDS.values() for alert in kind(Context(service, process)))
    return [alert for one in plain for alert in one.split(found.get(one.name))]


def lack_runbook(service: Service) -> bool:
    """Whether one of them names no runbook."""
    kinds = (getattr(service, kind) for kind in KINDS)
    found = (kind.values() if isinstance(kind, dict) else kind for kind in kinds)
    return any(alert.runbook is None for kind in found for alert in kind)


def groups(service: Service, process: ProcessModel) -> Iterator[dict[str, Any]]:
    """Their rule groups."""
    return _groups([(alert.group, alert.data()) for alert in made(service, process)], process)


def stand_ins(service: Service, process: ProcessModel) -> Iterator[dict[str, Any]]:
    """Copies, for tests, of those whose expressions nobody knows how to feed."""
    context = Context(service, process)
    copies = [alert for alert in made(service, process) if not trials.is_fed(alert, context)]
    return _groups([(alert.group, alert.data(trials.stand_in(alert))) for alert in copies], process)


def cases(service: Service, process: ProcessModel) -> Iterator[dict[str, Any]]:
    """Their promtool tests."""
    return trials.cases(made(service, process), Context(service, process))


def _groups(rules: list[tuple[str, dict[str, Any]]], process: ProcessModel) -> Iterator[dict[str, Any]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for name, data in rules:
        found.setdefault(name, []).append(data)
    for name, one in found.items():
        yield rule.group(name, process.target.evaluation_interval, one)
