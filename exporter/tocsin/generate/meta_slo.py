"""Alerts about SLIs that cannot be judged: absent, broken, idle. They tell of the measuring, and page nobody."""

from collections.abc import Iterator, Sequence

from tocsin import names
from tocsin.config.models import Service
from tocsin.core.budget import TOLERANCE
from tocsin.generate.meta_alert import Meta
from tocsin.generate.sli import measure

_BY = names.joined(names.SLO_LABELS)
_WHICH = f"{{{{ $labels.{names.SLO} }}}} ({{{{ $labels.{names.SERVICE} }}}})"

_OVER_5M, _OVER_1H = names.RECORD_ERROR_OVER + "5m", names.RECORD_ERROR_OVER + "1h"
_EVENTS_5M, _EVENTS_1H = names.RECORD_EVENTS_OVER + "5m", names.RECORD_EVENTS_OVER + "1h"


def alerts(services: Sequence[Service]) -> Iterator[Meta]:
    """Those of the three alerts that can fire; each is about all SLOs of all services."""
    slos = [(slo, service) for service in services for slo in service.slos.values()]
    counted = [slo for slo, service in slos if measure(slo, service).counted]
    if slos:
        yield _absent(counted=bool(counted))
    # The share of series that are beyond a bound is always one.
    if any(slo.sli.threshold is None for slo, _ in slos):
        yield _broken()
    # A probe that is not made is no result, and no 0.
    if any(slo.sli.probe is None for slo in counted):
        yield _idle()


def _absent(*, counted: bool) -> Meta:
    # Where there are events and no share of bad ones, the metric of the bad or good ones is missing.
    known = f"({_OVER_5M} or {_EVENTS_5M} == 0)" if counted else _OVER_5M
    return Meta(
        names.ALERT_SLO_ABSENT,
        f"max by ({_BY}) ({names.RECORD_OBJECTIVE})\nunless on ({_BY}) {known}",
        600,
        "warning",
        f"The SLI of {_WHICH} has no result",
        "What the SLI asks for is no longer there, so that no burn rate is known and its alerts cannot fire.\n"
        "Look whether the target is up, whether the metric and its labels are still called so, and whether the "
        "histogram of a latency has a bucket at exactly `le`.",
    )


def _broken() -> Meta:
    return Meta(
        names.ALERT_SLO_BROKEN,
        f"max by ({_BY}) ({_OVER_1H}) > {1 + TOLERANCE:g}\nor min by ({_BY}) ({_OVER_1H}) < {-TOLERANCE:g}",
        300,
        "warning",
        f"The SLI of {_WHICH} makes no sense",
        "{{ $value | humanizePercentage }} of its events are bad: more than all, or less than none.\n"
        "Correct the expressions: what is good or bad has to be a part of the total, counted in the same place.",
    )


def _idle() -> Meta:
    return Meta(
        names.ALERT_SLO_IDLE,
        f"max by ({_BY}) ({_EVENTS_1H}) == 0",
        3600,
        "none",
        f"Nothing happens in {_WHICH}",
        "There was no event in two hours. That may be the night; where there is always traffic, its absence is worth a "
        "look.",
    )
