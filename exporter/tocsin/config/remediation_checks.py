"""Checks of what is done about alerts, and of what a remediation means."""

import json
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from pydantic import ValidationError

from tocsin import names
from tocsin.config import alert_checks, expr, slo_checks
from tocsin.config.base import Model
from tocsin.config.explain import wrongs
from tocsin.config.faults import Path
from tocsin.config.hosts import HostEntry, Url, parse_host_entry, parse_url
from tocsin.config.known import Finding
from tocsin.config.operations import PARAMETERS
from tocsin.config.process import ProcessModel
from tocsin.config.remediation import Remediation, parse_cause
from tocsin.config.service import Service
from tocsin.config.signals import alert_names
from tocsin.config.types import describe


def parameters(remediation: Remediation) -> Model:
    """The parameters of its operation. ValidationError when they are not; KeyError when there is no such operation."""
    return PARAMETERS[remediation.run].model_validate_json(
        json.dumps(remediation.with_), strict=True, context={"base": remediation.base}, by_alias=True, by_name=False
    )


def causes(service: Service, remediation: Remediation, alerts: Collection[str]) -> set[str]:
    """Names of the alerts for which it is run, of those of the service."""
    cause = parse_cause(remediation.when)
    if cause.tier is None:
        return {cause.alert} if cause.alert is not None and cause.alert in alerts else set()
    found = set()
    for name, signal in service.signals.items():
        if name in (remediation.signals or service.signals):
            called = alert_names(service.service, name, signal.alert)
            found |= {called[key] for key, alert in signal.alert.items() if alert.tier >= cause.tier}
    return found


@dataclass(frozen=True, slots=True)
class Armed:
    """What is really done about one alert: for how many seconds its page waits for that, and on what it is done."""

    grace: int
    #: Ids of resources; None stands for the label of the alert.
    resources: tuple[str | None, ...]


def armed(service: Service) -> dict[str, Armed]:
    """Alerts of a service about which something is really done. Levels of escalation are pages and wait for nothing."""
    if all(one.dry_run for one in service.remediation):
        return {}
    alerts = set[str]()
    for key, signal in service.signals.items():
        alerts |= set(alert_names(service.service, key, signal.alert).values())
    alerts |= {name for module in (slo_checks, alert_checks) for name, _ in module.alert_names(service)}
    found: dict[str, Armed] = {}
    for one in service.remediation:
        if one.dry_run:
            continue
        for name in sorted(causes(service, one, alerts)):
            before = found.get(name, Armed(0, ()))
            resources = tuple(dict.fromkeys((*before.resources, one.resource)))
            found[name] = Armed(max(before.grace, one.hold_grace), resources)
    return found


def pages(service: Service) -> Iterator[tuple[str, Path]]:
    """Names of the alerts that page when nothing has helped, each with the path of what makes it."""
    left = set(armed(service))
    for i, one in enumerate(service.remediation):
        found = set() if one.dry_run else causes(service, one, left) & left
        left -= found
        for name in sorted(found):
            yield names.page_of(name), ("remediation", i, "when")


def check(service: Service, alerts: Collection[str]) -> Iterator[Finding]:
    """Findings of a service file; `alerts` are the names of its alerts."""
    seen: dict[str, str] = {}
    for i, one in enumerate(service.resources):
        if one.id in seen:
            yield Finding(("resources", i, "id"), f"found {describe(one.id)} again, expected one of its own")
        seen[one.id] = one.id
    done: set[tuple[str, str]] = set()
    for i, remediation in enumerate(service.remediation):
        yield from _remediation(service, remediation, i, alerts)
        for alert in sorted(causes(service, remediation, alerts)):
            if (alert, remediation.run) in done:
                message = f"found {remediation.run} for {alert} again, expected an operation once for an alert"
                yield Finding(("remediation", i, "run"), message, (("remediation", i, "when"),))
            done.add((alert, remediation.run))


def _remediation(service: Service, remediation: Remediation, i: int, alerts: Collection[str]) -> Iterator[Finding]:
    at = ("remediation", i)
    if remediation.run not in PARAMETERS:
        message = f"found {describe(remediation.run)}, expected an operation ({', '.join(sorted(PARAMETERS))})"
        yield Finding((*at, "run"), message)
    else:
        try:
            parameters(remediation)
        except ValidationError as error:
            for wrong in wrongs(error, PARAMETERS[remediation.run], remediation.with_):
                yield Finding((*at, "with", *wrong.path), wrong.message, ((*at, "run"),))
    cause = parse_cause(remediation.when)
    if cause.alert is not None and cause.alert not in alerts:
        known = ", ".join(sorted(alerts)) or "it has none"
        yield Finding((*at, "when"), f"found {describe(cause.alert)}, expected an alert of the service ({known})")
    elif not causes(service, remediation, alerts):
        yield Finding((*at, "when"), f"found {describe(remediation.when)}, expected what an alert of a signal is on")
    if remediation.verify is not None and (wrong_query := expr.fault(remediation.verify)):
        yield Finding((*at, "verify"), wrong_query)
    if cause.tier is None and remediation.signals:
        yield Finding((*at, "signals"), "found signals beside the name of an alert, expected them with a tier only")
    for j, name in enumerate(remediation.signals):
        if name not in service.signals:
            known = ", ".join(sorted(service.signals)) or "it has none"
            yield Finding((*at, "signals", j), f"found {describe(name)}, expected a signal of the service ({known})")
    ids = [one.id for one in service.resources]
    if remediation.resource is not None and remediation.resource not in ids:
        message = f"found {describe(remediation.resource)}, expected one of `resources` ({', '.join(ids) or 'none'})"
        yield Finding((*at, "resource"), message, (("resources",),))
    if not ids and not service.signals:
        message = (
            "found a remediation in a service without resources and signals: no resource can be selected, and nothing "
            "is ever done; expected some in `resources`"
        )
        yield Finding((*at, "when"), message, warning=True)


def check_heard(process: ProcessModel, service: Service) -> Iterator[Finding]:
    """A warning where something is armed, and nobody can deliver an alert."""
    first = next((i for i, one in enumerate(service.remediation) if not one.dry_run), None)
    if first is not None and not any("webhook" in one.scopes for one in process.principals):
        message = (
            "found an armed operation and no principal with the scope webhook: nobody can deliver an alert, and "
            "nothing is ever done; expected one in `principals` of the process file"
        )
        yield Finding(("remediation", first, "dry_run"), message, warning=True)


def check_hosts(process: ProcessModel, service: Service) -> Iterator[Finding]:
    """Warnings where a request is to be sent to a host that is not listed, and would be refused each time."""
    listed = [parse_host_entry(text) for text in process.guard.hosts]
    for i, one in enumerate(service.remediation):
        url = one.with_.get("url") if one.run == "http" else None
        if isinstance(url, str) and not _listed(url, listed):
            known = ", ".join(process.guard.hosts) or "it has none"
            message = (
                f"found a host that is not listed, so that it is never called; expected one of `guard.hosts` ({known})"
            )
            yield Finding(("remediation", i, "with", "url"), message, warning=True)


def _listed(text: str, listed: Sequence[HostEntry]) -> bool:
    """Whether an entry is about the host of a URL. What is no URL is said elsewhere."""
    try:
        url = parse_url(text)
    except ValueError:
        return True
    return any(entry.port in (None, url.port) and _names(entry, url) for entry in listed)


def _names(entry: HostEntry, url: Url) -> bool:
    if isinstance(entry.host, str) or isinstance(url.host, str):
        return entry.host == url.host
    return url.host in entry.host


def check_process(process: ProcessModel) -> Iterator[Finding]:
    """Findings of the guard's limits."""
    storm = process.guard.storm
    if storm.below > storm.above:
        message = f"found {storm.below}, expected at most `above` ({storm.above})"
        yield Finding(("guard", "storm", "below"), message, (("guard", "storm", "above"),))
