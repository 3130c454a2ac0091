"""The audit's chain: what was written is read again, whatever it is, and no change of it goes unseen."""

import hashlib
import math
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select, text

from stores import NOW, Place, together
from tocsin.guard.audit import Entry, Record, Wanted, append, entries, entry, verify
from tocsin.store import Store, StoreError
from tocsin.store.head import audit_head
from tocsin.store.tables import audit, chain_head

FULL = Record(
    at=NOW,
    principal="ops",
    kind="action.intent",
    result="ok",
    operation="http",
    service="shop",
    resource="piano",
    episode_id="e1",
    action_id="a1",
    reason="why not",
    detail={"url": "http://x", "tries": 2},
)


def record(number: int = 1, **changed: Any) -> Record:
    values = {"at": NOW + number, "principal": "ops", "kind": "K", "result": "ok", "detail": {"n": number}}
    return Record(**{**values, **changed})


def written(store: Store, *records: Record) -> list[Entry]:
    with store.write() as connection:
        return [append(connection, one) for one in records]


def broken(store: Store) -> tuple[int, str] | None:
    with store.read() as connection:
        found = verify(connection)
    return None if found is None else (found.seq, found.why)


def tampered(store: Store, statement: str) -> tuple[int, str] | None:
    with store.write() as connection:
        connection.execute(text(statement))
    return broken(store)


def found(store: Store, limit: int = 100, before: int | None = None, **wanted: Any) -> list[int]:
    with store.read() as connection:
        return [one.seq for one in entries(connection, Wanted(**wanted), limit=limit, before=before)]


def test_an_empty_chain_holds(store: Store) -> None:
    assert broken(store) is None
    with store.read() as connection:
        assert entry(connection, 1) is None


def test_a_record_is_read_as_it_was_returned_and_follows_from_the_one_before(store: Store) -> None:
    first, second = written(store, record(1), FULL)
    with store.read() as connection:
        assert [entry(connection, 1), entry(connection, 2)] == [first, second]
        head = audit_head(connection)
    assert (first.seq, first.prev_hash, second.seq, second.prev_hash) == (1, "", 2, first.hash)
    assert (head.seq, head.hash) == (2, second.hash)
    assert len({first.hash, second.hash}) == 2
    assert second.id == "action.intent#2"
    assert second.record == FULL
    assert broken(store) is None


def test_the_hash_is_of_this_and_no_other_form(store: Store) -> None:
    # A release that hashes otherwise finds every chain broken that was written before.
    (first,) = written(store, FULL)
    document = (
        '{"action_id":"a1","at":1700000000.0,"detail":"{\\"tries\\":2,\\"url\\":\\"http://x\\"}","episode_id":"e1",'
        '"kind":"action.intent","operation":"http","prev_hash":"","principal":"ops","reason":"why not",'
        '"resource":"piano","result":"ok","seq":1,"service":"shop"}'
    )
    assert first.hash == hashlib.sha256(document.encode()).hexdigest()


def test_what_is_rolled_back_leaves_no_record(store: Store) -> None:
    written(store, record(1))

    def broken_off() -> None:
        with store.write() as connection:
            append(connection, record(2))
            raise RuntimeError

    with pytest.raises(RuntimeError):
        broken_off()
    assert [one.seq for one in written(store, record(3))] == [2]
    assert broken(store) is None


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats()
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=8,
)
NAMES = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), min_size=1, max_size=20)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    at=st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**53), 2**53),
    detail=st.dictionaries(NAMES, JSON, max_size=4),
    principal=NAMES,
    reason=st.none() | NAMES,
)
def test_whatever_is_written_is_hashed_as_it_is_read(
    store: Store, at: float, detail: dict[str, Any], principal: str, reason: str | None
) -> None:
    (made,) = written(store, record(at=at, detail=detail, principal=principal, reason=reason))
    with store.read() as connection:
        assert entry(connection, made.seq) == made
        assert verify(connection) is None


def test_details_are_taken_as_they_come(store: Store) -> None:
    (made,) = written(store, record(detail=MappingProxyType({"a": (1, 2), "nothing": math.nan})))
    assert made.record.detail == {"a": [1, 2], "nothing": None}
    assert broken(store) is None


@pytest.mark.parametrize("wrong", [{"at": math.nan}, {"at": math.inf}])
def test_a_time_that_is_none_is_refused(store: Store, wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="expected a finite number"):
        written(store, record(**wrong))
    assert broken(store) is None


@pytest.mark.parametrize("wrong", [{"detail": {"x": 2**64}}, {"detail": {"x": "\ud800"}}, {"detail": {"x": object()}}])
def test_a_detail_that_is_no_json_is_refused(store: Store, wrong: dict[str, Any]) -> None:
    with pytest.raises(StoreError) as error:
        written(store, record(**wrong))
    assert error.value.reason == "invalid"
    assert broken(store) is None


CHANGED = "it was changed after it was written"
TAMPERED = [
    ("at", "at + 1"),
    ("principal", "'somebody'"),
    ("kind", "'other'"),
    ("result", "'failed'"),
    ("operation", "NULL"),
    ("service", "'bank'"),
    ("resource", "'organ'"),
    ("episode_id", "'e2'"),
    ("action_id", "NULL"),
    ("reason", "NULL"),
    ("detail", "'{}'"),
    ("detail", "replace(detail, ',', ', ')"),
    ("detail", "'{no json'"),
]


@pytest.mark.parametrize(("column", "value"), TAMPERED)
def test_a_changed_column_is_found(store: Store, column: str, value: str) -> None:
    written(store, record(1), FULL, record(3))
    statement = f"UPDATE audit SET {column} = {value} WHERE seq = 2"  # noqa: S608  of the table above
    assert tampered(store, statement) == (2, CHANGED)


def test_every_column_was_tampered_with() -> None:
    assert {column for column, _ in TAMPERED} == {one.name for one in audit.c} - {"seq", "hash", "prev_hash"}


@pytest.mark.parametrize(
    ("statement", "where"),
    [
        ("UPDATE audit SET hash = 'x' WHERE seq = 2", (2, CHANGED)),
        ("UPDATE audit SET hash = 'x' WHERE seq = 3", (3, CHANGED)),
        ("UPDATE audit SET prev_hash = 'x' WHERE seq = 2", (2, "it does not follow from the record before")),
        ("UPDATE audit SET prev_hash = 'x' WHERE seq = 1", (1, "it does not follow from the record before")),
        ("UPDATE audit SET seq = 9 WHERE seq = 2", (2, "found record 3 after 1, expected 2: records are missing")),
        ("UPDATE audit SET seq = 0 WHERE seq = 1", (1, "found record 0 after 0, expected 1: records are missing")),
        ("DELETE FROM audit WHERE seq = 1", (1, "found record 2 after 0, expected 1: records are missing")),
        ("DELETE FROM audit WHERE seq = 2", (2, "found record 3 after 1, expected 2: records are missing")),
        (
            "DELETE FROM audit WHERE seq = 3",
            (3, "found 2 records, expected 3: the end is missing, or was not written by us"),
        ),
        ("DELETE FROM audit", (1, "found 0 records, expected 3: the end is missing, or was not written by us")),
        (
            "UPDATE chain_head SET seq = 2",
            (4, "found 3 records, expected 2: the end is missing, or was not written by us"),
        ),
        ("UPDATE chain_head SET hash = 'x'", (3, "it is not the record that was written last")),
    ],
)
def test_a_changed_chain_is_found(store: Store, statement: str, where: tuple[int, str]) -> None:
    written(store, record(1), FULL, record(3))
    assert tampered(store, statement) == where


def test_a_detail_that_somebody_broke_hides_no_record(store: Store) -> None:
    written(store, record(1), record(2))
    tampered(store, "UPDATE audit SET detail = '{no json' WHERE seq = 1")
    assert found(store) == [2, 1]
    with store.read() as connection:
        one = entry(connection, 1)
    assert one is not None
    assert one.record.detail == {"unreadable": "{no json"}


def test_text_where_sqlite_should_have_a_number_is_found(tmp_path: Path) -> None:
    with Place(f"sqlite:///{tmp_path / 'tocsin.db'}", None, None).open() as store:
        written(store, record(1))
        assert tampered(store, "UPDATE audit SET at = 'noon'") == (1, CHANGED)
        assert tampered(store, "UPDATE audit SET at = 1, reason = x'00'") == (1, CHANGED)


def test_a_long_chain_is_verified_in_parts(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tocsin.guard.audit._CHUNK", 3)
    for length in (3, 7):
        written(store, *(record(i) for i in range(length)))
        assert broken(store) is None
    assert tampered(store, "DELETE FROM audit WHERE seq = 7") == (
        7,
        "found record 8 after 6, expected 7: records are missing",
    )


def test_records_are_found_by_each_of_their_values(store: Store) -> None:
    written(store, record(1), FULL, record(3, principal="other", kind="http"), record(4, result="failed", service="s"))
    assert found(store) == [4, 3, 2, 1]
    assert found(store, kind="K") == [4, 1]
    assert found(store, operation="http") == [2]
    assert found(store, operation_type="http") == [3, 2]
    assert found(store, operation_type="action.intent") == []
    assert found(store, operation_type="K") == [4, 1]
    assert found(store, principal="ops") == [4, 2, 1]
    assert found(store, service="shop") == [2]
    assert found(store, resource="piano") == [2]
    assert found(store, result="ok") == [3, 2, 1]
    assert found(store, result="ok", principal="ops") == [2, 1]
    assert found(store, since=NOW + 1, until=NOW + 3) == [3, 1]
    assert found(store, since=NOW + 1.5) == [4, 3]
    assert found(store, until=NOW + 0.5) == [2]


def test_pages_follow_each_other(store: Store) -> None:
    written(store, *(record(i) for i in range(5)))
    assert found(store, limit=2) == [5, 4]
    assert found(store, limit=2, before=4) == [3, 2]
    assert found(store, limit=2, before=2) == [1]
    assert found(store, limit=2, before=1) == []


def test_json_has_the_names_of_the_runbooks_beside_ours(store: Store) -> None:
    (made,) = written(store, FULL)
    assert made.data() == {
        "id": "action.intent#1",
        "seq": 1,
        "hash": made.hash,
        "prev_hash": "",
        "at": NOW,
        "principal": "ops",
        "kind": "action.intent",
        "result": "ok",
        "operation": "http",
        "service": "shop",
        "resource": "piano",
        "episode_id": "e1",
        "action_id": "a1",
        "reason": "why not",
        "detail": {"url": "http://x", "tries": 2},
        "auditId": "action.intent#1",
        "timestamp": "2023-11-14T22:13:20.000Z",
        "operationType": "http",
        "triggerType": None,
        "status": "SUCCESS",
    }


@pytest.mark.parametrize(
    ("result", "status"),
    [
        ("ok", "SUCCESS"),
        ("dry_run", "SUCCESS"),
        ("ENABLED", "SUCCESS"),
        ("failed", "FAILURE"),
        ("unknown", "TIMEOUT"),
        ("refused", "BLOCKED"),
        ("held", "BLOCKED"),
        ("BLOCKED", "BLOCKED"),
        ("intent", None),
    ],
)
def test_results_have_the_status_of_the_runbooks(result: str, status: str | None) -> None:
    made = Entry(1, "", "h", record(result=result, detail={"trigger": "SCHEDULED"}))
    assert (made.data()["status"], made.data()["triggerType"]) == (status, "SCHEDULED")


def test_replicas_that_append_at_once_make_one_chain_without_gaps(somewhere: Place) -> None:
    with somewhere.open() as one, somewhere.open() as other:
        stores = (one, other, one, other)

        def work(number: int) -> None:
            for _ in range(15):
                written(stores[number], record(principal=str(number)))

        together(4, work)
        assert broken(one) is None
        with one.read() as connection:
            numbers = connection.execute(select(audit.c.seq).order_by(audit.c.seq)).scalars().all()
            of_each = select(audit.c.principal, func.count()).group_by(audit.c.principal)
            by = sorted(tuple(row) for row in connection.execute(of_each))
            head = connection.execute(select(chain_head.c.seq)).scalar_one()
    assert list(numbers) == list(range(1, 61))
    assert by == [(str(number), 15) for number in range(4)]
    assert head == 60
