"""What expressions are made of while a test runs: lines over time, series, and vectors of them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

Labels = frozenset[tuple[str, str]]


class Unsolved(Exception):
    """An expression, or a value of it, for which no series were found; another value may do."""


class Line(NamedTuple):
    """A value that changes evenly: `start` at the time 0, then `slope` per second."""

    start: float
    slope: float = 0.0

    def __neg__(self) -> "Line":
        return Line(-self.start, -self.slope)

    def plus(self, other: "Line") -> "Line":
        """The sum of two values."""
        return Line(self.start + other.start, self.slope + other.slope)

    def times(self, factor: float) -> "Line":
        """The value times a number."""
        return Line(self.start * factor, self.slope * factor)

    def over(self, divisor: float) -> "Line":
        """The value over a number; Unsolved for zero."""
        if divisor == 0:
            raise Unsolved("a division by zero")
        return Line(self.start / divisor, self.slope / divisor)

    def later(self, seconds: float) -> "Line":
        """The value as it was so many seconds ago."""
        return Line(self.start - self.slope * seconds, self.slope)

    @property
    def constant(self) -> float:
        """The value of a line that does not change; Unsolved for one that does."""
        if self.slope != 0:
            raise Unsolved("a value that changes")
        return self.start


@dataclass(frozen=True, slots=True)
class Leaf:
    """A series of a test."""

    metric: str
    labels: Mapping[str, str]
    line: Line
    #: Seconds after a change until what reads the series sees the new value alone.
    settles: float
    #: Whether its slope matters alone: when that changes it goes on from where it is.
    counter: bool = False

    @property
    def key(self) -> tuple[str, Labels]:
        """What tells it from others."""
        return self.metric, frozenset(self.labels.items())


Vector = dict[Labels, Line]
