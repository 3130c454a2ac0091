"""What may be done about an alert, to what, and how often."""

import re
from dataclasses import dataclass
from typing import Annotated, Any, Self

from pydantic import ConfigDict, Field, PrivateAttr, ValidationInfo, model_validator

from tocsin.config.base import Model, Name, Positive, PositiveInt, Text
from tocsin.config.hosts import AllowedHost
from tocsin.config.types import Duration, Seconds, checked, describe

_TIER = re.compile(r"tier >= ([1-4])")
_ALERT = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,199}")


@dataclass(frozen=True, slots=True)
class Cause:
    """What an operation is run for: one alert, or all alerts on a tier or a higher one."""

    alert: str | None = None
    tier: int | None = None


def parse_cause(text: str) -> Cause:
    """Read `ApiDown` or `tier >= 4`; ValueError says what is expected."""
    if match := _TIER.fullmatch(text):
        return Cause(tier=int(match[1]))
    if _ALERT.fullmatch(text):
        return Cause(alert=text)
    raise ValueError(f"found {describe(text)}, expected the name of an alert, or `tier >= 4` (1 to 4)")


class Resource(Model):
    """Something that operations may be applied to. Others are found as the resources of signals."""

    id: Name
    """Its name: the label `resource` of alerts that are about it."""
    capacity_minutes: Positive | None = None
    """How much it can be booked, in minutes."""


class Remediation(Model):
    """An operation that is run for an alert: at most once while it fires, and a dry run unless it says otherwise."""

    model_config = ConfigDict(populate_by_name=True)

    when: Annotated[str, checked(parse_cause)]
    """Name of an alert of this service, or `tier >= 4` for its alerts on that tier or a higher one."""
    signals: tuple[Name, ...] = ()
    """Signals whose alerts are meant, with `tier` only; all by default."""
    run: Name
    """Name of the operation."""
    with_: Annotated[dict[str, Any], Field(alias="with")] = Field(default_factory=dict)
    """Parameters of the operation: fixed here, nothing of an alert gets into them."""
    resource: Name | None = None
    """Id of the one resource that it is applied to; by default the label `resource` of the alert selects it."""
    verify: Text | None = None
    """PromQL expression that has a result once it has helped; by default that the alert ends."""
    verify_within: Seconds = 300
    """Time in which it has to help."""
    dry_run: bool = True
    """Only say what would be done; `false` arms the operation."""
    cool_down: Duration | None = None
    """Least time between two runs of the operation on one resource; that of `guard` by default."""
    hold_grace: Annotated[Seconds, Field(ge=1)] = 120
    """Time after which the page follows an alert whose operation is armed, if nothing is being done about it then."""
    max_per_day: PositiveInt | None = None
    """Most runs of the operation on one resource within 24 hours; that of `guard` by default."""
    _base: str | None = PrivateAttr(None)

    @model_validator(mode="after")
    def _remember(self, info: ValidationInfo) -> Self:
        self._base = (info.context or {}).get("base")
        return self

    @property
    def base(self) -> str | None:
        """Folder from which the paths in the parameters are taken."""
        return self._base


class Storm(Model):
    """When so many alerts come at once that nothing is begun: what is wrong then is no single resource."""

    above: PositiveInt = 50
    """New alerts within a minute beyond which it is a storm."""
    below: PositiveInt = 25
    """New alerts within a minute below which it calms down."""
    calm: Seconds = 300
    """How long it has to be calm before it is over."""


class Confirm(Model):
    """Who has to say that an alert fires before anything is really done about it."""

    url: Text | None = None
    """Base URL of the Prometheus, or other ruler, that evaluates the rules; the source by default."""
    within: Seconds = 120
    """Longest time since its evaluation."""


class Guard(Model):
    """Limits of all operations."""

    cool_down: Duration = 1800.0
    """Least time between two runs of an operation on one resource."""
    max_per_day: PositiveInt = 3
    """Most runs of an operation on one resource within 24 hours."""
    max_resources: PositiveInt = 3
    """Most resources that one operation is applied to within an hour, over all services."""
    storm: Storm = Storm()
    """When nothing is begun because too much is wrong."""
    confirm: Confirm = Confirm()
    """Who has to say that an alert fires."""
    hosts: tuple[AllowedHost, ...] = ()
    """Hosts that HTTP operations may call, each with or without a port, and addresses or networks; none by default."""
