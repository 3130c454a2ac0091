"""Which operation is wanted for which alert, and on what: the configuration applied to an episode."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from tocsin import names
from tocsin.config.base import Model
from tocsin.config.load import Config
from tocsin.config.models import Guard, Remediation, Service
from tocsin.config.references import alerts_of
from tocsin.config.remediation_checks import causes, parameters
from tocsin.guard.limits import Limit

_HOUR, _DAY = 3600.0, 86400.0


@dataclass(frozen=True)
class Plan:
    """One remediation of a service, with its parameters checked."""

    service: str
    model: Remediation
    guard: Guard

    @property
    def operation(self) -> str:
        """Name of the operation."""
        return self.model.run

    @cached_property
    def parameters(self) -> Model:
        """Parameters of the operation."""
        return parameters(self.model)

    @cached_property
    def shown(self) -> dict[str, Any]:
        """The parameters as they are stored: the values of headers may be secrets, and are not."""
        found = self.parameters.model_dump(mode="json", by_alias=True)
        return found | ({"headers": dict.fromkeys(found["headers"], "<secret>")} if "headers" in found else {})

    def resource(self, labels: Mapping[str, str]) -> str | None:
        """Id of the resource that an alert selects; None when it selects nothing."""
        return self.model.resource or labels.get(names.RESOURCE) or None

    def limits(self, resource: str) -> tuple[Limit, Limit, Limit]:
        """Cool-down, runs in a day, and resources in an hour."""
        guard, where = self.guard, f"{self.operation}:{self.service}:{resource}"
        pause = guard.cool_down if self.model.cool_down is None else self.model.cool_down
        most = self.model.max_per_day or guard.max_per_day
        return (
            Limit(f"cool_down:{where}", 1, pause, "cool_down"),
            Limit(f"day:{where}", most, _DAY, "daily_limit"),
            Limit(f"fleet:{self.operation}", guard.max_resources, _HOUR, "fleet_limit"),
        )


class Policy:
    """What is to be done about the alerts of a configuration."""

    def __init__(self, config: Config) -> None:
        self.guard = config.process.guard
        self._plans: dict[tuple[str, str], list[Plan]] = {}
        for service in config.services:
            for alert, plan in _plans(service, self.guard):
                self._plans.setdefault((service.service, alert), []).append(plan)

    def plans(self, service: str, alert: str) -> Sequence[Plan]:
        """What is wanted for an alert; an operation stands there once."""
        return self._plans.get((service, alert), ())

    @property
    def alerts(self) -> Sequence[tuple[str, str]]:
        """Service and name of every alert for which something is wanted."""
        return tuple(self._plans)

    def find(self, service: str, alert: str, operation: str) -> Plan | None:
        """The plan for an operation that was decided on before; None when the configuration has it no more."""
        return next((plan for plan in self.plans(service, alert) if plan.operation == operation), None)


def _plans(service: Service, guard: Guard) -> Iterator[tuple[str, Plan]]:
    alerts = dict(alerts_of(service))
    for model in service.remediation:
        plan = Plan(service.service, model, guard)
        for alert in sorted(causes(service, model, alerts)):
            yield alert, plan
