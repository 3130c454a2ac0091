"""Range queries: chunks, seams, halving."""

import json
from typing import Any

import numpy as np
import pytest

from tocsin.config.models import Limits
from tocsin.source.client import Source
from tocsin.source.columns import Matrix
from tools.faultproxy import (
    Behaviour,
    Call,
    answer,
    status,
)
from tools.source_bench import NOW, Bench, chunks


def matrix_server(most: int = 11_000, refusal: Behaviour | None = None) -> Behaviour:
    """A range of a series whose value is its time; more than ``most`` points are refused."""

    async def behave(call: Call) -> Any:
        asked = call.proxy.requests[-1]
        start, end, step = (round(float(asked[k]) * 1000) for k in ("start", "end", "step"))
        times = range(start, end + 1, step)
        if len(times) > most:
            return await (refusal or status(422, "query processing would load too many samples into memory"))(call)
        values = [[t / 1000, str(t / 1000)] for t in times]
        data = {"resultType": "matrix", "result": [{"metric": {"a": "1"}, "values": values}]}
        return await answer(json.dumps({"status": "success", "data": data}).encode())(call)

    return behave


def points(bench: Bench) -> list[int]:
    return [round((float(a["end"]) - float(a["start"])) / float(a["step"])) + 1 for a in bench.proxy.requests]


@pytest.mark.parametrize("n", [1, 2, 10_999, 11_000, 11_001, 25_000])
def test_a_range_is_split_at_eleven_thousand_points_without_seams(n: int) -> None:
    bench = Bench(matrix_server())
    end = NOW + 60 * (n - 1)
    found = bench.run(lambda source: chunks(source, NOW, end + 59, 60))
    times = np.concatenate([matrix.times for matrix in found])
    np.testing.assert_array_equal(times, NOW + 60 * np.arange(n))
    np.testing.assert_array_equal(np.concatenate([matrix.values for matrix in found])[:, 0], times)
    assert max(points(bench)) <= 11_000
    assert len(found) == -(-n // 11_000)
    assert bench.proxy.requests[0].path == "/api/v1/query_range"


def test_a_range_that_ends_before_it_starts_asks_nothing() -> None:
    bench = Bench(matrix_server())
    assert bench.run(lambda source: chunks(source, NOW, NOW - 1, 60)) == []
    assert bench.proxy.requests == []


def test_chunks_are_halved_until_they_fit_and_the_next_call_begins_with_twice_that() -> None:
    bench = Bench(matrix_server(most=30))

    async def use(source: Source) -> tuple[list[Matrix], list[Matrix]]:
        return await chunks(source, NOW, NOW + 60 * 99, 60), await chunks(source, NOW, NOW + 60 * 49, 60)

    first, second = bench.run(use)
    assert points(bench) == [100, 50, 25, 25, 25, 25, 50, 25, 25]
    np.testing.assert_array_equal(np.concatenate([m.times for m in first]), NOW + 60 * np.arange(100))
    np.testing.assert_array_equal(np.concatenate([m.values for m in second])[:, 0], NOW + 60 * np.arange(50))


def test_an_answer_over_our_own_bound_halves_too() -> None:
    bench = Bench(matrix_server(), limits=Limits(response=4_000))
    found = bench.run(lambda source: chunks(source, NOW, NOW + 60 * 199, 60))
    np.testing.assert_array_equal(np.concatenate([m.values for m in found])[:, 0], NOW + 60 * np.arange(200))
    assert points(bench) == [200, 100, 100]


def test_halving_ends_at_one_point() -> None:
    bench = Bench(status(422, "too many samples"))
    assert bench.fails(lambda source: chunks(source, NOW, NOW + 60 * 9, 60)).klass == "too_many_samples"
    assert points(bench) == [10, 5, 2, 1]


def test_other_faults_of_a_range_do_not_halve() -> None:
    bench = Bench(status(422, "found duplicate series"))
    assert bench.fails(lambda source: chunks(source, NOW, NOW + 600, 60)).klass == "bad_query"
    assert len(bench.proxy.requests) == 1


def test_points_off_the_grid_are_refused_with_the_likely_cause() -> None:
    body = b'{"status":"success","data":{"resultType":"matrix","result":[{"metric":{},"values":[[1699999980,"1"]]}]}}'
    error = Bench(answer(body)).fails(lambda source: chunks(source, NOW, NOW + 60, 60))
    assert error.text == (
        "sent samples at other times than those asked for; for VictoriaMetrics set source.kind: victoriametrics"
    )
