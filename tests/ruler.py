"""A source that answers for SLOs from tables, and readers of two SLOs of a shop."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path

import msgspec
import numpy as np

from tocsin import names
from tocsin.budgets import Budgets, SloSpec
from tocsin.budgets.recorded import QUERY
from tocsin.config.load import load
from tocsin.core.budget import SloView
from tocsin.source.columns import Matrix, Vector
from tocsin.source.errors import SourceError
from tocsin.specs import slo_specs_of
from tocsin.telemetry import Telemetry

NOW = 1_800_000_000.0
MONTH = 30 * 86400
#: Queries of one direct reading: windows, counted windows, history and budget; the other SLO counts no events.
API, SPEED = 7 + 5 + 2, 7 + 2
AWAY = SourceError("is away", "connection")
_SHORT = {"history": names.RECORD_HISTORY, "left": names.RECORD_REMAINING, "objective": names.RECORD_OBJECTIVE}


class Ruler:
    """What it recorded are `series`, what it answers for expressions is `direct`; `fails` may raise for one."""

    def __init__(self) -> None:
        self.series: list[tuple[dict[str, str], float]] = []
        self.direct: Mapping[str, float] = {}
        self.fails: Callable[[str], SourceError | None] = lambda _: None
        self.asked: list[str] = []

    async def instant(self, expr: str, t: float, _step: float | None = None) -> Vector:
        self.asked.append(expr)
        if (error := self.fails(expr)) is not None:
            raise error
        rows = self.series if expr == QUERY else [({}, self.direct[expr])] if expr in self.direct else []
        labels = [msgspec.json.encode(labels) for labels, _ in rows]
        return Vector(t, labels, np.array([value for _, value in rows]))

    def range(self, _expr: str, _start: float, _end: float, _step: float) -> AsyncIterator[Matrix]:
        raise AssertionError("budgets ask instant queries only")

    def record(self, slo: str, replica: str = "", **values: float) -> None:
        """Series of an SLO of the shop by the end of their name."""
        for short, value in values.items():
            kind, _, window = short.partition("_")
            name = _SHORT.get(short) or {"e": names.RECORD_ERROR_OVER, "n": names.RECORD_EVENTS_OVER}[kind] + window
            labels = {"__name__": name, names.SERVICE: "shop", names.SLO: slo}
            self.series.append((labels | ({"replica": replica} if replica else {}), value))


def shop(folder: Path, speed: str = "99%") -> list[SloSpec]:
    (folder / "tocsin.yml").write_text("source: {url: http://127.0.0.1:9090}\nservices: [shop.yml]\n")
    (folder / "shop.yml").write_text(
        "service: shop\n"
        "slos:\n"
        "  api: {objective: 99.9%, sli: {bad: 'errors_total', total: requests_total}}\n"
        f"  speed: {{objective: {speed}, sli: {{ratio: slow_share}}}}\n"
    )
    return slo_specs_of(load(folder / "tocsin.yml"))


def budgets(folder: Path, source: Ruler, telemetry: Telemetry | None = None) -> Budgets:
    return Budgets(shop(folder), source, telemetry or Telemetry(), clock=lambda: NOW)


def views(reader: Budgets, t: float = NOW) -> dict[str, SloView]:
    return {view.terms.slo: view for view in reader.as_of(t)}


def read(reader: Budgets, t: float = NOW) -> dict[str, SloView]:
    """One cycle of the reader at t, and what is known then."""

    async def cycle() -> None:
        await reader.read(t)
        await reader.ask(t)

    asyncio.run(cycle())
    return views(reader, t)
