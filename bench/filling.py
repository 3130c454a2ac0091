"""Filling windows at the start from the bytes of range queries."""

import asyncio
import time
from collections.abc import Iterator

import numpy as np
from canned import FIRST, STEP, CannedHistory, Workload, spec
from harness import Row, isolated, peak

from tocsin.evaluation import Evaluation

AIM = 10.0


def measure(count: int, window: int) -> tuple[float, float, float]:
    """CPU seconds, wall seconds and peak memory in bytes of one fill of `count` windows."""
    source = CannedHistory(Workload(count), FIRST, window)
    evaluation = Evaluation(spec(window, warmup=window), source, lambda: count)
    cpu, wall = time.process_time(), time.perf_counter()
    asyncio.run(evaluation.fill(float((FIRST + window) * STEP)))
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    assert len(evaluation) == count
    assert np.isclose(evaluation.missing, 0)
    return cpu, wall, peak()


def benchmark(count: int, window: int) -> Iterator[Row]:
    """Decode, place and fold all of the history."""
    cpu, wall, memory = isolated(measure, count, window)
    what = f"filling {count:,} windows of {window} samples"
    yield Row(f"{what}: CPU", cpu, at_most=AIM)
    yield Row(f"{what}: wall", wall, at_most=AIM)
    yield Row(f"{what}: peak memory, the answers' bytes included", memory, "B")
