"""An engine on a clock that a test moves."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from scripted import T0, Scripted
from tocsin.core.snapshot import Sight
from tocsin.engine import Engine
from tocsin.evaluation import Spec
from tocsin.telemetry import Telemetry

LABELS = ("svc", "sig")


class Clock:
    """Time that passes only while somebody sleeps; `pauses` are what was asked for."""

    def __init__(self, now: float) -> None:
        self.now = now
        self.pauses: list[float] = []

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += seconds
        await asyncio.sleep(0)


class Program:
    """An engine on a clock of its own."""

    def __init__(self, source: Scripted, *specs: Spec, now: float = T0, **more: Any) -> None:
        self.clock, self.source, self.telemetry = Clock(now), source, Telemetry()
        self.engine = Engine(specs, source, self.telemetry, clock=self.clock, sleep=self.clock.sleep, **more)

    async def cycle(self, t: float) -> None:
        self.clock.now = t
        for evaluation in self.engine.evaluations:
            await self.engine.cycle(evaluation, t)

    def cycles(self, *times: float) -> None:
        async def run() -> None:
            for t in times:
                await self.cycle(t)

        asyncio.run(run())

    def reconfigure(self, *specs: Spec, source: Scripted | None = None, max_series: int = 1000) -> None:
        async def run() -> None:
            await self.engine.reconfigure(specs, source, query_delay=0.0, max_series=max_series)
            await self.engine.stop()

        asyncio.run(run())

    def tiers(self) -> dict[str, list[int]]:
        return {view.signal: view.grades.tier[view.live].tolist() for view in self.engine.snapshot.signals}

    def sights(self) -> dict[str, Sight]:
        return {view.signal: view.sight for view in self.engine.snapshot.signals}


def until(condition: Callable[[], bool]) -> Coroutine[Any, Any, None]:
    async def wait() -> None:
        for _ in range(10_000):
            if condition():
                return
            await asyncio.sleep(0.0005)
        raise AssertionError("it did not happen")

    return wait()
