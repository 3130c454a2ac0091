"""Answers of the source to arrays: Tocsin's client and decoder against prometheus-api-client, on the same bytes."""

import asyncio
import contextlib
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any, Self

import numpy as np
from canned import EXPR, FIRST, STEP, Floats, Workload
from harness import Row, best, isolated
from served import JSON, serving

from tocsin.config.models import Limits, SourceModel
from tocsin.core.resources import Registry
from tocsin.source.client import Source
from tocsin.source.columns import Matrix, Vector, decode_matrix, decode_vector
from tocsin.telemetry import Telemetry

RANGE, INSTANT = "/api/v1/query_range", "/api/v1/query"
AIM = 5.0


def registry(count: int) -> Registry:
    """An empty one with room for `count` resources."""
    return Registry("utilization", None, frozenset({"job"}), lambda: count)


@dataclass(frozen=True)
class Case:
    """Answers about `series` series: one of `samples` grid times, and one of a single time."""

    series: int
    samples: int

    @property
    def grid(self) -> tuple[float, float]:
        """Unix times of the first and the last sample."""
        return float(FIRST * STEP), float((FIRST + self.samples - 1) * STEP)

    def answers(self) -> tuple[bytes, bytes]:
        """Bodies of the range and of the instant query."""
        load = Workload(self.series)
        values = load.rows(FIRST, self.samples)
        return load.matrix(FIRST, values), load.vector(self.grid[1], values[-1])


class Ours:
    """Tocsin's client on a kept connection, and a registry that knows what it has seen. Use as a context manager.

    A plain loop, no asyncio.Runner: that one renders each result as text while it restores its signal handler.
    """

    def __init__(self, url: str, case: Case) -> None:
        model = SourceModel(url=url, limits=Limits.model_validate({"response": "2GB", "timeout": "2m"}))
        self._source, self._case, self._loop = Source(model, Telemetry()), case, asyncio.new_event_loop()
        self._registry = registry(case.series)

    def __enter__(self) -> Self:
        self._loop.run_until_complete(self._source.__aenter__())
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.run_until_complete(self._source.__aexit__(None, None, None))
        self._loop.close()

    def forget(self) -> None:
        """As if no series had ever been seen."""
        self._registry = registry(self._case.series)

    def range(self) -> Floats:
        """Values (T, C) of all series, none of them seen before."""
        self.forget()
        start, end = self._case.grid

        async def use() -> list[Matrix]:
            return [matrix async for matrix in self._source.range(EXPR, start, end, STEP)]

        (matrix,) = self._loop.run_until_complete(use())
        return self._placed(matrix.metrics, b"\n".join(matrix.metrics), matrix.values)

    def instant(self) -> Floats:
        """Values (C,) of all series."""
        vector = self._loop.run_until_complete(self._source.instant(EXPR, self._case.grid[1]))
        return self._placed(vector.metrics, vector.key, vector.values)

    def new(self) -> Floats:
        """Values (C,) of all series, none of them seen before."""
        self.forget()
        return self.instant()

    def _placed(self, metrics: list[bytes], key: bytes, values: Floats) -> Floats:
        columns = self._registry.place(metrics, key).columns
        out = np.empty_like(values)
        out[..., columns] = values
        return out


class Peer:
    """prometheus-api-client on a kept connection, its results turned into the same arrays."""

    def __init__(self, url: str, case: Case) -> None:
        from prometheus_api_client import PrometheusConnect

        self._connect, self._case = PrometheusConnect(url=url), case

    def answer(self) -> list[dict[str, Any]]:
        """What custom_query_range gives: dicts with values as texts."""
        start, end = (datetime.fromtimestamp(t, UTC) for t in self._case.grid)
        found: list[dict[str, Any]] = self._connect.custom_query_range(EXPR, start, end, str(STEP))
        return found

    def range(self) -> Floats:
        """Values (T, C) by way of MetricRangeDataFrame, which has one row per sample."""
        from prometheus_api_client import MetricRangeDataFrame

        with _deprecations_aside():
            frame = MetricRangeDataFrame(self.answer())
        return np.asarray(frame["value"].to_numpy().reshape(self._case.series, self._case.samples).T)

    def listed(self) -> Floats:
        """Values (T, C) by way of MetricsList, one frame per series."""
        from prometheus_api_client import MetricsList

        return np.array([metric.metric_values["y"].to_numpy() for metric in MetricsList(self.answer())]).T

    def instant(self) -> Floats:
        """Values (C,) by way of MetricSnapshotDataFrame."""
        from prometheus_api_client import MetricSnapshotDataFrame

        found = self._connect.custom_query(EXPR, params={"time": self._case.grid[1]})
        return np.asarray(MetricSnapshotDataFrame(found)["value"].to_numpy())


@contextlib.contextmanager
def _deprecations_aside() -> Iterator[None]:
    """The peer calls parts of pandas that will go: its business, and no work."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        yield


@contextlib.contextmanager
def both(case: Case) -> Iterator[tuple[Ours, Peer]]:
    """Both clients of one server with this case's answers."""
    matrix, vector = case.answers()
    with serving({RANGE: (JSON, [matrix]), INSTANT: (JSON, [vector])}) as at, Ours(at.url, case) as ours:
        yield ours, Peer(at.url, case)


def measure(case: Case, instant: Case, small: Case, repeats: int) -> dict[str, float]:
    """CPU seconds of this process for each way; `small` is for the way that takes time by the square of the series."""

    def time_of(work: Callable[[], object]) -> float:
        work()  # imports and first connections are no ingest
        return best(work, repeats)

    taken: dict[str, float] = {}
    with both(case) as (ours, peer):
        taken["range"], taken["peer range"] = time_of(ours.range), time_of(peer.range)
        taken["peer answer"] = time_of(peer.answer)
    repeats *= 5  # these are short
    with both(instant) as (ours, peer):
        taken["new"], taken["instant"], taken["peer instant"] = map(time_of, (ours.new, ours.instant, peer.instant))
    with both(small) as (ours, peer):
        taken["small"], taken["peer listed"] = time_of(ours.range), time_of(peer.listed)
    (matrix, _), (_, vector), (start, end) = case.answers(), instant.answers(), case.grid
    known = registry(instant.series)
    taken["decode matrix"] = time_of(lambda: decode_matrix(matrix, start, end, STEP))
    taken["decode vector"] = time_of(lambda: known.place(*_keyed(decode_vector(vector, end))))
    return taken


def _keyed(vector: Vector) -> tuple[list[bytes], bytes]:
    return vector.metrics, vector.key


def benchmark(series: int, samples: int, instant: int, repeats: int) -> Iterator[Row]:
    """Range and instant queries over HTTP, to arrays."""
    case, one, small = Case(series, samples), Case(instant, 1), Case(min(series, 200), samples)
    took = isolated(measure, case, one, small, repeats)
    client = f"prometheus-api-client {version('prometheus-api-client')}"
    frame, listed, shot = (f"{client}, {c}" for c in ("MetricRangeDataFrame", "MetricsList", "MetricSnapshotDataFrame"))
    what = f"range query to arrays, {series:,} x {samples} samples, all series new"
    yield Row(what, took["range"], "s", frame, took["peer range"], at_least=AIM)
    yield Row("the same, the peer stopping at texts in dicts", took["range"], "s", client, took["peer answer"])
    what = f"range query to arrays, {small.series:,} x {samples} samples, all series new"
    yield Row(what, took["small"], "s", listed, took["peer listed"], at_least=AIM)
    what = f"instant query to arrays, {instant:,} series"
    yield Row(f"{what}, as in every cycle", took["instant"], "s", shot, took["peer instant"], at_least=AIM)
    yield Row(f"{what}, all of them new", took["new"], "s", shot, took["peer instant"])
    yield Row(f"without HTTP: decoding a range of {series:,} x {samples} samples", took["decode matrix"])
    yield Row(f"without HTTP: decoding and placing {instant:,} known series", took["decode vector"])
