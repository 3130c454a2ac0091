"""The value that an alert looks at: that of a signal, or of an expression of its own."""

from dataclasses import dataclass

from tocsin.config.models import Observed
from tocsin.generate.alerts.alert import Context


@dataclass(frozen=True, slots=True)
class Observation:
    """What is known of a value."""

    expr: str
    by: tuple[str, ...] | None
    unit: str
    dimension: str | None
    about: str


def observation(context: Context, model: Observed) -> Observation:
    """The value of an alert, with what its signal says where it says nothing itself."""
    if model.signal is None:
        return Observation(model.expr or "", model.by, model.unit or "none", model.dimension, "")
    signal = context.service.signals[model.signal]
    return Observation(
        signal.expr,
        signal.by if model.by is None else model.by,
        model.unit or signal.unit,
        model.dimension or signal.dimension,
        signal.description,
    )
