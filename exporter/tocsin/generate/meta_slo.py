"""Alerts about SLIs that cannot be judged: absent, broken, idle. They tell of the measuring, and page nobody."""

from collections.abc import Iterator

from tocsin import names
from tocsin.core.budget import TOLERANCE
from tocsin.generate.meta_alert import Meta

_BY = names.joined(names.SLO_LABELS)
_WHICH = f"{{{{ $labels.{names.SLO} }}}} ({{{{ $labels.{names.SERVICE} }}}})"

_OVER_5M, _OVER_1H = names.RECORD_ERROR_OVER + "5m", names.RECORD_ERROR_OVER + "1h"
_EVENTS_5M, _EVENTS_1H = names.RECORD_EVENTS_OVER + "5m", names.RECORD_EVENTS_OVER + "1h"


def alerts() -> Iterator[Meta]:
    """The three alerts; each is about all SLOs of all services."""
    yield Meta(
        names.ALERT_SLO_ABSENT,
        f"max by ({_BY}) ({names.RECORD_OBJECTIVE})\nunless on ({_BY}) ({_EVENTS_5M} or {_OVER_5M})",
        600,
        "warning",
        f"The SLI of {_WHICH} has no result",
        "What the SLI asks for is no longer there, so that no burn rate is known and its alerts cannot fire.\n"
        "Look whether the target is up, and whether the metric and its labels are still called so.",
    )
    yield Meta(
        names.ALERT_SLO_BROKEN,
        f"max by ({_BY}) ({_OVER_1H}) > {1 + TOLERANCE:g}\nor min by ({_BY}) ({_OVER_1H}) < {-TOLERANCE:g}",
        300,
        "warning",
        f"The SLI of {_WHICH} makes no sense",
        "{{ $value | humanizePercentage }} of its events are bad: more than all, or less than none.\n"
        "Correct the expressions: what is good or bad has to be a part of the total, counted in the same place.",
    )
    yield Meta(
        names.ALERT_SLO_IDLE,
        f"max by ({_BY}) ({_EVENTS_1H}) == 0",
        3600,
        "none",
        f"Nothing happens in {_WHICH}",
        "There was no event in two hours. That may be the night; where there is always traffic, its absence is worth a "
        "look.",
    )
