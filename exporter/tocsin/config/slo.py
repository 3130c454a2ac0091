"""Service level objectives: what counts as bad, how much of it is allowed, and which alerts tell of it."""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from tocsin.config.base import AlertName, Model, Name, Positive, PositiveInt, Text
from tocsin.config.types import Duration, Ratio

Period = Literal["7d", "28d", "30d", "90d"]


class Latency(Model):
    """Share of requests that took longer than a bound, from a histogram."""

    histogram: Text
    """Selector of the histogram by its base name, such as `http_request_duration_seconds{job="api"}`."""
    le: Positive
    """Longest good duration; of a classic histogram one of its buckets."""
    native: bool = False
    """Whether it is a native histogram; needs `target.prometheus` of 3.0 or newer."""


class SignalBound(Model):
    """Share of time that a value is on the wrong side of a bound; one of signal and expr, one of above and below."""

    signal: Name | None = None
    """Signal of this service whose expression is looked at; each of its resources counts."""
    expr: Text | None = None
    """PromQL expression whose series are looked at."""
    above: float | None = None
    """A value above this is bad."""
    below: float | None = None
    """A value below this is bad."""


class Sli(Model):
    """What is measured, in one of these ways: bad and total, good and total, latency, probe, ratio, threshold."""

    bad: Text | None = None
    """Selector of the counter of bad events; or an expression with `[$window]` that gives their number."""
    good: Text | None = None
    """Selector of the counter of good events; or an expression with `[$window]` that gives their number."""
    total: Text | None = None
    """Selector of the counter of all events; or an expression with `[$window]` that gives their number."""
    latency: Latency | None = None
    """Durations from a histogram."""
    probe: Text | None = None
    """Selector of a gauge that is 1 when a probe succeeded and 0 when not, such as `probe_success{job="web"}`."""
    ratio: Text | None = None
    """Expression of the share that is bad, 0..1: over a window where it has `[$window]`, else at a moment."""
    threshold: SignalBound | None = None
    """A value on the wrong side of a bound."""


class SloAlert(Model):
    """One of the two alerts of an SLO."""

    name: AlertName | None = None
    """Name of the alert; by default service and SLO in CamelCase with `ErrorBudgetBurn`, and `Ticket` behind it."""
    severity: Name | None = None
    """Severity label; by default from the service's scale."""
    keep_firing_for: Duration | None = None
    """How long it fires on after the burn rate has fallen; not at all by default, the short window sees to that."""
    summary: Text | None = None
    """Summary annotation; by default a sentence with the service and the SLO."""
    description: Text | None = None
    """Description annotation; by default one with the burn rates and what is left of the budget."""
    runbook: Text | None = None
    """Link to the runbook, a template as in `links`; the service's by default."""


def _named(value: Any) -> Any:  # noqa: ANN401  plain data of any shape
    """A name alone stands for an alert of that name."""
    return {"name": value} if isinstance(value, str) else value


class SloAlerts(Model):
    """The alerts of an SLO: a mapping, a name alone, or `false` for none."""

    page: Annotated[SloAlert | Literal[False], BeforeValidator(_named)] = SloAlert()
    """The fast burn rates; has the label `page` only where it is written in the file, because nothing pages unasked."""
    ticket: Annotated[SloAlert | Literal[False], BeforeValidator(_named)] = SloAlert()
    """The slow burn rates."""


class Slo(Model):
    """An objective over an SLI, and its error budget."""

    objective: Annotated[Ratio, Field(gt=0, lt=1)]
    """Share that has to be good: `99.9%` or `0.999`."""
    period: Period = "30d"
    """Time over which the objective holds."""
    sli: Sli
    """What is measured."""
    description: str = ""
    """What the objective means to its users, for people."""
    dimension: Name | None = None
    """Side of the business that it is about: the label `dimension`."""
    min_bad: PositiveInt = 5
    """With little traffic: bad events in the long window below which nothing fires."""
    alert: SloAlerts = SloAlerts()
    """Alerts on the burn rate."""
