"""Generated rules in a real Prometheus that scrapes what Tocsin would expose."""

import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
import yaml
from running import Proxy, Tocsin, configuration, until, watched

from generated import process, service, write
from tocsin.demo.servers import free_port
from tocsin.generate import prometheus as snippet
from tocsin.generate import rules
from tools.faultproxy import passthrough, status
from tools.servers import get_json, prometheus

pytestmark = pytest.mark.e2e

#: Every second instead of every five minutes or every hour, so that what would take a day takes half a minute.
TARGET = {"scrape_interval": "1s", "evaluation_interval": "1s"}
KEEP = 1
IDENTITY = {
    "alertname": "ShopLoadCritical",
    "severity": "4",
    "team": "keys",
    "tocsin_service": "shop",
    "signal": "load",
    "resource": 'grand "piano"',
}


class Exporter:
    """What Tocsin would expose for one resource; `tier` is None while there is no answer at all."""

    def __init__(self) -> None:
        self.tier: int | None = 0
        self.scraped = 0

    def page(self) -> str:
        labels = 'tocsin_service="shop",signal="load",resource="grand \\"piano\\"",node="n1"'
        signal = 'tocsin_service="shop",signal="load"'
        return (
            f'tocsin_build_info{{version="1"}} 1\ntocsin_severity_level{{{labels}}} {self.tier}\n'
            f"tocsin_stale{{{signal}}} {int(self.tier == -1)}\n"
        )


@pytest.fixture
def exporter() -> Iterator[tuple[Exporter, str]]:
    """The exporter, and its HOST:PORT."""
    state = Exporter()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            alive = state.tier is not None
            self.send_response(200 if alive else 503)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.end_headers()
            if alive:
                self.wfile.write(state.page().encode())
            state.scraped += 1

        def log_message(self, *_: object) -> None:
            """Nothing on the terminal."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield state, f"127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def configure(tmp_path: Path, target: str, *, honor_labels: bool = True) -> str:
    """Write the rules; the Prometheus configuration that loads them, from the generated snippet."""
    model = process(target=TARGET)
    alert = {"tier": 4, "grades": 3}
    shop = service(signals={"load": {"interval": "1s", "alert": {"critical": alert}}}, team="keys")
    data = rules.files(model, [shop])
    for group in data["rules/shop.yml"]["groups"]:
        for rule in group["rules"]:
            assert (rule["for"], rule["keep_firing_for"]) == ("3s", "5m")
            rule["keep_firing_for"] = f"{KEEP}s"
    write(tmp_path, data)
    scrape = snippet.config(model, target, str(tmp_path / "rules"))
    scrape["scrape_configs"][0]["static_configs"][0]["labels"] = {"resource": "host", "cluster": "c"}
    scrape["scrape_configs"][0]["honor_labels"] = honor_labels
    return yaml.safe_dump(
        {"global": {"evaluation_interval": "1m", "scrape_timeout": "1s", "scrape_interval": "1s"}} | scrape
    )


class Watch:
    """Alerts of the service as this Prometheus has them."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.seen: list[dict[str, str]] = []

    def states(self) -> list[str]:
        answer: Any = get_json(f"{self.url}/api/v1/alerts")
        alerts = [one for one in answer["data"]["alerts"] if one["labels"]["alertname"] == IDENTITY["alertname"]]
        self.seen += [one["labels"] for one in alerts]
        return [one["state"] for one in alerts]

    def until(self, expected: list[str], within: float = 20) -> list[list[str]]:
        """Wait for these states; every other state on the way, once each."""
        way: list[list[str]] = []
        deadline = time.monotonic() + within
        while (now := self.states()) != expected:
            if now not in way:
                way.append(now)
            assert time.monotonic() < deadline, f"{way} and not {expected}"
            time.sleep(0.1)
        return way

    def stays(self, expected: list[str], seconds: float) -> None:
        """These are the states at every look for so long."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            assert self.states() == expected
            time.sleep(0.2)

    def count(self, query: str) -> int:
        answer: Any = get_json(f"{self.url}/api/v1/query?{urlencode({'query': query})}")
        return len(answer["data"]["result"])

    def wait(self, what: Callable[[], bool], within: float = 20) -> None:
        deadline = time.monotonic() + within
        while not what():
            assert time.monotonic() < deadline
            time.sleep(0.1)


def test_an_alert_fires_holds_while_nothing_is_known_and_resolves(
    tmp_path: Path, exporter: tuple[Exporter, str]
) -> None:
    state, target = exporter
    with prometheus(tmp_path, configure(tmp_path, target)) as server:
        watch = Watch(server.url)
        watch.wait(lambda: watch.count("tocsin_severity_level == 0") == 1)
        assert watch.states() == []

        state.tier = 4
        assert ["pending"] in watch.until(["firing"])

        # Longer than keep_firing_for: nothing but the second and the third arm hold it.
        state.tier = -1
        watch.wait(lambda: watch.count("tocsin_severity_level == -1") == 1)
        watch.stays(["firing"], 3 * KEEP)

        state.tier = None
        watch.wait(lambda: watch.count("absent(tocsin_build_info)") == 1)
        watch.stays(["firing"], 3 * KEEP)

        state.tier = 0
        watch.until([])
        watch.stays([], 2)

        assert all(labels == IDENTITY for labels in watch.seen)
        # The scrape has labels of its own; none of them, and none of the exporter's identity labels, is in an alert.
        assert watch.count('tocsin_severity_level{job="tocsin", instance!="", cluster="c", node="n1"}') == 1
        assert watch.count('ALERTS{alertname!~"Tocsin.*", job!=""} or ALERTS{instance!=""}') == 0


def test_what_is_unknown_from_the_start_or_gone_while_pending_never_fires(
    tmp_path: Path, exporter: tuple[Exporter, str]
) -> None:
    state, target = exporter
    state.tier = -1
    with prometheus(tmp_path, configure(tmp_path, target)) as server:
        watch = Watch(server.url)
        watch.wait(lambda: watch.count("tocsin_severity_level == -1") == 1)
        watch.stays([], 3 * KEEP)
        state.tier = 4
        watch.until(["pending"])
        state.tier = None
        watch.until([])
        watch.stays([], 3 * KEEP)
        state.tier = 4
        watch.until(["firing"])


def test_an_alert_outlives_restarts_while_the_source_is_away_and_resolves_when_it_is_back(tmp_path: Path) -> None:
    """A real Tocsin, whose source is the Prometheus that scrapes it, behind a proxy that can be down."""
    values, port = {"piano": 0.5}, free_port()
    with watched(values) as metrics:
        scrape = yaml.safe_load(configure(tmp_path, f"127.0.0.1:{port}"))
        scrape["scrape_configs"].append(
            {"job_name": "shop", "static_configs": [{"targets": [f"127.0.0.1:{metrics}"]}], "scrape_interval": "1s"}
        )
        with prometheus(tmp_path, yaml.safe_dump(scrape)) as server, Proxy(server.url) as proxy:
            watch, config = Watch(server.url), configuration(tmp_path / "tocsin", proxy.url, {"window": 300})
            with Tocsin(config, port=port) as tocsin:
                until(lambda: tocsin.sample("tocsin_severity_level", resource="piano") == 0.0, "piano is normal")
                values["piano"] = 9.0
                watch.until(["firing"])
                tocsin.stop()
            proxy.does(status(503))
            for _ in range(2):
                with Tocsin(config, port=port) as tocsin:
                    # Longer than keep_firing_for: the page is there again, and has no tiers.
                    watch.wait(lambda: watch.count('tocsin_stale{signal="load"} == 1') == 1)
                    watch.stays(["firing"], 3 * KEEP)
                    assert tocsin.samples("tocsin_severity_level") == []
                    tocsin.stop()
            values["piano"] = 0.5
            with Tocsin(config, port=port) as tocsin:
                watch.wait(lambda: watch.count('tocsin_stale{signal="load"} == 1') == 1)
                assert watch.states() == ["firing"]
                proxy.does(passthrough())
                until(lambda: tocsin.sample("tocsin_severity_level", resource="piano") == 0.0, "piano is normal again")
                watch.until([])
            assert all(labels == {**IDENTITY, "resource": "piano"} for labels in watch.seen)


def test_every_generated_group_is_loaded_and_healthy(tmp_path: Path, exporter: tuple[Exporter, str]) -> None:
    state, target = exporter
    with prometheus(tmp_path, configure(tmp_path, target)) as server:
        watch = Watch(server.url)
        watch.wait(lambda: state.scraped > 3)

        def loaded() -> dict[str, tuple[float, set[str]]]:
            answer: Any = get_json(f"{server.url}/api/v1/rules")
            groups = answer["data"]["groups"]
            return {group["name"]: (group["interval"], {rule["health"] for rule in group["rules"]}) for group in groups}

        watch.wait(lambda: all(health == {"ok"} for _, health in loaded().values()))
        assert loaded() == {"tocsin-shop-load": (1, {"ok"}), "tocsin-meta": (1, {"ok"})}
        watch.wait(lambda: watch.count('ALERTS{alertname="TocsinWatchdog", alertstate="firing"}') == 1)


def test_a_scrape_without_honor_labels_is_noticed(tmp_path: Path, exporter: tuple[Exporter, str]) -> None:
    _, target = exporter
    pending = 'ALERTS{alertname="TocsinScrapedWithoutHonorLabels", alertstate="pending"}'
    with prometheus(tmp_path, configure(tmp_path, target, honor_labels=False)) as server:
        watch = Watch(server.url)
        watch.wait(lambda: watch.count(pending) == 1)
        assert watch.count('tocsin_severity_level{resource="host", exported_resource!=""}') == 1
