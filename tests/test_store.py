"""Transactions of the store, on both databases: what is written is there, whole, or an error says why not."""

import stat
import threading
from typing import Any

import pytest
from sqlalchemy import func, inspect, select, text, update

from stores import NOW, Place, episode, link
from tocsin.store import Store, StoreBusy, StoreCannotOpen, StoreConflict, StoreInvalid, StoreReadOnly, Waits
from tocsin.store.catalogue import Seed, seed
from tocsin.store.head import Head, audit_head
from tocsin.store.migrations import newest
from tocsin.store.retention import KEPT, forget
from tocsin.store.rows import insert_new, upsert
from tocsin.store.tables import (
    METADATA,
    actions,
    audit,
    chain_head,
    decisions,
    episodes,
    insights,
    kill_switch,
    meta,
    outbox,
    resources,
)


def count(store: Store, table: Any = episodes) -> int:
    with store.read() as connection:
        return connection.execute(select(func.count()).select_from(table)).scalar_one()


def test_a_new_store_has_the_newest_schema_an_armed_switch_and_an_empty_audit(store: Store) -> None:
    with store.read() as connection:
        about = connection.execute(select(meta)).one()
        switch = connection.execute(select(kill_switch)).one()
        head = audit_head(connection)
    assert (about.schema_version, about.created_at, about.restored_at) == (newest(), NOW, None)
    assert (switch.enabled, switch.generation) == (True, 1)
    assert head == Head(0, "")


def test_a_store_that_is_opened_again_is_the_same_store(somewhere: Place) -> None:
    with somewhere.open() as first, first.write() as connection:
        connection.execute(episodes.insert(), episode(1))
        instance = connection.execute(select(meta.c.instance_id)).scalar_one()
    with somewhere.open(now=NOW + 5) as again, again.read() as connection:
        assert connection.execute(select(meta.c.instance_id, meta.c.created_at)).one() == (instance, NOW)
        row = connection.execute(select(episodes)).mappings().one()
        assert {**row} == {**dict.fromkeys(episodes.c.keys()), **episode(1)}


def test_the_tables_are_those_that_the_migrations_make(store: Store) -> None:
    with store.read() as connection:
        found = inspect(connection)
        assert sorted(found.get_table_names()) == sorted(METADATA.tables)
        for table in METADATA.tables.values():
            columns = {one["name"]: one for one in found.get_columns(table.name)}
            assert list(columns) == table.c.keys()
            for column in table.c:
                kind = columns[column.name]["type"].as_generic()
                affinity = getattr(column.type, "impl", column.type)
                assert type(kind)._type_affinity is type(affinity)._type_affinity, f"{table.name}.{column.name}"
                # SQLite says of a key of text that it may be NULL; our own rows never are.
                assert columns[column.name]["nullable"] == column.nullable or column.primary_key
            keys = found.get_pk_constraint(table.name)["constrained_columns"]
            assert keys == [column.name for column in table.primary_key]


def test_a_block_that_raises_leaves_nothing(store: Store) -> None:
    with pytest.raises(ZeroDivisionError), store.write() as connection:
        raise ZeroDivisionError(connection.execute(episodes.insert(), episode(1)))
    assert count(store) == 0


def test_a_reading_transaction_cannot_write(store: Store) -> None:
    with pytest.raises(StoreReadOnly) as caught, store.read() as connection:
        connection.execute(episodes.insert(), episode(1))
    assert (caught.value.reason, caught.value.retry) == ("read_only", False)
    assert count(store) == 0


def test_a_reader_sees_one_moment_and_waits_for_no_writer(store: Store) -> None:
    with store.read() as reading:
        before = reading.execute(select(func.count()).select_from(episodes)).scalar_one()
        with store.write() as writing:
            writing.execute(episodes.insert(), episode(1))
            assert count(store) == 0
        assert reading.execute(select(func.count()).select_from(episodes)).scalar_one() == before == 0
    assert count(store) == 1


def test_an_identity_has_one_firing_episode_and_any_number_of_ended_ones(store: Store) -> None:
    with store.write() as connection:
        for i in range(3):
            ended = {"state": "resolved", "resolved_at": NOW, "tombstone_until": NOW + 86400}
            connection.execute(episodes.insert(), episode(i, identity="same", **ended))
        connection.execute(episodes.insert(), episode(7, identity="same"))
    with pytest.raises(StoreConflict) as caught, store.write() as connection:
        connection.execute(episodes.insert(), episode(8, identity="same"))
    assert (caught.value.reason, caught.value.retry, caught.value.uncertain) == ("conflict", False, False)
    assert "identity-8" not in str(caught.value)


def action(number: int, **changed: Any) -> dict[str, Any]:
    row = {"id": f"a{number}", "episode_id": "e1", "operation": "http", "service": "s", "resource": "piano"}
    row |= {"parameters": {}, "dry_run": False, "state": "intent", "created_at": NOW, "updated_at": NOW}
    return {**row, **changed}


@pytest.mark.parametrize(
    "wrong",
    [
        {"operation": "http"},
        {"operation": "other", "episode_id": "nobody"},
        {"operation": "other", "state": "perhaps"},
        {"operation": "other", "state": "running"},
        {"operation": "other", "lease_owner": "me"},
    ],
    ids=["second of an operation", "no episode", "unknown state", "running without a lease", "endless lease"],
)
def test_the_store_itself_refuses_an_action_that_cannot_be(store: Store, wrong: dict[str, Any]) -> None:
    with store.write() as connection:
        connection.execute(episodes.insert(), episode(1))
        connection.execute(actions.insert(), action(1))
    with pytest.raises(StoreConflict), store.write() as connection:
        connection.execute(actions.insert(), action(2, **wrong))
    assert count(store, actions) == 1


def test_json_is_the_same_bytes_whatever_the_order_and_may_have_any_character(store: Store) -> None:
    detail = {"b": "\x00 \U0001f3b9", "a": {"z": [1, 2.5, None, True], "y": "ü"}}
    with store.write() as connection:
        connection.execute(audit.insert(), {**link(1), "detail": detail})
    with store.read() as connection:
        assert connection.execute(select(audit.c.detail)).scalar_one() == detail
        raw = connection.execute(text("SELECT detail FROM audit")).scalar_one()
    assert raw == '{"a":{"y":"ü","z":[1,2.5,null,true]},"b":"\\u0000 \U0001f3b9"}'


@pytest.mark.parametrize("column", ["service", "labels"])
def test_text_that_is_no_unicode_is_invalid_and_says_nothing_of_the_value(store: Store, column: str) -> None:
    with pytest.raises(StoreInvalid) as caught, store.write() as connection:
        connection.execute(episodes.insert(), episode(1, **{column: "canary \ud800"}))
    assert (caught.value.reason, caught.value.retry) == ("invalid", False)
    assert "canary" not in str(caught.value)
    assert count(store) == 0


def test_a_second_writer_waits_for_the_first(somewhere: Place, store: Store) -> None:
    held, went_on = threading.Event(), threading.Event()

    def flip() -> None:
        with somewhere.open() as other, other.write() as connection:
            held.set()
            connection.execute(update(kill_switch).values(generation=kill_switch.c.generation + 1))
            went_on.set()

    with store.write() as connection:
        connection.execute(select(kill_switch).with_for_update()).one()
        thread = threading.Thread(target=flip)
        thread.start()
        # SQLite's waits before its transaction begins, PostgreSQL's for the row.
        assert store.dialect == "sqlite" or held.wait(10)
        assert not went_on.wait(0.2)
        connection.execute(update(kill_switch).values(generation=10))
    thread.join()
    with store.read() as connection:
        assert connection.execute(select(kill_switch.c.generation)).scalar_one() == 11


def test_a_writer_that_waits_too_long_is_told_that_the_store_is_busy(somewhere: Place, store: Store) -> None:
    with somewhere.open(waits=Waits(busy=0.1)) as impatient:
        with store.write() as connection:
            connection.execute(update(kill_switch).values(generation=2))
            with pytest.raises(StoreBusy) as caught, impatient.write() as other:
                other.execute(update(kill_switch).values(generation=3))
        assert (caught.value.reason, caught.value.retry) == ("busy", True)
        with impatient.write() as other:
            other.execute(update(kill_switch).values(generation=3))


def test_threads_of_one_program_wait_for_each_other_as_long(somewhere: Place) -> None:
    with somewhere.open(waits=Waits(busy=0.1)) as opened, opened.write() as connection:
        connection.execute(update(kill_switch).values(generation=2))
        with pytest.raises(StoreBusy), opened.write() as other:
            other.execute(update(kill_switch).values(generation=3))


def test_insert_new_leaves_what_is_there(store: Store) -> None:
    with store.write() as connection:
        assert insert_new(connection, episodes, episode(1))
        assert not insert_new(connection, episodes, episode(1, service="other"))
        assert not insert_new(connection, episodes, episode(2, identity="identity-1"))
        assert connection.execute(select(episodes.c.service)).scalars().all() == ["melody-meter"]


def test_upsert_changes_the_named_columns_alone(store: Store) -> None:
    with store.write() as connection:
        upsert(connection, episodes, episode(1), ["last_seen"])
        upsert(connection, episodes, episode(1, last_seen=NOW + 9, service="other"), ["last_seen"])
        assert connection.execute(select(episodes.c.last_seen, episodes.c.service)).all() == [(NOW + 9, "melody-meter")]


def test_the_audit_head_is_what_was_last_written_to_it(store: Store) -> None:
    with store.write() as connection:
        connection.execute(audit.insert(), [link(1), link(2)])
        connection.execute(update(chain_head).values(seq=2, hash="h2"))
    with store.read() as connection:
        assert audit_head(connection) == Head(2, "h2")


def test_replicas_that_append_lock_the_head_and_never_write_one_number_twice(somewhere: Place, store: Store) -> None:
    def append() -> None:
        with somewhere.open() as replica:
            for _ in range(10):
                with replica.write() as connection:
                    seq = audit_head(connection, lock=True).seq + 1
                    connection.execute(audit.insert(), link(seq))
                    connection.execute(update(chain_head).values(seq=seq, hash=f"h{seq}"))

    threads = [threading.Thread(target=append) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with store.read() as connection:
        assert audit_head(connection) == Head(30, "h30")
        assert connection.execute(select(audit.c.seq).order_by(audit.c.seq)).scalars().all() == list(range(1, 31))


def test_seeds_are_added_once_and_never_change_what_somebody_changed(store: Store) -> None:
    with store.write() as connection:
        assert seed(connection, [Seed("s", "piano", None, "signal"), Seed("s", "piano", 240.0)], NOW) == 1
        connection.execute(update(resources).values(capacity_minutes=300, version=2, active=False))
        assert seed(connection, [Seed("s", "piano", 240.0), Seed("t", "piano", None, "signal")], NOW + 1) == 1
        rows = select(resources.c["service", "capacity_minutes", "version", "active", "origin"])
        assert connection.execute(rows.order_by(resources.c.service)).all() == [
            ("s", 300.0, 2, False, "signal"),
            ("t", None, 1, True, "signal"),
        ]


def test_what_is_too_old_is_forgotten_in_steps_and_the_audit_is_kept(store: Store) -> None:
    old, young = NOW - KEPT - 1, NOW - KEPT + 1
    decision = {"service": "s", "operation": "http", "outcome": "ok", "checks": []}
    insight = {"service": "s", "kind": "pattern", "detail": {}}
    with store.write() as connection:
        for i in range(25):
            connection.execute(decisions.insert(), {"id": f"d{i}", "at": old - i, **decision})
        connection.execute(decisions.insert(), {"id": "young", "at": young, **decision})
        connection.execute(insights.insert(), {"id": "old", "at": old, **insight})
        connection.execute(insights.insert(), {"id": "young", "at": young, **insight})
        connection.execute(audit.insert(), {**link(1), "at": 0.0})
    assert [forget(store, NOW, rows=10) for _ in range(4)] == [11, 10, 5, 0]
    for table in (decisions, insights):
        with store.read() as connection:
            assert connection.execute(select(table.c.id)).scalars().all() == ["young"]
    assert count(store, audit) == 1


def test_an_ended_episode_is_forgotten_unless_somebody_acted_on_it_or_judged_it(store: Store) -> None:
    old, young = NOW - KEPT - 1, NOW - KEPT + 1
    ended = {"state": "resolved", "resolved_at": old, "tombstone_until": old, "first_seen": old, "last_seen": old}
    kept: dict[str, dict[str, Any]] = {
        "firing": {"first_seen": old, "last_seen": old},
        "seen": {**ended, "last_seen": young},
        "begun": {**ended, "first_seen": young},
        "judged": {**ended, "outcome": "dismissed"},
        "acted": ended,
        "told": ended,
    }
    action = {
        "operation": "http",
        "service": "s",
        "resource": "r",
        "parameters": {},
        "dry_run": True,
        "state": "dry_run",
    }
    message = {"kind": "firing", "receiver": "oncall", "payload": {}, "created_at": old, "due_at": old, "attempts": 0}
    with store.write() as connection:
        for i in range(12):
            row = {**ended, "state": "expired", "expired_at": old} if i % 2 else ended
            connection.execute(episodes.insert(), episode(i, **row))
        for i, (name, row) in enumerate(kept.items()):
            connection.execute(episodes.insert(), episode(100 + i, id=name, **row))
        times = {"created_at": old, "updated_at": old}
        connection.execute(actions.insert(), {"id": "a", "episode_id": "acted", **action, **times})
        connection.execute(outbox.insert(), {"id": "m", "episode_id": "told", **message})
    assert [forget(store, NOW, rows=10) for _ in range(3)] == [10, 2, 0]
    with store.read() as connection:
        assert set(connection.execute(select(episodes.c.id)).scalars()) == set(kept)


def test_a_message_leaves_the_queue_when_it_was_sent(store: Store) -> None:
    message = {"kind": "firing", "receiver": "oncall", "payload": {}, "created_at": NOW, "due_at": NOW, "attempts": 0}
    with store.write() as connection:
        connection.execute(outbox.insert(), [{"id": "m1", **message}, {"id": "m2", **message}])
        connection.execute(update(outbox).where(outbox.c.id == "m1").values(sent_at=NOW))
        due = select(outbox.c.id).where(outbox.c.sent_at.is_(None), outbox.c.due_at <= NOW)
        assert connection.execute(due).scalars().all() == ["m2"]


def test_a_url_that_is_no_stores_is_refused_before_anything_is_opened() -> None:
    with pytest.raises(StoreCannotOpen, match=r"^store: found the relative path 'tocsin.db', expected sqlite:////var"):
        Store.open("sqlite:///tocsin.db", now=NOW)


@pytest.mark.parametrize("somewhere", ["sqlite"], indirect=True)
def test_an_sqlite_file_is_for_its_owner_alone_and_so_are_its_journals(somewhere: Place) -> None:
    somewhere.path.touch(mode=0o644)
    with somewhere.open() as opened, opened.write() as connection:
        connection.execute(episodes.insert(), episode(1))
        files = list(somewhere.path.parent.glob("tocsin.db*"))
        assert {(file.name, oct(stat.S_IMODE(file.stat().st_mode))) for file in files} == {
            (name, "0o600") for name in ("tocsin.db", "tocsin.db-wal", "tocsin.db-shm")
        }


def test_every_commit_waits_for_the_disk(store: Store) -> None:
    with store.write() as connection:
        if store.dialect == "sqlite":
            pragmas = [
                connection.exec_driver_sql(f"PRAGMA {name}").scalar_one() for name in ("journal_mode", "synchronous")
            ]
            assert pragmas == ["wal", 2]
            assert connection.exec_driver_sql("PRAGMA foreign_keys").scalar_one() == 1
        else:
            assert connection.exec_driver_sql("SHOW synchronous_commit").scalar_one() == "on"
