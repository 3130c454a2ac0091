"""What alerts would have done over a stretch of the past, from the source's history.

Tiers come from an :class:`~tocsin.evaluation.Evaluation` that runs through the past as it would have lived it: each of
its instant queries is answered from a range query. Everything else is what the source says of an expression.
"""

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from tocsin.core.columns import Bools, Floats, Index
from tocsin.core.resources import Identity
from tocsin.evaluation import Evaluation
from tocsin.source.columns import Matrix, Vector
from tocsin.spec import Source, Spec

#: Times of a replay between two notes of how far it is.
_TELL_EVERY = 50
#: Told how many of how many times are done.
Told = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Waits:
    """Seconds of an alert's `for` and `keep_firing_for`."""

    wait: float = 0.0
    keep: float = 0.0


@dataclass(frozen=True, slots=True)
class Past:
    """What an alert did: its episodes as pairs of Unix times (n, 2), over all its instances, in order of their end."""

    start: float
    end: float
    episodes: Floats

    @property
    def median(self) -> float | None:
        """Median length in seconds; None without an episode. One that lasts still counts as long as it has lasted."""
        return float(np.median(self.episodes[:, 1] - self.episodes[:, 0])) if len(self.episodes) else None

    @property
    def per_day(self) -> float:
        """Episodes in a day."""
        return len(self.episodes) * 86400 / (self.end - self.start)

    @property
    def firing(self) -> float:
        """Share of the time in which at least one instance fires."""
        total, until = 0.0, self.start
        for begin, end in sorted(self.episodes.tolist()):
            total += max(0.0, end - max(begin, until))
            until = max(until, end)
        return total / (self.end - self.start)


@dataclass(slots=True)
class Alarm:
    """The instances of one alert as Prometheus keeps them: pending, firing, and firing on after the condition ended.

    Each instance is a column. What is seen at a time holds until the next one.
    """

    waits: Waits
    every: float
    _since: Floats = field(default_factory=lambda: np.empty(0))
    _fires: Floats = field(default_factory=lambda: np.empty(0))
    _ended: Floats = field(default_factory=lambda: np.empty(0))
    _episodes: list[tuple[float, float]] = field(default_factory=list)

    def see(self, t: float, active: Bools, held: Bools | None = None) -> None:
        """The condition of each instance (C,) at a time; where it is `held` an instance that fires stays as it was."""
        self._fit(len(active))
        over = self._ended + self.waits.keep <= t
        if over.any():
            self._close(np.flatnonzero(over), self._ended + self.waits.keep)
        firing = ~np.isnan(self._fires)
        on = active if held is None else active | (held & firing)
        self._since = np.where(on, np.where(np.isnan(self._since), t, self._since), np.nan)
        due = self._since + self.waits.wait
        self._fires = np.where(firing | ~(due < t + self.every), self._fires, due)
        self._ended = np.where(firing & ~on, np.where(np.isnan(self._ended), t, self._ended), np.nan)

    def forget(self, columns: Sequence[int], t: float) -> None:
        """End what these columns did: other instances follow in them."""
        chosen = np.asarray(columns, np.intp)
        chosen = chosen[chosen < len(self._fires)]
        self._close(chosen[~np.isnan(self._fires[chosen])], np.full(len(self._fires), t))
        self._since[chosen] = np.nan

    def past(self, start: float, end: float) -> Past:
        """Everything until now; what fires still is as long as it has lasted."""
        still = np.where(np.isnan(self._ended), end, np.minimum(self._ended + self.waits.keep, end))
        self._close(np.flatnonzero(self._fires < end), still)
        return Past(start, end, np.array(self._episodes, np.float64).reshape(-1, 2))

    def _close(self, columns: Index, ends: Floats) -> None:
        self._episodes += zip(self._fires[columns].tolist(), ends[columns].tolist(), strict=True)
        self._fires[columns] = self._ended[columns] = self._since[columns] = np.nan

    def _fit(self, columns: int) -> None:
        spare = np.full(max(0, columns - len(self._since)), np.nan)
        if spare.size:
            self._since, self._fires, self._ended = (
                np.concatenate([old, spare]) for old in (self._since, self._fires, self._ended)
            )


class Recorded:
    """A source whose instant queries, on a grid and in order of time, are answered from range queries."""

    def __init__(self, source: Source, start: float, end: float, every: float) -> None:
        self._source, self._start, self._end, self._every = source, start, end, every
        self._ahead: dict[str, tuple[AsyncIterator[Matrix], Matrix | None]] = {}

    async def instant(self, expr: str, t: float, step: float | None = None) -> Vector:
        """The answer at a time of the grid, which must not be before the last one; else the source is asked."""
        if not self._start <= t <= self._end:
            return await self._source.instant(expr, t, step)
        chunks, matrix = self._ahead.get(expr) or (self.range(expr, self._start, self._end, self._every), None)
        while matrix is None or matrix.times[-1] < t:
            matrix = await anext(chunks)
            self._ahead[expr] = chunks, matrix
        row = matrix.values[round((t - float(matrix.times[0])) / self._every)]
        there = np.flatnonzero(~np.isnan(row))
        labels = matrix.metrics if there.size == row.size else [matrix.metrics[i] for i in there.tolist()]
        return Vector(t, labels, row[there])

    def range(self, expr: str, start: float, end: float, step: float) -> AsyncIterator[Matrix]:
        """What the source says."""
        return self._source.range(expr, start, end, step)


async def tiers(
    spec: Spec, alarms: Sequence[tuple[int, Waits]], source: Source, start: float, end: float, told: Told
) -> list[Past]:
    """What alerts on tiers of a signal, each given by its least tier, would have done from start to end.

    Grades are those of a Tocsin that was running all the time. Raises SourceError.
    """
    every = spec.settings.interval
    first, last = -(-start // every) * every, end // every * every
    # No tier depends on a forecast, and it is most of the work.
    spec = replace(spec, settings=replace(spec.settings, forecast=None))
    evaluation = Evaluation(spec, Recorded(source, first, last, every), lambda: spec.max_series)
    machines = [Alarm(waits, every) for _, waits in alarms]
    known: tuple[Identity | None, ...] = ()
    total = round((last - first) / every) + 1
    for i in range(total):
        t = first + i * every
        if evaluation.behind(t):
            await evaluation.fill(t)
        await evaluation.cycle(t)
        view = evaluation.view
        assert view is not None
        if view.resources is not known:
            gone = [
                c for c, (old, new) in enumerate(zip(known, view.resources, strict=False)) if old not in (None, new)
            ]
            known = view.resources
            for machine in machines if gone else ():
                machine.forget(gone, t)
        for (least, _), machine in zip(alarms, machines, strict=True):
            machine.see(t, view.live & (view.grades.tier >= least), view.live & (view.grades.tier < 0))
        if i % _TELL_EVERY == 0 or i + 1 == total:
            told(i + 1, total)
    return [machine.past(start, end) for machine in machines]


async def expression(
    expr: str, waits: Waits, source: Source, start: float, end: float, every: float, told: Told
) -> Past:
    """What an alert on an expression would have done, looked at so often. Raises SourceError."""
    machine = Alarm(waits, every)
    columns: dict[bytes, int] = {}
    total = round((end - start) / every) + 1
    async for matrix in source.range(expr, start, end, every):
        placed = [columns.setdefault(metric, len(columns)) for metric in matrix.metrics]
        active = np.zeros((len(matrix.times), len(columns)), np.bool_)
        active[:, placed] = ~np.isnan(matrix.values)
        for t, row in zip(matrix.times.tolist(), active, strict=True):
            machine.see(t, row)
        told(round((float(matrix.times[-1]) - start) / every) + 1, total)
    return machine.past(start, end)
