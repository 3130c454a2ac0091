"""Alerts that stand on Prometheus alone, and those on a forecast: thresholds, absence, change, breach, expressions."""

from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from tocsin.config.base import AlertName, Model, Name, PositiveRatio, Text
from tocsin.config.types import Duration, Seconds

Unit = Literal["ratio", "seconds", "bytes", "celsius", "count", "per_second", "per_minute", "none"]


class Alert(Model):
    """What every alert of this kind can say about itself."""

    model_config = ConfigDict(populate_by_name=True)

    for_: Annotated[Duration | None, Field(alias="for")] = None
    """How long it must last before it fires, at most 1h; 5m by default, 15m for a forecast, 0s for an expression."""
    keep_firing_for: Duration | None = None
    """How long it fires on after that has ended; not at all by default, at least 15m for a forecast."""
    severity: Name | None = None
    """Severity label; by default from the service's scale."""
    page: bool = False
    """Whether a human is to be woken; nothing pages by default."""
    dimension: Name | None = None
    """Side of the business that it is about: the label `dimension`."""
    summary: Text | None = None
    """Summary annotation, a template of Prometheus; by default a sentence with the numbers in it."""
    description: Text | None = None
    """Description annotation, a template of Prometheus; by default one that says what was found and what is allowed."""
    runbook: Text | None = None
    """Link to the runbook, a template as in `links`; the service's by default."""


class Observed(Alert):
    """An alert on a value: that of a signal of this service, or of an expression; exactly one of signal and expr."""

    signal: Name | None = None
    """Signal of this service whose expression, labels and unit are taken."""
    expr: Text | None = None
    """PromQL expression of the value."""
    by: tuple[Name, ...] | None = None
    """Labels that name a resource; by default the signal's, or all but `job`, those of replicas and the alert's own."""
    unit: Unit | None = None
    """Unit of the value, for the text; by default the signal's, else `none`."""


class Threshold(Observed):
    """A value on the wrong side of a fixed bound; warning, critical or both."""

    warning: float | None = None
    """Bound of the warning."""
    critical: float | None = None
    """Bound of the critical alert, beyond that of the warning."""
    target: float | None = None
    """What is aimed at, for dashboards and reports; nothing fires on it."""
    direction: Literal["up", "down"] = "up"
    """Which side is bad: `up` fires above a bound, `down` below it."""
    name: AlertName | None = None
    """Name of the alert, with `Warning` or `Critical` behind it where there are both; by default service and key."""


class Level(Alert):
    """An alert that has a name of its own and a level for the service's scale."""

    name: AlertName
    """Name of the alert."""
    level: Literal["warning", "critical", "ticket", "page"] = "warning"
    """What the severity label is taken for from the service's scale."""


class Absent(Level):
    """Fires when an expression has no result; with `zero` also when it is 0."""

    expr: Text
    """PromQL expression that should have a result."""
    zero: bool = False
    """Whether a result of 0 counts as absence."""


class RateOfChange(Level, Observed):
    """Fires when a value has changed by too large a share of what it was; rise, fall or both."""

    over: Seconds
    """Time over which the change is looked at, at least four evaluations and twice what the alert waits."""
    rise: PositiveRatio | None = None
    """Fires when the value has risen by at least this share: `50%` is half as much again."""
    fall: Annotated[PositiveRatio | None, Field(le=1)] = None
    """Fires when the value has fallen by at least this share."""


class ForecastBreach(Level):
    """Fires when the forecast of a signal reaches its limit within a time."""

    signal: Name
    """Signal of this service; needs a `limit` and a forecast."""
    within: Seconds
    """How far ahead a breach counts; at most the forecast's horizon."""


class Expression(Level):
    """Fires for each series of an expression."""

    expr: Text
    """PromQL expression with a comparison; each series of its result is one alert."""
    by: tuple[Name, ...] | None = None
    """Labels that name a resource; by default all but `job`, those of replicas and the alert's own."""
    unit: Unit = "none"
    """Unit of the value, for the text."""
