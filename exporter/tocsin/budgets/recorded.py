"""What Prometheus recorded of all SLOs: one query for every series, and what its answer says of each SLO."""

from collections.abc import Callable, Mapping

import msgspec

from tocsin import names
from tocsin.config.types import format_duration
from tocsin.core import slo
from tocsin.core.budget import Origin, Readings
from tocsin.source.columns import Vector

_ERRORS = {names.RECORD_ERROR_OVER + format_duration(window): window for window in slo.ALL}
_EVENTS = {names.RECORD_EVENTS_OVER + format_duration(window): window for window in slo.ALL}
#: Which of two values counts, where several rulers recorded the same: that which shows the budget in the worse light.
#: The objective is there wherever the rules are loaded, even if there is nothing to measure.
_WORSE: Mapping[str, Callable[[float, float], float]] = {
    **dict.fromkeys((*_ERRORS, *_EVENTS, names.RECORD_OBJECTIVE), max),
    names.RECORD_HISTORY: min,
    names.RECORD_REMAINING: min,
}
#: All of them; names have no sign that a regular expression would read.
QUERY = f'{{__name__=~"{"|".join(_WORSE)}"}}'

#: Values by the name of the recorded series.
Values = Mapping[str, float]


def by_slo(vector: Vector) -> dict[tuple[str, str], dict[str, float]]:
    """Values by service and SLO, and by name; those that are no number are left out, their SLO is not."""
    out: dict[tuple[str, str], dict[str, float]] = {}
    for raw, value in zip(vector.metrics, vector.values.tolist(), strict=True):
        labels = msgspec.json.decode(raw, type=dict[str, str])
        values = out.setdefault((labels.get(names.SERVICE, ""), labels.get(names.SLO, "")), {})
        if value == value:
            name = labels["__name__"]
            values[name] = _WORSE[name](values.get(name, value), value)
    return out


def readings(values: Values, origin: Origin, *, unanswered: bool = False) -> Readings:
    """The values of one SLO, by what they say."""
    return Readings(
        errors={window: values[name] for name, window in _ERRORS.items() if name in values},
        events={window: values[name] for name, window in _EVENTS.items() if name in values},
        history=values.get(names.RECORD_HISTORY),
        remaining=values.get(names.RECORD_REMAINING),
        origin=origin,
        unanswered=unanswered,
    )
