"""Whole cycles: an answer's bytes decoded, placed, graded, learnt, forecast, and the page rendered."""

import asyncio
import time
from collections.abc import Iterator
from dataclasses import dataclass

from canned import FIRST, STEP, Canned, Workload, spec
from harness import Row, isolated, middle, peak
from prometheus_client import CollectorRegistry

from tocsin.core.snapshot import Snapshot
from tocsin.evaluation import Evaluation
from tocsin.metrics import Exposition
from tocsin.source.columns import Vector

#: CPU seconds and bytes of memory that a cycle of so many resources may take.
AIMS: dict[int, tuple[float, float | None]] = {10_000: (0.030, None), 100_000: (0.250, 800e6)}


@dataclass(frozen=True, slots=True)
class Measured:
    """CPU seconds of each cycle's parts; lines per resource and bytes of its page; peak memory in bytes."""

    decode: list[float]
    evaluate: list[float]
    page: list[float]
    lines: float
    page_bytes: int
    peak: float

    @property
    def cycle(self) -> list[float]:
        """CPU seconds of each whole cycle."""
        return [sum(parts) for parts in zip(self.decode, self.evaluate, self.page, strict=True)]


class _Timed(Canned):
    """Notes the CPU time of decoding."""

    spent = 0.0

    async def instant(self, expr: str, t: float, step: float | None = None) -> Vector:
        began = time.process_time()
        vector = await super().instant(expr, t, step)
        self.spent += time.process_time() - began
        return vector


def lines_of(chunk: bytes) -> int:
    """How many samples a piece of a page has."""
    return sum(line[:1] != b"#" for line in chunk.splitlines())


async def _run(count: int, window: int, cycles: int, warmup: int | None, *, stamps: bool) -> Measured:
    source, one = _Timed(Workload(count)), spec(window, warmup=warmup, stamps=stamps)
    evaluation = Evaluation(one, source, lambda: count)
    exposition = Exposition(CollectorRegistry(), "essential")
    first = FIRST + one.warmup_steps
    await evaluation.fill(float(first * STEP))
    parts: list[tuple[float, float, float]] = []
    lines = size = 0
    # The first cycle makes what is kept between pages and is no steady state: it is not counted.
    for k in range(first, first + cycles + 1):
        # The engine sleeps between cycles, and the event loop lets go of the answers then.
        await asyncio.sleep(0)
        t = float(k * STEP)
        source.prepare(t, stamps=stamps)
        source.spent = 0.0
        began = time.process_time()
        await evaluation.cycle(t)
        graded = time.process_time()
        assert evaluation.view is not None
        size = sum(map(len, exposition.page(Snapshot(t, (evaluation.view,)))))
        parts.append((source.spent, graded - began - source.spent, time.process_time() - graded))
    most = peak()
    assert evaluation.view is not None
    lines = sum(map(lines_of, exposition.page(Snapshot(t, (evaluation.view,)))))
    decode, evaluate, page = (list(column) for column in zip(*parts[1:], strict=True))
    return Measured(decode, evaluate, page, lines / count, size, most)


def measure(
    count: int, window: int = 500, cycles: int = 20, warmup: int | None = None, *, stamps: bool = False
) -> Measured:
    """Fill `count` windows, then run cycles over changing values."""
    return asyncio.run(_run(count, window, cycles, warmup, stamps=stamps))


def benchmark(sizes: tuple[int, ...], cycles: int) -> Iterator[Row]:
    """Cycles of each size, with their parts; for the first also with the query that tells new samples from old."""
    for count in sizes:
        got = isolated(measure, count, cycles=cycles)
        cpu_aim, memory_aim = AIMS.get(count, (None, None))
        what = f"{count:,} resources x {got.lines:.1f} gauges"
        yield Row(f"cycle, {what}: CPU, median of {cycles}", middle(got.cycle), at_most=cpu_aim)
        yield Row(f"cycle, {what}: CPU, best", min(got.cycle))
        yield Row("of the median: decoding", middle(got.decode))
        yield Row("of the median: placing, grading, learning, forecasting", middle(got.evaluate))
        yield Row(f"of the median: rendering the page, {got.page_bytes / 1e6:.0f} MB", middle(got.page))
        yield Row(f"fill and cycles, {count:,} resources: peak memory", got.peak, "B", at_most=memory_aim)
        stamped = isolated(measure, count, cycles=cycles, stamps=True)
        yield Row(f"cycle, {count:,} resources, with a timestamp() query: CPU, median", middle(stamped.cycle))
