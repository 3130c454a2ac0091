"""What the routes have to do: each label set that the rules can make, and whom it is told to.

This is said from the configuration, without the tree: the tree, and Alertmanager by amtool, are compared with it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from tocsin import names
from tocsin.config import escalation_checks
from tocsin.config.models import Service
from tocsin.generate.alertmanager.audience import PAGING, Audience, audience
from tocsin.generate.alertmanager.node import Node
from tocsin.generate.alertmanager.site import Labels, Site
from tocsin.generate.alertmanager.tellers import default, tellers

#: Alerts about Tocsin that nobody has to be told of.
_LOOKED_AT = (names.ALERT_WATCHDOG, names.ALERT_SLO_IDLE)


@dataclass(frozen=True)
class Row:
    """A label set, and the names of Alertmanager's receivers that are told of it, in the order of the routes."""

    labels: Labels
    receivers: tuple[str, ...]

    def data(self) -> dict[str, Any]:
        """The row as it is written."""
        return {"labels": self.labels, "receivers": list(self.receivers)}


def rows(site: Site) -> list[Row]:
    """The whole table: the alerts of each service, then those about Tocsin itself, with and without a service."""
    found = [
        Row(labels, _expected(site, service, labels)) for service in site.services for labels in site.alerts(service)
    ]
    for labels in site.meta():
        told = _names([_of_meta(site, labels)])
        found.append(Row(labels, told))
    return [Row({name: row.labels[name] for name in sorted(row.labels)}, row.receivers) for row in found]


def _expected(site: Site, service: Service, labels: Labels) -> tuple[str, ...]:
    page = labels.get(names.PAGE) == "true"
    hook = [names.TO_TOCSIN] if site.process.alertmanager.webhook is not None else []
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


def warnings(site: Site, table: Sequence[Row]) -> Iterator[str]:
    """What the configuration says, and its author may not mean."""
    for row in table:
        if names.NOBODY in row.receivers and row.labels[names.ALERTNAME] not in _LOOKED_AT:
            yield f"nobody is told of {_named(row)}"
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
    receivers = site.process.receivers.items()
    told = [audience(name, receiver, page=True) for name, receiver in receivers]
    return any(kind in PAGING for one in told if one and one.name in row.receivers for kind, _ in one.channels)


def _named(row: Row) -> str:
    """The alert as a sentence calls it."""
    service = row.labels.get(names.SERVICE)
    whose = "" if service is None else f"{service}: "
    severity = row.labels.get(names.SEVERITY, "")
    return f"{whose}{row.labels[names.ALERTNAME]} ({names.SEVERITY}={severity})"
