"""Checks of what an alert says: its summary and description, and the link to its runbook."""

from collections.abc import Iterator

from tocsin.config import link, template
from tocsin.config.faults import Path
from tocsin.config.known import Finding, Known
from tocsin.config.models import Alert, SloAlert, TierAlert


def check(alert: Alert | SloAlert | TierAlert, at: Path, known: Known) -> Iterator[Finding]:
    """Findings of the texts of one alert."""
    newer = known.target is not None and int(known.target.prometheus.split(".")[0]) >= 3
    for key in ("summary", "description"):
        text = getattr(alert, key)
        if text is not None and (message := template.fault(text, newer=newer)):
            yield Finding((*at, key), message)
    if not isinstance(alert, TierAlert):
        for message in link.faults(alert.runbook or ""):
            yield Finding((*at, "runbook"), message)
