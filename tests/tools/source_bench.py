"""The client in front of a scripted server, with a clock that stands and pauses that are only written down."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import pytest

from tocsin.config.models import Limits, SourceModel
from tocsin.source.client import Source
from tocsin.source.columns import Matrix, Vector
from tocsin.source.errors import SourceError
from tocsin.telemetry import Telemetry
from tools.faultproxy import Behaviour, FaultProxy, answer

T = TypeVar("T")
NOW = 1_700_000_000.0
DATE = "Tue, 14 Nov 2023 22:13:20 GMT"  # is NOW
VECTOR = b'{"status":"success","data":{"resultType":"vector","result":[{"metric":{"a":"1"},"value":[1,"2.5"]}]}}'


class Bench:
    """Keywords are fields of the source's model; nothing is retried unless ``limits`` say so."""

    def __init__(self, *script: Behaviour, url: str = "", **model: Any) -> None:
        self.script = script or (answer(VECTOR, Date=DATE),)
        self.model = model
        self.telemetry = Telemetry()
        self.pauses: list[float] = []
        self.url = url
        self.proxy = FaultProxy(*self.script)

    def run(self, use: Callable[[Source], Awaitable[T]]) -> T:
        return asyncio.run(self._run(use))

    def fails(self, use: Callable[[Source], Awaitable[object]]) -> SourceError:
        with pytest.raises(SourceError) as caught:
            self.run(use)
        return caught.value

    def requests(self, klass: str) -> float:
        return self.telemetry.value("source_requests_total", klass)

    async def _run(self, use: Callable[[Source], Awaitable[T]]) -> T:
        async with self.proxy as proxy:
            model = SourceModel(url=self.url or proxy.url, **{"limits": Limits(retries=0), **self.model})
            async with Source(model, self.telemetry, lambda: NOW, self._sleep, lambda: 1.0) as source:
                return await use(source)

    async def _sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)


async def instant(source: Source) -> Vector:
    return await source.instant("up", NOW)


async def chunks(source: Source, start: float, end: float, step: float) -> list[Matrix]:
    return [matrix async for matrix in source.range("up", start, end, step)]
