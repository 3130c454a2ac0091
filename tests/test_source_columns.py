import json
import math
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tocsin.source.columns import decode_matrix, decode_vector
from tocsin.source.errors import SourceError


def vector_body(*series: str, extra: str = "") -> bytes:
    return f'{{"status":"success"{extra},"data":{{"resultType":"vector","result":[{",".join(series)}]}}}}'.encode()


def matrix_body(*series: str, extra: str = "") -> bytes:
    return f'{{"status":"success"{extra},"data":{{"resultType":"matrix","result":[{",".join(series)}]}}}}'.encode()


def one(value: str, labels: str = '{"a":"b"}') -> str:
    return f'{{"metric":{labels},"value":[1700000000.123,"{value}"]}}'


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0", 0.0),
        ("-0", 0.0),
        ("1.5e-07", 1.5e-07),
        ("1e+06", 1e6),
        ("0.1", 0.1),
        ("179769313486231570000000000000", 1.7976931348623157e29),
        ("4.9e-324", 5e-324),
        ("+Inf", math.inf),
        ("-Inf", -math.inf),
        ("NaN", math.nan),
    ],
)
def test_a_value_is_read_as_the_source_wrote_it(text: str, value: float) -> None:
    vector = decode_vector(vector_body(one(text)), 1700000000.0)
    assert vector.values.dtype == np.float64
    np.testing.assert_array_equal(vector.values, [value])


@given(st.lists(st.floats(), max_size=20))
def test_every_double_survives_the_wire_bit_for_bit(values: list[float]) -> None:
    def go(x: float) -> str:
        return {"inf": "+Inf", "-inf": "-Inf", "nan": "NaN"}.get(repr(x), repr(x))

    vector = decode_vector(vector_body(*(one(go(x)) for x in values)), 0.0)
    np.testing.assert_array_equal(vector.values, np.array(values, np.float64))


def test_label_objects_stay_as_they_came_and_in_their_order() -> None:
    labels = [
        '{"__name__":"up","instance":"a:1","le":"+Inf"}',
        '{"na\\u0000me":"q\\"uote","größe":"ü","with.dots":"x\\\\"}',
        '{ "spaced" : "out" }',
        "{}",
        '{\n\t"lines" : "out"\r\n}',
    ]
    vector = decode_vector(vector_body(*(one("+Inf", text) for text in labels)), 5.0)
    assert vector.metrics == [text.encode() for text in labels]
    assert decode_vector(vector_body(*(one("1", text) for text in labels)), 6.0).key == vector.key
    assert decode_vector(vector_body(*(one("1", text) for text in labels[::-1])), 6.0).key != vector.key
    assert vector.t == 5.0
    np.testing.assert_array_equal(vector.values, [math.inf] * 5)


def test_a_label_that_looks_like_a_value_is_left_alone() -> None:
    labels = json.dumps({"a": 'x",value:[1,"+Inf"]', "b": ',"+Inf"]'})
    vector = decode_vector(vector_body(one("3", labels)), 0.0)
    assert vector.metrics == [labels.encode()]
    np.testing.assert_array_equal(vector.values, [3.0])


def test_a_label_of_one_megabyte_is_carried_whole() -> None:
    labels = '{"long":"' + "x" * 1_000_000 + '"}'
    vector = decode_vector(vector_body(one("1", labels)), 0.0)
    assert vector.metrics[0] == labels.encode()


def test_an_empty_answer_is_an_empty_vector() -> None:
    vector = decode_vector(vector_body(), 0.0)
    assert (vector.metrics, vector.values.shape, vector.key) == ([], (0,), b"")


def test_native_histograms_are_left_out_and_counted() -> None:
    histogram = '{"metric":{"h":"1"},"histogram":[1,{"count":"3","sum":"4","buckets":[[0,"1","2","3"]]}]}'
    vector = decode_vector(vector_body(histogram, one("2"), histogram), 0.0)
    assert (vector.metrics, vector.histograms) == ([b'{"a":"b"}'], 2)
    np.testing.assert_array_equal(vector.values, [2.0])
    both = '{"metric":{"b":"1"},"values":[[100,"1"]],"histograms":[[160,{"count":"3"}]]}'
    only = '{"metric":{"h":"1"},"histograms":[[100,{"count":"3"}]]}'
    matrix = decode_matrix(matrix_body(both, only), 100, 160, 60)
    assert (matrix.metrics, matrix.histograms) == ([b'{"b":"1"}'], 2)
    np.testing.assert_array_equal(matrix.values, [[1.0], [math.nan]])


def test_warnings_come_with_the_columns() -> None:
    body = vector_body(one("1"), extra=',"warnings":["store a: down","store b: down"],"infos":["not a counter"]')
    assert decode_vector(body, 0.0).warnings == ("store a: down", "store b: down")
    assert decode_matrix(matrix_body(extra=',"warnings":["w"]'), 0, 60, 60).warnings == ("w",)


def test_a_partial_answer_of_victoriametrics_is_a_warning() -> None:
    partial = decode_vector(vector_body(one("1"), extra=',"isPartial":true'), 0.0)
    assert partial.warnings == ("the source says that its answer is partial",)
    assert decode_vector(vector_body(one("1"), extra=',"isPartial":false'), 0.0).warnings == ()


def test_a_scalar_is_one_series_without_labels() -> None:
    vector = decode_vector(b'{"status":"success","data":{"resultType":"scalar","result":[1,"+Inf"]}}', 7.0)
    assert (vector.metrics, vector.t) == ([b"{}"], 7.0)
    np.testing.assert_array_equal(vector.values, [math.inf])


@pytest.mark.parametrize(
    ("kind", "result"), [("string", '[1,"text"]'), ("matrix", '[{"metric":{},"values":[[1,"2"]]}]')]
)
def test_a_string_or_a_range_vector_is_a_bad_query(kind: str, result: str) -> None:
    body = f'{{"status":"success","data":{{"resultType":"{kind}","result":{result}}}}}'.encode()
    with pytest.raises(SourceError) as caught:
        decode_vector(body, 0.0)
    assert caught.value.message == (f"the source finds that the expression gives a {kind}, expected an instant vector")
    assert (caught.value.klass, caught.value.retry) == ("bad_query", False)


def test_a_string_over_a_range_is_a_bad_query() -> None:
    with pytest.raises(SourceError, match="gives a string") as caught:
        decode_matrix(b'{"status":"success","data":{"resultType":"string","result":[1,"a"]}}', 0, 60, 60)
    assert caught.value.klass == "bad_query"


@pytest.mark.parametrize("keep", [0, 1, 20, 60, 90, -1, -3])
def test_truncated_json_is_a_bad_response_worth_a_retry(keep: int) -> None:
    for body, decode in (
        (vector_body(one("1")), lambda b: decode_vector(b, 0.0)),
        (matrix_body('{"metric":{},"values":[[60,"2"]]}'), lambda b: decode_matrix(b, 0, 60, 60)),
    ):
        with pytest.raises(SourceError) as caught:
            decode(body[:keep])
        assert (caught.value.klass, caught.value.retry) == ("bad_response", True)
        assert caught.value.message == f"the source sent a body of {len(body[:keep])} bytes that ends too early"


@pytest.mark.parametrize(
    "body",
    [
        b"[]",
        b"null",
        b"{}",
        b"<html>",
        b'"\xff"',
        b'{"status":"success"}',
        b'{"status":"success","data":{"resultType":"streams","result":[]}}',
        b'{"status":"success","data":{"resultType":"vector","result":{}}}',
        b'{"status":"success","data":{"resultType":"scalar","result":{}}}',
        vector_body(one("1_0")),
        vector_body(one(" 1")),
        vector_body(one("0x10")),
        vector_body(one("")),
        vector_body('{"metric":{},"value":[1]}'),
        vector_body('{"value":[1,"1"]}'),
        b'{"status":"error","error":"broken"}',
    ],
)
def test_what_is_not_an_answer_is_a_bad_response_and_not_retried(body: bytes) -> None:
    for decode in (lambda b: decode_vector(b, 0.0), lambda b: decode_matrix(b, 0, 60, 60)):
        with pytest.raises(SourceError) as caught:
            decode(body)
        assert (caught.value.klass, caught.value.retry) == ("bad_response", False)
        assert len(caught.value.message) < 500


def test_gaps_of_a_matrix_are_nan_and_samples_lie_on_their_time() -> None:
    body = matrix_body(
        '{"metric":{"a":"1"},"values":[[100,"1"],[160,"2"],[220,"3"]]}',
        '{"metric":{"a":"2"},"values":[[160,"+Inf"]]}',
        '{"metric":{"a":"3"},"values":[[100,"NaN"],[220.001,"-Inf"]]}',
        '{"metric":{"a":"4"},"values":[]}',
    )
    matrix = decode_matrix(body, 100, 250, 60)
    np.testing.assert_array_equal(matrix.times, [100, 160, 220])
    assert matrix.metrics == [b'{"a":"%d"}' % i for i in (1, 2, 3, 4)]
    nan, inf = math.nan, math.inf
    np.testing.assert_array_equal(matrix.values, [[1, nan, nan, nan], [2, inf, nan, nan], [3, nan, -inf, nan]])
    assert matrix.values.flags.c_contiguous


@pytest.mark.parametrize(
    "values",
    [
        '[[40,"1"]]',
        '[[280,"1"]]',
        '[[130,"1"]]',
        '[[100.01,"1"]]',
        '[[100,"1"],[100,"2"]]',
        '[[160,"1"],[100,"2"]]',
        '[["NaN","1"]]',
        '[["Inf","1"]]',
        '[[1e300,"1"]]',
        '[[100,"1",160]]',
        "[[100]]",
        '[[100,"x"]]',
        '{"t":100}',
    ],
)
def test_a_sample_off_the_grid_is_refused_and_never_misplaced(values: str) -> None:
    with pytest.raises(SourceError) as caught:
        decode_matrix(matrix_body(f'{{"metric":{{}},"values":{values}}}'), 100, 220, 60)
    assert (caught.value.klass, caught.value.retry) == ("bad_response", False)


@pytest.mark.parametrize("step", [0.1, 1, 15, 60, 1800])
def test_grids_of_any_step_keep_every_point(step: float) -> None:
    start, n = 1_700_000_000.0, 1000
    times = [round(start + i * step, 3) for i in range(n)]
    values = ",".join(f'[{t:.3f},"{i}"]' for i, t in enumerate(times))
    matrix = decode_matrix(matrix_body(f'{{"metric":{{}},"values":[{values}]}}'), start, times[-1], step)
    assert matrix.times.shape == (n,)
    np.testing.assert_array_equal(matrix.values[:, 0], np.arange(n))


def test_decoding_costs_microseconds_per_series() -> None:
    # A guard against a slip into something slower by an order: 100,000 series took 45 ms of CPU, 5 million samples 1 s.
    labels = '{"__name__":"http_requests_in_flight","instance":"10.0.0.1:9100","job":"node","resource":"r-%d"}'
    body = vector_body(*(one(f"{i / 7}", labels % i) for i in range(20_000)))
    samples = ",".join(f'[{1_700_000_000 + 60 * i},"{i / 7}"]' for i in range(500))
    matrix = matrix_body(*(f'{{"metric":{labels % i},"values":[{samples}]}}' for i in range(200)))
    begun = time.process_time()
    assert decode_vector(body, 0.0).values.shape == (20_000,)
    vectors = time.process_time()
    assert decode_matrix(matrix, 1_700_000_000, 1_700_000_000 + 60 * 499, 60).values.shape == (500, 200)
    assert vectors - begun < 0.15
    assert time.process_time() - vectors < 0.4
