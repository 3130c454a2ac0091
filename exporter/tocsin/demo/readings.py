"""What the running servers say: Tocsin's page as rows of a table, the alerts of Prometheus."""

import http.client
import json
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from tocsin import names

_TIMEOUT = 3.0
#: States of an alert, the more serious one last.
_STATES = ("", "pending", "firing")


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


@dataclass(frozen=True, slots=True)
class Reading:
    """Everything at one moment; `received` counts the firing alerts that arrived at the webhook."""

    rows: tuple[Row, ...] = ()
    received: int = 0

    def row(self, resource: str) -> Row:
        """Row of a resource, unknown where there is none."""
        return next((row for row in self.rows if row.resource == resource), Row(resource, -1))


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


def parse(page: str, alerts: Mapping[str, str]) -> Reading:
    """Tocsin's metrics page, with the state of the alert by resource. ValueError for what is no such page."""
    found: dict[str, dict[str, Any]] = {}
    received = 0
    for family in text_string_to_metric_families(page):
        for sample in family.samples:
            if sample.name == names.own("alerts_received_total"):
                received += int(sample.value) if sample.labels["status"] == "firing" else 0
                continue
            if names.RESOURCE not in sample.labels:
                continue
            row = found.setdefault(sample.labels[names.RESOURCE], {"tier": -1})
            if sample.name in _COLUMNS:
                row[_COLUMNS[sample.name]] = sample.value
            elif sample.name == names.metric("severity_level"):
                row["tier"] = int(sample.value)
            elif sample.name == names.metric("no_breach") and sample.value == 1:
                row["no_breach"] = sample.labels["reason"]
    rows = tuple(Row(name, **found[name], alert=alerts.get(name, "")) for name in sorted(found))
    return Reading(rows, received)


def states(alerts: Sequence[Mapping[str, Any]], name: str) -> dict[str, str]:
    """State of the alert of this name by resource, from the list of Prometheus' API."""
    worst: dict[str, str] = {}
    for alert in alerts:
        labels, state = alert["labels"], alert["state"]
        if labels.get(names.ALERTNAME) == name and state in _STATES:
            resource = labels.get(names.RESOURCE, "")
            worst[resource] = max(worst.get(resource, ""), state, key=_STATES.index)
    return worst


def read(tocsin: str, prometheus: str, alert: str) -> Reading:
    """Ask both servers by their URLs. OSError when one does not answer, ValueError when it answers something else."""
    answer = json.loads(_get(f"{prometheus}/api/v1/alerts"))
    return parse(_get(f"{tocsin}/metrics"), states(answer["data"]["alerts"], alert))


def _get(url: str) -> str:
    # No proxy: an http_proxy in the environment must not see requests to loopback.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=_TIMEOUT) as response:
            text: str = response.read().decode()
            return text
    except http.client.HTTPException as error:  # a server that ends in the middle of an answer
        raise ConnectionError(f"{url}: {error!r}") from None
