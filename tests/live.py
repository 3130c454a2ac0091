"""An evaluation run as the engine runs it, and series that come, go, jump and are no numbers."""

import asyncio
import math
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families

from core_series import held
from scripted import T0, Scripted, Signal, steady
from tocsin.core.held import Held
from tocsin.core.settings import Forecast, Seasonal
from tocsin.core.snapshot import SignalView, Snapshot
from tocsin.evaluation import Evaluation, Report, Spec
from tocsin.metrics import Exposition
from tocsin.source.errors import SourceError


class Live:
    """An evaluation that is run as the engine runs it."""

    def __init__(self, source: Scripted, how: Spec, room: int = 1000) -> None:
        self.source = source
        self.evaluation = Evaluation(how, source, lambda: room - len(self.evaluation))

    def at(self, t: float) -> Report:
        """Evaluate once; raises SourceError after it was noted."""

        async def run() -> Report:
            try:
                if self.evaluation.behind(t):
                    await self.evaluation.fill(t)
                return await self.evaluation.cycle(t)
            except SourceError:
                self.evaluation.miss(t)
                raise

        return asyncio.run(run())

    def over(self, start: float, end: float) -> None:
        """Evaluate at every interval from start to end, both included; errors of the source are misses."""
        interval = self.evaluation.spec.settings.interval
        for t in np.arange(start, end + interval / 2, interval).tolist():
            try:
                self.at(t)
            except SourceError:
                continue

    @property
    def view(self) -> SignalView:
        assert self.evaluation.view is not None
        return self.evaluation.view

    def column(self, resource: str) -> int:
        (found,) = [c for _, c in Snapshot(0.0, (self.view,)).find(resource)]
        return found

    def of(self, resource: str) -> dict[str, float]:
        """What is known of a resource now."""
        c, g = self.column(resource), self.view.grades
        return {"tier": int(g.tier[c]), "n": int(g.n[c]), "x": float(g.x[c]), "mean": float(g.mean[c])}

    def resources(self) -> set[str]:
        return {r.resource for r in self.view.resources if r is not None}


def page(view: SignalView) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    text = b"".join(Exposition(CollectorRegistry(), "full").page(Snapshot(0.0, (view,)))).decode()
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def state(evaluation: Evaluation, columns: list[int]) -> dict[str, Any]:
    """Every array of the state at these columns, by name."""
    out: dict[str, Any] = {}

    def walk(name: str, value: object) -> None:
        if isinstance(value, Held):
            out[f"{name}.run"], out[f"{name}.held"] = value.run[columns], held(value)[:, columns]
        elif isinstance(value, np.ndarray):
            out[name] = value[..., columns]
        elif is_dataclass(value):
            for f in fields(value):
                walk(f"{name}.{f.name}", getattr(value, f.name))

    walk("state", evaluation._state)
    return {**out, "k": evaluation._state.k}


def sometimes(signal: Signal, absent: Callable[[float], bool], instead: float | None = None) -> Signal:
    return lambda t: instead if absent(t) else signal(t)


def hostile() -> list[tuple[str, Signal]]:
    minute = 60.0
    return [
        ("plain", steady()),
        ("season", lambda t: 10.0 + math.sin(t / minute / 6 * 2 * math.pi) + steady(0, 0.1)(t)),
        ("step", lambda t: steady()(t) + (50.0 if t > T0 + 20 * minute else 0.0)),
        ("spikes", lambda t: steady()(t) + (100.0 if t // minute % 17 == 0 else 0.0)),
        ("gaps", sometimes(steady(), lambda t: t // minute % 5 == 0)),
        ("nan", sometimes(steady(), lambda t: t // minute % 7 == 0, math.nan)),
        ("inf", sometimes(steady(), lambda t: t // minute % 11 == 0, math.inf)),
        ("flat", lambda _t: 3.0),
        ("late", sometimes(steady(), lambda t: t < T0 + 10 * minute)),
        ("gone", sometimes(steady(), lambda t: t > T0 + 30 * minute)),
    ]


RICH = {
    "seasonal": Seasonal(slots=6, delta_scale=1.0),
    "forecast": Forecast(horizon=10),
    "limit": 12.0,
    "normal": (0.0, 50.0),
}
