"""What a configuration asks of its source, before it asks."""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class QueryBudget:
    """Load of all signals together.

    ``per_minute``: queries a minute when all goes well; ``per_minute_worst``: when each is retried as often as
    allowed; ``due_at_once``: queries that fall due together where the cycles meet; ``concurrent``: how many of those
    the source sees at a time.
    """

    per_minute: float
    per_minute_worst: float
    due_at_once: int
    concurrent: int

    def __str__(self) -> str:
        return (
            f"{self.per_minute:.4g} queries a minute ({self.per_minute_worst:.4g} if every one is retried), "
            f"up to {self.due_at_once} due at once, at most {self.concurrent} at a time"
        )


def budget(cycles: Iterable[tuple[float, int]], *, concurrency: int, retries: int) -> QueryBudget:
    """Budget of cycles given as (interval in seconds, queries in each).

    Cycles are aligned to the epoch, so at some time all of them fall due together. Range queries, which fill windows
    at start and after a gap, come on top, within the same concurrency.
    """
    pairs = list(cycles)
    per_minute = sum(60.0 / interval * queries for interval, queries in pairs)
    due = sum(queries for _, queries in pairs)
    return QueryBudget(per_minute, per_minute * (1 + retries), due, min(concurrency, due))
