"""One signal under evaluation: what it asks of the source, its resources, its state, and the view it publishes.

Everything here happens at an evaluation time that the engine hands in. A cycle asks an instant query and folds its
answer; a range query fills the windows at the start and after a gap. From the second cycle without a result on nothing
is claimed any more.
"""

import asyncio
import math
import time
from collections import Counter
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tocsin.core.capacity import factors as capacity_factors
from tocsin.core.capacity import usable
from tocsin.core.columns import Bools, Floats, Index
from tocsin.core.fold import Runs, State, fold, forecast, grade, learn, track
from tocsin.core.grades import Grades
from tocsin.core.resources import MAX_SERIES, NATIVE_HISTOGRAM, Registry, last_seen, spread, spread_rows
from tocsin.core.snapshot import Sight, SignalView
from tocsin.memory import release
from tocsin.source.columns import Matrix, Vector
from tocsin.source.errors import SourceError
from tocsin.spec import Report, Source, Spec

#: Cells (grid times x resources) that are folded without giving way to other work.
_SLICE = 500_000
#: Cycles without an answer after which nothing is claimed any more.
BLIND_AFTER = 2
#: Fills in a row that may fail though the source answers instant queries; then the signal goes on without history.
PATIENCE = 5


async def together(*calls: Coroutine[Any, Any, Any]) -> list[Any]:
    """Results of concurrent calls; the first error, once all have ended."""
    results = await asyncio.gather(*calls, return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result
    return results


class Evaluation:
    """Runs one signal. Not for several tasks at once: the engine calls `fill` and `cycle` in turn."""

    def __init__(self, spec: Spec, source: Source, room: Callable[[], int]) -> None:
        """`room()` tells how many resources all signals together may still take."""
        self.spec = spec
        self.misses = 0
        #: Of the last fill: grid times per resource without a sample, and why there was no history at all.
        self.missing = 0.0
        self.history_error: str | None = None
        self.view: SignalView | None = None
        self._source = source
        self._registry = Registry(
            spec.signal, spec.by, spec.ignored, lambda: min(room(), spec.max_series - len(self._registry))
        )
        self._state = State.empty(spec.settings, 0)
        self._runs = Runs.empty(0)
        self._sampled = np.empty(0)
        self._capacity = np.empty(0)
        self._unseen = np.empty(0)
        self._blind_since: float | None = None
        self._failed_fills = 0
        #: The answer for an evaluation time that a fill has asked for already.
        self._ahead: tuple[float, Vector | None] = (math.nan, None)
        self._live_at, self._lives = (-1, 0), np.zeros(0, np.bool_)
        #: Series of the history that got no column though they were there of late: the next cycle counts them.
        self._lost: set[bytes] = set()

    def __len__(self) -> int:
        """How many resources there are."""
        return len(self._registry)

    @property
    def settled(self) -> bool:
        """Whether the state has seen a first stretch of history."""
        return self._state.k is not None

    # ------------------------------------------------------------------------------------------------ one cycle

    async def cycle(self, t: float) -> Report:
        """Evaluate at unix time t, with every grid time before it learnt. Raises SourceError."""
        spec, source = self.spec, self._source
        (ahead, known), self._ahead = self._ahead, (math.nan, None)
        known = known if ahead == t else None
        first = () if known is not None else (spec.expr,)
        asked = [expr for expr in (*first, spec.timestamps, spec.capacity) if expr is not None]
        started = time.perf_counter()
        answers = await together(*(source.instant(expr, t, spec.settings.step) for expr in asked))
        answered = time.perf_counter()
        vector = answers.pop(0) if known is None else known
        sampled = answers.pop(0) if spec.timestamps else None
        report = self._take(t, vector, sampled, answers.pop(0) if spec.capacity else None)
        report.seconds = {"query": answered - started, "evaluate": time.perf_counter() - answered}
        return report

    def behind(self, t: float) -> bool:
        """Whether grid times before t are still to be learnt."""
        return self._state.k is None or t > (self._state.k + 1) * self.spec.settings.step

    def _take(self, t: float, vector: Vector, sampled: Vector | None, capacity: Vector | None) -> Report:
        placement = self._registry.place(lambda: vector.metrics, vector.key)
        refused = dict(placement.refused)
        if vector.histograms:
            refused[NATIVE_HISTOGRAM] = vector.histograms
        lost = self._count_lost(vector)
        self._fit()
        x = spread(placement.columns, vector.values, self._state.columns)
        fresh = np.isfinite(x)
        self._unseen = np.where(fresh, 0.0, self._unseen + self.spec.settings.interval)
        if sampled is not None:
            fresh &= self._fresh(x, t, sampled)
        if capacity is not None:
            self._rescale(capacity)
        settings, before = self.spec.settings, int(self._state.shifts.sum())
        grades = grade(self._state, x, t, settings)
        self._runs = track(self._runs, grades, t)
        excluded = self.spec.windows.active(t)
        if t % settings.step == 0:
            learnt = np.where(fresh & (excluded is None), x, np.nan)
            self._state = learn(self._state, learnt, t, grades, settings)
        shifts = int(self._state.shifts.sum()) - before
        self.misses, self._blind_since = 0, None
        self._forget()
        self.view = self._look(t, x, grades, excluded, refused)
        return Report(dict(Counter(refused) + lost), shifts, len(self._registry), {})

    def _count_lost(self, vector: Vector) -> Counter[str]:
        """How many series of the history were refused why, each once, without those that this cycle refuses itself."""
        now = set(vector.metrics) if self._lost else set()
        lost = [metric for metric in self._lost if metric not in now]
        self._lost.clear()
        if not lost:
            return Counter()
        placement = self._registry.place(lost, b"\n".join(lost), "lost", admit=False, shared=True)
        refused = Counter(placement.refused)
        refused[MAX_SERIES] = int((placement.columns < 0).sum()) - refused.total()
        return +refused

    def _aligned(self, vector: Vector, role: str) -> Floats:
        placement = self._registry.place(lambda: vector.metrics, vector.key, role, admit=False)
        return spread(placement.columns, vector.values, self._state.columns)

    def _fresh(self, x: Floats, t: float, sampled: Vector) -> Bools:
        """Which values are newer than at the last grid time; takes from x those that are too old to be one."""
        at = self._aligned(sampled, "timestamp")
        with np.errstate(invalid="ignore"):
            x[t - at > self.spec.stale_after] = np.nan
            fresh = ~(at <= self._sampled)
        # A sample that was graded between grid times is still to be learnt at the next one.
        if t % self.spec.settings.step == 0:
            self._sampled = np.fmax(self._sampled, at)
        return np.asarray(fresh)

    def _rescale(self, capacity: Vector) -> None:
        """Follow changes of capacity before the value that lives under the new one is graded."""
        new = self._aligned(capacity, "capacity")
        factors = capacity_factors(self._capacity, new)
        changed = np.flatnonzero(factors != 1)
        if changed.size:
            self._state.rescale(changed, factors[changed])
        self._capacity = np.where(usable(new), new, self._capacity)

    def _forget(self) -> None:
        gone = np.flatnonzero(self._live() & (self._unseen > self.spec.forget_after))
        if gone.size:
            self._registry.drop(gone)
            self._state.wipe(gone)
            self._runs = self._runs.without(gone)
            self._sampled[gone] = self._capacity[gone] = np.nan
            self._unseen[gone] = 0.0

    def _live(self) -> Bools:
        """Which columns belong to a resource, (C,); worked out when that changes."""
        now = (self._registry.version, self._state.columns)
        if self._live_at != now:
            live = np.zeros(self._state.columns, np.bool_)
            live[: len(self._registry.resources)] = self._registry.live()
            live.flags.writeable = False
            self._live_at, self._lives = now, live
        return self._lives

    def _fit(self) -> None:
        """Room in the state for every column of the registry, with some to spare: growing copies everything."""
        needed = len(self._registry.resources)
        if needed <= self._state.columns:
            return
        old = self._state.columns
        columns = needed if not old else needed + needed // 8 + 8
        self._state.grow(columns)
        self._runs = self._runs.resized(columns)
        spare = np.full(columns - old, np.nan)
        self._sampled = np.concatenate([self._sampled, spare])
        self._capacity = np.concatenate([self._capacity, spare])
        self._unseen = np.concatenate([self._unseen, np.zeros(columns - old)])

    # ------------------------------------------------------------------------------------------------ what is seen

    def _look(self, t: float, x: Floats, grades: Grades, excluded: str | None, refused: dict[str, int]) -> SignalView:
        state, spec, step = self._state, self.spec, self.spec.settings.step
        held = state.window_held.run
        if state.season_held is not None:
            held = np.maximum(held, state.season_held.run)
        hw = state.holt_winters
        return SignalView(
            service=spec.service,
            signal=spec.signal,
            expr=spec.expr,
            unit=spec.unit,
            settings=spec.settings,
            version=self._registry.version,
            resources=self._resources(),
            live=self._live(),
            grades=grades,
            forecasts=forecast(state, x, t, spec.settings),
            since=self._runs.since,
            held=held.copy(),
            shifts=state.shifts.copy(),
            shifted_at=np.where(state.shifted_k < 0, np.nan, state.shifted_k * float(step)),
            season_started=np.zeros(x.shape, np.bool_) if hw is None else hw.started.copy(),
            repeats_seen=spec.timestamps is not None,
            unstamped=spec.unstamped,
            refused=refused,
            excluded_by=excluded,
        )

    def _resources(self) -> tuple[Any, ...]:
        spare = self._state.columns - len(self._registry.resources)
        view = self.view
        if view and (view.version, len(view.resources)) == (self._registry.version, self._state.columns):
            return view.resources
        return (*self._registry.resources, *[None] * spare)

    def miss(self, t: float) -> None:
        """Note a cycle without a result: the second in a row withdraws the values, `forget_after` the tiers too."""
        self.misses += 1
        if self.misses < BLIND_AFTER or self.view is None:
            return
        if self._blind_since is None:
            self._blind_since = t
        gone = t - self._blind_since >= self.spec.forget_after
        self.view = replace(self.view, sight=Sight.GONE if gone else Sight.BLIND)

    # ------------------------------------------------------------------------------------------------ history

    async def fill(self, t: float, progress: Callable[[int, int], None] = lambda _done, _total: None) -> None:
        """Learn the grid times before t from range queries: all of the warm-up at the start, later what was missed.

        Raises SourceError. What was folded by then stays, and the next call goes on from there.
        """
        settings, self.history_error = self.spec.settings, None
        last = int(-(-t // settings.step)) - 1
        first = last - self.spec.warmup_steps + 1
        if self._state.k is not None:
            if self._state.k + 1 < first:
                self.start_anew()
            else:
                first = self._state.k + 1
        if first > last:
            return
        if not self.settled:
            # Who is there now comes first: the early chunks of a long history may be full of series that are dead.
            now = await self._source.instant(self.spec.expr, t, settings.step)
            self._registry.place(now.metrics, now.key)
            self._ahead = (t, now)
        total, seen, start = last - first + 1, 0.0, float(first * settings.step)
        try:
            async for matrix in self._source.range(self.spec.expr, start, last * settings.step, settings.step):
                values, fresh, factors = await self._history(matrix, last)
                seen += float(fresh.sum())
                await self._fold(matrix.times, np.where(fresh, values, np.nan), factors)
                self._note_unseen(matrix.times, np.isfinite(values))
                release()
                progress(int(matrix.times[-1] // settings.step) - first + 1, total)
        except SourceError as error:
            await self._go_without(error, t)
            await self._skip(last)
        self._failed_fills = 0
        self.missing = total - seen / max(len(self._registry), 1)

    async def _go_without(self, error: SourceError, t: float) -> None:
        """Return when it is better to go on without this history than not at all; raises SourceError otherwise.

        A source that answers nothing now (a wrong token, a login page) may give the history later. One that answers
        instant queries and refuses this range will refuse it again.
        """
        # Only a source that answers now counts: one that is away says nothing about its history.
        await self._source.instant(self.spec.expr, t, self.spec.settings.step)
        self._failed_fills += 1
        if error.retry and self._failed_fills < PATIENCE:
            raise error
        self.history_error = error.message

    async def _skip(self, last: int) -> None:
        """Pass over the grid times up to `last` as gaps."""
        step = self.spec.settings.step
        if self._state.k is None:
            self._state.k = last
        elif (left := np.arange(self._state.k + 1, last + 1, dtype=np.float64) * step).size:
            await self._fold(left, np.full((left.size, self._state.columns), np.nan), None)

    def _note_unseen(self, times: Floats, seen: Bools) -> None:
        """For how long each resource has been unseen by the end of these times."""
        step = float(self.spec.settings.step)
        since = np.argmax(seen[::-1], axis=0) * step
        self._unseen = np.where(seen.any(axis=0), since, self._unseen + len(times) * step)

    def start_anew(self) -> None:
        """Forget what was learnt: the gap is longer than a warm-up, or the clock was wrong."""
        columns = self._state.columns
        self._sampled, self._capacity = np.full(columns, np.nan), np.full(columns, np.nan)
        self._state = State.empty(self.spec.settings, columns)
        self._runs = Runs.empty(columns)

    async def _history(self, matrix: Matrix, last: int) -> tuple[Floats, Bools, Floats | None]:
        """Values (T, C) of a chunk, which of them are new samples, and factors where a capacity changed.

        `last` is the grid index at which the fill ends. What is known of samples and capacities changes only when
        every query has been answered, so that the chunk can be asked for again.
        """
        spec, start, end = self.spec, float(matrix.times[0]), float(matrix.times[-1])
        columns = self._columns_of(matrix, last * spec.settings.step)
        self._fit()
        values = spread_rows(columns, matrix.values, self._state.columns)
        at = capacity = factors = None
        if spec.timestamps is not None:
            at = await self._aligned_range(spec.timestamps, start, end, "timestamp history")
        if spec.capacity is not None:
            capacity = await self._aligned_range(spec.capacity, start, end, "capacity history")
        fresh: Bools = np.isfinite(values)
        if at is not None:
            before = np.fmax.accumulate(np.vstack([self._sampled, at]), axis=0)
            with np.errstate(invalid="ignore"):
                fresh &= ~(at <= before[:-1])
            self._sampled = before[-1]
        if capacity is not None:
            factors = np.empty_like(capacity)
            for i, new in enumerate(capacity):
                factors[i] = capacity_factors(self._capacity, new)
                self._capacity = np.where(usable(new), new, self._capacity)
        return values, fresh, factors

    def _columns_of(self, matrix: Matrix, filled_to: float) -> Index:
        """Columns of a chunk's series: those seen last come first where room is short, and the dead ones get none."""
        times = last_seen(matrix.values, matrix.times)
        order = np.argsort(-times, kind="stable")
        if float(matrix.times[-1]) >= filled_to:
            order = order[filled_to - times[order] <= self.spec.forget_after]
        metrics = [matrix.metrics[i] for i in order.tolist()]
        columns = np.full(len(matrix.metrics), -1, np.intp)
        columns[order] = self._registry.place(metrics, b"\n".join(metrics), "history", shared=True).columns
        # Who has been gone for longer would be no resource any more: nothing of it is lost.
        late = (columns < 0) & (filled_to - times <= self.spec.forget_after)
        self._lost.update(matrix.metrics[i] for i in np.flatnonzero(late).tolist())
        return columns

    async def _aligned_range(self, expr: str, start: float, end: float, role: str) -> Floats:
        parts = []
        async for matrix in self._source.range(expr, start, end, self.spec.settings.step):
            key = b"\n".join(matrix.metrics)
            columns = self._registry.place(matrix.metrics, key, role, admit=False, shared=True).columns
            parts.append(spread_rows(columns, matrix.values, self._state.columns))
        return np.concatenate(parts)

    async def _fold(self, times: Floats, values: Floats, factors: Floats | None) -> None:
        """Fold a chunk in slices, off the event loop, so that the program stays responsive and can be stopped."""
        excluded: NDArray[np.bool_] = self.spec.windows.mask(times)
        rows = max(1, _SLICE // max(self._state.columns, 1))
        for i in range(0, len(times), rows):
            part = slice(i, i + rows)
            self._state, self._runs, _ = await asyncio.to_thread(
                fold,
                self._state,
                self._runs,
                times[part],
                values[part],
                self.spec.settings,
                excluded=excluded[part],
                factors=None if factors is None else factors[part],
            )
