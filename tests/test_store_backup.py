"""Backups are of one moment and complete, and go back into an empty store of either kind, whole or not at all."""

import sqlite3
import stat
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner
from sqlalchemy import func, insert, select, update

from stores import NOW, Place, episode, link, place, run_until_killed
from tocsin.cli import main
from tocsin.store import Store, StoreCannotOpen, StoreCorrupt, StoreNewer, StoreNotEmpty
from tocsin.store.backup import backup, restore
from tocsin.store.catalogue import Seed, seed
from tocsin.store.head import Head, audit_head
from tocsin.store.tables import (
    IN_ORDER,
    METADATA,
    actions,
    audit,
    chain_head,
    decisions,
    episodes,
    insights,
    kill_switch,
    limit_slots,
    limits,
    meta,
    outbox,
)

Make = Callable[[str], Place]


@pytest.fixture
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Make]:
    """Further places, each of its own."""
    made = iter(range(9))

    def one(kind: str) -> Place:
        folder = tmp_path / f"place{next(made)}"
        folder.mkdir()
        return place(kind, request, folder)

    return one


def fill(store: Store) -> None:
    """At least one row in every table, with whatever is hard to copy."""
    with store.write() as connection:
        connection.execute(insert(episodes), [episode(i, annotations={"a": "\x00ü"}) for i in range(1500)])
        row = {
            "id": "a1",
            "episode_id": "e1",
            "operation": "http",
            "service": "s",
            "resource": "piano",
            "parameters": {},
        }
        row |= {"dry_run": True, "state": "unknown", "created_at": NOW, "updated_at": 0.1 + 0.2, "result": [1, None]}
        connection.execute(insert(actions), row)
        seed(connection, [Seed("s", "piano", 240.0)], NOW)
        connection.execute(update(kill_switch).values(enabled=False, generation=2**40, reason="drill"))
        connection.execute(insert(limits), {"name": "storm", "blocked_until": NOW})
        connection.execute(insert(limit_slots), {"name": "storm", "holder": "a1", "taken_at": NOW})
        connection.execute(insert(audit), [link(seq) for seq in range(1, 4)])
        connection.execute(update(chain_head).values(seq=3, hash="h3"))
        message = {"id": "m", "kind": "firing", "receiver": "oncall", "payload": {}, "created_at": NOW, "due_at": NOW}
        connection.execute(insert(outbox), {**message, "attempts": 0})
        decision = {"id": "d", "at": NOW, "service": "s", "operation": "http", "outcome": "ok", "checks": [{"x": 1}]}
        connection.execute(insert(decisions), decision)
        connection.execute(insert(insights), {"id": "i", "at": NOW, "service": "s", "kind": "k", "detail": {}})


def content(store: Store) -> dict[str, list[tuple[object, ...]]]:
    with store.read() as connection:
        return {
            table.name: [tuple(row) for row in connection.execute(select(table).order_by(*table.primary_key))]
            for table in METADATA.sorted_tables
        }


def test_every_table_is_copied_and_after_those_that_it_refers_to() -> None:
    assert sorted(table.name for table in IN_ORDER) == sorted(METADATA.tables)
    assert IN_ORDER.index(episodes) < min(IN_ORDER.index(table) for table in (actions, outbox))
    assert IN_ORDER.index(limits) < IN_ORDER.index(limit_slots)


@pytest.mark.parametrize("into", ["sqlite", "postgresql"])
def test_what_was_stored_is_there_again_in_a_store_of_either_kind(
    store: Store, make: Make, tmp_path: Path, into: str
) -> None:
    fill(store)
    file = backup(store, tmp_path, NOW)
    assert file == tmp_path / "tocsin-20231114T221320Z.db"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    with make(into).open(now=1.0) as other:
        assert restore(other, file, NOW + 9) == Head(3, "h3")
        before, after = content(store), content(other)
        assert all(before.values())
        (about,) = after.pop("meta")
        assert about == (*before.pop("meta")[0][:-1], NOW + 9)
        assert after == before
    assert sorted(path.name for path in tmp_path.glob("*tocsin-*")) == [file.name]


def test_a_backup_is_of_one_moment_while_others_write(somewhere: Place, tmp_path: Path) -> None:
    with somewhere.open() as store:
        fill(store)
        done = threading.Event()

        def append() -> None:
            # In each transaction the chain's head and its last row are the same.
            seq = 3
            while not done.is_set():
                seq += 1
                with store.write() as connection:
                    connection.execute(insert(audit), link(seq))
                    connection.execute(update(chain_head).values(seq=seq, hash=f"h{seq}"))

        thread = threading.Thread(target=append)
        thread.start()
        try:
            files = [backup(store, tmp_path, NOW + i) for i in range(5)]
        finally:
            done.set()
            thread.join()
    heads = []
    for file in files:
        with closing(sqlite3.connect(file)) as connection, connection:
            (head,) = connection.execute("SELECT seq FROM chain_head").fetchone()
            assert connection.execute("SELECT max(seq), count(*) FROM audit").fetchone() == (head, head)
            heads.append(head)
        connection.close()
    assert heads == sorted(heads)
    assert heads[-1] > 3


def test_a_store_with_anything_in_it_takes_no_backup(store: Store, make: Make, tmp_path: Path) -> None:
    file = backup(store, tmp_path, NOW)
    with make(store.dialect).open() as other:
        with other.write() as connection:
            connection.execute(insert(episodes), episode(1))
        before = content(other)
        with pytest.raises(StoreNotEmpty, match="has rows in episodes already: restore into an empty store") as caught:
            restore(other, file, NOW)
        assert (caught.value.reason, caught.value.retry) == ("not_empty", False)
        assert content(other) == before


def test_a_process_killed_while_it_restores_leaves_the_store_empty(store: Store, make: Make, tmp_path: Path) -> None:
    fill(store)
    file = backup(store, tmp_path, NOW)
    target = make(store.dialect)
    program = f"""
        from pathlib import Path
        from tocsin.store.backup import restore
        with where.open(probe=die_at("copy: audit")) as store:
            restore(store, Path({str(file)!r}), NOW)
    """
    run_until_killed(target, program)
    with target.open() as other:
        with other.read() as connection:
            assert connection.execute(select(func.count()).select_from(episodes)).scalar_one() == 0
            assert audit_head(connection) == Head(0, "")
        assert restore(other, file, NOW) == Head(3, "h3")


def test_a_backup_of_a_newer_program_is_refused(store: Store, make: Make, tmp_path: Path) -> None:
    with store.write() as connection:
        connection.execute(update(meta).values(schema_version=7))
    file = backup(store, tmp_path, NOW)
    with make("sqlite").open() as other, pytest.raises(StoreNewer, match="has schema 7"):
        restore(other, file, NOW)


def test_what_is_no_backup_or_damaged_is_refused_and_nothing_is_restored(make: Make, tmp_path: Path) -> None:
    with make("sqlite").open() as store, make("sqlite").open() as other:
        fill(store)
        file = backup(store, tmp_path, NOW)
        whole = file.read_bytes()
        file.write_bytes(whole[: len(whole) // 2])
        with pytest.raises(StoreCorrupt, match=r"tocsin-20231114T221320Z\.db is (damaged|not a backup)"):
            restore(other, file, NOW)
        file.write_bytes(b"not a database, but long enough to be one" * 1000)
        with pytest.raises(StoreCorrupt, match="is not a backup: file is not a database"):
            restore(other, file, NOW)
        file.write_bytes(b"")
        with pytest.raises(StoreCannotOpen, match="is empty: expected a backup"):
            restore(other, file, NOW)
        with pytest.raises(StoreCannotOpen, match="is not a file"):
            restore(other, tmp_path / "none.db", NOW)
        file.write_bytes(whole)
        assert restore(other, file, NOW) == Head(3, "h3")


def test_a_backup_is_never_overwritten_and_needs_a_folder(store: Store, tmp_path: Path) -> None:
    file = backup(store, tmp_path, NOW)
    with pytest.raises(StoreCannotOpen, match="is there already"):
        backup(store, tmp_path, NOW)
    assert file.exists()
    with pytest.raises(StoreCannotOpen, match=r"cannot write the backup in .*: No such file or directory"):
        backup(store, tmp_path / "none", NOW)


def configured(where: Place, folder: Path) -> str:
    (folder / "svc.yml").write_text("service: s\nsignals: {x: {expr: up}}\n")
    file = folder / "tocsin.yml"
    password = f"store_password_file: {where.cluster.password_file}\n" if where.cluster else ""
    file.write_text(f"source: {{url: 'http://127.0.0.1:1'}}\nservices: [svc.yml]\nstore: {where.url}\n{password}")
    return str(file)


def test_the_commands_write_a_backup_and_restore_it_elsewhere(somewhere: Place, make: Make, tmp_path: Path) -> None:
    with somewhere.open() as store:
        fill(store)
    elsewhere = make(somewhere.kind)
    old, new = (
        configured(where, folder) for where, folder in ((somewhere, tmp_path), (elsewhere, tmp_path / "place0"))
    )
    done = CliRunner().invoke(main, ["backup", "--config.file", old, "--out", str(tmp_path)])
    (file,) = tmp_path.glob("tocsin-*.db")
    assert done.output == f"SUCCESS: {file} has the store up to audit record 3 at least\n"
    done = CliRunner().invoke(main, ["restore", "--config.file", new, str(file)])
    assert (done.exit_code, done.output.endswith(f"has what {file} had, up to audit record 3\n")) == (0, True)
    done = CliRunner().invoke(main, ["restore", "--config.file", new, str(file)])
    assert (done.exit_code, "already: restore into an empty store (not_empty)" in done.output) == (1, True)
    with elsewhere.open(migrate=False) as store, store.read() as connection:
        assert connection.execute(select(meta.c.restored_at)).scalar_one() is not None


def test_a_backup_of_a_store_that_is_not_there_fails_and_makes_none(make: Make, tmp_path: Path) -> None:
    where = make("sqlite")
    done = CliRunner().invoke(main, ["backup", "--config.file", configured(where, tmp_path), "--out", str(tmp_path)])
    assert done.exit_code == 1
    assert done.output == f"FAILED: cannot open the store: {where.path}: No such file or directory (cannot_open)\n"
    assert not where.path.exists()
    assert not list(tmp_path.glob("tocsin-*"))
