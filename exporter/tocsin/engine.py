"""The loop: each signal is evaluated at times aligned to its interval, and the result swapped in as a new snapshot.

Evaluations run side by side, one task each; a failure of one is counted, logged with its reason and does not touch the
others. What the engine publishes is always a whole, frozen :class:`~tocsin.core.snapshot.Snapshot`.
"""

import asyncio
import contextlib
import math
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

import structlog

from tocsin.core.resources import NATIVE_HISTOGRAM, REFUSALS
from tocsin.core.snapshot import Missed, Sight, Snapshot
from tocsin.evaluation import Evaluation
from tocsin.source.errors import SourceError
from tocsin.spec import Report, Source, Spec
from tocsin.telemetry import Telemetry

log = structlog.get_logger(__name__)

#: Intervals by which the clock may go back before the history is learnt anew rather than waited for.
_TOO_FAR = 3
#: Counters of a signal that are there from the start, because increase() does not see a series begin: labels beyond its
#: own ones.
_FROM_ZERO = [("level_shifts_total",), *(("series_dropped_total", reason) for reason in (*REFUSALS, NATIVE_HISTOGRAM))]

#: Told of a fill: signal, grid times done, grid times in all.
Progress = Callable[[str, int, int], None]


def aligned(now: float, interval: int) -> float:
    """The last multiple of the interval that is not after now."""
    return math.floor(now / interval) * float(interval)


class Engine:
    """Runs the evaluations of a configuration against a source."""

    def __init__(
        self,
        specs: Sequence[Spec],
        source: Source,
        telemetry: Telemetry,
        *,
        query_delay: float = 0.0,
        max_series: int = 100_000,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        progress: Progress | None = None,
    ) -> None:
        """`query_delay` is how many seconds the source lags behind; `clock` gives unix time."""
        self._telemetry, self._clock, self._sleep = telemetry, clock, sleep
        self._progress = progress or (lambda _what, _done, _total: None)
        self._delay, self._max_series = query_delay, max_series
        self._tasks: dict[Spec, asyncio.Task[None]] = {}
        self._source = source
        self._attempted: set[Spec] = set()
        self._ready = False
        self._told: dict[Spec, tuple[dict[str, int], bool]] = {}
        #: Outcome of the last cycle of signals that it left without a grade.
        self._failures: dict[Spec, str] = {}
        self._evaluations = {spec: self._evaluation(spec) for spec in specs}
        self._publish()

    @property
    def ready(self) -> bool:
        """Whether every signal that was there at the start has been tried; signals of a reload do not count."""
        self._ready = self._ready or self._attempted.issuperset(self._evaluations)
        return self._ready

    @property
    def running(self) -> bool:
        """Whether every evaluation's task is alive."""
        return bool(self._tasks) and not any(task.done() for task in self._tasks.values())

    @property
    def evaluations(self) -> tuple[Evaluation, ...]:
        """The evaluations, in the order of the configuration."""
        return tuple(self._evaluations.values())

    def _evaluation(self, spec: Spec) -> Evaluation:
        for short, *own in _FROM_ZERO:
            self._telemetry.count(short, spec.service, spec.signal, *own, by=0)
        return Evaluation(spec, self._source, self._room)

    def _room(self) -> int:
        return self._max_series - sum(len(evaluation) for evaluation in self._evaluations.values())

    def view(self) -> Snapshot:
        """The snapshot as it looks now: a signal whose cycle hangs is blind, whatever its last cycle found.

        A signal that was never graded is stale from the start: that tells the alerting rules that what fires there is
        to be held.
        """
        snapshot = self.snapshot.as_of(self._clock() - self._delay)
        seen = {(view.service, view.signal) for view in snapshot.signals if view.sight is Sight.CLEAR}
        for spec in self._evaluations:
            name = (spec.service, spec.signal)
            self._telemetry.set("stale", name not in seen, *name)
        return snapshot

    # ------------------------------------------------------------------------------------------------ life

    def start(self) -> None:
        """Start a task for every evaluation that has none."""
        for spec, evaluation in self._evaluations.items():
            if spec not in self._tasks:
                self._tasks[spec] = asyncio.create_task(self._run(evaluation), name=f"{spec.service}/{spec.signal}")
        self._telemetry.set("collector_running", 1)

    async def stop(self) -> None:
        """Cancel every task and wait for them."""
        self._telemetry.set("collector_running", 0)
        tasks, self._tasks = list(self._tasks.values()), {}
        await _cancel(tasks)

    async def reconfigure(
        self, specs: Sequence[Spec], source: Source | None, *, query_delay: float, max_series: int
    ) -> None:
        """Run these signals from now on; signals that did not change keep what they have learnt.

        `source` replaces the present one (then nothing is kept, because it may know other data); None keeps it.
        """
        self._delay, self._max_series = query_delay, max_series
        wanted = set() if source is not None else set(specs)
        kept = {spec: evaluation for spec, evaluation in self._evaluations.items() if spec in wanted}
        ended = [self._tasks.pop(spec) for spec in list(self._tasks) if spec not in kept]
        await _cancel(ended)
        self._source = source or self._source
        self._forget_telemetry([spec for spec in self._evaluations if spec not in kept])
        views = {(spec.service, spec.signal): old.view for spec, old in self._evaluations.items()}
        self._evaluations = {spec: kept.get(spec) or self._evaluation(spec) for spec in specs}
        for spec, evaluation in self._evaluations.items():
            # Until it has been graded anew a signal is unknown: without any tier its alerts would resolve.
            if spec not in kept and (view := views.get((spec.service, spec.signal))) is not None:
                evaluation.view = replace(view, sight=max(view.sight, Sight.BLIND))
        self._attempted &= set(specs)
        self._told = {spec: told for spec, told in self._told.items() if spec in kept}
        self._failures = {spec: outcome for spec, outcome in self._failures.items() if spec in kept}
        self._publish()
        self.start()

    async def _run(self, evaluation: Evaluation) -> None:
        """Evaluate for ever, once per interval; a cycle that took too long skips to the present."""
        interval, done = evaluation.spec.settings.interval, -math.inf
        while True:
            t = aligned(self._clock() - self._delay, interval)
            if done - t >= _TOO_FAR * interval:
                # The clock was ahead, or is back for good: what was learnt under it can be learnt again.
                log.warning("clock went back", signal=_title(evaluation.spec), t=t, back=done - t)
                evaluation.start_anew()
                done = -math.inf
            if t > done:
                await self.cycle(evaluation, t)
                done = t
            elif t < done:
                self._clock_went_back(evaluation, t)
            # Never longer than an interval: the clock may have gone back during the cycle.
            await self._sleep(min(interval, max(0.01, t + interval + self._delay - self._clock())))

    # ------------------------------------------------------------------------------------------------ one cycle

    async def cycle(self, evaluation: Evaluation, t: float) -> None:
        """Evaluate one signal at unix time t, count what happened and publish a new snapshot."""
        spec, outcome = evaluation.spec, "ok"
        try:
            if evaluation.behind(t):
                await self._fill(evaluation, t)
            self._count(spec, t, await evaluation.cycle(t))
        except SourceError as error:
            outcome = error.klass
            evaluation.miss(t)
            log.warning("no answer", signal=_title(spec), t=t, misses=evaluation.misses, reason=str(error))
        except Exception:
            outcome = "internal_error"
            evaluation.miss(t)
            log.exception("evaluation failed", signal=_title(spec), t=t)
        self._ended(spec, outcome)

    def _ended(self, spec: Spec, outcome: str) -> None:
        self._telemetry.count("evaluations_total", spec.service, spec.signal, outcome)
        self._failures.pop(spec, None)
        if outcome != "ok":
            self._failures[spec] = outcome
        self._attempted.add(spec)
        self._publish()

    def _clock_went_back(self, evaluation: Evaluation, t: float) -> None:
        """Time that was learnt cannot be learnt again: until the clock has caught up nothing is known."""
        evaluation.miss(t)
        log.warning("clock went back", signal=_title(evaluation.spec), t=t, misses=evaluation.misses)
        self._ended(evaluation.spec, "clock_went_back")

    async def _fill(self, evaluation: Evaluation, t: float) -> None:
        title, started = _title(evaluation.spec), time.perf_counter()
        first = not evaluation.settled
        await evaluation.fill(t, lambda done, total: self._progress(title, done, total))
        spec = evaluation.spec
        self._telemetry.set("warm_start_missing_samples", evaluation.missing, spec.service, spec.signal)
        log.info(
            "warm start" if first else "gap filled",
            signal=title,
            resources=len(evaluation),
            steps=spec.warmup_steps,
            missing=round(evaluation.missing, 1),
            seconds=round(time.perf_counter() - started, 2),
        )
        if evaluation.history_error:
            log.warning("no history", signal=title, reason=evaluation.history_error)

    def _count(self, spec: Spec, t: float, report: Report) -> None:
        labels = (spec.service, spec.signal)
        self._tell(spec, report)
        for phase, seconds in report.seconds.items():
            self._telemetry.set("evaluation_duration_seconds", seconds, *labels, phase)
        self._telemetry.set("evaluation_last_success_timestamp_seconds", t + self._delay, *labels)
        self._telemetry.set("series", report.series, *labels)
        if report.shifts:
            self._telemetry.count("level_shifts_total", *labels, by=report.shifts)
            log.info("level shift learnt", signal=_title(spec), resources=report.shifts)
        for reason, series in report.refused.items():
            self._telemetry.count("series_dropped_total", *labels, reason, by=series)

    def _tell(self, spec: Spec, report: Report) -> None:
        """Say once that series are refused or that there are none: nobody watches what they would say."""
        told = (dict(report.refused), report.series == 0)
        if self._told.get(spec, ({}, False)) == told:
            return
        self._told[spec] = told
        if report.refused:
            log.warning("series refused", signal=_title(spec), **report.refused)
        if not report.series:
            log.warning("no series: is the expression right?", signal=_title(spec), expr=spec.expr)

    def _publish(self) -> None:
        views = [evaluation.view for evaluation in self._evaluations.values()]
        missed = [
            Missed(spec.service, spec.signal, spec.expr, view is not None, self._failures.get(spec))
            for spec, view in zip(self._evaluations, views, strict=True)
            if view is None or spec in self._failures
        ]
        self.snapshot = Snapshot(self._clock(), tuple(view for view in views if view is not None), tuple(missed))
        self.view()

    def _forget_telemetry(self, gone: Sequence[Spec]) -> None:
        for spec in gone:
            labels = (spec.service, spec.signal)
            gauges = ("evaluation_last_success_timestamp_seconds", "series", "stale", "warm_start_missing_samples")
            phases = ("query", "evaluate")
            for short, *own in [(gauge,) for gauge in gauges] + [("evaluation_duration_seconds", p) for p in phases]:
                with contextlib.suppress(KeyError):  # a signal that never succeeded has no such child
                    self._telemetry.forget(short, *labels, *own)


def _title(spec: Spec) -> str:
    return f"{spec.service}/{spec.signal}"


async def _cancel(tasks: Sequence[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
