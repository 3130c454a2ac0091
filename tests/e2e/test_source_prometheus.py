"""What a real Prometheus answers to awkward samples, and what the client makes of it."""

import asyncio
import json
import math
import random
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import TypeVar

import numpy as np
import pytest

from tocsin.config.models import Auth, Limits, SourceModel
from tocsin.source.client import Source
from tocsin.source.columns import Matrix, Vector
from tocsin.source.errors import SourceError
from tocsin.source.freshness import timestamp_expr
from tocsin.telemetry import Telemetry
from tools.servers import STALE, Series, backfill, prometheus, remote_write, series

pytestmark = pytest.mark.e2e

T = TypeVar("T")
T0 = 1_700_000_100
NAN, INF = math.nan, math.inf
MAX_SAMPLES = 5_000


def scraped(name: str, values: list[float], every: int = 15, **labels: str) -> Series:
    return series(name, [(T0 + every * i, v) for i, v in enumerate(values)], **labels)


def uneven(n: int) -> Iterator[Series]:
    """Series with gaps, jitter and long fractions, that come and go."""
    chance = random.Random(7)  # noqa: S311  test data
    for i in range(n):
        times = [T0 + 15 * k + chance.randrange(0, 5000) / 1000 for k in range(chance.randrange(60), 200)]
        kept = [t for k, t in enumerate(times) if (k // 23) % 3 != 2 and chance.random() < 0.9]
        yield series("uneven", [(t, chance.lognormvariate(0, 30)) for t in kept], resource=f"r{i}")


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with prometheus(tmp_path_factory.mktemp("prometheus"), flags=[f"--query.max-samples={MAX_SAMPLES}"]) as server:
        remote_write(
            server.url,
            scraped("special", [NAN, INF, -INF, 5e-324, 0.1, 1.7976931348623157e308], kind="all"),
            scraped("ends", [1.0] * 8 + [STALE], how="marker"),
            scraped("ends", [1.0] * 8, how="silence"),
            scraped("gap", [1.0, 2.0, 3.0, 4.0]),
            scraped("resets_total", [0.0, 30.0, 60.0, 15.0, 45.0, 75.0, 105.0, 135.0], a="1"),
            scraped("twins", [1.0], node="a", replica="1"),
            scraped("twins", [2.0], node="a", replica="2"),
            scraped("long", [7.0], label="x" * 1_000_000),
            scraped("quoted", [8.0], label='"\\\n\u2028<&>ü'),
            scraped("Scaled", [100.0, 200.0, 300.0], A="upper", a="lower"),
        )
        remote_write(server.url, *uneven(20))
        yield server.url


def ask(url: str, use: Callable[[Source], Awaitable[T]], **limits: float) -> T:
    async def run() -> T:
        model = SourceModel(url=url, limits=Limits.model_validate({"retries": 0, **limits}))
        async with Source(model, Telemetry()) as source:
            return await use(source)

    return asyncio.run(run())


def at(url: str, expr: str, seconds: float) -> Vector:
    return ask(url, lambda source: source.instant(expr, T0 + seconds))


def over(url: str, expr: str, start: float, end: float, step: float, **limits: float) -> list[Matrix]:
    async def use(source: Source) -> list[Matrix]:
        return [matrix async for matrix in source.range(expr, T0 + start, T0 + end, step)]

    return ask(url, use, **limits)


def by_labels(vector: Vector) -> dict[bytes, float]:
    return dict(zip(vector.metrics, vector.values.tolist(), strict=True))


def test_nan_infinities_and_extremes_arrive_as_they_were_written(url: str) -> None:
    want = [NAN, INF, -INF, 5e-324, 0.1, 1.7976931348623157e308]
    np.testing.assert_array_equal([at(url, "special", 15 * i).values[0] for i in range(6)], want)
    (matrix,) = over(url, "special", 0, 75, 15)
    np.testing.assert_array_equal(matrix.values[:, 0], want)


def test_a_series_with_a_staleness_marker_is_gone_at_once(url: str) -> None:
    assert at(url, 'ends{how="marker"}', 119).values.tolist() == [1.0]
    assert at(url, 'ends{how="marker"}', 120).values.tolist() == []


def test_a_series_that_falls_silent_is_repeated_for_five_minutes_and_its_timestamp_tells(url: str) -> None:
    expr = 'ends{how="silence"}'
    stamped = timestamp_expr(expr)
    assert stamped is not None
    for seconds in (105, 110, 200, 404):
        assert at(url, expr, seconds).values.tolist() == [1.0]
        assert at(url, stamped, seconds).values.tolist() == [T0 + 105]
    assert at(url, expr, 406).values.tolist() == []
    assert at(url, stamped, 406).values.tolist() == []


def test_the_timestamp_of_another_expression_is_the_evaluation_time(url: str) -> None:
    assert at(url, 'timestamp(ends{how="silence"} + 0)', 200).values.tolist() == [T0 + 200]


@pytest.mark.parametrize(
    ("expr", "value", "stamp"),
    [
        ("Scaled", 300.0, 30),
        ("(Scaled)", 300.0, 30),
        ("-Scaled / 100", -3.0, 30),
        ("2 * (Scaled * 3)", 1800.0, 30),
        ("Scaled offset 30s / 2", 50.0, 0),
        ('{__name__="Scaled",A=~"up.+"}', 300.0, 30),
    ],
)
def test_the_timestamp_query_matches_its_expression_without_the_name(
    url: str, expr: str, value: float, stamp: float
) -> None:
    stamped = timestamp_expr(expr)
    assert stamped is not None
    values, stamps = at(url, expr, 40), at(url, stamped, 40)
    assert values.values.tolist() == [value]
    assert stamps.values.tolist() == [T0 + stamp]
    assert stamps.metrics == [b'{"A":"upper","a":"lower"}']
    assert {**json.loads(values.metrics[0]), "__name__": None} == {"__name__": None, "A": "upper", "a": "lower"}


def test_a_timestamp_query_over_a_range_gives_the_time_of_each_sample(url: str) -> None:
    (matrix,) = over(url, "timestamp(Scaled)", 0, 90, 30)
    assert (matrix.values[:, 0] - T0).tolist() == [0, 30, 30, 30]


def test_a_gap_longer_than_the_lookback_is_nan_on_the_grid(url: str) -> None:
    (matrix,) = over(url, "gap", 0, 600, 60)
    np.testing.assert_array_equal(matrix.values[:, 0], [1, 4, 4, 4, 4, 4, NAN, NAN, NAN, NAN, NAN])


def test_a_counter_reset_does_not_show_in_its_rate(url: str) -> None:
    # Samples 30, 60, 15, 45 lie in the window, whose ends are on no sample: 75 more in 45 seconds.
    assert at(url, "rate(resets_total[1m])", 67).values.tolist() == pytest.approx([75 / 45], rel=1e-12)
    (matrix,) = over(url, "rate(resets_total[1m])", 67, 97, 15)
    assert (matrix.values[:, 0] > 0).all()
    assert at(url, "resets_total", 45).values.tolist() == [15.0]


def test_two_series_that_become_one_are_refused_by_prometheus(url: str) -> None:
    with pytest.raises(SourceError, match="same labelset") as caught:
        at(url, 'label_replace(twins, "replica", "", "", "")', 0)
    assert (caught.value.klass, caught.value.retry) == ("bad_query", False)
    assert len(at(url, "twins", 0).metrics) == 2


def test_a_label_of_one_megabyte_arrives_whole(url: str) -> None:
    (metric,) = at(url, "long", 0).metrics
    assert metric == b'{"__name__":"long","label":"' + b"x" * 1_000_000 + b'"}'
    with pytest.raises(SourceError, match="sent more than 500000 bytes") as caught:
        ask(url, lambda source: source.instant("long", T0), response=500_000)
    assert caught.value.klass == "too_large"


def test_odd_label_values_stay_json(url: str) -> None:
    (metric,) = at(url, "quoted", 0).metrics
    assert json.loads(metric) == {"__name__": "quoted", "label": '"\\\n\u2028<&>ü'}


def test_a_scalar_is_one_series(url: str) -> None:
    assert by_labels(at(url, "scalar(gap)", 0)) == {b"{}": 1.0}
    (matrix,) = over(url, "1 / 0", 0, 30, 15)
    assert (matrix.metrics, matrix.values.tolist()) == ([b"{}"], [[INF]] * 3)


def test_a_string_and_a_range_vector_are_bad_queries(url: str) -> None:
    for expr in ('"text"', "gap[5m]"):
        with pytest.raises(SourceError, match="expected an instant vector") as caught:
            at(url, expr, 0)
        assert caught.value.klass == "bad_query"
    with pytest.raises(SourceError, match="check the expression") as caught:
        at(url, "gap[", 0)
    assert caught.value.klass == "bad_query"


@pytest.mark.parametrize(
    "expr",
    [
        "uneven",
        "uneven / 3",
        "timestamp(uneven)",
        "rate(uneven[2m])",
        "sum by (resource) (uneven) / scalar(count(uneven))",
        "topk(3, uneven)",
    ],
)
@pytest.mark.parametrize("step", [15, 60])
def test_a_range_equals_instant_queries_at_each_grid_time(url: str, expr: str, step: int) -> None:
    async def both(source: Source) -> tuple[list[Matrix], list[Vector]]:
        found = [matrix async for matrix in source.range(expr, T0, T0 + 3300, step)]
        times = [float(t) for matrix in found for t in matrix.times]
        return found, await asyncio.gather(*(source.instant(expr, t) for t in times))

    found, instants = ask(url, both, points=7)
    assert [v.t for v in instants] == [T0 + step * i for i in range(3300 // step + 1)]
    rows = [
        {m: x for m, x in zip(matrix.metrics, row, strict=True) if not math.isnan(x)}
        for matrix in found
        for row in matrix.values.tolist()
    ]
    assert rows == [by_labels(vector) for vector in instants]
    assert any(rows)


def test_a_range_with_too_many_samples_is_halved_until_prometheus_takes_it(url: str) -> None:
    found = over(url, "uneven", 0, 3000, 1)
    assert len(found) > 1
    np.testing.assert_array_equal(np.concatenate([m.times for m in found]), T0 + np.arange(3001))
    assert max(m.times.size for m in found) * 20 <= MAX_SAMPLES * 2


def test_prometheus_own_gzip_is_decoded(url: str) -> None:
    async def run() -> tuple[Vector, Vector]:
        auth = Auth(headers={"Accept-Encoding": "gzip"})
        async with (
            Source(SourceModel(url=url), Telemetry()) as plain,
            Source(SourceModel(url=url, auth=auth), Telemetry()) as zipped,
        ):
            return await plain.instant("long", T0), await zipped.instant("long", T0)

    plain, zipped = asyncio.run(run())
    assert plain.key == zipped.key


def test_metadata_is_read(url: str) -> None:
    names = ask(url, lambda source: source.label_values("__name__", ['{how=~".+"}', "gap"]))
    assert names == ["ends", "gap"]
    assert ask(url, lambda source: source.build_info())["version"].split(".")[0] in ("2", "3")


def test_backfilled_history_is_there_from_the_start(tmp_path: Path) -> None:
    lines = [f'old{{a="1"}} {i} {T0 + 60 * i}' for i in range(300)]
    backfill(tmp_path, "\n".join(["# TYPE old gauge", *lines, "# EOF", ""]))
    with prometheus(tmp_path) as server:
        (matrix,) = over(server.url, "old", 0, 60 * 299, 60)
    np.testing.assert_array_equal(matrix.values[:, 0], np.arange(300))
