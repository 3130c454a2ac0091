"""Scales of the severity label, as data."""

from dataclasses import dataclass

from tocsin.config.service import Scale


@dataclass(frozen=True, slots=True)
class Words:
    """What a scale calls the tiers 1 to 4, the two thresholds, and the two kinds of SLO alerts."""

    tiers: tuple[str, str, str, str]
    warning: str
    critical: str
    ticket: str
    page: str


SCALES: dict[Scale, Words] = {
    "tiers": Words(("1", "2", "3", "4"), "2", "4", "2", "4"),
    "P0-P3": Words(("P3", "P2", "P1", "P0"), "P2", "P0", "P2", "P0"),
    "P1-P3": Words(("P3", "P3", "P2", "P1"), "P3", "P1", "P2", "P1"),
    "high-medium-low": Words(("low", "low", "medium", "high"), "medium", "high", "medium", "high"),
    "warning-critical": Words(
        ("warning", "warning", "warning", "critical"), "warning", "critical", "warning", "critical"
    ),
    "page-ticket": Words(("ticket", "ticket", "ticket", "page"), "ticket", "page", "ticket", "page"),
}
