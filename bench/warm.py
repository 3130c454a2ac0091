"""An evaluation with full windows whose cycles can be run one by one."""

import asyncio

from canned import FIRST, STEP, Canned, Workload, spec

from tocsin.core.snapshot import SignalView
from tocsin.evaluation import Evaluation


class Warm:
    """`count` resources with `warmup` grid times learnt (by default all that a warm start asks for)."""

    def __init__(self, count: int, window: int = 500, warmup: int | None = None) -> None:
        one = spec(window, warmup=warmup)
        self._source = Canned(Workload(count))
        self._evaluation = Evaluation(one, self._source, lambda: count)
        self._k = FIRST + one.warmup_steps
        asyncio.run(self._evaluation.fill(float(self._k * STEP)))

    def next(self) -> tuple[float, SignalView]:
        """Run the next cycle: its unix time and its view."""
        t = float(self._k * STEP)
        self._source.prepare(t)
        asyncio.run(self._evaluation.cycle(t))
        self._k += 1
        assert self._evaluation.view is not None
        return t, self._evaluation.view
