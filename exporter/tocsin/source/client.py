"""Client of the Prometheus HTTP API and of what speaks it: Thanos, Mimir, VictoriaMetrics."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable
from types import TracebackType
from typing import Self, TypeVar

import msgspec

from tocsin.config.models import SourceKind, SourceModel
from tocsin.source.budget import QueryBudget, budget
from tocsin.source.columns import Matrix, Vector, decode_matrix, decode_vector
from tocsin.source.errors import SourceError, quote
from tocsin.source.transport import Sleep, Transport, jitter
from tocsin.telemetry import Telemetry

#: What each kind needs to be told with every query. Thanos: fail rather than leave a store out (its default is to
#: warn), and one series per replicated pair. VictoriaMetrics: else it moves the grid of ranges of 50 points and more.
_PARAMS: dict[SourceKind, tuple[tuple[str, str], ...]] = {
    "prometheus": (),
    "thanos": (("partial_response", "false"), ("dedup", "true")),
    "mimir": (),
    "victoriametrics": (("nocache", "1"),),
}
#: Seconds before now for which answers may still change: VictoriaMetrics hides what is newer
#: (-search.latencyOffset, 30s unless set).
_DELAYS: dict[SourceKind, float] = {"prometheus": 0.0, "thanos": 0.0, "mimir": 0.0, "victoriametrics": 30.0}


S = TypeVar("S", bound=msgspec.Struct)


class _Strings(msgspec.Struct):
    data: list[str]


class _BuildInfo(msgspec.Struct):
    data: dict[str, str | None] = {}


class Source:
    """The source of one process. Use as an async context manager; all errors are SourceError.

    ``clock`` gives Unix time and is compared with the source's; ``sleep`` and ``jitter`` make the pauses before
    retries.
    """

    def __init__(
        self,
        model: SourceModel,
        telemetry: Telemetry,
        clock: Callable[[], float] = time.time,
        sleep: Sleep = asyncio.sleep,
        jitter: Callable[[], float] = jitter,
    ) -> None:
        self._model = model
        self._telemetry = telemetry
        self._transport = Transport(model, telemetry, clock, sleep, jitter)
        # Grid points of a range query that the source was able to answer, by expression and step.
        self._points: dict[tuple[str, float], int] = {}

    async def __aenter__(self) -> Self:
        await self._transport.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._transport.__aexit__(kind, error, trace)

    @property
    def query_delay(self) -> float:
        """How many seconds before now to ask for."""
        delay = self._model.query_delay
        return _DELAYS[self._model.kind] if delay is None else delay

    def budget(self, cycles: Iterable[tuple[float, int]]) -> QueryBudget:
        """Load on this source of cycles given as (interval in seconds, queries in each)."""
        limits = self._model.limits
        return budget(cycles, concurrency=limits.concurrency, retries=limits.retries)

    async def instant(self, expr: str, t: float, step: float | None = None) -> Vector:
        """Value of each series of ``expr`` at ``t`` (Unix seconds).

        ``step`` is the grid that :meth:`range` is asked for, and matters to VictoriaMetrics only. There it bounds how
        old a sample may be: five minutes for an instant query that is not told, and the step or the scrape interval
        that it detects, whichever is longer, for a range. Told the same, the two agree at grid times if the step is
        at least twice the scrape interval; below that, detection may differ around gaps.
        """
        params = [("query", expr), ("time", _seconds(t)), *self._common()]
        if step is not None and self._model.kind == "victoriametrics":
            params.append(("step", _seconds(step)))
        vector = await self._transport.fetch("POST", "/api/v1/query", params, lambda body: decode_vector(body, t))
        self._telemetry.count("source_warnings_total", by=len(vector.warnings))
        return vector

    async def range(self, expr: str, start: float, end: float, step: float) -> AsyncIterator[Matrix]:
        """Values on the grid ``start, start + step, ... <= end``, in chunks in the order of time.

        A chunk has at most ``limits.points`` grid times; when the source or our bound finds it too big it is halved,
        down to one time, and later chunks and calls start with the size that worked.
        """
        if (known := self._points.get((expr, step))) is not None:
            # What was too much in a bad minute may do now: a call begins with twice what the last one ended with.
            self._points[expr, step] = min(2 * known, self._model.limits.points)
        total = int((end - start) / step + 1e-9) + 1 if end >= start else 0
        done = 0
        while done < total:
            points = min(self._points.get((expr, step), self._model.limits.points), total - done)
            try:
                matrix = await self._chunk(expr, start + done * step, points, step)
            except SourceError as error:
                if error.klass not in ("too_large", "too_many_samples") or points == 1:
                    raise
                self._points[expr, step] = points // 2
                continue
            done += points
            yield matrix

    async def label_values(self, label: str, match: Iterable[str] = ()) -> list[str]:
        """Values of a label, of the series that one of the selectors in ``match`` finds."""
        path = f"/api/v1/label/{label}/values"
        params = [("match[]", selector) for selector in match]
        answer = await self._transport.fetch("GET", path, params, lambda body: _decode(body, _Strings))
        return answer.data

    async def build_info(self) -> dict[str, str]:
        """What the source says about itself (``version`` and more); empty where it does not say."""
        try:
            answer = await self._transport.fetch(
                "GET", "/api/v1/status/buildinfo", (), lambda body: _decode(body, _BuildInfo)
            )
        except SourceError as error:
            if error.klass in ("bad_response", "bad_query"):
                return {}
            raise
        return {name: value for name, value in answer.data.items() if value is not None}

    async def _chunk(self, expr: str, start: float, points: int, step: float) -> Matrix:
        end = start + (points - 1) * step
        grid = [("start", _seconds(start)), ("end", _seconds(end)), ("step", _seconds(step))]
        params = [("query", expr), *grid, *self._common()]
        matrix = await self._transport.fetch(
            "POST", "/api/v1/query_range", params, lambda body: decode_matrix(body, start, end, step)
        )
        self._telemetry.count("source_warnings_total", by=len(matrix.warnings))
        return matrix

    def _common(self) -> tuple[tuple[str, str], ...]:
        return (("timeout", f"{self._model.limits.timeout:g}"), *_PARAMS[self._model.kind])


def _seconds(t: float) -> str:
    # Sources keep time in milliseconds.
    return f"{t:.3f}"


def _decode(body: bytes, kind: type[S]) -> S:
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise SourceError(f"sent what is not an answer of the API: {quote(str(error))}", "bad_response") from error
