"""A source in memory that answers as told, and signals to evaluate against it: no clock, no network, no sleep."""

import json
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from tocsin.core.calendar import Windows
from tocsin.core.settings import Settings
from tocsin.evaluation import Spec
from tocsin.source.columns import Matrix, Vector
from tocsin.source.errors import SourceError

#: Value of one series at a time; None where there is no sample.
Signal = Callable[[float], float | None]
EXPR, STAMPS, CAPACITY = "m", "timestamp(m)", "c"
#: Multiple of every step in these tests.
T0 = 1_700_006_400.0


def wire(labels: Mapping[str, str] | str) -> bytes:
    """A label object as a source writes it; a text is the label `resource`."""
    return json.dumps({"resource": labels} if isinstance(labels, str) else dict(labels), ensure_ascii=False).encode()


def down(klass: str = "connection", *, retry: bool = True) -> SourceError:
    return SourceError("is down", klass, retry=retry)  # type: ignore[arg-type]  # tests name the class as a string


class Scripted:
    """Series by expression, as (labels, signal); `fault` says which query fails: (kind, expr, t) -> error or None."""

    def __init__(self, *series: tuple[Mapping[str, str] | str, Signal], chunk: int = 11_000) -> None:
        self.series: dict[str, list[tuple[Mapping[str, str] | str, Signal]]] = {EXPR: list(series)}
        self.fault: Callable[[str, str, float], Exception | None] = lambda _kind, _expr, _t: None
        self.asked: list[tuple[str, str, float, float]] = []
        self.chunk = chunk

    async def instant(self, expr: str, t: float, step: float | None = None) -> Vector:
        self.asked.append(("instant", expr, t, step or 0.0))
        if error := self.fault("instant", expr, t):
            raise error
        found = [(wire(labels), value) for labels, at in self.series.get(expr, []) if (value := at(t)) is not None]
        return Vector(t, [metric for metric, _ in found], np.array([value for _, value in found], np.float64))

    async def range(self, expr: str, start: float, end: float, step: float) -> AsyncIterator[Matrix]:
        self.asked.append(("range", expr, start, end))
        times = np.arange(start, end + step / 2, step)
        for i in range(0, times.size, self.chunk):
            part = times[i : i + self.chunk]
            if error := self.fault("range", expr, float(part[0])):
                raise error
            rows = [[at(t) for t in part.tolist()] for _, at in self.series.get(expr, [])]
            values = np.array([[np.nan if v is None else v for v in row] for row in rows], np.float64)
            there = [j for j, row in enumerate(rows) if any(v is not None for v in row)]
            metrics = [wire(self.series[expr][j][0]) for j in there]
            yield Matrix(part, metrics, np.ascontiguousarray(values.reshape(len(rows), part.size)[there].T))

    def ranges(self) -> list[tuple[float, float]]:
        """Start and end of the range queries for the value."""
        return [(a, b) for kind, expr, a, b in self.asked if (kind, expr) == ("range", EXPR)]


def steady(value: float = 10.0, swing: float = 1.0, period: int = 7) -> Signal:
    """Values around a mean that never repeat a simple pattern of the tests."""
    return lambda t: value + swing * (((t // 10) * 2654435761 % 97) / 97 - 0.5) + (t // 10 % period) * swing / 50


def spec(**changes: Any) -> Spec:
    """A signal of one minute with a window of 20 and no forecast; settings and spec fields by name."""
    own = {key: changes.pop(key) for key in list(changes) if key in Settings.__dataclass_fields__}
    settings = Settings(**{"window": 20, "relearn_after": 30, "min_samples": 5, **own})
    made = Spec(
        service="svc",
        signal="sig",
        expr=EXPR,
        timestamps=None,
        capacity=None,
        unit="none",
        by=None,
        ignored=frozenset({"job"}),
        settings=settings,
        windows=Windows(),
        stale_after=120,
        forget_after=3600,
        warmup_steps=settings.warmup_steps,
        max_series=1000,
    )
    return replace(made, **changes)
