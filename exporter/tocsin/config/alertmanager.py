"""What the process file says about Alertmanager beside the receivers: who else is told, how often, who sends mail."""

import re
from typing import Annotated, Literal

from pydantic import Field

from tocsin.config.base import Model, Name, Path, Text, Version
from tocsin.config.types import Seconds, checked

_DNS_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_LABEL_NAME = re.compile(r"([a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")
_LABEL_VALUE = re.compile(r"([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?")


def _object_name(text: str) -> None:
    if _DNS_LABEL.fullmatch(text) is None:
        raise ValueError(f"found {text!r}, expected at most 63 lower-case letters, digits and '-' within them")


def _object_labels(labels: dict[str, str]) -> None:
    for name, value in labels.items():
        if _LABEL_NAME.fullmatch(name) is None or _LABEL_VALUE.fullmatch(value) is None:
            raise ValueError(f"found {name}={value}, expected a label that Kubernetes takes, such as a: b")


ObjectName = Annotated[str, checked(_object_name)]
ObjectLabels = Annotated[dict[Name, str], checked(_object_labels)]


class Smtp(Model):
    """The server that sends mail."""

    smarthost: Text
    """`HOST:PORT`."""
    from_: Text = Field(alias="from")
    """Address of the sender."""
    username: Name | None = None
    """Account, needs `password_file`; none by default."""
    password_file: Path | None = None
    """File with the password of the account."""
    require_tls: bool = True
    """Refuse to send without TLS."""


class Route(Model):
    """Further people for some alerts, by their labels; what is not given may be anything, but something must be."""

    to: Name
    """Receiver; told beside the first steps of escalation, and instead of the service's `default_receiver`."""
    service: Name | None = None
    """Service of the alert; there has to be one of that name."""
    team: Name | None = None
    """Team of the alert's service; a service has to have it."""
    severity: Name | None = None
    """Severity label."""
    dimension: Name | None = None
    """Side of the business."""


class TocsinWebhook(Model):
    """How Alertmanager reaches Tocsin."""

    url: Text
    """URL of the webhook, such as `http://tocsin:9889/api/v2/webhook`."""
    token_file: Path
    """File, as Alertmanager sees it, with the token of a principal whose scope is `webhook`."""


class Timing(Model):
    """How long Alertmanager collects alerts, and when it says the same again."""

    group_wait: Seconds = 30
    """How long the first alert of a group waits for others; those that page wait a third of it."""
    group_interval: Seconds = 300
    """How long a group waits before it tells of further alerts, and of resolved ones."""
    repeat_interval: Seconds = 43200
    """When a group that still fires is told again, a multiple of `group_interval`, which is added; at most 5d."""
    page_repeat_interval: Seconds = 14400
    """The same of alerts that page."""


class OperatorModel(Model):
    """The same routes as an AlertmanagerConfig object for the Prometheus operator."""

    namespace: ObjectName
    """Namespace of the object, and of the Secret."""
    name: ObjectName = "tocsin"
    """Name of the object."""
    secret: ObjectName
    """Secret with what is secret: a key for each file that is named, called as the file without its folder."""
    matcher_strategy: Literal["None", "OnNamespace", "OnNamespaceExceptForAlertmanagerNamespace"]
    """What the Alertmanager object has as `alertmanagerConfigMatcherStrategy.type`; `OnNamespace` is refused."""
    alertmanager_namespace: ObjectName | None = None
    """Namespace of the Alertmanager object; that of this object by default."""
    labels: ObjectLabels = Field(default_factory=dict)
    """Further labels of the object, which the Alertmanager object's `alertmanagerConfigSelector` asks for."""
    version: Version = "0.85"
    """Oldest operator that reads the object, quoted; from 0.61 on."""


class AlertmanagerModel(Model):
    """What Alertmanager does beside the receivers."""

    url: Text | None = None
    """Base URL of its API, which is asked every few minutes what fires; without it only the webhook tells."""
    webhook: TocsinWebhook | None = None
    """Where it hands Tocsin its alerts, but those that another one hides or a silence covers; not at all by default."""
    watchdog: Name | None = None
    """Receiver of TocsinWatchdog, which always fires: something that calls you when it stops; nobody by default."""
    not_ours: Name | None = None
    """Receiver of alerts that are not Tocsin's, in a file that is used as a whole; nobody by default."""
    templates: Text | None = None
    """Where Alertmanager finds `tocsin.tmpl`, from its configuration's folder on; `templates/` there by default."""
    timing: Timing = Timing()
    """How long it collects alerts, and when it says the same again."""
    operator: OperatorModel | None = None
    """The same as an object for the Prometheus operator; not made by default."""
