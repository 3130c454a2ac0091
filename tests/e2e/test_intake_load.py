"""A rush: a real Alertmanager tells a real Tocsin of 2,000 alerts, half of them while the store is away."""

import contextlib
import json
import sqlite3
from pathlib import Path

import pytest
import yaml
from running import Tocsin, configuration, get, until

from tocsin.demo.servers import Server, free_port
from tools.servers import alertmanager

pytestmark = pytest.mark.e2e

GROUPS, EACH = 20, 100


def say(server: Server, groups: range) -> None:
    """Prometheus would say to Alertmanager that these fire: so many groups of so many alerts."""
    for group in groups:
        sent = [{"labels": {"alertname": "TooHigh", "part": f"{group}", "resource": f"{i}"}} for i in range(EACH)]
        url = f"{server.url}/api/v2/alerts"
        assert get(url, "POST", json.dumps(sent).encode(), Content_Type="application/json")[0] == 200


def firing(store: Path) -> tuple[int, int]:
    """How many episodes fire, and of how many alerts."""
    with contextlib.closing(sqlite3.connect(f"file:{store}?mode=ro", uri=True)) as connection:
        counted = "SELECT count(*), count(DISTINCT labels) FROM episodes WHERE state = 'firing'"
        found: tuple[int, int] = connection.execute(counted).fetchone()
    return found


def refused(server: Server) -> float:
    """How many requests Alertmanager counts as failed."""
    _, page = get(f"{server.url}/metrics")
    name = 'alertmanager_notification_requests_failed_total{integration="webhook"'
    return sum(float(line.rsplit(" ", 1)[1]) for line in page.splitlines() if line.startswith(name))


def test_of_2000_alerts_none_is_lost_or_stored_twice_while_the_store_comes_and_goes(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("deliver")
    store, away = tmp_path / "tocsin.db", tmp_path / "away.db"
    config = configuration(
        tmp_path,
        "http://127.0.0.1:1",
        store=f"sqlite:///{store}",
        principals=[{"name": "alertmanager", "token_file": "token", "scopes": ["webhook"]}],
    )
    port = free_port()
    hook = {
        "url": f"http://127.0.0.1:{port}/api/v2/webhook",
        "http_config": {"authorization": {"credentials_file": str(tmp_path / "token")}},
    }
    route = {"receiver": "hook", "group_by": ["part"], "group_wait": "100ms", "group_interval": "30s"}
    receivers = [{"name": "hook", "webhook_configs": [hook]}]
    with (
        alertmanager(tmp_path, yaml.safe_dump({"route": route, "receivers": receivers})) as server,
        Tocsin(config, port=port) as tocsin,
    ):
        until(lambda: tocsin.sample("tocsin_store_up") == 1, "the store is open")
        say(server, range(GROUPS // 2))
        until(lambda: firing(store) == (GROUPS // 2 * EACH,) * 2, "the first half is stored")
        store.rename(away)
        say(server, range(GROUPS // 2, GROUPS))
        until(lambda: refused(server) >= GROUPS // 2, "the second half was refused")
        away.rename(store)
        until(lambda: tocsin.sample("tocsin_webhook_requests_total", code="200") == GROUPS, "all were sent again")
        assert firing(store) == (GROUPS * EACH, GROUPS * EACH)
        assert tocsin.sample("tocsin_webhook_requests_total", code="503") == refused(server) >= GROUPS // 2
        assert sum(tocsin.samples("tocsin_alerts_received_total")) == GROUPS * EACH
