"""What Prometheus spends on Tocsin's scrape and query, beside what Tocsin spends on the same cycle."""

import asyncio
import re
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from canned import FIRST, STEP, Canned, Workload, spec
from harness import Row, isolated, middle
from prometheus_client import CollectorRegistry
from served import Served, serving

from tocsin import names
from tocsin.config.models import SourceModel
from tocsin.core.snapshot import Snapshot
from tocsin.demo import servers
from tocsin.evaluation import Evaluation
from tocsin.metrics import TEXT, Exposition
from tocsin.source.client import Source
from tocsin.source.columns import Vector
from tocsin.telemetry import Telemetry

AIM = 10.0
_GLOBAL = "global: {scrape_interval: 1s, scrape_timeout: 1s}\n"
_SCRAPE = "scrape_configs: [{{job_name: tocsin, honor_labels: true, static_configs: [{{targets: ['{target}']}}]}}]\n"
_CPU = re.compile(r"^process_cpu_seconds_total (\S+)", re.MULTILINE)
_VERSION = re.compile(r'^prometheus_build_info\{.*version="([^"]+)"', re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Measured:
    """CPU seconds of Prometheus for one scrape and one query, of Tocsin for one cycle with HTTP and for one answer."""

    version: str
    scrape: float
    query: float
    cycle: float
    serve: float
    lines: int


def _fetch(url: str, *, post: bool = False) -> str:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(urllib.request.Request(url, b"" if post else None), timeout=10) as answer:  # noqa: S310  loopback
        return str(answer.read().decode())


class _Meter:
    """CPU of a Prometheus, by its own count, less what it spends when nobody asks it anything."""

    def __init__(self, url: str, idle_for: float) -> None:
        self._url, self._idle = url, 0.0
        self.start()
        time.sleep(idle_for)
        self._idle = self.spent() / (time.monotonic() - self._began)

    def _total(self) -> float:
        found = _CPU.search(_fetch(self._url + "/metrics"))
        assert found is not None
        return float(found.group(1))

    def start(self) -> None:
        """Begin to count."""
        self._began, self._from = time.monotonic(), self._total()

    def spent(self) -> float:
        """CPU seconds since the start, in excess of idling."""
        return self._total() - self._from - self._idle * (time.monotonic() - self._began)


class _Live(Canned):
    """History as prepared; instant queries go to a real Prometheus, at the time of one of its scrapes."""

    def __init__(self, load: Workload, client: Source) -> None:
        super().__init__(load)
        self._client, self.scraped = client, 0.0

    async def instant(self, expr: str, t: float, step: float | None = None) -> Vector:  # noqa: ARG002  as a source
        return await self._client.instant(names.metric("value"), self.scraped)


async def _pages(count: int, pages: int) -> list[bytes]:
    """Successive pages of Tocsin."""
    one, source = spec(window=60), Canned(Workload(count))
    evaluation, exposition = Evaluation(one, source, lambda: count), Exposition(CollectorRegistry(), "essential")
    first = FIRST + one.warmup_steps
    await evaluation.fill(float(first * STEP))
    made = []
    for k in range(first, first + pages):
        source.prepare(float(k * STEP))
        await evaluation.cycle(float(k * STEP))
        assert evaluation.view is not None
        made.append(b"".join(exposition.page(Snapshot(float(k * STEP), (evaluation.view,)))))
    return made


def _scrapes(meter: _Meter, at: Served, seconds: float) -> tuple[float, float, float]:
    """CPU seconds of Prometheus and of our server for one scrape, and the time of the last one."""
    while at.spent()[0] < 4:  # the first scrapes make the series
        time.sleep(0.2)
    meter.start()
    before = at.spent()
    time.sleep(seconds)
    answers, spent = at.spent()
    scrapes = answers - before[0]
    return meter.spent() / scrapes, (spent - before[1]) / scrapes, time.time()


async def _cycles(url: str, count: int, meter: _Meter, until: float, cycles: int) -> tuple[float, list[float]]:
    """CPU seconds of Prometheus for one query, and of each of our cycles: query over HTTP, evaluation, page."""
    one = replace(spec(window=60), by=(names.RESOURCE,))
    async with Source(SourceModel(url=url), Telemetry()) as client:
        source = _Live(Workload(count), client)
        evaluation, exposition = Evaluation(one, source, lambda: count), Exposition(CollectorRegistry(), "essential")
        first = FIRST + one.warmup_steps
        await evaluation.fill(float(first * STEP))
        taken = []
        meter.start()
        for k in range(first, first + cycles):
            source.scraped = until - 1 - (k - first) % 4
            began = time.process_time()
            report = await evaluation.cycle(float(k * STEP))
            assert evaluation.view is not None
            for _chunk in exposition.page(Snapshot(float(k * STEP), (evaluation.view,))):
                pass  # sending them is measured where Prometheus scrapes
            taken.append(time.process_time() - began)
            assert report.series == count, f"Prometheus answered {report.series} of {count} series"
        return meter.spent() / cycles, taken[1:]


def measure(count: int, scrape_for: float, cycles: int, idle_for: float = 3.0) -> Measured:
    """Let a real Prometheus scrape pages of `count` resources, then ask it for one gauge of all of them."""
    pages = asyncio.run(_pages(count, 4))
    with tempfile.TemporaryDirectory() as folder, serving({"/metrics": (TEXT, pages)}) as at:
        config = Path(folder) / "prometheus.yml"
        config.write_text(_GLOBAL)
        with servers.prometheus(Path(folder), config, flags=["--web.enable-lifecycle"]) as prometheus:
            meter = _Meter(prometheus.url, idle_for)
            config.write_text(_GLOBAL + _SCRAPE.format(target=at.url.removeprefix("http://")))
            _fetch(prometheus.url + "/-/reload", post=True)
            scrape, serve, until = _scrapes(meter, at, scrape_for)
            config.write_text(_GLOBAL)
            _fetch(prometheus.url + "/-/reload", post=True)
            time.sleep(min(idle_for, 1.0))
            query, taken = asyncio.run(_cycles(prometheus.url, count, meter, until, cycles))
            version = _VERSION.search(_fetch(prometheus.url + "/metrics"))
    lines = sum(line[:1] != b"#" for line in pages[0].splitlines())
    return Measured(version.group(1) if version else "", scrape, query, middle(taken), serve, lines)


def benchmark(count: int, scrape_for: float, cycles: int) -> Iterator[Row]:
    """One scrape and one query against one cycle; nothing where there is no Prometheus."""
    try:
        servers.find(servers.PROMETHEUS)
    except servers.ServerError:
        return
    got = isolated(measure, count, scrape_for, cycles)
    peer = f"Prometheus {got.version.split('+')[0]}"
    yield Row(f"Prometheus, one scrape of {got.lines:,} samples: CPU", got.scrape)
    yield Row(f"Prometheus, one instant query of {count:,} series: CPU", got.query)
    yield Row(f"Tocsin, sending the page of {count:,} resources: CPU", got.serve)
    yield Row(
        f"cycle of {count:,} resources, HTTP on both sides included: CPU",
        got.cycle + got.serve,
        "s",
        f"{peer}, its scrape and its query",
        got.scrape + got.query,
        at_least=AIM,
    )
