"""Where a real VictoriaMetrics differs from Prometheus, and that the client gets the same from both."""

import asyncio
import math
import random
import time
from collections.abc import Iterator

import numpy as np
import pytest

from tocsin.config.models import SourceKind, SourceModel
from tocsin.demo.servers import Server
from tocsin.source.client import Source
from tocsin.source.columns import Matrix, Vector
from tocsin.source.errors import SourceError
from tocsin.telemetry import Telemetry
from tools.servers import STALE, Series, remote_write, series, victoria_import, victoria_metrics

pytestmark = pytest.mark.e2e

T0 = 1_700_000_100


def uneven() -> Iterator[Series]:
    """Series scraped every 15 s with jitter, holes and long fractions."""
    chance = random.Random(5)  # noqa: S311  test data
    for i in range(8):
        slots = [k for k in range(240) if not 40 + i <= k < 80 and chance.random() < 0.95]
        samples = [(T0 + 15 * k + chance.randrange(0, 4000) / 1000, chance.lognormvariate(0, 20)) for k in slots]
        yield series("uneven", samples, resource=f"r{i}")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with victoria_metrics(tmp_path_factory.mktemp("victoria")) as running:
        now = time.time()
        fresh = [(now - 600 + 5 * i, float(i)) for i in range(120)]
        victoria_import(running.url, *uneven(), series("fresh", fresh))
        yield running


async def whole(source: Source, expr: str, start: float, end: float, step: float) -> Matrix:
    (matrix,) = [matrix async for matrix in source.range(expr, start, end, step)]
    return matrix


def as_kind(server: Server, kind: SourceKind, expr: str, start: float, end: float, step: float) -> Matrix:
    async def run() -> Matrix:
        async with Source(SourceModel(url=server.url, kind=kind), Telemetry()) as source:
            return await whole(source, expr, start, end, step)

    return asyncio.run(run())


def test_ranges_of_fifty_points_are_shifted_unless_told_not_to(server: Server) -> None:
    # Off the multiples of the step, as any grid is whose step does not divide the start.
    start, end = T0 + 30, T0 + 30 + 60 * 49
    with pytest.raises(SourceError, match=r"set source\.kind: victoriametrics") as caught:
        as_kind(server, "prometheus", "uneven", start, end, 60)
    assert (caught.value.klass, caught.value.retry) == ("bad_response", False)
    matrix = as_kind(server, "victoriametrics", "uneven", start, end, 60)
    np.testing.assert_array_equal(matrix.times, start + 60 * np.arange(50))
    assert np.isfinite(matrix.values).any()
    # One point less is not shifted, which is how this goes unnoticed at first.
    short = as_kind(server, "prometheus", "uneven", start, end - 60, 60)
    np.testing.assert_array_equal(short.values, matrix.values[:49])


@pytest.mark.parametrize(
    "expr", ["uneven", "uneven / 100", "timestamp(uneven)", "sum(uneven)", "max_over_time(uneven[5m])"]
)
@pytest.mark.parametrize("step", [30, 60, 300])
def test_a_range_equals_instant_queries_that_know_its_step(server: Server, expr: str, step: int) -> None:
    async def run() -> tuple[Matrix, list[Vector], list[Vector]]:
        async with Source(SourceModel(url=server.url, kind="victoriametrics"), Telemetry()) as source:
            matrix = await whole(source, expr, T0 + 60, T0 + 3600, step)
            times = matrix.times.tolist()
            told = await asyncio.gather(*(source.instant(expr, t, step) for t in times))
            untold = await asyncio.gather(*(source.instant(expr, t) for t in times))
            return matrix, told, untold

    matrix, told, untold = asyncio.run(run())
    rows = [
        {m: x for m, x in zip(matrix.metrics, row, strict=True) if not math.isnan(x)} for row in matrix.values.tolist()
    ]
    found = [dict(zip(v.metrics, v.values.tolist(), strict=True)) for v in told]
    # The order in which a sum adds its series is not fixed, so its last digit is not either.
    for row, vector in zip(rows, found, strict=True):
        assert row.keys() == vector.keys()
        assert list(row.values()) == pytest.approx([vector[m] for m in row], rel=1e-14 if "sum" in expr else 0, abs=0)
    if expr == "uneven" and step == 30:
        # Without the step an instant query repeats a sample for five minutes where the range has a gap.
        assert any(len(vector.metrics) > len(row) for vector, row in zip(untold, rows, strict=True))


def test_the_newest_thirty_seconds_are_hidden_so_we_ask_that_much_later(server: Server) -> None:
    now = time.time()
    start = math.floor(now / 5) * 5 - 120
    matrix = as_kind(server, "victoriametrics", "timestamp(fresh)", start, start + 120, 5)
    ages = now - matrix.values[:, 0]
    newest = float(np.nanmin(ages))
    assert newest >= 29.0, "the last values of a range are repeated, not new"
    source = Source(SourceModel(url=server.url, kind="victoriametrics"), Telemetry())
    assert source.query_delay == 30.0
    seen = matrix.times <= now - source.query_delay
    lag = matrix.times[seen] - matrix.values[seen, 0]
    assert float(np.nanmax(lag)) <= 5.0


def test_a_staleness_marker_ends_a_series_here_too(server: Server) -> None:
    remote_write(server.url, series("ends", [(T0, 1.0), (T0 + 15, 2.0), (T0 + 30, STALE)]))
    victoria_import(server.url, series("other", [(T0, 1.0)]))

    async def run() -> list[list[float]]:
        async with Source(SourceModel(url=server.url, kind="victoriametrics"), Telemetry()) as source:
            return [(await source.instant("ends", T0 + s, 60)).values.tolist() for s in (15, 29, 30, 45)]

    assert asyncio.run(run()) == [[2.0], [2.0], [], []]


def test_faults_and_metadata_have_the_same_classes(server: Server) -> None:
    async def run() -> tuple[str, list[str], dict[str, str]]:
        async with Source(SourceModel(url=server.url, kind="victoriametrics"), Telemetry()) as source:
            with pytest.raises(SourceError) as caught:
                await source.instant("uneven(", T0)
            names = await source.label_values("resource", ["uneven"])
            return caught.value.klass, names, await source.build_info()

    klass, names, info = asyncio.run(run())
    assert klass == "bad_query"
    assert names == [f"r{i}" for i in range(8)]
    assert isinstance(info, dict)
