"""`tocsin audit`: what was done, found and verified from the machine of the store."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import text

from stores import NOW, Place
from test_cli_kill_switch import config
from tocsin.cli import main
from tocsin.guard.audit import Record, append
from tocsin.store import Store


@pytest.fixture
def here(store: Store, somewhere: Place, tmp_path: Path) -> str:
    """The option that names a store with three records."""
    records = (
        Record(at=NOW, principal="ops", kind="KILL_SWITCH_DISABLE", result="DISABLED", reason="\x1b[31mfire"),
        Record(
            at=NOW + 86400,
            principal="tocsin",
            kind="action.ok",
            result="ok",
            operation="http",
            service="shop",
            resource="piano",
            detail={"status": 200},
        ),
        Record(at=NOW + 86401, principal="ops", kind="KILL_SWITCH_ENABLE", result="ENABLED"),
    )
    with store.write() as connection:
        for record in records:
            append(connection, record)
    return config(somewhere, tmp_path)


def ran(*argv: str) -> Result:
    return CliRunner().invoke(main, ["audit", *argv], catch_exceptions=False)


LINES = [
    "3  2023-11-15T22:13:21.000Z  KILL_SWITCH_ENABLE  ENABLED  by ops",
    "2  2023-11-15T22:13:20.000Z  action.ok  http  ok  by tocsin  shop/piano",
    "1  2023-11-14T22:13:20.000Z  KILL_SWITCH_DISABLE  DISABLED  by ops  \\x1b[31mfire",
]


@pytest.mark.parametrize(
    ("argv", "lines"),
    [
        ([], [0, 1, 2]),
        (["--operation-type=http"], [1]),
        (["--operation-type=KILL_SWITCH_ENABLE"], [0]),
        (["--kind=action.ok", "--operation=http", "--result=ok"], [1]),
        (["--principal=ops"], [0, 2]),
        (["--service=shop", "--resource=piano"], [1]),
        (["--since=2023-11-15"], [0, 1]),
        (["--until=2023-11-14"], [2]),
        (["--before=3"], [1, 2]),
        (["--principal=nobody"], []),
    ],
)
def test_records_are_listed_newest_first(here: str, argv: list[str], lines: list[int]) -> None:
    done = ran("list", here, *argv)
    assert (done.exit_code, done.stdout.splitlines()) == (0, [LINES[i] for i in lines])


def test_a_page_says_how_the_next_one_is_asked_for(here: str) -> None:
    done = ran("list", here, "--limit=2")
    assert (done.stdout.splitlines(), done.stderr) == (LINES[:2], "There are more: --before 2\n")
    found = json.loads(ran("list", here, "--limit=2", "-o", "json").stdout)
    assert ([one["auditId"] for one in found["records"]], found["next"]) == (["KILL_SWITCH_ENABLE#3", "action.ok#2"], 2)
    found = json.loads(ran("list", here, "--limit=2", "--before=2", "-o", "json").stdout)
    assert ([one["seq"] for one in found["records"]], found["next"]) == ([1], None)


@pytest.mark.parametrize(
    ("option", "said"), [("--limit=0", "'--limit'"), ("--since=noon", "'--since'"), ("--operation-type=", "printed")]
)
def test_a_wrong_filter_is_a_wrong_command_line(here: str, option: str, said: str) -> None:
    done = ran("list", here, option)
    assert (done.exit_code, said in done.stderr) == (2, True)


def test_one_record_is_shown_whole(here: str) -> None:
    found = ran("show", here, "2")
    assert found.exit_code == 0
    lines = found.stdout.splitlines()
    assert lines[0] == "id: action.ok#2"
    assert 'detail: {"status":200}' in lines
    assert "timestamp: 2023-11-15T22:13:20.000Z" in lines
    assert not [line for line in lines if line.startswith("reason")]
    assert json.loads(ran("show", here, "action.ok#2", "-o", "json").stdout)["detail"] == {"status": 200}
    assert "reason: \\x1b[31mfire" in ran("show", here, "1").stdout


def test_a_record_that_is_not_there_is_said(here: str) -> None:
    for name in ("9", "action.failed#2"):
        done = ran("show", here, name)
        assert (done.exit_code, done.stderr) == (1, f"FAILED: there is no audit record {name}\n")
    assert ran("show", here, "x").exit_code == 2


def test_a_chain_that_holds_is_said(here: str) -> None:
    last = json.loads(ran("show", here, "3", "-o", "json").stdout)["hash"]
    done = ran("verify", here)
    assert (done.exit_code, done.stdout) == (0, f"SUCCESS: 3 audit records hold, the last one's hash is {last}\n")
    found = json.loads(ran("verify", here, "-o", "json").stdout)
    assert found == {"holds": True, "seq": 3, "hash": last, "broken": None}


def test_a_record_that_was_changed_is_named(here: str, store: Store) -> None:
    with store.write() as connection:
        connection.execute(text("UPDATE audit SET result = 'failed' WHERE seq = 2"))
    why = "it was changed after it was written"
    done = ran("verify", here)
    assert (done.exit_code, done.stderr) == (1, f"FAILED: the audit does not hold at record 2: {why}\n")
    done = ran("verify", here, "-o", "json")
    assert done.exit_code == 1
    assert json.loads(done.stdout)["broken"] == {"seq": 2, "why": why}


def test_a_store_that_is_not_there_is_said(tmp_path: Path) -> None:
    where = Place(f"sqlite:///{tmp_path / 'tocsin.db'}", None, None)
    for argv in (["list"], ["show", "1"], ["verify"]):
        done = ran(*argv, config(where, tmp_path))
        assert (done.exit_code, done.stderr.startswith("FAILED: ")) == (1, True)
