"""What every alerting rule is made of: its labels, its links, and the rule as Prometheus reads it."""

from collections.abc import Mapping
from typing import Any

from tocsin import names
from tocsin.config.models import Service
from tocsin.config.types import format_duration
from tocsin.generate import templates

#: Links that a service may give; each is an annotation whose name ends in `_url`.
LINKS = ("runbook", "dashboard", "logs", "traces", "deploys")


def labels(service: Service, severity: str, *, dimension: str | None = None, page: bool = False) -> dict[str, str]:
    """Labels by which a route finds whom to tell, beside those of the expression."""
    found = {names.SEVERITY: severity}
    if service.team is not None:
        found[names.TEAM] = service.team
    if dimension is not None:
        found[names.DIMENSION] = dimension
    if page:
        found[names.PAGE] = "true"
    return found


def links(
    service: Service, alert: str, subject: str, runbook: str | None = None, *, resource: bool = True
) -> dict[str, str]:
    """Annotations with those links that the service gives; `subject` is what {signal} stands for.

    `resource` tells whether the alert has a label of that name.
    """
    given = {name: getattr(service.links, name) for name in LINKS} | ({"runbook": runbook} if runbook else {})
    return {
        f"{name}_url": templates.link(template, alert, service.service, subject, resource=resource)
        for name, template in given.items()
        if template is not None
    }


def alert(
    name: str,
    expr: str,
    labels: Mapping[str, str],
    annotations: Mapping[str, str],
    *,
    wait: float = 0,
    keep: float = 0,
) -> dict[str, Any]:
    """The rule as Prometheus reads it; `wait` and `keep` are the seconds of `for` and `keep_firing_for`."""
    return {
        "alert": name,
        "expr": expr,
        **({"for": format_duration(wait)} if wait else {}),
        **({"keep_firing_for": format_duration(keep)} if keep else {}),
        "labels": {label: templates.inert(value) for label, value in labels.items()},
        "annotations": dict(annotations),
    }


def record(name: str, expr: str, labels: Mapping[str, str]) -> dict[str, Any]:
    """A recording rule as Prometheus reads it."""
    return {"record": name, "expr": expr, "labels": dict(labels)}


def group(name: str, interval: float, rules: list[dict[str, Any]]) -> dict[str, Any]:
    """A group of rules that are evaluated one after the other."""
    return {"name": name, "interval": format_duration(interval), "rules": rules}
