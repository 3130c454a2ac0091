"""Twenty secrets in one configuration, each a canary: none of them sings in anything that Tocsin says or keeps."""

import contextlib
import hashlib
import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest
import yaml
from running import Tocsin, get, tocsin, until

from dying import outside
from tocsin.demo.servers import free_port
from tocsin.web.app import ROUTES

pytestmark = pytest.mark.e2e

CANARIES = [f"canary-{number:02d}-{hashlib.sha256(str(number).encode()).hexdigest()[:12]}" for number in range(20)]
#: Every page and answer of the program, with what those that want more are asked.
MORE = {"/api/v1/explain": "/api/v1/explain?slo=none", "/api/admin/audit/{id}": "/api/admin/audit/1"}
PAGES = [MORE.get(route.path, route.path) for route in ROUTES if route.method == "GET"]


class Cage:
    """Hands out the canaries, in files or as they are."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.left = folder, list(CANARIES)

    def text(self) -> str:
        return self.left.pop(0)

    def file(self) -> str:
        path = self.folder / f"secret-{len(self.left)}"
        path.write_text(self.text() + "\n")
        return str(path)


def service(cage: Cage, world: str) -> dict[str, Any]:
    """A service whose three operations have secrets of their own."""
    good = {
        "url": f"http://{world}/restart",
        "token_file": cage.file(),
        "headers": {"X-One": cage.text(), "X-Two": cage.text()},
    }
    refused = {"url": "http://127.0.0.1:1/x", "token_file": cage.file(), "headers": {"X-Three": cage.text()}}
    pool = {"url": "postgresql://me@127.0.0.1:1/db", "password_file": cage.file(), "idle_longer_than": "10m"}
    return {
        "service": "shop",
        "alerts": [{"name": name, "expr": "up > 1"} for name in ("Good", "Refused", "Pool")],
        "resources": [{"id": "piano"}],
        "remediation": [
            {"when": "Good", "run": "http", "with": good, "dry_run": False},
            {"when": "Refused", "run": "http", "with": refused, "dry_run": False, "cool_down": "0s"},
            {"when": "Pool", "run": "postgres_pool_recycle", "with": pool, "dry_run": False},
        ],
    }


def configured(folder: Path, world: str) -> tuple[Path, str]:
    """A process file with all canaries, and the token that delivers alerts, which is one of them."""
    cage = Cage(folder)
    token, admin = cage.text(), cage.text()
    whole: dict[str, Any] = {
        "source": {
            "url": f"http://{world}",
            "auth": {
                "basic": {"username": "tocsin", "password_file": cage.file()},
                "headers": {"X-Scope-OrgID": cage.text(), "X-Api-Key": cage.text()},
            },
        },
        "services": ["shop.yml"],
        "store": f"sqlite:///{folder / 'tocsin.db'}",
        "guard": {"hosts": [world, "127.0.0.1:1"]},
        "principals": [
            {"name": "alertmanager", "token_file": str(folder / "token"), "scopes": ["webhook"]},
            {"name": "ops", "token_file": str(folder / "admin"), "scopes": ["read", "admin", "emergency"]},
            {"name": "signer", "secret_file": cage.file(), "access_key_id": "AKIDOPS", "scopes": ["read"]},
        ],
        "smtp": {
            "smarthost": "mail.example.com:587",
            "from": "t@example.com",
            "username": "t",
            "password_file": cage.file(),
        },
        "receivers": {
            "oncall": {"pagerduty": {"routing_key_file": cage.file()}},
            "chat": {"slack": {"api_url_file": cage.file(), "channel": "#ops"}},
            "jira": {
                "jira": {
                    "api_url": "https://jira.example.com",
                    "project": "OPS",
                    "username": "t",
                    "token_file": cage.file(),
                }
            },
            "hook": {"webhook": {"url_file": cage.file()}},
        },
        "alertmanager": {"webhook": {"url": "http://tocsin:9889/api/v2/webhook", "token_file": cage.file()}},
        "default_receiver": "oncall",
    }
    (folder / "token").write_text(token)
    (folder / "admin").write_text(admin)
    shop = service(cage, world)
    # What is left is in files that are named wrongly, with other faults beside them.
    broken = {**whole, "store_password_file": cage.file(), "source": {**whole["source"], "urll": cage.text()}}
    (folder / "shop.yml").write_text(yaml.safe_dump(shop))
    (folder / "tocsin.yml").write_text(yaml.safe_dump(whole))
    (folder / "broken.yml").write_text(yaml.safe_dump(broken))
    assert len(cage.left) <= 1, cage.left
    return folder / "tocsin.yml", token


def test_no_canary_sings(tmp_path: Path) -> None:
    said: list[str] = []
    with outside() as world:
        path, token = configured(tmp_path, world.address)
        admin = (tmp_path / "admin").read_text()
        with Tocsin(path, "--log.level", "debug", port=free_port()) as running:
            until(lambda: running.sample("tocsin_store_up") == 1, "the store is open")
            for name in ("Good", "Refused", "Pool"):
                labels = {"alertname": name, "tocsin_service": "shop", "resource": "piano"}
                alert = {"status": "firing", "labels": labels, "startsAt": "2026-01-01T00:00:00Z"}
                body = json.dumps({"version": "4", "alerts": [alert]}).encode()
                url = running.url + "/api/v2/webhook"
                status, text = get(url, "POST", body, Authorization=f"Bearer {token}")
                assert status == 200
                said.append(text)
                wrong = (f"Bearer {admin}x", f"Basic {token}", token)
                said += [get(url, "POST", body, Authorization=one)[1] for one in wrong]
            until(lambda: len(running.samples("tocsin_actions_total")) == 3, "every operation has ended")
            answers = [get(running.url + page, **{"x-admin-key": admin}) for page in PAGES]
            assert [status for status, _ in answers if status not in (200, 404)] == []
            said += [text for _, text in answers]
            broken = (tmp_path / "broken.yml").read_text()
            good = path.read_text()
            path.write_text(broken)
            said.append(get(running.url + "/-/reload", "POST")[1])
            path.write_text(good)
            assert running.stop()[0] == 0
            said.append(running.log)
        alert_file = tmp_path / "alert.json"
        alert_file.write_text(json.dumps({"labels": labels}))
        for command in (
            ("check", "config", str(tmp_path / "broken.yml")),
            ("check", "config", str(path), "-o", "json"),
            ("simulate", str(alert_file), "--config.file", str(path), "-o", "json"),
            ("audit", "list", "--config.file", str(path), "-o", "json"),
            ("audit", "verify", "--config.file", str(path)),
            ("kill-switch", "status", "--config.file", str(path)),
        ):
            _, out, err = tocsin(*command)
            said += [out, err]
    with contextlib.closing(sqlite3.connect(tmp_path / "tocsin.db")) as database:
        said += list(database.iterdump())
    everything = "\n".join(said)
    assert "action.ended" in everything
    assert [canary for canary in CANARIES if canary in everything] == []
    # They were used all the same: the one operation that could be done was done.
    assert len(world.calls) == 1
