"""What the routes have to do: each label set that the rules can make, and whom it is told to.

This is said from the configuration, without the tree: the tree, and Alertmanager by amtool, are compared with it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from tocsin import names
from tocsin.config import escalation_checks
from tocsin.config.escalation import Step
from tocsin.config.models import Route, Service
from tocsin.config.types import format_duration
from tocsin.generate.alertmanager import intervals
from tocsin.generate.alertmanager.audience import Audience, audience
from tocsin.generate.alertmanager.node import Node
from tocsin.generate.alertmanager.site import Labels, Site
from tocsin.generate.alertmanager.tellers import default, tellers, woken

#: Alerts about Tocsin that nobody has to be told of.
_LOOKED_AT = (names.ALERT_WATCHDOG, names.ALERT_SLO_IDLE)


@dataclass(frozen=True)
class Row:
    """A label set, and the names of Alertmanager's receivers that are told of it, in the order of the routes.

    `when` is the condition of a level of escalation; what is not one is told at once.
    """

    labels: Labels
    receivers: tuple[str, ...]
    when: str = ""

    def data(self) -> dict[str, Any]:
        """The row as it is written."""
        when = {"when": self.when} if self.when else {}
        return {"labels": self.labels, "receivers": list(self.receivers), **when}


def rows(site: Site) -> list[Row]:
    """The whole table: the alerts of each service, then those about Tocsin itself, with and without a service."""
    found = []
    for service in site.services:
        when = {
            level.name: _when(level.step)
            for policy in service.escalation
            for level in escalation_checks.levels(service, policy)
        }
        found += [
            Row(labels, _expected(site, service, labels), when.get(labels[names.ALERTNAME], ""))
            for labels in site.alerts(service)
        ]
    for labels in site.meta():
        told = _names([_of_meta(site, labels)])
        found.append(Row(labels, told))
    return [replace(row, labels={name: row.labels[name] for name in sorted(row.labels)}) for row in found]


def _when(step: Step) -> str:
    """The condition of a level, as the configuration has it."""
    after = None if step.after is None else f"after {format_duration(step.after)}"
    return " or ".join(text for text in (after, step.or_, step.if_) if text is not None)


def _expected(site: Site, service: Service, labels: Labels) -> tuple[str, ...]:
    page = labels.get(names.PAGE) == "true"
    hook = [names.TO_TOCSIN] if site.process.alertmanager.webhook is not None else []
    if names.REMEDIATION in labels:
        return (*(hook or [names.NOBODY]),)
    if names.ESCALATION in labels:
        to = labels[names.RECEIVER]
        level = audience(to, site.receiver(to), page=page, escalated=True)
        return (*hook, *_names([level or default(site, service, page=page)]))
    told = [
        audience(teller.to, site.receiver(teller.to), page=page)
        for teller in tellers(site, service)
        if all(matcher.holds(labels) for matcher in teller.matchers)
    ]
    found = [one for one in told if one is not None]
    if found and page and not any(one.wakes for one in found) and (waking := woken(site, service)) is not None:
        found.append(waking)
    return (*hook, *_names(found or [default(site, service, page=page)]))


def _of_meta(site: Site, labels: Labels) -> Audience | None:
    if labels[names.ALERTNAME] == names.ALERT_WATCHDOG:
        to = site.process.alertmanager.watchdog
        return None if to is None else audience(to, site.receiver(to), page=True)
    return None if labels[names.SEVERITY] == "none" else default(site, None, page=False)


def _names(told: Sequence[Audience | None]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(names.NOBODY if one is None else one.name for one in told))


def faults(site: Site, node: Node, table: Sequence[Row]) -> Iterator[str]:
    """Where the tree, with a root of somebody else's, does something else; and levels that two owners send."""
    root = Node(names.NOT_OURS, routes=[node])
    for row in table:
        if (told := root.told(row.labels)) != list(row.receivers):
            yield f"{_named(row)} goes to {', '.join(told)}, expected {', '.join(row.receivers)}"
        if names.NOT_OURS in told:
            yield f"{_named(row)} falls through to the default of the whole configuration"
    for service in site.services:
        yield from _two_owners(service, table)


def _two_owners(service: Service, table: Sequence[Row]) -> Iterator[str]:
    """Nobody may be told of the same alerts by the rules and by the responder, whichever policy says so."""
    for row in table:
        policy = service.escalation.get(row.labels.get(names.ESCALATION, ""))
        if policy is not None and row.labels.get(names.SERVICE) == service.service and policy.via == "responder":
            yield f"{_named(row)} is a level of {row.labels[names.ESCALATION]}, which is the responder's"
    seen: dict[tuple[str, str], tuple[str, str]] = {}
    for name, policy in service.escalation.items():
        first = [
            f"{signal}/{key}"
            for signal, keys in escalation_checks.first_alerts(service, policy).items()
            for key in keys
        ]
        for step in policy.steps:
            if step.after is None and step.or_ is None and step.if_ is None:
                continue
            for alert in first or [policy.when]:
                owner, other = seen.setdefault((alert, step.to), (policy.via, name))
                if owner != policy.via:
                    told = f"escalation.{name} and escalation.{other} of {service.service} both tell {step.to}"
                    yield f"{told} about {alert}: one is of the rules, one of the responder"


def lost(table: Sequence[Row]) -> Iterator[str]:
    """Pages of which nobody is told; :func:`warnings` says the same."""
    for row in table:
        if row.labels.get(names.PAGE) == "true" and names.NOBODY in row.receivers:
            yield _untold(row)


def warnings(site: Site, table: Sequence[Row]) -> Iterator[str]:
    """What the configuration says, and its author may not mean."""
    for i, route in enumerate(site.process.routes):
        if not any(_is_for(site, route, row) for row in table):
            yield f"routes[{i}]: no alert has all of its labels, {route.to} is told of nothing by it"
    for service in site.services:
        if windows := _muted_pages(site, service, table):
            what = f"maintenance ({', '.join(windows)}) mutes the pages of {service.service}"
            yield f"{what}: one that ends meanwhile stays open in PagerDuty; `mute: false` mutes none"
    for row in table:
        if names.NOBODY in row.receivers and row.labels[names.ALERTNAME] not in _LOOKED_AT:
            yield _untold(row)
        elif row.labels.get(names.PAGE) == "true" and names.ESCALATION not in row.labels and not _wakes(site, row):
            yield f"{_named(row)} pages, and nobody whom it reaches can be paged"
        elif (to := _unpaged(site, row)) is not None:
            told = ", ".join(name for name in row.receivers if name != names.TO_TOCSIN)
            yield f"{_named(row)} does not page, and {to} can only be paged: {told} is told instead"


def _unpaged(site: Site, row: Row) -> str | None:
    """The receiver that a level names, where it has no channel for a level that does not page."""
    to = row.labels.get(names.RECEIVER)
    page = row.labels.get(names.PAGE) == "true"
    return to if to is not None and audience(to, site.receiver(to), page=page) is None else None


def _wakes(site: Site, row: Row) -> bool:
    """Whether somebody is woken by a page, or by a level of one."""
    level = names.ESCALATION in row.labels
    told = (audience(*given, page=True, escalated=level) for given in site.process.receivers.items())
    return any(one.wakes for one in told if one is not None and one.name in row.receivers)


def _is_for(site: Site, route: Route, row: Row) -> bool:
    """Whether a route is about an alert; those about Tocsin itself have no routes."""
    given = {names.SERVICE: route.service, names.SEVERITY: route.severity, names.DIMENSION: route.dimension}
    teams = {service.service: service.team for service in site.services}
    if row.labels[names.ALERTNAME] in names.META_ALERTS or names.ESCALATION in row.labels:
        return False
    if route.team is not None and teams[row.labels[names.SERVICE]] != route.team:
        return False
    return all(value is None or row.labels.get(label) == value for label, value in given.items())


def _muted_pages(site: Site, service: Service, table: Sequence[Row]) -> list[str]:
    """Maintenance windows that mute a page of the service which wakes somebody."""
    pages = (
        row
        for row in table
        if row.labels.get(names.SERVICE) == service.service and row.labels.get(names.PAGE) == "true"
    )
    windows = intervals.muting(site, service)
    return [window.name for _, window in windows] if windows and any(_wakes(site, row) for row in pages) else []


def _untold(row: Row) -> str:
    pages = ", which pages" if row.labels.get(names.PAGE) == "true" else ""
    return f"nobody is told of {_named(row)}{pages}"


def _named(row: Row) -> str:
    """The alert as a sentence calls it."""
    service = row.labels.get(names.SERVICE)
    whose = "" if service is None else f"{service}: "
    label = names.REMEDIATION if names.REMEDIATION in row.labels else names.SEVERITY
    return f"{whose}{row.labels[names.ALERTNAME]} ({label}={row.labels.get(label, '')})"
