"""Remediate, verify, then page: an alert about which something is really done wakes nobody by itself.

It goes to Tocsin alone. Another one, which is made from it here, pages when it has fired for a while and nothing is
being done about it: :data:`~tocsin.names.OWN` ``remediation_hold`` is 1 while an action runs, and until it is known
whether it has helped. Where Tocsin is away nothing holds, and the page comes.

The page has the alert's expression, so that its texts have the same value, and asks of the alert that it fires, so that
what the alert waits for is waited for once: were it the page's own `for`, each hold would begin it anew. What pages
already is not taken back by a hold that comes later.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tocsin import names
from tocsin.config.models import Service
from tocsin.config.remediation_checks import armed
from tocsin.config.types import format_duration
from tocsin.generate import promql, templates
from tocsin.generate.promtool import Input, Run

#: Labels by which a route finds whom to tell. The alert that goes to Tocsin has none of them, and one of its own.
_TOLD = (names.SEVERITY, names.TEAM, names.DIMENSION, names.PAGE)
_ALONE = {names.REMEDIATION: "true"}


@dataclass(frozen=True, slots=True)
class Page:
    """The alert that pages for another one, `alert`, of a service."""

    service: str
    alert: str
    grace: int
    resources: tuple[str | None, ...]

    @property
    def name(self) -> str:
        """Its name."""
        return names.page_of(self.alert)

    def expr(self, expr: str, labels: Mapping[str, str]) -> str:
        """Its expression from that of the alert, whose rule adds these labels."""
        alone = quiet(labels)
        static = {label: value for label, value in alone.items() if label != names.REMEDIATION}
        ignored = names.joined((names.ALERTNAME, names.ALERTSTATE, *alone))
        lines = [f"(\n{expr}\n)", f"and ignoring ({ignored}) {promql.firing(self.alert, alone)}"]
        for resource in self.resources:
            where = {names.SERVICE: self.service}
            named = static.get(names.RESOURCE) if resource is None else resource
            on = f"on ({names.RESOURCE if named is None else ''})"
            holds = promql.selector(HOLD, where if named is None else {**where, names.RESOURCE: named})
            lines.append(f"unless {on} ({holds} == 1\n    unless {on} {promql.firing(self.name, static)})")
        return "\n".join(lines)

    def held(self, labels: Mapping[str, str], samples: int) -> Input | None:
        """So many samples of what keeps back the page with these labels, for tests; None where nothing can."""
        resource = next((one or labels.get(names.RESOURCE) for one in self.resources), None)
        where = {names.SERVICE: self.service, names.RESOURCE: resource or ""}
        return Input(HOLD, where, [Run(1, samples)]) if resource else None

    def rule(self, rule: Mapping[str, Any], labels: Mapping[str, str]) -> dict[str, Any]:
        """Its rule from that of the alert; `labels` are those that the alert would have if it paged itself."""
        return {
            **rule,
            "alert": self.name,
            "expr": self.expr(rule["expr"], labels),
            "for": format_duration(self.grace),
            "labels": {label: templates.inert(value) for label, value in labels.items()},
        }


#: The gauge that keeps pages back.
HOLD = names.own("remediation_hold")


def quiet(labels: Mapping[str, str]) -> dict[str, str]:
    """Labels of an alert that goes to Tocsin alone, from those with which it would page."""
    return {label: value for label, value in labels.items() if label not in _TOLD} | _ALONE


def pages(service: Service) -> dict[str, Page]:
    """The alerts of a service that another one pages for, by name."""
    return {name: Page(service.service, name, found.grace, found.resources) for name, found in armed(service).items()}


def paging(service: Service, alert: str) -> str:
    """Name of the alert that people are told of instead of this one; its own where it pages itself."""
    return names.page_of(alert) if alert in armed(service) else alert
