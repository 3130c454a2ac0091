"""Escalation levels in a real Prometheus: a restart of it, of Tocsin and of both changes nothing."""

import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
import yaml

from generated import process, service, write
from tocsin.demo.servers import Server
from tocsin.generate import escalation, tier
from tocsin.generate import prometheus as snippet
from tools.servers import get_json, prometheus

pytestmark = pytest.mark.e2e

#: Every second instead of every quarter of a minute, so that what would take half an hour takes half a minute.
TARGET = {"scrape_interval": "1s", "evaluation_interval": "1s"}
AFTER = 20
#: Seconds for which Prometheus is away, and then some until it scrapes again.
AWAY = 2.5
LEVELS = ("ShopEscalationTierLead", "ShopEscalationAlertLead")


class Tocsin:
    """A page of gauges as Tocsin would expose them; `tier` is None while it is down."""

    def __init__(self) -> None:
        self.tier: int | None = 0
        self.acknowledged = 0

    def page(self) -> str:
        labels = 'tocsin_service="shop",signal="load",resource="piano"'
        return (
            f'tocsin_build_info{{version="1"}} 1\ntocsin_severity_level{{{labels},node="n1"}} {self.tier}\n'
            f'tocsin_acknowledged{{alertname="ShopLoadCritical",{labels}}} {self.acknowledged}\n'
            f'tocsin_stale{{tocsin_service="shop",signal="load"}} 0\n'
        )


@pytest.fixture
def exporter() -> Iterator[tuple[Tocsin, str]]:
    """The page, and its HOST:PORT."""
    state = Tocsin()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            alive = state.tier is not None
            self.send_response(200 if alive else 503)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.end_headers()
            if alive:
                self.wfile.write(state.page().encode())

        def log_message(self, *_: object) -> None:
            """Nothing on the terminal."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield state, f"127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def configure(folder: Path, target: str) -> str:
    """Write the rules; the Prometheus configuration that loads them, from the generated snippet."""
    model = process(target=TARGET)
    steps = [{"to": "oncall"}, {"to": "lead", "after": f"{AFTER}s"}]
    policies = {"tier": {"when": "tier >= 4", "steps": steps}, "alert": {"when": "severity = 4", "steps": steps}}
    alert = {"critical": {"tier": 4, "grades": 2}}
    shop = service(signals={"load": {"interval": "1s", "alert": alert}}, escalation=policies)
    groups = [*tier.groups(shop, model.target), *escalation.groups(shop, model.target)]
    write(folder, {"rules/shop.yml": {"groups": groups}})
    scrape = snippet.config(model, target, str(folder / "rules"))
    return yaml.safe_dump(
        {"global": {"evaluation_interval": "1m", "scrape_timeout": "1s", "scrape_interval": "1s"}} | scrape
    )


class History:
    """What Prometheus has stored about alerts that fire."""

    def __init__(self, server: Server) -> None:
        self.server = server

    def ask(self, query: str) -> list[dict[str, Any]]:
        answer: Any = get_json(f"{self.server.url}/api/v1/query?{urlencode({'query': query})}")
        found: list[dict[str, Any]] = answer["data"]["result"]
        return found

    def until(self, query: str, within: float = 40) -> None:
        """Wait until the query has a result."""
        deadline = time.monotonic() + within
        while not self.ask(query):
            assert time.monotonic() < deadline, query
            time.sleep(0.1)

    def samples(self, alert: str) -> list[float]:
        """Times at which the alert fired, for its one instance."""
        found = self.ask(f"{firing(alert)}[5m]")
        assert len(found) == 1, found
        return [float(at) for at, _ in found[0]["values"]]

    def restart(self, away: float) -> None:
        """Stop Prometheus, and start it again on its data after a while; it takes some seconds to scrape again."""
        self.server.stop()
        time.sleep(away)
        self.server.start()
        self.server.wait_ready()


def firing(alert: str) -> str:
    return f'ALERTS{{alertname="{alert}", alertstate="firing"}}'


def test_a_restart_of_prometheus_of_tocsin_and_of_both_changes_nothing(
    tmp_path: Path, exporter: tuple[Tocsin, str]
) -> None:
    state, target = exporter
    scraped = "time() - timestamp(tocsin_severity_level) < 1.5"
    with prometheus(tmp_path, configure(tmp_path, target)) as server:
        history = History(server)
        history.until("count_over_time(tocsin_severity_level[1m]) >= 2")
        state.tier = 4
        history.until(firing("ShopLoadCritical"))

        history.restart(AWAY)
        history.until(scraped)
        state.tier = None
        history.until("absent(tocsin_severity_level)")
        time.sleep(1)
        state.tier = 4

        for level in LEVELS:
            history.until(firing(level))
        first = history.samples("ShopLoadCritical")[0]
        for level in LEVELS:
            # A level looks once a second, and so does Prometheus.
            assert AFTER - 1.5 <= history.samples(level)[0] - first <= AFTER + 2.5, level

        state.tier = None
        history.restart(1)
        history.until('time() - timestamp(up{job="tocsin"} == 0) < 1.5')
        state.tier = 4
        history.until(scraped)
        time.sleep(1)
        for level in LEVELS:
            assert history.ask(firing(level)), level
            # It fired at every evaluation but those that the restart left out.
            gaps = [later - earlier for earlier, later in pairwise(history.samples(level))]
            assert sorted(gaps)[-2] < 1.5 < max(gaps) < 6

        state.acknowledged = 1
        for level in LEVELS:
            history.until(f"absent({firing(level)})", within=5)
        assert history.ask(firing("ShopLoadCritical"))
