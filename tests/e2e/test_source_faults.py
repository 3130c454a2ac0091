"""A real Prometheus that is down, slow or behind something that spoils its answers."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from tocsin.config.models import Limits, SourceModel
from tocsin.demo import servers
from tocsin.demo.servers import Server
from tocsin.source.client import Source
from tocsin.source.errors import SourceError
from tocsin.telemetry import Telemetry
from tools.faultproxy import (
    Behaviour,
    FaultProxy,
    answer,
    close,
    hang,
    passthrough,
    redirect,
    status,
    truncated,
    with_warnings,
)
from tools.servers import MINIMAL_CONFIG, prometheus, remote_write, require, series

pytestmark = pytest.mark.e2e

T0 = 1_700_000_100


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with prometheus(tmp_path_factory.mktemp("prometheus")) as server:
        remote_write(server.url, *(series("up", [(T0, float(i))], i=str(i)) for i in range(10)))
        yield server


def limits(**values: object) -> Limits:
    return Limits.model_validate({"retries": 0, **values})


async def fault_of(source: Source) -> str:
    """Class of the fault of one query; ok when it has the ten values that are there."""
    try:
        vector = await source.instant("up", T0)
    except SourceError as error:
        return error.klass
    return "ok" if sorted(vector.values.tolist()) == [float(i) for i in range(10)] else "wrong"


def test_one_client_outlives_a_prometheus_that_comes_late_and_goes_in_the_middle(tmp_path: Path) -> None:
    config = tmp_path / "prometheus.yml"
    config.write_text(MINIMAL_CONFIG)
    binary = require(*servers.PROMETHEUS)
    server = servers.prometheus(tmp_path, config, binary=binary, flags=["--web.enable-remote-write-receiver"])
    seen = []

    async def run() -> None:
        telemetry = Telemetry()
        async with Source(SourceModel(url=server.url, limits=limits()), telemetry) as source:
            seen.append(await fault_of(source))
            with server:
                remote_write(server.url, *(series("up", [(T0, float(i))], i=str(i)) for i in range(10)))
                seen.append(await fault_of(source))
            # The kept connection is found closed, or the port is.
            seen.append(await fault_of(source))
            with server:
                seen.append(await fault_of(source))
        assert telemetry.value("source_requests_total", "connection") == 2
        assert telemetry.value("source_requests_total", "ok") == 2

    asyncio.run(run())
    assert seen == ["connection", "ok", "connection", "ok"]


def test_a_prometheus_that_hangs_is_a_timeout_and_works_when_it_wakes(real: Server) -> None:
    async def run() -> list[str]:
        async with Source(SourceModel(url=real.url, limits=limits(timeout="300ms")), Telemetry()) as source:
            seen = [await fault_of(source)]
            real.pause()
            seen.append(await fault_of(source))
            real.resume()
            seen.append(await fault_of(source))
            return seen

    assert asyncio.run(run()) == ["ok", "timeout", "ok"]


def test_prometheus_itself_gives_up_within_our_timeout(tmp_path: Path) -> None:
    with prometheus(tmp_path, flags=["--query.timeout=1ms"]) as server:
        samples = [(T0 + 15 * k, 1.0) for k in range(200)]
        remote_write(server.url, *(series("up", samples, i=str(i)) for i in range(500)))

        async def run() -> SourceError:
            async with Source(SourceModel(url=server.url, limits=limits()), Telemetry()) as source:
                with pytest.raises(SourceError) as caught:
                    await source.instant("count by (i) (max_over_time(up[50m:1s]))", T0 + 3000)
                return caught.value

        error = asyncio.run(run())
    assert (error.klass, error.retry) == ("timeout", True)
    # Which of the two it says depends on where it was when the time ran out.
    assert error.text in (
        "gave up on the query: query timed out in expression evaluation",
        "gave up on the query: expanding series: context deadline exceeded",
    )


@pytest.mark.parametrize(
    ("behaviour", "klass"),
    [
        (passthrough(), "ok"),
        (truncated(100), "bad_response"),
        (passthrough(Content_Type="text/html"), "bad_response"),
        (answer(b"<h1>Sign in</h1>", 200, "text/html"), "bad_response"),
        (redirect(), "redirect"),
        (status(503), "unavailable"),
        (status(422), "bad_query"),
        (close(), "connection"),
        (hang(), "timeout"),
        (with_warnings("one store is down"), "ok"),
    ],
)
def test_what_stands_between_us_and_prometheus_has_a_class(real: Server, behaviour: Behaviour, klass: str) -> None:
    async def run() -> str:
        async with (
            FaultProxy(behaviour, upstream=real.url) as proxy,
            Source(SourceModel(url=proxy.url, limits=limits(timeout="2s")), Telemetry()) as source,
        ):
            return await fault_of(source)

    assert asyncio.run(run()) == klass


def test_a_bad_minute_is_ridden_out_by_retries(real: Server) -> None:
    async def run() -> tuple[str, int, list[float]]:
        pauses: list[float] = []

        async def sleep(seconds: float) -> None:
            pauses.append(seconds)

        model = SourceModel(url="http://unused", limits=limits(retries=3))
        async with FaultProxy(status(503), truncated(50), close(), passthrough(), upstream=real.url) as proxy:
            model = model.model_copy(update={"url": proxy.url})
            async with Source(model, Telemetry(), sleep=sleep, jitter=lambda: 1.0) as source:
                return await fault_of(source), len(proxy.requests), pauses

    assert asyncio.run(run()) == ("ok", 4, [0.2, 0.4, 0.8])


def test_a_partial_answer_keeps_its_values_and_carries_its_warnings(real: Server) -> None:
    async def run() -> tuple[int, tuple[str, ...], float]:
        telemetry = Telemetry()
        async with (
            FaultProxy(with_warnings("store a: deadline exceeded", "b"), upstream=real.url) as proxy,
            Source(SourceModel(url=proxy.url, kind="thanos"), telemetry) as source,
        ):
            vector = await source.instant("up", T0)
            return len(vector.metrics), vector.warnings, telemetry.value("source_warnings_total")

    assert asyncio.run(run()) == (10, ("store a: deadline exceeded", "b"), 2.0)


def test_the_clock_of_a_real_prometheus_is_ours(real: Server) -> None:
    async def run() -> tuple[float, float]:
        telemetry, skewed = Telemetry(), Telemetry()
        async with Source(SourceModel(url=real.url), telemetry) as source:
            await source.instant("up", T0)
        async with (
            FaultProxy(passthrough(Date="Tue, 14 Nov 2023 22:13:20 GMT"), upstream=real.url) as proxy,
            Source(SourceModel(url=proxy.url), skewed, clock=lambda: 1_699_999_990.0) as source,
        ):
            await source.instant("up", T0)
        return telemetry.value("source_clock_skew_seconds"), skewed.value("source_clock_skew_seconds")

    assert asyncio.run(run()) == (0.0, 10.0)
