"""The page of operations: it says what blocks them, whom a human has to release, and what became of the last ones."""

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from sqlalchemy import update

from messages import EVIL
from scripted import T0 as NOW
from stores import Place, episode, place
from test_web_open_alerts import ATTRIBUTES, TAGS, Alerts, Page
from tocsin.cli import main
from tocsin.guard import switch
from tocsin.respond import decide, storm
from tocsin.respond.actions import PENDING
from tocsin.respond.overview import REASONS
from tocsin.store import Store
from tocsin.store.catalogue import Seed, seed
from tocsin.store.tables import actions, episodes, limits, meta, resources
from tocsin.web.operations import SHOWN

#: State, what is stored of it, and what the page says.
STATES: tuple[tuple[str, dict[str, Any], str], ...] = (
    ("intent", {}, "is about to run"),
    ("running", {"lease_owner": "me", "lease_until": NOW + 30}, "runs"),
    ("ok", {"result": {"verify": PENDING}}, "done: not known yet whether it has helped"),
    ("ok", {"result": {"verify": "ok", "verify_why": "x"}}, "done: it has helped"),
    ("ok", {"result": {"verify": "failed"}, "reason": "done"}, "done: it has not helped"),
    ("failed", {"reason": "connection"}, "failed, nothing was done: connection"),
    ("refused", {"reason": "daily_limit"}, "refused: it ran often enough on this resource within a day"),
    ("refused", {"reason": "halted"}, "refused: halted"),
    ("held", {"reason": "kill_switch"}, "waits: the kill switch blocks all operations"),
    (
        "held",
        {"reason": "interrupted"},
        "waits: nobody has taken it up in time, or the configuration has changed: it is decided again",
    ),
    ("dry_run", {"result": {"would": "POST http://ops/ <b>"}}, "dry run: POST http://ops/ <b>"),
    ("unknown", {"reason": "timeout"}, "nobody knows whether it was done: timeout"),
    (
        "unknown",
        {"reason": "interrupted"},
        "nobody knows whether it was done: whoever ran it was gone before it ended",
    ),
)


@pytest.fixture(params=["sqlite", "postgresql"])
def where(request: pytest.FixtureRequest, tmp_path: Any) -> Place:
    return place(request.param, request, tmp_path)


def acted(store: Store, number: int, **changed: Any) -> None:
    """Store an action with an episode of its own."""
    row = {"id": f"a{number}", "episode_id": f"e{number}", "operation": "http", "service": "shop", "resource": "piano"}
    row |= {"parameters": {}, "dry_run": False, "state": "intent", "created_at": NOW - number, "updated_at": NOW}
    with store.write() as connection:
        connection.execute(episodes.insert(), episode(number, alertname=changed.pop("alertname", "TooHigh")))
        connection.execute(actions.insert(), {**row, **changed})


def shown(where: Place | None = None) -> tuple[Page, str]:
    """The page, and its text on one line."""
    site = Alerts(where)
    site.program.clock = lambda: NOW
    status, _, text = site.ask("GET", "/operations")
    assert status == 200
    return Page(text), " ".join(text.split())


def test_where_nothing_has_been_asked_for_the_page_says_so() -> None:
    page, text = shown()
    assert "<p>The kill switch lets operations run.</p>" in text
    assert "<p>No alert has asked for an operation yet.</p>" in text
    assert page.cells == []


def test_each_state_is_said_in_words_with_what_is_known_of_it(where: Place) -> None:
    with where.open() as store:
        for number, (state, more, _) in enumerate(STATES):
            acted(store, number, state=state, **more)
    page, _ = shown(where)
    told = [said for _, _, said in STATES]
    assert page.cells == [["http TooHigh", "piano shop", f"{said} 2023-11-15T00:00:00Z"] for said in told]


def test_each_reason_of_a_decision_has_words() -> None:
    assert REASONS.keys() == {*decide.HELD, *decide.FINAL}


def test_a_switch_that_is_off_an_old_store_and_a_storm_are_said_with_what_ends_them(where: Place) -> None:
    with where.open() as store, store.write() as connection:
        switch.flip(connection, enabled=False, principal="ann", reason="<incident>\n3", now=NOW)
        connection.execute(update(meta).values(restored_at=NOW - 60))
        storm.lock(connection)
        lasts = {"blocked_since": NOW - 120, "blocked_until": NOW + 1}
        connection.execute(update(limits).where(limits.c.name == storm.NAME).values(lasts))
    _, text = shown(where)
    assert "lets operations run." not in text
    assert "blocks all operations since 2023-11-15T00:00:00Z: ann said “&lt;incident&gt; 3”.</p>" in text
    assert "Nothing is begun since 2023-11-14T23:59:00Z: Prometheus remembers more of the audit than there is" in text
    assert (
        "Nothing is begun since 2023-11-14T23:58:00Z: too many alerts are new. This ends at 2023-11-15T00:00:01Z"
        in text
    )
    with where.open() as store, store.write() as connection:
        connection.execute(update(limits).where(limits.c.name == storm.NAME).values(blocked_until=NOW))
    assert "too many alerts are new" not in shown(where)[1]


def test_a_resource_that_is_held_has_the_command_that_releases_it(where: Place) -> None:
    with where.open() as store, store.write() as connection:
        seed(connection, [Seed("shop", name) for name in ("piano", "a 'b' $(c)", "organ")], NOW)
        for name, since in (("a 'b' $(c)", NOW), ("piano", NOW - 60)):
            held = update(resources).where(resources.c.id == name).values(held_since=since, held_by="a1")
            connection.execute(held)
    page, _ = shown(where)
    quoted = """'a '"'"'b'"'"' $(c)'"""
    assert page.cells == [
        ["piano shop", "2023-11-14T23:59:00Z", "tocsin release resource --reason TEXT -- shop piano"],
        ["a 'b' $(c) shop", "2023-11-15T00:00:00Z", f"tocsin release resource --reason TEXT -- shop {quoted}"],
    ]


@pytest.mark.parametrize("named", [("shop", "piano"), ("--help", "-x"), ("--", "--"), ("a b", "-'")])
def test_the_command_that_is_shown_releases_the_resource_whatever_its_name(
    named: tuple[str, str], tmp_path: Path
) -> None:
    where = Place(f"sqlite:///{tmp_path / 'tocsin.db'}", None, None)
    with where.open() as store, store.write() as connection:
        seed(connection, [Seed(*named)], NOW)
        connection.execute(update(resources).values(held_since=NOW, held_by="a1"))
    (tmp_path / "s.yml").write_text("service: s\nsignals: {a: {expr: up}}\n")
    config = tmp_path / "tocsin.yml"
    config.write_text(f"source: {{url: http://127.0.0.1:9090}}\nservices: [s.yml]\nstore: {where.url}\n")
    (cell,) = shown(where)[0].cells
    program, *argv = shlex.split(cell[2])
    result = CliRunner().invoke(main, [*argv[:2], f"--config.file={config}", *argv[2:]], catch_exceptions=False)
    assert (program, result.exit_code) == ("tocsin", 0), result.output
    assert f"actions on {named[1]} of {named[0]} may begin again" in result.output
    assert shown(where)[0].cells == []


def test_the_newest_come_first_and_fifty_at_most(where: Place) -> None:
    with where.open() as store:
        for number in reversed(range(SHOWN + 1)):
            acted(store, number, resource=f"r{number}")
    page, text = shown(where)
    assert [row[1] for row in page.cells] == [f"r{number} shop" for number in range(SHOWN)]
    assert f"<p>The newest {SHOWN}.</p>" in text


def test_those_that_are_held_longest_come_first_and_fifty_at_most() -> None:
    site = Alerts()
    with Place(f"sqlite:///{site.file}", None, None).open() as store, store.write() as connection:
        seed(connection, [Seed("shop", f"r{number}") for number in range(SHOWN + 1)], NOW)
        for number in range(SHOWN + 1):
            held = update(resources).where(resources.c.id == f"r{number}")
            connection.execute(held.values(held_since=NOW - number, held_by="a1"))
    _, _, text = site.ask("GET", "/operations")
    assert [row[0] for row in Page(text).cells] == [f"r{number} shop" for number in range(SHOWN, 0, -1)]
    assert f"<p>The {SHOWN} that are held longest.</p>" in text


def test_what_others_have_named_is_text_and_nothing_is_loaded_or_run() -> None:
    site, evil = Alerts(), "\u202e" + EVIL
    with Place(f"sqlite:///{site.file}", None, None).open() as store:
        would = "x" * 5000
        acted(store, 1, alertname=EVIL, resource=evil, service=EVIL, state="dry_run", result={"would": would})
        with store.write() as connection:
            switch.flip(connection, enabled=False, principal="ann", reason=evil, now=NOW)
            seed(connection, [Seed(EVIL, evil)], NOW)
            connection.execute(update(resources).values(held_since=NOW, held_by="a1"))
    _, headers, text = site.ask("GET", "/operations")
    page = Page(text)
    assert page.tags <= TAGS | {"h2"}
    assert {name for _, name, _ in page.attributes} <= ATTRIBUTES
    urls = [value for _, name, value in page.attributes if name in ("src", "href", "data-to")]
    assert all(re.fullmatch(r"alerts|\./", url or "") for url in urls)
    assert len(page.cells) == 2
    assert "\u202e" not in text
    # Each text has the one that it begins with; the command is not cut, and names two of them.
    assert text.count("\\u202e") == 6
    assert f"<strong>dry run</strong>: {'x' * 300}…" in text
    assert "script-src 'self'" in headers["Content-Security-Policy"]


def test_a_page_that_the_store_cannot_fill_is_an_error_with_its_reason(tmp_path: Any) -> None:
    (tmp_path / "tocsin.db").write_bytes(b"no database" * 500)
    site = Alerts(Place(f"sqlite:///{tmp_path / 'tocsin.db'}", None, None))
    status, _, text = site.ask("GET", "/operations")
    assert (status, text) == (503, '{"error":"STORE_UNAVAILABLE","reason":"corrupt"}')
