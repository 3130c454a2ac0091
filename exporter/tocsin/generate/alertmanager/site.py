"""What the routes read from the configuration: versions, receivers, and the alerts that there are."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from tocsin import names
from tocsin.config.escalation import parse_when
from tocsin.config.models import ProcessModel, Receiver, Service
from tocsin.generate import meta, rules
from tocsin.generate.rules import GenerateError

#: The labels that decide where an alert goes.
ROUTED = (
    names.ALERTNAME,
    names.SERVICE,
    names.TEAM,
    names.SEVERITY,
    names.DIMENSION,
    names.PAGE,
    names.REMEDIATION,
    names.ESCALATION,
    names.RECEIVER,
)
_OPEN_BRACE = '{{ "{" }}'

Labels = dict[str, str]


class Refused(GenerateError):
    """What this Alertmanager cannot do; each reason says where, what was found and what is expected."""

    def __init__(self, reasons: list[str]) -> None:
        super().__init__("\n".join(["Alertmanager cannot have this:", *reasons]))
        self.reasons = reasons


@dataclass(frozen=True)
class Site:
    """A configuration, seen by those who route its alerts."""

    process: ProcessModel
    services: tuple[Service, ...]

    @cached_property
    def version(self) -> tuple[int, ...]:
        """The oldest Alertmanager that has to load the files."""
        return tuple(int(part) for part in self.process.target.alertmanager.split("."))

    @property
    def pages(self) -> str | None:
        """Where people reach Tocsin's pages, if what is sent to people is sent to Tocsin too: what they link to."""
        url = self.process.external_url
        return None if url is None or self.process.alertmanager.webhook is None else url.rstrip("/")

    def receiver(self, name: str) -> Receiver:
        """The receiver of this name."""
        return self.process.receivers[name]

    def alerts(self, service: Service) -> list[Labels]:
        """Labels, as far as they are routed by, of every alert that the rules of a service can make; each set once."""
        own = {names.SERVICE: service.service}
        made = [
            own | {names.ALERTNAME: rule["alert"]} | _routed(rule["labels"])
            for kind in rules.KINDS
            for group in kind.groups(service, self.process)
            for rule in group["rules"]
            if "alert" in rule
        ]
        plain = [labels for labels in made if names.ESCALATION not in labels]
        levels = [one for labels in made if names.ESCALATION in labels for one in _level(service, labels, plain)]
        return [dict(one) for one in dict.fromkeys(tuple(sorted(labels.items())) for labels in [*plain, *levels])]

    def meta(self) -> list[Labels]:
        """The same of the alerts about Tocsin itself, and about its work for each service."""
        return [
            {names.ALERTNAME: alert.name} | own | alert.labels
            for alert in meta.alerts(self.services, self.process.target)
            for own in ([{}] if alert.process else [{names.SERVICE: service.service} for service in self.services])
        ]


def _routed(labels: dict[str, str]) -> Labels:
    return {name: value.replace(_OPEN_BRACE, "{") for name, value in labels.items() if name in ROUTED}


def _level(service: Service, level: Labels, plain: list[Labels]) -> Iterator[Labels]:
    """A level of a policy about a severity has what its rule does not say from each alert that it follows."""
    if parse_when(service.escalation[level[names.ESCALATION]].when).tier is not None:
        yield level
        return
    for alert in plain:
        if alert.get(names.SEVERITY) == level[names.SEVERITY]:
            yield alert | level
