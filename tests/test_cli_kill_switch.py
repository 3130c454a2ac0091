"""`tocsin kill-switch` on the store and through a running Tocsin: the same words, and who it was."""

import asyncio
import json
import os
import pwd
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from structlog.testing import capture_logs

from scripted import T0
from site_client import Client, Site, caller
from stores import Place
from tocsin.cli import main
from tocsin.guard.audit import Wanted, entries, verify
from tocsin.guard.switch import flip
from tocsin.store import Store

ME = f"local:{pwd.getpwuid(os.getuid()).pw_name}"


def ran(*argv: str) -> Result:
    return CliRunner().invoke(main, list(argv), catch_exceptions=False)


def config(where: Place, folder: Path) -> str:
    """A process file with this store."""
    (folder / "s.yml").write_text("service: s\nsignals: {a: {expr: up}}\n")
    lines = ["source: {url: http://127.0.0.1:9090}", "services: [s.yml]", f"store: {where.url}"]
    if where.password is not None:
        (folder / "password").write_text(where.password)
        lines.append(f"store_password_file: {folder / 'password'}")
    (folder / "tocsin.yml").write_text("\n".join(lines) + "\n")
    return f"--config.file={folder / 'tocsin.yml'}"


def test_the_switch_of_the_store_is_flipped_and_shown(store: Store, somewhere: Place, tmp_path: Path) -> None:
    here = config(somewhere, tmp_path)
    assert ran("kill-switch", "status", here).output == "operations may run\n"
    done = ran("kill-switch", "disable", here, "--reason", " fire ")
    said = "SUCCESS: Kill switch disabled - all automated operations blocked (KILL_SWITCH_DISABLE#1)\n"
    assert (done.exit_code, done.output) == (0, said)
    shown = ran("kill-switch", "status", here)
    since = json.loads(ran("kill-switch", "status", here, "-o", "json").output)["disabledAt"]
    assert (shown.exit_code, shown.output) == (0, f"operations are blocked since {since}, by {ME}: fire\n")
    done = ran("kill-switch", "enable", here)
    said = "SUCCESS: Kill switch enabled - automated operations allowed (KILL_SWITCH_ENABLE#2)\n"
    assert (done.exit_code, done.output) == (0, said)
    assert ran("kill-switch", "status", here).output == "operations may run\n"
    with store.read() as connection:
        assert verify(connection) is None
        records = [one.record for one in entries(connection, Wanted(), limit=9)]
    assert [(one.kind, one.principal, one.reason) for one in records] == [
        ("KILL_SWITCH_ENABLE", ME, None),
        ("KILL_SWITCH_DISABLE", ME, "fire"),
    ]


@pytest.mark.usefixtures("store")
def test_json_is_what_the_api_answers(somewhere: Place, tmp_path: Path) -> None:
    here = config(somewhere, tmp_path)
    assert json.loads(ran("kill-switch", "disable", here, "--reason=fire", "-o", "json").output) == {
        "status": "DISABLED",
        "message": "Kill switch disabled - all automated operations blocked",
        "auditId": "KILL_SWITCH_DISABLE#1",
    }
    shown = json.loads(ran("kill-switch", "status", here, "-o", "json").output)
    assert shown == {
        "active": True,
        "enabled": False,
        "disabledAt": shown["lastModified"],
        "disabledBy": {"type": "EMERGENCY_OVERRIDE", "identifier": ME},
        "reason": "fire",
        "lastModified": shown["lastModified"],
    }


@pytest.mark.parametrize("reason", ["", " ", "x" * 1001, "a\0b", "\udcff"])
def test_a_reason_that_is_none_is_a_wrong_command_line(tmp_path: Path, reason: str) -> None:
    done = ran("kill-switch", "disable", f"--config.file={tmp_path / 'none.yml'}", "--reason", reason)
    assert done.exit_code == 2
    assert "'--reason'" in done.output
    assert ran("kill-switch", "disable").exit_code == 2


def test_a_store_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    where = Place(f"sqlite:///{tmp_path / 'tocsin.db'}", None, None)
    done = ran("kill-switch", "disable", config(where, tmp_path), "--reason=fire")
    assert (done.exit_code, done.output.startswith("FAILED: ")) == (1, True)
    assert "cannot_open" in done.output
    assert not where.path.exists()


# ------------------------------------------------------------------------------------------- through a running Tocsin


@pytest.fixture
def site() -> Site:
    return Site(None, caller("t0ken", "emergency", name="ops"), caller("reader", "read", name="reader"))


def through(site: Site, use: Callable[[str], None]) -> None:
    async def talk(client: Client) -> None:
        await asyncio.to_thread(use, str(client.make_url("/")))

    site.use(talk)


def test_a_running_tocsin_is_told_by_a_principal(site: Site, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("t0ken\n")
    found: list[Result] = []

    def use(url: str) -> None:
        there = ["--url", url, "--bearer-token-file", str(tmp_path / "token")]
        found.extend(
            [
                ran("kill-switch", "disable", *there, "--reason=fire"),
                ran("kill-switch", "status", "--url", url),
                ran("kill-switch", "status", "--url", url, "-o", "json"),
                ran("kill-switch", "enable", *there, "-o", "json"),
                ran("kill-switch", "status", "--url", url),
            ]
        )

    # Server and command share a standard output here.
    with capture_logs():
        through(site, use)
    assert [one.exit_code for one in found] == [0] * 5
    assert found[0].output == (
        "SUCCESS: Kill switch disabled - all automated operations blocked (KILL_SWITCH_DISABLE#1)\n"
    )
    assert found[1].output == "operations are blocked since 2023-11-15T00:00:00.000Z, by ops: fire\n"
    assert json.loads(found[2].output)["disabledBy"] == {"type": "EMERGENCY_OVERRIDE", "identifier": "ops"}
    assert json.loads(found[3].output)["auditId"] == "KILL_SWITCH_ENABLE#2"
    assert found[4].output == "operations may run\n"
    assert site.program.clock() == T0


def test_what_the_running_tocsin_refuses_is_said(site: Site, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("reader")
    found: list[tuple[int, str]] = []

    def use(url: str) -> None:
        for argv in (
            ["enable", "--url", url],
            ["enable", "--url", url, "--bearer-token-file", str(tmp_path / "token")],
            ["status", "--url", f"{url}nothing"],
        ):
            done = ran("kill-switch", *argv)
            found.append((done.exit_code, done.output.replace(url, "URL ")))

    through(site, use)
    needed = "credentials are needed: x-admin-key, a bearer token, a user and password, or AWS SigV4"
    assert found == [
        (1, f"FAILED: URL  answered 401: {needed}\n"),
        (1, "FAILED: URL  answered 403: reader does not have scope 'emergency'\n"),
        (1, "FAILED: URL nothing answered 404 with something else than the kill switch: is that a Tocsin?\n"),
    ]


def test_nobody_at_the_address_is_said() -> None:
    done = ran("kill-switch", "enable", "--url", "http://127.0.0.1:1")
    assert (done.exit_code, done.output.startswith("FAILED: http://127.0.0.1:1 did not answer: ")) == (1, True)
    for url in ("nothing", "http://user:pw@127.0.0.1:1"):
        done = ran("kill-switch", "enable", "--url", url)
        assert (done.exit_code, "'--url'" in done.output, "pw" in done.output) == (2, True, False)


def test_a_terminal_obeys_nobody(somewhere: Place, store: Store, tmp_path: Path) -> None:
    with store.write() as connection:
        flip(connection, enabled=False, principal="x", reason="\x1b[31mred", now=T0)
    assert "\\x1b[31mred" in ran("kill-switch", "status", config(somewhere, tmp_path)).output
