"""`tocsin simulate`: every check in its order, the one that refuses, and nothing done or stored."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from sqlalchemy import func, select

from dying import outside
from tocsin.cli import main
from tocsin.store import Store
from tocsin.store.catalogue import Seed, seed
from tocsin.store.tables import METADATA

NOW = 1_700_000_000.0
LABELS = {"alertname": "ShopFull", "tocsin_service": "shop", "resource": "piano"}


def site(folder: Path, source: str = "http://127.0.0.1:1", *, dry: bool = True) -> Path:
    (folder / "shop.yml").write_text(
        "service: shop\n"
        "alerts: [{name: ShopFull, expr: up > 1}, {name: Other, expr: up > 2}]\n"
        "resources: [{id: piano}]\n"
        "remediation:\n"
        f"  - {{when: ShopFull, run: http, with: {{url: 'http://ops/restart'}}, dry_run: {json.dumps(dry)}}}\n"
    )
    (folder / "tocsin.yml").write_text(
        f"source: {{url: '{source}', limits: {{retries: 0}}}}\n"
        f"services: [shop.yml]\nstore: 'sqlite:///{folder}/tocsin.db'\n"
    )
    return folder / "tocsin.yml"


def simulated(folder: Path, labels: dict[str, str] | None = None, *more: str) -> tuple[int, Any, str]:
    """Exit status, what it says as JSON, and as text."""
    (folder / "alert.json").write_text(json.dumps({"labels": labels or LABELS}))
    command = ["simulate", str(folder / "alert.json"), "--config.file", str(folder / "tocsin.yml"), *more]
    text = CliRunner().invoke(main, command)
    data = CliRunner().invoke(main, [*command, "-o", "json"])
    assert text.exit_code == data.exit_code
    return text.exit_code, json.loads(data.stdout) if data.exit_code == 0 else None, text.output


def test_a_dry_run_says_what_it_would_do_and_which_record_it_would_write(tmp_path: Path) -> None:
    site(tmp_path)
    status, (one,), text = simulated(tmp_path, None, "--no-store")
    assert status == 0
    assert (one["outcome"], one["reason"], one["resource"]) == ("dry_run", None, "piano")
    assert [check["check"] for check in one["checks"]] == [
        "kill switch",
        "store",
        "storm",
        "maintenance",
        "confirmed",
        "selected",
        "limits",
        "resource",
        "episode",
    ]
    assert (one["audit"]["kind"], one["audit"]["result"]) == ("action.dry_run", "dry_run")
    assert "  pass  selected: it selects 'piano'\n" in text
    assert "it would be noted, and not done, because it is a dry run" in text


def test_what_nobody_confirms_is_held(tmp_path: Path) -> None:
    site(tmp_path, dry=False)
    _, (one,), text = simulated(tmp_path, None, "--no-store")
    assert (one["outcome"], one["reason"]) == ("held", "confirm_unreachable")
    assert one["checks"][-1]["check"] == "confirmed"
    assert "  STOP  confirmed: the ruler cannot be asked" in text


def test_what_the_ruler_confirms_would_be_done_and_is_not(tmp_path: Path) -> None:
    with outside() as world:
        site(tmp_path, f"http://{world.address}", dry=False)
        _, (one,), text = simulated(tmp_path, None, "--no-store")
    assert (one["outcome"], one["audit"]["kind"]) == ("intent", "action.intent")
    assert "it would be done: " in text
    assert world.calls == []


@pytest.mark.parametrize(
    ("labels", "reason"),
    [
        (LABELS | {"resource": "organ"}, "unknown_resource"),
        ({"alertname": "ShopFull", "tocsin_service": "shop"}, "no_resource"),
    ],
)
def test_what_selects_nothing_is_refused(tmp_path: Path, labels: dict[str, str], reason: str) -> None:
    site(tmp_path)
    _, (one,), _ = simulated(tmp_path, labels, "--no-store")
    assert (one["outcome"], one["reason"], one["checks"][-1]["check"]) == ("refused", reason, "selected")


def test_an_alert_without_a_remediation_is_named(tmp_path: Path) -> None:
    site(tmp_path)
    status, data, text = simulated(tmp_path, LABELS | {"alertname": "Other"}, "--no-store")
    assert (status, text) == (0, "Other of shop: no remediation is about it\n")
    assert data[0]["operation"] is None


def test_an_alert_without_a_service_is_said_to_have_none(tmp_path: Path) -> None:
    site(tmp_path)
    _, _, text = simulated(tmp_path, {"alertname": "ShopFull"}, "--no-store")
    assert text == "ShopFull, which has no label tocsin_service: no remediation is about it\n"


def test_what_would_be_done_if_it_fired_can_be_asked_without_a_ruler(tmp_path: Path) -> None:
    site(tmp_path, dry=False)
    _, (one,), text = simulated(tmp_path, None, "--no-store", "--firing")
    assert (one["outcome"], one["audit"]["kind"]) == ("intent", "action.intent")
    assert "  pass  confirmed: taken for granted: it was not asked whether the alert fires\n" in text


@pytest.mark.parametrize(
    "content",
    [
        {"version": "4", "alerts": [{"status": "firing", "labels": LABELS}]},
        [{"labels": LABELS}],
        [{"labels": LABELS, "status": {"state": "active", "silencedBy": []}, "receivers": [{"name": "a"}]}],
        {"status": "success", "data": {"alerts": [{"labels": LABELS, "state": "firing", "value": "1e+00"}]}},
    ],
    ids=["notification", "list", "Alertmanager's list", "Prometheus' list"],
)
def test_alerts_are_read_as_those_who_have_them_give_them(tmp_path: Path, content: object) -> None:
    site(tmp_path)
    (tmp_path / "alerts.json").write_text(json.dumps(content))
    command = ["simulate", str(tmp_path / "alerts.json"), "--config.file", str(tmp_path / "tocsin.yml"), "--no-store"]
    done = CliRunner().invoke(main, command)
    assert done.exit_code == 0, done.output
    assert done.output.startswith("ShopFull of shop -> http\n")


def test_a_store_that_is_there_is_decided_on_and_not_changed(tmp_path: Path) -> None:
    site(tmp_path)
    with Store.open(f"sqlite:///{tmp_path}/tocsin.db", now=NOW) as store:
        with store.write() as connection:
            seed(connection, [Seed("shop", "piano")], NOW)
        before = counts(store)
    _, (one,), _ = simulated(tmp_path)
    assert one["outcome"] == "dry_run"
    with Store.open(f"sqlite:///{tmp_path}/tocsin.db", now=NOW) as store:
        assert counts(store) == before


def counts(store: Store) -> dict[str, int]:
    with store.read() as connection:
        return {
            table.name: connection.execute(select(func.count()).select_from(table)).scalar_one()
            for table in METADATA.sorted_tables
        }


def test_a_store_that_is_not_there_is_a_clear_message(tmp_path: Path) -> None:
    site(tmp_path)
    status, _, text = simulated(tmp_path)
    assert status == 1
    assert text == (
        f"FAILED: cannot open the store: {tmp_path}/tocsin.db: No such file or directory (cannot_open); "
        "with --no-store an empty one is decided on\n"
    )


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "found no JSON"),
        ("[]", "found no alert, expected an alert with labels"),
        ('{"label": {}}', "expected an alert with labels"),
        ("7", "found not Alertmanager's webhook payload"),
    ],
)
def test_a_file_that_is_no_alert_is_refused(tmp_path: Path, content: str, message: str) -> None:
    site(tmp_path)
    (tmp_path / "alert.json").write_text(content)
    command = ["simulate", str(tmp_path / "alert.json"), "--config.file", str(tmp_path / "tocsin.yml"), "--no-store"]
    result = CliRunner().invoke(main, command)
    assert result.exit_code == 1
    assert message in result.output
