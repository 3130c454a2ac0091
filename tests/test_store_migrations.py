"""From one schema to the next: a process that dies on the way leaves the one before, and nobody opens a newer one."""

import subprocess
import sys
import threading
from pathlib import Path

import pytest
from sqlalchemy import inspect, select, text, update

from stores import NOW, Place, run_until_killed
from tocsin.store import Probe, StoreCannotOpen, StoreNewer, migrations
from tocsin.store.store import Store
from tocsin.store.tables import meta

NEXT = ("ALTER TABLE insights ADD COLUMN score DOUBLE PRECISION", "CREATE INDEX insights_kind ON insights (kind)")

#: Where a process dies while it makes the first schema.
POINTS = [
    "migration 1: before statement 0",
    "migration 1: before statement 7",
    f"migration 1: before statement {len(migrations.scripts()[0]) - 1}",
    "migration 1: before its number",
    "write: before the commit",
    "migration 1: committed",
]


@pytest.fixture
def newer(monkeypatch: pytest.MonkeyPatch) -> int:
    """A program of the future, which knows one migration more; its number."""
    known = migrations.scripts()
    monkeypatch.setattr(migrations, "scripts", lambda: (*known, NEXT))
    return len(known) + 1


def columns(store: Store) -> list[str]:
    with store.read() as connection:
        return [column["name"] for column in inspect(connection).get_columns("insights")]


def schema(store: Store) -> int:
    with store.read() as connection:
        return migrations.version(connection)


@pytest.mark.parametrize("point", POINTS)
def test_a_process_killed_while_it_makes_the_schema_leaves_all_of_it_or_nothing(somewhere: Place, point: str) -> None:
    run_until_killed(somewhere, f"where.open(probe=die_at({point!r}))")
    if point == "migration 1: committed":
        with somewhere.open(migrate=False) as opened:
            assert schema(opened) == 1
    else:
        with pytest.raises(StoreCannotOpen, match="the store is empty and this program needs 1"):
            somewhere.open(migrate=False)
    with somewhere.open() as opened:
        assert schema(opened) == migrations.newest()
        with opened.read() as connection:
            assert len(connection.execute(select(meta)).all()) == 1


@pytest.mark.parametrize(
    "point", ["migration 2: before statement 1", "migration 2: before its number", "migration 2: committed"]
)
def test_a_process_killed_while_it_changes_a_schema_leaves_the_old_or_the_new_one(
    somewhere: Place, newer: int, point: str
) -> None:
    program = f"""
        from tocsin.store import migrations
        where.open().close()
        known = migrations.scripts()
        migrations.scripts = lambda: (*known, {NEXT!r})
        where.open(probe=die_at({point!r}))
    """
    run_until_killed(somewhere, program)
    if point == "migration 2: committed":
        with somewhere.open(migrate=False) as opened:
            assert (schema(opened), columns(opened)[-1]) == (newer, "score")
    else:
        with pytest.raises(StoreCannotOpen, match="the store has schema 1 and this program needs 2"):
            somewhere.open(migrate=False)
    with somewhere.open() as opened:
        assert (schema(opened), columns(opened)[-1]) == (newer, "score")


def test_what_is_missing_is_applied_and_what_is_there_stays(somewhere: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    with somewhere.open() as old, old.read() as connection:
        instance = connection.execute(select(meta.c.instance_id)).scalar_one()
        before = columns(old)
    known = migrations.scripts()
    monkeypatch.setattr(migrations, "scripts", lambda: (*known, NEXT))
    with somewhere.open() as new, new.read() as connection:
        assert connection.execute(select(meta.c.instance_id)).scalar_one() == instance
        assert columns(new) == [*before, "score"]


def test_a_migration_that_fails_leaves_the_schema_before_it(somewhere: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    with somewhere.open() as opened:
        before = columns(opened)
    known = migrations.scripts()
    monkeypatch.setattr(migrations, "scripts", lambda: (*known, (*NEXT, "INSERT INTO meta (id) VALUES (2)")))
    with pytest.raises(Exception, match="constraint"):
        somewhere.open()
    monkeypatch.undo()
    with somewhere.open() as opened:
        assert (schema(opened), columns(opened)) == (1, before)


@pytest.mark.parametrize("migrate", [True, False])
def test_a_newer_schema_is_refused_with_what_to_do_and_left_alone(somewhere: Place, migrate: bool) -> None:
    with somewhere.open() as opened, opened.write() as connection:
        connection.execute(update(meta).values(schema_version=7))
    with pytest.raises(StoreNewer) as caught:
        somewhere.open(migrate=migrate)
    assert str(caught.value) == (
        "the store has schema 7 and this program knows up to 1: "
        "run the newer program again, or restore a backup from before"
    )
    assert (caught.value.reason, caught.value.retry) == ("newer_schema", False)


def test_processes_that_start_together_make_one_store(somewhere: Place) -> None:
    program = (
        "import sys; from stores import *; from sqlalchemy import select; from tocsin.store.tables import meta\n"
        "where = Place(sys.argv[1], sys.argv[2] or None, None); print('ready', flush=True); sys.stdin.readline()\n"
        "with where.open() as store, store.read() as c: print(c.execute(select(meta.c.instance_id)).scalar_one())"
    )
    argv = [sys.executable, "-c", program, somewhere.url, somewhere.password or ""]
    pipe = subprocess.PIPE
    started = [
        subprocess.Popen(argv, stdin=pipe, stdout=pipe, stderr=pipe, text=True, cwd=Path(__file__).parent)
        for _ in range(3)
    ]
    for one in started:
        assert one.stdout is not None
        assert one.stdout.readline() == "ready\n"
    said = [one.communicate("go\n", timeout=60) for one in started]
    assert [error for _, error in said] == [""] * 3
    assert len({out for out, _ in said}) == 1


def test_who_comes_while_another_makes_the_schema_waits_and_finds_it(somewhere: Place) -> None:
    held, go = threading.Event(), threading.Event()
    opened: list[str] = []

    def hold(point: str) -> None:
        if point == "migration 1: before its number":
            held.set()
            assert go.wait(10)

    def make(probe: Probe) -> None:
        with somewhere.open(probe=probe) as store, store.read() as connection:
            opened.append(connection.execute(select(meta.c.instance_id)).scalar_one())

    made: list[str] = []
    first = threading.Thread(target=make, args=(hold,))
    second = threading.Thread(target=make, args=(made.append,))
    first.start()
    assert held.wait(10)
    second.start()
    second.join(0.5)
    assert second.is_alive()
    go.set()
    first.join()
    second.join()
    assert len(opened) == 2
    assert opened[0] == opened[1]
    assert not [point for point in made if point.startswith("migration")]


def test_a_database_of_another_program_is_left_alone(somewhere: Place) -> None:
    with somewhere.open() as opened, opened.write() as connection:
        for name in ("meta", "chain_head"):
            connection.execute(text(f"ALTER TABLE {name} RENAME TO dashboards_of_{name}"))
    with pytest.raises(StoreCannotOpen, match="the database has another program's tables, such as actions: expected"):
        somewhere.open()


def test_a_store_that_is_not_there_is_not_made_for_somebody_who_only_looks(tmp_path: Path) -> None:
    with pytest.raises(StoreCannotOpen, match="No such file"):
        Store.open(f"sqlite:///{tmp_path / 'tocsin.db'}", now=NOW, migrate=False)
    assert not list(tmp_path.iterdir())
