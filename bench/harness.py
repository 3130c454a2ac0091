"""How things are measured: CPU time, several times, in a process of its own; and what a result is."""

import gc
import multiprocessing
import os
import resource
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table: a cost in `unit` (s, B, or 1 for plain counts) and, with a peer, the peer's cost.

    `at_most` bounds the cost, `at_least` how many times the peer's cost ours must be contained in it.
    """

    what: str
    cost: float
    unit: str = "s"
    peer: str = ""
    peer_cost: float | None = None
    at_most: float | None = None
    at_least: float | None = None

    @property
    def ratio(self) -> float | None:
        """The peer's cost over ours."""
        return None if self.peer_cost is None else self.peer_cost / self.cost

    @property
    def met(self) -> bool | None:
        """Whether the aim was reached; None without one."""
        if self.at_most is not None:
            return self.cost <= self.at_most
        if self.at_least is not None and self.ratio is not None:
            return self.ratio >= self.at_least
        return None


def cpu(work: Callable[[], object]) -> float:
    """CPU seconds of this process, all its threads, for one run."""
    began = time.process_time()
    work()
    return time.process_time() - began


def best(work: Callable[[], object], repeats: int) -> float:
    """Least CPU seconds of some runs: what else the machine does can only add."""
    gc.collect()
    return min(cpu(work) for _ in range(repeats))


def middle(times: Sequence[float]) -> float:
    """Median."""
    return statistics.median(times)


def peak() -> float:
    """Largest resident memory of this process so far, in bytes."""
    status = Path("/proc/self/status")
    if status.exists():
        # Unlike ru_maxrss this does not start from the peak of the process that started us.
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return float(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1.0 if sys.platform == "darwin" else 1024.0)


def isolated(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Result of a call in a fresh process."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(work, *args, **kwargs).result()


def processor() -> str:
    """Model of the processor and how many cores there are."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return f"{names[0] if names else 'unknown processor'}, {os.cpu_count()} cores"
