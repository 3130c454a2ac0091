"""The client against a real HTTP server that misbehaves as told."""

import asyncio
import json
from typing import Any

import pytest

from tocsin.config.models import Limits, SourceModel
from tocsin.source.client import Source
from tocsin.source.columns import Vector
from tocsin.source.errors import SourceError
from tocsin.telemetry import Telemetry
from tools.faultproxy import (
    Behaviour,
    Call,
    answer,
    close,
    cut_off,
    drip,
    gzipped,
    hang,
    huge,
    redirect,
    status,
)
from tools.source_bench import DATE, NOW, VECTOR, Bench, instant


def test_an_instant_query_is_a_form_with_the_time_in_milliseconds_and_our_timeout() -> None:
    bench = Bench()
    vector = bench.run(lambda source: source.instant('up{a="b"} / 2', 1_700_000_000.1234))
    asked = bench.proxy.requests[0]
    assert (asked.method, asked.path) == ("POST", "/api/v1/query")
    assert dict(asked.params) == {"query": 'up{a="b"} / 2', "time": "1700000000.123", "timeout": "10"}
    assert asked.headers["User-Agent"].startswith("tocsin/")
    assert (vector.metrics, vector.values.tolist(), vector.t) == ([b'{"a":"1"}'], [2.5], 1_700_000_000.1234)
    assert bench.requests("ok") == 1
    assert bench.telemetry.value("source_query_seconds_total") > 0


def test_a_path_in_the_url_comes_before_the_api() -> None:
    bench = Bench()

    async def use(_: Source) -> None:
        model = SourceModel(url=bench.proxy.url + "/prometheus/", kind="mimir")
        async with Source(model, Telemetry()) as mimir:
            await mimir.instant("up", NOW)

    bench.run(use)
    assert bench.proxy.requests[0].path == "/prometheus/api/v1/query"


@pytest.mark.parametrize(
    ("kind", "params", "delay"),
    [
        ("prometheus", {}, 0.0),
        ("thanos", {"partial_response": "false", "dedup": "true"}, 0.0),
        ("mimir", {}, 0.0),
        ("victoriametrics", {"nocache": "1"}, 30.0),
    ],
)
def test_each_kind_is_asked_in_its_own_way(kind: str, params: dict[str, str], delay: float) -> None:
    bench = Bench(kind=kind)

    async def use(source: Source) -> float:
        await instant(source)
        return source.query_delay

    assert bench.run(use) == delay
    asked = dict(bench.proxy.requests[0].params)
    assert {k: v for k, v in asked.items() if k not in ("query", "time", "timeout")} == params


def test_a_configured_query_delay_wins_over_that_of_the_kind() -> None:
    model = SourceModel(url="http://127.0.0.1:1", kind="victoriametrics", query_delay="5s")  # type: ignore[arg-type]  # as YAML has it
    assert Source(model, Telemetry()).query_delay == 5.0


def test_loopback_is_asked_for_plain_bytes() -> None:
    bench = Bench()
    bench.run(instant)
    assert bench.proxy.requests[0].headers["Accept-Encoding"] == "identity"


@pytest.mark.parametrize(
    ("url", "encoding"),
    [
        ("http://127.0.0.1:1", "identity"),
        ("http://[::1]:1", "identity"),
        ("http://localhost:1", "identity"),
        ("http://prometheus:9090", "gzip"),
        ("https://10.0.0.1", "gzip"),
    ],
)
def test_a_network_is_asked_for_gzip(url: str, encoding: str) -> None:
    async def headers() -> str:
        async with Source(SourceModel(url=url), Telemetry()) as source:
            session = source._transport._session
            assert session is not None
            return session.headers["Accept-Encoding"]

    assert asyncio.run(headers()) == encoding


def test_gzip_is_read_even_where_it_was_not_asked_for() -> None:
    assert Bench(gzipped(VECTOR)).run(instant).values.tolist() == [2.5]


@pytest.mark.parametrize(
    ("behaviour", "klass", "retry", "message"),
    [
        (
            status(422, "found duplicate series"),
            "bad_query",
            False,
            "answered 422, check the expression: found duplicate series",
        ),
        (status(400, "parse error", "bad_data"), "bad_query", False, "answered 400, check the expression: parse error"),
        (status(401, "who?"), "unauthorized", False, "answered 401, check source.auth: who?"),
        (answer(b"", 403, "text/plain"), "unauthorized", False, "answered 403, check source.auth: an empty body"),
        (
            answer(b"<html><h1>Not  Found</h1><script>x()</script></html>", 404, "text/html"),
            "bad_response",
            False,
            "answered 404, source.url is the address before /api/v1: Not Found",
        ),
        (status(429, "slow down"), "unavailable", True, "answered 429, it is overloaded or not up: slow down"),
        (status(500, "panic", "internal"), "internal", True, "answered 500: panic"),
        (status(502, "bad gateway"), "unavailable", True, "answered 502, it is overloaded or not up: bad gateway"),
        (
            status(503, "start"),
            "unavailable",
            True,
            "answered 503, it is overloaded or not up: start",
        ),
        (status(503, "query timed out", "timeout"), "timeout", True, "gave up on the query: query timed out"),
        (
            status(504, "late"),
            "unavailable",
            True,
            "answered 504, it is overloaded or not up: late",
        ),
        (
            redirect(),
            "redirect",
            False,
            (
                "answered 302 to https://login.example.com/start: is there a login page in front? Set source.auth, or "
                "the final address as source.url"
            ),
        ),
        (
            redirect("http://[broken"),
            "redirect",
            False,
            (
                "answered 302 to (an address that cannot be read): is there a login page in front? Set source.auth, or "
                "the final address as source.url"
            ),
        ),
        (
            answer(b"<title>Sign in</title>", 200, "text/html"),
            "bad_response",
            False,
            (
                "answered 200 with text/html instead of JSON, check source.url, and source.auth if there is a login "
                "page in front: Sign in"
            ),
        ),
        (answer(b"", 204), "bad_response", False, "answered 204, is this the HTTP API of a Prometheus?: an empty body"),
        (answer(VECTOR[:60]), "bad_response", True, "sent a body of 60 bytes that ends too early"),
        (cut_off(VECTOR, 60), "bad_response", True, "closed the connection in the middle of its answer"),
        (
            answer(VECTOR, Content_Encoding="gzip"),
            "bad_response",
            False,
            "sent a body that is not compressed as it says: Error -3 while decompressing data: incorrect header check",
        ),
        (
            answer(VECTOR, Content_Encoding="br"),
            "bad_response",
            False,
            "compressed its answer with br, which was not asked for",
        ),
        (close(), "connection", True, "cannot be reached: Server disconnected"),
    ],
)
def test_each_fault_has_its_class_and_says_what_to_do(
    behaviour: Behaviour, klass: str, retry: bool, message: str
) -> None:
    bench = Bench(behaviour)
    error = bench.fails(instant)
    assert (error.klass, error.retry, error.message) == (klass, retry, f"{bench.proxy.url} {message}")
    assert str(error) == error.message
    assert (bench.requests(klass), bench.requests("ok")) == (1, 0)
    assert len(bench.proxy.requests) == 1


@pytest.mark.parametrize(
    "message",
    [
        "query processing would load too many samples into memory in query execution",
        "exceeded maximum resolution of 11,000 points per timeseries. Try decreasing the query resolution (?step=XX)",
        "too many points for the given step=1000, start=1 and end=2: 30001; cannot exceed 30000",
        "cannot select more than -search.maxSamplesPerQuery=1000000000 samples",
        "the query exceeded the maximum number of chunks (limit: 2 chunks) (err-mimir-max-chunks-per-query)",
    ],
)
@pytest.mark.parametrize("code", [400, 422])
def test_a_query_that_is_too_big_has_a_class_of_its_own(message: str, code: int) -> None:
    assert Bench(status(code, message)).fails(instant).klass == "too_many_samples"


def test_a_silent_source_is_a_timeout() -> None:
    bench = Bench(hang(), limits=Limits(timeout="50ms", retries=0))  # type: ignore[arg-type]  # as YAML has it
    error = bench.fails(instant)
    assert (error.klass, error.retry) == ("timeout", True)
    assert error.text == "gave no complete answer within 0.05s; source.limits.timeout may be raised"
    assert bench.requests("timeout") == 1
    assert bench.telemetry.value("source_query_seconds_total") >= 0.05


def test_a_source_that_drips_does_not_get_more_time() -> None:
    bench = Bench(drip(VECTOR, 0.01), limits=Limits(timeout="100ms", retries=0))  # type: ignore[arg-type]  # as YAML has it
    assert bench.fails(instant).klass == "timeout"


def test_a_source_that_is_not_there_cannot_be_reached() -> None:
    bench = Bench(url="http://127.0.0.1:1")
    error = bench.fails(instant)
    assert (error.klass, error.retry) == ("connection", True)
    assert error.message.startswith("http://127.0.0.1:1 cannot be reached: Cannot connect to host 127.0.0.1:1")
    assert bench.requests("connection") == 1


def test_something_that_is_not_http_is_a_bad_response() -> None:
    async def use() -> SourceError:
        async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n")
            writer.write(b"SSH-2.0-OpenSSH_9.2\r\n\r\n")
            writer.close()
            await writer.wait_closed()

        server = await asyncio.start_server(greet, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        async with server, Source(SourceModel(url=f"http://127.0.0.1:{port}"), Telemetry()) as source:
            with pytest.raises(SourceError) as caught:
                await source.instant("up", NOW)
            return caught.value

    error = asyncio.run(use())
    assert (error.klass, error.retry) == ("bad_response", False)
    assert "does not speak HTTP as expected" in error.message


def test_faults_that_pass_are_retried_with_growing_pauses() -> None:
    bench = Bench(status(503), close(), cut_off(VECTOR, 9), answer(VECTOR), limits=Limits(retries=3))
    assert bench.run(instant).values.tolist() == [2.5]
    assert bench.pauses == [0.2, 0.4, 0.8]
    assert [bench.requests(k) for k in ("unavailable", "connection", "bad_response", "ok")] == [1, 1, 1, 1]


def test_retries_end() -> None:
    bench = Bench(status(503), limits=Limits(retries=7))
    assert bench.fails(instant).klass == "unavailable"
    assert bench.pauses == [0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0]
    assert len(bench.proxy.requests) == 8


@pytest.mark.parametrize(
    "behaviour",
    [status(400), status(422), status(401), redirect(), answer(b"<p>", 200, "text/html"), answer(b"[]")],
)
def test_faults_that_stay_are_not_retried(behaviour: Behaviour) -> None:
    bench = Bench(behaviour, limits=Limits(retries=5))
    bench.fails(instant)
    assert (len(bench.proxy.requests), bench.pauses) == (1, [])


def test_reading_stops_at_the_bound() -> None:
    bench = Bench(huge(1 << 30), limits=Limits(response=100_000, retries=0))
    error = bench.fails(instant)
    assert (error.klass, error.retry) == ("too_large", False)
    assert error.text == "sent more than 100000 bytes: raise source.limits.response, or select fewer series"


def test_the_bound_is_for_decoded_bytes() -> None:
    padded = VECTOR + b" " * 10_000_000
    limits = Limits(response=1_000_000, retries=0)
    assert Bench(gzipped(padded), limits=limits).fails(instant).klass == "too_large"
    assert Bench(gzipped(VECTOR), limits=Limits(response=len(VECTOR))).run(instant).values.tolist() == [2.5]
    assert Bench(gzipped(VECTOR), limits=Limits(response=len(VECTOR) - 1)).fails(instant).klass == "too_large"


def test_a_huge_error_page_is_not_read_to_its_end() -> None:
    error = Bench(answer(b"<p>x</p>" * 10_000_000, 500, "text/html")).fails(instant)
    assert error.klass == "internal"
    assert len(error.message) < 400
    assert error.message.endswith("...")


def test_no_more_requests_run_at_once_than_allowed() -> None:
    async def slowly(_: Call) -> Any:
        await asyncio.sleep(0.01)
        return await answer(VECTOR)(_)

    bench = Bench(slowly, limits=Limits(concurrency=3))

    async def use(source: Source) -> list[Vector]:
        return await asyncio.gather(*(source.instant("up", NOW) for _ in range(12)))

    assert len(bench.run(use)) == 12
    assert bench.proxy.most_at_once == 3


def test_warnings_are_counted_and_given() -> None:
    body = json.dumps({**json.loads(VECTOR), "warnings": ["store a: down", "w" * 5000]}).encode()
    bench = Bench(answer(body))
    warnings = bench.run(instant).warnings
    assert warnings == ("store a: down", "w" * 297 + "...")
    assert bench.telemetry.value("source_warnings_total") == 2


@pytest.mark.parametrize(
    ("date", "skew"),
    [
        (DATE, 0.0),
        ("Tue, 14 Nov 2023 22:13:22 GMT", 0.0),
        ("Tue, 14 Nov 2023 22:13:18 GMT", 0.0),
        ("Tue, 14 Nov 2023 22:13:23 GMT", 3.0),
        ("Tue, 14 Nov 2023 22:12:20 GMT", -60.0),
        ("yesterday", 9.0),
        ("", 9.0),
    ],
)
def test_the_difference_of_clocks_is_published_from_two_seconds_on(date: str, skew: float) -> None:
    bench = Bench(answer(VECTOR, Date=date))
    bench.telemetry.set("source_clock_skew_seconds", 9.0)  # what is not a date changes nothing
    bench.run(instant)
    assert bench.telemetry.value("source_clock_skew_seconds") == skew


def test_proxies_of_the_environment_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    assert Bench().run(instant).values.tolist() == [2.5]


def test_label_values_are_asked_with_selectors() -> None:
    bench = Bench(answer(b'{"status":"success","data":["a","b"]}'))
    assert bench.run(lambda source: source.label_values("__name__", ['{job="x"}', "up"])) == ["a", "b"]
    asked = bench.proxy.requests[0]
    assert (asked.method, asked.path) == ("GET", "/api/v1/label/__name__/values")
    assert asked.params == (("match[]", '{job="x"}'), ("match[]", "up"))


def test_label_values_that_are_none_are_a_bad_response() -> None:
    error = Bench(answer(b'{"status":"success","data":{}}')).fails(lambda source: source.label_values("a"))
    assert (error.klass, error.text[:40]) == ("bad_response", "sent what is not an answer of the API: E")


def test_build_info_is_given_where_there_is_one() -> None:
    body = b'{"status":"success","data":{"version":"2.42.0","revision":"x","branch":null}}'
    assert Bench(answer(body)).run(lambda source: source.build_info()) == {"version": "2.42.0", "revision": "x"}
    assert Bench(answer(b"404 page not found", 404, "text/plain")).run(lambda source: source.build_info()) == {}
    assert Bench(status(503)).fails(lambda source: source.build_info()).klass == "unavailable"


def test_the_budget_is_stated_in_queries_a_minute() -> None:
    source = Source(SourceModel(url="http://127.0.0.1:1", limits=Limits(concurrency=4, retries=2)), Telemetry())
    budget = source.budget([(60, 2), (15, 1), (300, 5)])
    assert (budget.per_minute, budget.per_minute_worst, budget.due_at_once, budget.concurrent) == (7.0, 21.0, 8, 4)
    assert str(budget) == "7 queries a minute (21 if every one is retried), up to 8 due at once, at most 4 at a time"
    assert str(source.budget([])) == (
        "0 queries a minute (0 if every one is retried), up to 0 due at once, at most 0 at a time"
    )


def test_a_source_outside_its_context_manager_is_a_mistake_of_ours() -> None:
    with pytest.raises(RuntimeError, match="outside its context manager"):
        asyncio.run(Source(SourceModel(url="http://127.0.0.1:1"), Telemetry()).instant("up", NOW))
