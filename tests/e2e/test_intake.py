"""A real Alertmanager tells a real Tocsin: stored before it is answered, sent again if not, asked for the rest."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from running import Tocsin, configuration, get, until

from tocsin.demo.servers import Server, free_port
from tools.servers import alertmanager

pytestmark = pytest.mark.e2e

TOKENS = {"webhook": "deliver-1", "admin": "decide-1"}
LABELS = {"tocsin_service": "shop", "signal": "load", "severity": "critical"}


class World:
    """Alertmanager, and where Tocsin is or will be."""

    def __init__(self, folder: Path, server: Server, port: int) -> None:
        self.folder, self.server, self.port = folder, server, port
        principals = [{"name": name, "token_file": f"{name}.token", "scopes": [name]} for name in TOKENS]
        self.config = configuration(
            folder,
            "http://127.0.0.1:1",
            alertmanager={"url": server.url},
            store=f"sqlite:///{folder}/data/tocsin.db",
            principals=principals,
        )

    def tocsin(self) -> Tocsin:
        return Tocsin(self.config, port=self.port)

    def says(self, *resources: str, lasts: float = 300) -> None:
        """Prometheus would say so to Alertmanager."""
        ends = (datetime.now(UTC) + timedelta(seconds=lasts)).isoformat()
        sent = [
            {
                "labels": {"alertname": "TooHigh", "resource": name, **LABELS},
                "annotations": {"summary": name},
                "endsAt": ends,
            }
            for name in resources
        ]
        url = f"{self.server.url}/api/v2/alerts"
        assert get(url, "POST", json.dumps(sent).encode(), Content_Type="application/json")[0] == 200

    def alerts(self, what: str = "active") -> list[dict[str, Any]] | None:
        """Newest first; None while Tocsin or its store is away."""
        status, text = get(f"http://127.0.0.1:{self.port}/api/alerts/{what}")
        found: list[dict[str, Any]] | None = json.loads(text) if status == 200 else None
        return found

    def active(self, *resources: str, within: float = 20) -> list[dict[str, Any]]:
        """Wait until these fire, and nothing else does."""

        def found() -> list[dict[str, Any]] | None:
            now = self.alerts()
            return now if now is not None and sorted(one["resource"] for one in now) == sorted(resources) else None

        return until(lambda: [found()] if found() is not None else None, f"{resources} fire", within)[0] or []


@contextmanager
def world(folder: Path, **webhook: Any) -> Iterator[World]:
    for name, token in TOKENS.items():
        (folder / f"{name}.token").write_text(token)
    port = free_port()
    hook = {
        "url": f"http://127.0.0.1:{port}/api/v2/webhook",
        "http_config": {"authorization": {"credentials_file": str(folder / "webhook.token")}},
        **webhook,
    }
    config = {
        "route": {
            "receiver": "hook",
            "group_by": ["alertname"],
            "group_wait": "1s",
            "group_interval": "1s",
            "repeat_interval": "1h",
        },
        "receivers": [{"name": "hook", "webhook_configs": [hook]}],
    }
    with alertmanager(folder, yaml.safe_dump(config)) as server:
        yield World(folder, server, port)


def test_an_alert_is_stored_acknowledged_shown_and_ended_whatever_is_restarted(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    with world(tmp_path) as there:
        with there.tocsin() as tocsin:
            there.says("piano")
            (alert,) = there.active("piano")
            assert (alert["metric"], alert["status"], alert["severity"], alert["message"]) == (
                "load",
                "firing",
                "critical",
                "piano",
            )
            path = f"{tocsin.url}/api/alerts/{alert['id']}/acknowledge"
            status, text = get(path, "POST", b"", Authorization=f"Bearer {TOKENS['admin']}")
            assert (status, json.loads(text)["acknowledgedBy"]) == (200, "admin")
        # It was killed; what it had answered is there, and what it shows is so on its first page.
        with there.tocsin() as tocsin:
            identity = {"alertname": "TooHigh", "tocsin_service": "shop", "signal": "load", "resource": "piano"}
            until(lambda: tocsin.samples("tocsin_build_info") or None, "the first page")
            assert tocsin.samples("tocsin_acknowledged", **identity) == [1]
            assert tocsin.samples("tocsin_episodes", tocsin_service="shop") == [1]
            there.says("piano", lasts=-1)
            there.active()
            until(lambda: tocsin.samples("tocsin_acknowledged") == [], "the gauge has ended")
            assert [one["status"] for one in there.alerts("history") or []] == ["resolved"]
            # The same alert once more is another episode.
            there.says("piano")
            (again,) = there.active("piano")
            assert (again["id"] != alert["id"], again["acknowledgedAt"]) == (True, None)


def test_alertmanager_sends_again_what_could_not_be_stored(tmp_path: Path) -> None:
    with world(tmp_path) as there, there.tocsin() as tocsin:
        there.says("piano")
        until(lambda: (tocsin.samples("tocsin_webhook_requests_total", code="503") or [0])[0] > 0, "it was refused")
        assert there.alerts() is None
        (tmp_path / "data").mkdir()
        there.active("piano", within=40)
        assert tocsin.samples("tocsin_alerts_received_total", status="firing") == [1]


def test_what_a_notification_leaves_out_is_asked_for(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    with world(tmp_path, max_alerts=1) as there, there.tocsin() as tocsin:
        there.says("piano", "organ", "harp")
        there.active("piano", "organ", "harp", within=40)
        assert tocsin.samples("tocsin_alerts_received_total", status="firing") == [1]


def test_an_alertmanager_that_has_forgotten_everything_ends_nothing(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    with world(tmp_path) as there:
        with there.tocsin():
            there.says("piano")
            there.active("piano")
        there.server.stop()
        with there.tocsin():
            there.active("piano")
        there.server.start()
        there.server.wait_ready()
        with there.tocsin() as tocsin:
            there.active("piano")
            there.says("organ")
            there.active("piano", "organ")
            assert "expired" not in tocsin.log
