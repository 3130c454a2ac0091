"""Severities of our scales as PagerDuty knows them, and which of a scale hide which."""

from collections.abc import Sequence

from tocsin import names
from tocsin.config.models import Scale, Service
from tocsin.config.scales import SCALES, Words

#: Events API v2 refuses any other word. By the lowest tier that a severity stands for.
_BY_TIER = ("info", "warning", "error", "critical")
#: What a severity of somebody's own is taken for.
_OTHER = "error"
_META = {"critical": "critical", "warning": "warning", "none": "info"}

#: Of the same resource or the same dimension, these hide those. Where tickets are a scale's lower end nothing is
#: hidden: somebody has to work on each of them, page or not.
HIDES: dict[Scale, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "tiers": (("4",), ("1", "2")),
    "P0-P3": (("P0", "P1"), ("P2", "P3")),
    "P1-P3": (("P1",), ("P2", "P3")),
    "high-medium-low": (("high",), ("medium", "low")),
    "warning-critical": (("critical",), ("warning",)),
}
#: The severity of alerts that are a ticket, whatever the scale.
TICKET = "ticket"


def pagerduty(words: Words) -> dict[str, str]:
    """PagerDuty's word for each of a scale: its warning is a warning, however many tiers that stands for."""
    found = {word: _BY_TIER[tier] for tier, word in reversed(list(enumerate(words.tiers)))}
    return found | {words.warning: "warning", words.critical: "critical"}


def template(services: Sequence[Service]) -> str:
    """The severity of a page for PagerDuty, from the labels of the group; a template of Alertmanager.

    P1 to P3 are words of two scales: a service whose scale begins at P1 is asked for by name.
    """
    common: dict[str, str] = dict(_META)
    for words in SCALES.values():
        common = pagerduty(words) | common
    text = _chain(common)
    for scale, words in SCALES.items():
        theirs = [service.service for service in services if service.severity == scale]
        if theirs and pagerduty(words).items() - common.items():
            own = f"{{{{ if {_is(names.SERVICE, theirs)} }}}}{_chain(pagerduty(words))}"
            text = f"{own}{{{{ else }}}}{text}{{{{ end }}}}"
    return text


def _chain(table: dict[str, str]) -> str:
    """Each level for its severities; what is left over has the level of the others."""
    text = ""
    for level in reversed(_BY_TIER):
        words = sorted(word for word, found in table.items() if found == level)
        if words and level != _OTHER:
            text += f"{{{{ {'else ' if text else ''}if {_is(names.SEVERITY, words)} }}}}{level}"
    return f"{text}{{{{ else }}}}{_OTHER}{{{{ end }}}}"


def _is(label: str, values: Sequence[str]) -> str:
    listed = " ".join(f'"{value}"' for value in values)
    return f"eq .CommonLabels.{label} {listed}"
