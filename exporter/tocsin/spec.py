"""What an evaluation is told and what it tells: the signal as the engine runs it, whom it asks, what a cycle did."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Protocol

from tocsin.core.calendar import Windows
from tocsin.core.settings import Settings
from tocsin.source.columns import Matrix, Vector
from tocsin.source.freshness import Unstamped


class Source(Protocol):
    """What an evaluation asks: instant and range queries."""

    async def instant(self, expr: str, t: float, step: float | None = None) -> Vector:
        """Answer an instant query as a range query of this step would at t; raises SourceError."""
        ...

    def range(self, expr: str, start: float, end: float, step: float) -> AsyncIterator[Matrix]:
        """Answer a range query in chunks, in order of time; raises SourceError."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Spec:
    """A signal as the engine runs it; two equal specs may share a state."""

    service: str
    signal: str
    expr: str
    #: Asks for the time of the sample behind the value; None where the expression has no single sample behind it.
    timestamps: str | None
    #: Why it has none, as source/freshness.py has it; None where it has one.
    unstamped: Unstamped | None = None
    capacity: str | None
    unit: str
    by: tuple[str, ...] | None
    ignored: frozenset[str]
    settings: Settings
    windows: Windows
    #: Seconds: a sample older than this is no value; a resource unseen for longer is forgotten.
    stale_after: int
    forget_after: int
    warmup_steps: int
    max_series: int


@dataclass(slots=True)
class Report:
    """What one cycle did, for the engine to count: series refused by reason, seconds per phase, level shifts."""

    refused: dict[str, int]
    shifts: int
    series: int
    seconds: dict[str, float]
