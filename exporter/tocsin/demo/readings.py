"""What the running servers say: Tocsin's page as rows of a table and lines of services, the alerts of Prometheus."""

import html
import http.client
import json
import re
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from tocsin import names

_TIMEOUT = 3.0
#: States of an alert, the more serious one last.
_STATES = ("", "pending", "firing")


class Subject(NamedTuple):
    """What the live table is about: a signal, and the alert on it that is waited for."""

    service: str
    signal: str
    alert: str


@dataclass(frozen=True, slots=True)
class Row:
    """One resource; numbers are None where Tocsin publishes none. `z` and `delta` are those of the residual.

    Values and `delta` are ratios, `breach` is a unix time and `no_breach` the reason when there is none.
    """

    resource: str
    tier: int
    value: float | None = None
    lower: float | None = None
    upper: float | None = None
    z: float | None = None
    delta: float | None = None
    forecast: float | None = None
    breach: float | None = None
    no_breach: str = ""
    alert: str = ""


@dataclass(slots=True)
class Line:
    """One service: how many series each signal has, which ones are graded, what is left of budgets, its alerts."""

    service: str
    series: dict[str, int] = field(default_factory=dict)
    graded: set[str] = field(default_factory=set)
    #: By SLO, the share that is left, and how many times too fast it is spent in five minutes.
    budgets: dict[str, float] = field(default_factory=dict)
    burning: dict[str, float] = field(default_factory=dict)
    #: By the name of an alert its state, the most serious one of all its resources.
    alerts: dict[str, str] = field(default_factory=dict)

    def named(self, state: str) -> list[str]:
        """Names of the alerts in a state."""
        return sorted(name for name, has in self.alerts.items() if has == state)

    @property
    def empty(self) -> list[str]:
        """Signals without a series."""
        return sorted(name for name, series in self.series.items() if series == 0)


@dataclass(frozen=True, slots=True)
class Reading:
    """Everything at one moment; `received` counts the firing alerts that arrived at the webhook."""

    rows: tuple[Row, ...] = ()
    received: int = 0
    services: tuple[Line, ...] = ()

    def row(self, resource: str) -> Row:
        """Row of a resource, unknown where there is none."""
        return next((row for row in self.rows if row.resource == resource), Row(resource, -1))

    def state(self, alert: str) -> str:
        """State of an alert of any service, empty when it is inactive."""
        return max((line.alerts.get(alert, "") for line in self.services), key=_STATES.index, default="")


_COLUMNS = {
    names.metric(short): column
    for short, column in {
        "value": "value",
        "expected_lower": "lower",
        "expected_upper": "upper",
        "seasonal_zscore": "z",
        "residual_delta": "delta",
        "forecast_value": "forecast",
        "breach_timestamp_seconds": "breach",
    }.items()
}
_TIER, _NO_BREACH = names.metric("severity_level"), names.metric("no_breach")
_SERIES = names.own("series")
_LEFT, _BURN = names.slo_metric("slo_error_budget_remaining_ratio"), names.slo_metric("slo_burn_rate")
#: A row of the table of alerts on Tocsin's page.
_ARRIVED = re.compile(r"<td>firing</td>\s*<td>([^<]+)</td>")


def parse(
    page: str, alerts: Sequence[Mapping[str, Any]], subject: Subject, signals: Mapping[str, Sequence[str]]
) -> Reading:
    """Tocsin's metrics page, and the list of alerts from Prometheus' API. ValueError for what is no such page.

    `signals` are those of every service: one that the page says nothing of has no series.
    """
    found: dict[str, dict[str, Any]] = {}
    lines = {name: Line(name, dict.fromkeys(of, 0)) for name, of in signals.items()}
    received = 0
    for family in text_string_to_metric_families(page):
        for sample in family.samples:
            if sample.name == names.own("alerts_received_total"):
                received += int(sample.value) if sample.labels["status"] == "firing" else 0
            elif (line := lines.get(sample.labels.get(names.SERVICE, ""))) is not None:
                _note(line, sample)
                if (line.service, sample.labels.get(names.SIGNAL)) == subject[:2] and names.RESOURCE in sample.labels:
                    _fill(found.setdefault(sample.labels[names.RESOURCE], {"tier": -1}), sample)
    for line in lines.values():
        line.alerts = states([a for a in alerts if a["labels"].get(names.SERVICE) == line.service], names.ALERTNAME)
    state = states([a for a in alerts if a["labels"].get(names.ALERTNAME) == subject.alert], names.RESOURCE)
    rows = tuple(Row(name, **found[name], alert=state.get(name, "")) for name in sorted(found))
    return Reading(rows, received, tuple(lines.values()))


def _note(line: Line, sample: Sample) -> None:
    """What a sample says about its service."""
    if sample.name == _SERIES:
        line.series[sample.labels[names.SIGNAL]] = int(sample.value)
    elif sample.name == _LEFT:
        line.budgets[sample.labels[names.SLO]] = sample.value
    elif sample.name == _BURN and sample.labels["window"] == "5m":
        line.burning[sample.labels[names.SLO]] = sample.value
    elif sample.name == _TIER and sample.value >= 0:
        line.graded.add(sample.labels[names.SIGNAL])


def _fill(row: dict[str, Any], sample: Sample) -> None:
    """What a sample says about its resource."""
    if sample.name in _COLUMNS:
        row[_COLUMNS[sample.name]] = sample.value
    elif sample.name == _TIER:
        row["tier"] = int(sample.value)
    elif sample.name == _NO_BREACH and sample.value == 1:
        row["no_breach"] = sample.labels["reason"]


def states(alerts: Sequence[Mapping[str, Any]], label: str) -> dict[str, str]:
    """The most serious state of these alerts for each value of a label."""
    worst: dict[str, str] = {}
    for alert in alerts:
        if alert["state"] in _STATES:
            value = alert["labels"].get(label, "")
            worst[value] = max(worst.get(value, ""), alert["state"], key=_STATES.index)
    return worst


def read(tocsin: str, prometheus: str, subject: Subject, signals: Mapping[str, Sequence[str]]) -> Reading:
    """Ask both servers by their URLs. OSError when one does not answer, ValueError when it answers something else."""
    answer = json.loads(_get(f"{prometheus}/api/v1/alerts"))
    return parse(_get(f"{tocsin}/metrics"), answer["data"]["alerts"], subject, signals)


def arrived(tocsin: str) -> set[str]:
    """Names of the firing alerts that arrived last, as Tocsin's page shows them; OSError when it does not answer."""
    return shown(_get(f"{tocsin}/"))


def shown(page: str) -> set[str]:
    """Names of the firing alerts on a landing page."""
    return {html.unescape(name) for name in _ARRIVED.findall(page)}


def _get(url: str) -> str:
    # No proxy: an http_proxy in the environment must not see requests to loopback.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=_TIMEOUT) as response:
            text: str = response.read().decode()
            return text
    except http.client.HTTPException as error:  # a server that ends in the middle of an answer
        raise ConnectionError(f"{url}: {error!r}") from None
