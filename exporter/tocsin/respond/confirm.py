"""Ask the ruler whether an alert fires, before anything is really done about it.

Whoever can reach the webhook with a stolen token can send any alert; he cannot make Prometheus evaluate one to true.
"""

from collections.abc import Mapping
from typing import Protocol

import numpy as np

from tocsin import names
from tocsin.generate.promql import selector
from tocsin.respond.decide import Confirmation
from tocsin.source.columns import Vector
from tocsin.source.errors import SourceError

#: Labels that the rule itself sets. External labels and what relabelling adds are in Alertmanager, and not in ALERTS.
_OURS = ("alertname", names.SERVICE, names.SIGNAL, names.RESOURCE, names.SLO)


class Ruler(Protocol):
    """What answers PromQL."""

    async def instant(self, expr: str, t: float, step: float | None = None) -> Vector:
        """Value of each series at t."""


async def confirm(ruler: Ruler, labels: Mapping[str, str], within: float, now: float) -> Confirmation:
    """Whether an alert with these labels fires by an evaluation that is at most `within` seconds old."""
    ours = {name: labels.get(name, "") for name in _OURS}
    firing = selector(names.ALERTS, {**ours, names.ALERTSTATE: "firing"})
    try:
        found = await ruler.instant(f"max(timestamp({firing}))", now)
    except SourceError as error:
        return Confirmation(now, "confirm_unreachable", f"the ruler cannot be asked: {error}")
    if found.warnings:
        return Confirmation(now, "unconfirmed", f"the ruler is not sure: {found.warnings[0]}")
    if not len(found.values) or not np.isfinite(found.values[0]):
        return Confirmation(now, "unconfirmed", "the ruler has no such alert that fires")
    at = float(found.values[0])
    if not now - within <= at <= now + within:
        return Confirmation(at, "unconfirmed", f"the ruler evaluated it {now - at:.0f} s ago, {within:g} s is the most")
    return Confirmation(at, "", f"the ruler says that it fires, as of {now - at:.0f} s ago")
