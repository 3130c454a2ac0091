"""Remediate, verify, then page, with everything generated from one configuration: who is healed wakes nobody."""

import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import orjson
import pytest
import yaml
from running import Tocsin, tocsin, until, watched

from tocsin.demo.servers import free_port
from tools.servers import alertmanager, prometheus

pytestmark = pytest.mark.e2e

TOKEN = "a token of this test"  # noqa: S105  of this test alone
GRACE = 4


@contextmanager
def world(values: dict[str, float]) -> Iterator[tuple[str, list[tuple[str, str, str]]]]:
    """What heals a piano and no organ, and whoever is paged: heard are (alert, resource, status)."""
    heard: list[tuple[str, str, str]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = orjson.loads(self.rfile.read(int(self.headers["Content-Length"])))
            status = 200
            if self.path == "/heal":
                status = 200 if body["resource"] == "piano" else 422
                if status == 200:
                    values["piano"] = 0.1
            else:
                heard.extend((a["labels"]["alertname"], a["labels"]["resource"], a["status"]) for a in body["alerts"])
            self.send_response(status)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Nothing is said."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        yield f"127.0.0.1:{server.server_address[1]}", heard
        server.shutdown()


def configured(folder: Path, port: int, source: str, other: str) -> Path:
    """The process file; `other` is the program that heals and that is paged."""
    (folder / "token").write_text(TOKEN)
    run = {"when": "ShopFull", "run": "http", "dry_run": False, "hold_grace": f"{GRACE}s"}
    shop: dict[str, Any] = {
        "service": "shop",
        "thresholds": {"full": {"expr": "load_ratio", "by": ["resource"], "critical": 0.8, "for": "1s", "page": True}},
        "resources": [{"id": "piano"}, {"id": "organ"}],
        "remediation": [{**run, "with": {"url": f"http://{other}/heal", "timeout": "2s"}}],
    }
    whole: dict[str, Any] = {
        "source": {"url": source},
        "services": ["shop.yml"],
        "store": f"sqlite:///{folder / 'tocsin.db'}",
        "principals": [
            {
                "name": "alertmanager",
                "token_hash": f"sha256:{hashlib.sha256(TOKEN.encode()).hexdigest()}",
                "scopes": ["webhook"],
            }
        ],
        "target": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "guard": {"hosts": [other]},
        "receivers": {"oncall": {"webhook": {"url": f"http://{other}/page"}}},
        "default_receiver": "oncall",
        "alertmanager": {
            "webhook": {"url": f"http://127.0.0.1:{port}/api/v2/webhook", "token_file": str(folder / "token")},
            "timing": {"group_wait": "1s", "group_interval": "1s", "repeat_interval": "1h"},
        },
    }
    (folder / "shop.yml").write_text(yaml.safe_dump(shop))
    (folder / "tocsin.yml").write_text(yaml.safe_dump(whole))
    return folder / "tocsin.yml"


def test_who_is_healed_wakes_nobody_and_who_is_not_is_paged_after_the_grace(tmp_path: Path) -> None:
    values, port = {"piano": 0.1, "organ": 0.1}, free_port()
    with watched(values) as scraped, world(values) as (other, heard):
        path = configured(tmp_path, port, "http://127.0.0.1:1", other)
        status, said, wrong = tocsin("generate", "all", "--config.file", str(path), "--out", str(tmp_path))
        assert status == 0, said + wrong
        routes = (tmp_path / "alertmanager" / "alertmanager.yml").read_text()
        (tmp_path / "templates").symlink_to(tmp_path / "alertmanager" / "templates")
        with alertmanager(tmp_path, routes) as alerts:
            jobs = {"shop": [scraped], "tocsin": [port]}
            config = {
                "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
                "rule_files": [str(tmp_path / "rules" / "shop.yml")],
                "alerting": {
                    "alertmanagers": [{"static_configs": [{"targets": [alerts.url.removeprefix("http://")]}]}]
                },
                "scrape_configs": [
                    {"job_name": job, "honor_labels": True, "static_configs": [{"targets": [f"127.0.0.1:{found[0]}"]}]}
                    for job, found in jobs.items()
                ],
            }
            with prometheus(tmp_path, yaml.safe_dump(config)) as server:
                path = configured(tmp_path, port, server.url, other)
                with Tocsin(path, port=port) as running:
                    values.update(piano=0.9, organ=0.9)
                    ended = {"ok": 1, "failed": 1}
                    until(
                        lambda: all(
                            running.sample("tocsin_actions_total", operation="http", outcome=outcome) == count
                            for outcome, count in ended.items()
                        ),
                        "one was healed, one was not",
                        40,
                    )
                    until(lambda: ("ShopFullPage", "organ", "firing") in heard, "somebody was paged", 30)
                    values.update(organ=0.1)
                    until(lambda: ("ShopFullPage", "organ", "resolved") in heard, "it was over", 30)
    assert {(alert, resource) for alert, resource, _ in heard} == {("ShopFullPage", "organ")}
