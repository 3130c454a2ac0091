"""From a value in a real Prometheus, through a real Alertmanager, to an operation that is done once."""

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml
from running import Tocsin, tocsin, until, watched

from generated import process, service, write
from tocsin.demo.servers import free_port
from tocsin.generate import rules
from tools.servers import alertmanager, get_json, prometheus

pytestmark = pytest.mark.e2e

TOKEN = "a canary that nobody prints"  # noqa: S105  of this test alone
TARGET = {"scrape_interval": "1s", "evaluation_interval": "1s"}


@contextmanager
def operated(token: str) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Something that can be told to do what it does, and remembers who told it."""
    seen: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            seen.append({**body, "key": self.headers["Idempotency-Key"], "auth": self.headers["Authorization"]})
            self.send_response(200 if self.headers["Authorization"] == f"Bearer {token}" else 401)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Nothing is said."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"127.0.0.1:{server.server_address[1]}", seen
        server.shutdown()


def site(folder: Path, source: str, target: str) -> Path:
    """A process file whose one alert restarts what a resource stands for."""
    (folder / "token").write_text(TOKEN)
    shop = {
        "service": "shop",
        "thresholds": THRESHOLD,
        "resources": [{"id": "piano", "capacity_minutes": 240}],
        "remediation": [
            {
                "when": "ShopFull",
                "run": "http",
                "with": {"url": f"http://{target}/restart", "token_file": str(folder / "token"), "timeout": "2s"},
                "dry_run": False,
            }
        ],
    }
    token_hash = f"sha256:{hashlib.sha256(TOKEN.encode()).hexdigest()}"
    whole = {
        "source": {"url": source},
        "services": ["shop.yml"],
        "store": f"sqlite:///{folder / 'tocsin.db'}",
        "principals": [{"name": "alertmanager", "token_hash": token_hash, "scopes": ["webhook", "read"]}],
        "guard": {"hosts": [target]},
    }
    (folder / "shop.yml").write_text(yaml.safe_dump(shop))
    (folder / "tocsin.yml").write_text(yaml.safe_dump(whole))
    return folder / "tocsin.yml"


THRESHOLD = {"full": {"expr": "load_ratio", "by": ["resource"], "unit": "ratio", "critical": 0.8, "for": "1s"}}


def routed(port: int) -> dict[str, Any]:
    """An Alertmanager that tells Tocsin of everything, again every second."""
    return {
        "route": {
            "receiver": "tocsin",
            "group_by": ["..."],
            "group_wait": "0s",
            "group_interval": "1s",
            "repeat_interval": "1s",
        },
        "receivers": [
            {
                "name": "tocsin",
                "webhook_configs": [
                    {
                        "url": f"http://127.0.0.1:{port}/api/v2/webhook",
                        "http_config": {"authorization": {"credentials": TOKEN}},
                    }
                ],
            }
        ],
    }


def test_an_alert_runs_an_operation_once_however_often_it_is_told_and_tocsin_is_restarted(tmp_path: Path) -> None:
    write(tmp_path, rules.files(process(target=TARGET), [service(signals={}, thresholds=THRESHOLD)]))
    values, port = {"piano": 0.9, "organ": 0.95}, free_port()
    with (
        watched(values) as scraped,
        operated(TOKEN) as (target, seen),
        alertmanager(tmp_path, yaml.safe_dump(routed(port))) as alerts,
    ):
        config = {
            "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
            "rule_files": [str(tmp_path / "rules" / "shop.yml")],
            "alerting": {"alertmanagers": [{"static_configs": [{"targets": [alerts.url.removeprefix("http://")]}]}]},
            "scrape_configs": [{"job_name": "shop", "static_configs": [{"targets": [f"127.0.0.1:{scraped}"]}]}],
        }
        with prometheus(tmp_path, yaml.safe_dump(config)) as server:
            path = site(tmp_path, server.url, target)
            with Tocsin(path, port=port) as running:
                until(lambda: seen, "the operation was done", 30)
                until(lambda: running.sample("tocsin_actions_total", operation="http", outcome="ok") == 1, "it ended")
                assert running.sample("tocsin_actions_total", operation="http", outcome="refused") == 1
                active = get_json(f"{running.url}/api/alerts/active")
                assert {(one["resource"], one["value"], one["threshold"]) for one in active} == {
                    ("piano", 0.9, 0.8),
                    ("organ", 0.95, 0.8),
                }
                arrived = running.sample("tocsin_alerts_received_total", status="firing") or 0
                again = arrived + 3
                until(
                    lambda: (running.sample("tocsin_alerts_received_total", status="firing") or 0) >= again,
                    "Alertmanager has told it again",
                )
                assert TOKEN not in running.log
            with Tocsin(path, port=port) as running:
                until(
                    lambda: (running.sample("tocsin_alerts_received_total", status="firing") or 0) >= 3,
                    "Alertmanager has told it again",
                )
        assert [(one["resource"], one["capacity_minutes"], one["auth"]) for one in seen] == [
            ("piano", 240.0, f"Bearer {TOKEN}")
        ]
        assert get_json(f"{alerts.url}/api/v2/alerts")
    status, said, _ = tocsin("audit", "verify", "--config.file", str(path))
    assert (status, said.partition(":")[0]) == (0, "SUCCESS")
