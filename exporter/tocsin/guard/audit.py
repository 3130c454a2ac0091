"""The audit trail: who did or was refused what, each record hashed together with the one before.

A record is written in the transaction of what it describes: there is no deed without its record, and no record of what
was rolled back. Whoever can write to the database can still rewrite the whole chain; the number of the last record is
scraped (`tocsin_audit_seq`), with its hash beside it, so that Prometheus remembers what the chain was.
"""

import hashlib
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any

import orjson
from sqlalchemy import Connection, Row, Text, and_, or_, select, type_coerce, update

from tocsin.core.readable import iso
from tocsin.store.errors import StoreInvalid
from tocsin.store.head import audit_head
from tocsin.store.tables import audit, chain_head

#: The kinds of records about the kill switch.
SWITCH_KINDS = DISABLE, ENABLE = "KILL_SWITCH_DISABLE", "KILL_SWITCH_ENABLE"
#: How the runbooks call what is done in an emergency, by whoever may flip the switch.
EMERGENCY = "EMERGENCY"
#: Result -> the runbooks' status. What nobody knows the end of is nearest to what took too long.
STATUS = {
    "ENABLED": "SUCCESS",
    "DISABLED": "SUCCESS",
    "ok": "SUCCESS",
    "dry_run": "SUCCESS",
    "failed": "FAILURE",
    "unknown": "TIMEOUT",
    "refused": "BLOCKED",
    "held": "BLOCKED",
    **{status: status for status in ("SUCCESS", "FAILURE", "TIMEOUT", "BLOCKED")},
}
#: Records that :func:`verify` reads at once.
_CHUNK = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What happened. `kind` is what was done, such as `action.intent` or `KILL_SWITCH_DISABLE`; `result` how it ended.

    `at` is unix time, finite. `detail` is JSON without secrets: it is shown as it is.
    """

    at: float
    principal: str
    kind: str
    result: str
    operation: str | None = None
    service: str | None = None
    resource: str | None = None
    episode_id: str | None = None
    action_id: str | None = None
    reason: str | None = None
    detail: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Entry:
    """A record with its place in the chain."""

    seq: int
    prev_hash: str
    hash: str
    record: Record

    @property
    def id(self) -> str:
        """What answers and people call it."""
        return f"{self.record.kind}#{self.seq}"

    def data(self) -> dict[str, Any]:
        """As JSON, with the runbooks' names for what they know of beside ours.

        `operationType` is the operation, of a record without one its kind. `status` is null for what is no end, such as
        an intent, and `triggerType` where nobody noted it.
        """
        record = self.record
        return {
            "id": self.id,
            "seq": self.seq,
            "hash": self.hash,
            "prev_hash": self.prev_hash,
            **_values(record),
            "auditId": self.id,
            "timestamp": iso(record.at),
            "operationType": record.operation or record.kind,
            "triggerType": EMERGENCY if record.kind in SWITCH_KINDS else record.detail.get("trigger"),
            "status": STATUS.get(record.result),
        }


@dataclass(frozen=True, slots=True)
class Broken:
    """Where a chain does not hold."""

    seq: int
    why: str


_COLUMNS = tuple(one.name for one in fields(Record))
#: Records as they are stored: the hash is of the detail's bytes, so that not even a space can be changed unseen.
_STORED = select(
    *(type_coerce(one, Text).label(one.name) if one.name == "detail" else one for one in audit.c),
)


def append(connection: Connection, record: Record) -> Entry:
    """Add a record to the chain; its order is that of the commits. Locks the chain's head, the last of all locks.

    The entry has the record as it will be read again: `at` a float, `detail` plain JSON. Raises StoreInvalid for a
    detail that is none.
    """
    if not math.isfinite(record.at):
        raise ValueError(f"the time of a record is {record.at}, expected a finite number")
    try:
        detail = orjson.dumps(dict(record.detail), option=orjson.OPT_SORT_KEYS).decode()
    except orjson.JSONEncodeError as error:
        raise StoreInvalid(f"the detail of a record is no JSON: {error}") from error
    # Adding 0.0 also makes 0.0 of -0.0, which SQLite does not keep.
    record = replace(record, at=record.at + 0.0, detail=orjson.loads(detail))
    head = audit_head(connection, lock=True)
    seq, values = head.seq + 1, _values(record)
    digest = _hash(seq, head.hash, {**values, "detail": detail})
    connection.execute(audit.insert(), {"seq": seq, "prev_hash": head.hash, "hash": digest, **values})
    connection.execute(update(chain_head).values(seq=seq, hash=digest))
    return Entry(seq, head.hash, digest, record)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which records: those with all of these values, from `since` to `until` (unix time, both inclusive).

    `operation_type` is the operation, or the kind of a record that has none.
    """

    operation_type: str | None = None
    kind: str | None = None
    operation: str | None = None
    principal: str | None = None
    service: str | None = None
    resource: str | None = None
    result: str | None = None
    since: float | None = None
    until: float | None = None


def entries(connection: Connection, wanted: Wanted, *, limit: int, before: int | None = None) -> list[Entry]:
    """At most `limit` records, newest first; `before` is the number of the last one of the page before."""
    query = _STORED
    for name in ("kind", "operation", "principal", "service", "resource", "result"):
        if (value := getattr(wanted, name)) is not None:
            query = query.where(audit.c[name] == value)
    if (kind := wanted.operation_type) is not None:
        query = query.where(or_(audit.c.operation == kind, and_(audit.c.operation.is_(None), audit.c.kind == kind)))
    if wanted.since is not None:
        query = query.where(audit.c.at >= wanted.since)
    if wanted.until is not None:
        query = query.where(audit.c.at <= wanted.until)
    if before is not None:
        query = query.where(audit.c.seq < before)
    return [_entry(row) for row in connection.execute(query.order_by(audit.c.seq.desc()).limit(limit))]


def entry(connection: Connection, seq: int) -> Entry | None:
    """One record by its number."""
    row = connection.execute(_STORED.where(audit.c.seq == seq)).one_or_none()
    return None if row is None else _entry(row)


def verify(connection: Connection) -> Broken | None:
    """The first place where the chain does not hold, or None: every hash is worked out again from what is stored."""
    seq, digest = 0, ""
    for row in _chain(connection):
        if row.seq != seq + 1:
            return Broken(seq + 1, f"found record {row.seq} after {seq}, expected {seq + 1}: records are missing")
        if row.prev_hash != digest:
            return Broken(row.seq, "it does not follow from the record before")
        if row.hash != _hash_as_stored(row):
            return Broken(row.seq, "it was changed after it was written")
        seq, digest = row.seq, row.hash
    head = audit_head(connection)
    if head.seq != seq:
        return Broken(
            seq + 1, f"found {seq} records, expected {head.seq}: the end is missing, or was not written by us"
        )
    if head.hash != digest:
        return Broken(seq, "it is not the record that was written last")
    return None


def _chain(connection: Connection) -> Iterator[Row[Any]]:
    """All records in their order, as they are stored."""
    query = _STORED.order_by(audit.c.seq)
    found: Sequence[Row[Any]] = connection.execute(query.limit(_CHUNK)).all()
    while found:
        yield from found
        found = connection.execute(query.where(audit.c.seq > found[-1].seq).limit(_CHUNK)).all()


def _values(record: Record) -> dict[str, Any]:
    return {name: getattr(record, name) for name in _COLUMNS}


def _hash(seq: int, before: str, values: Mapping[str, Any]) -> str:
    """SHA-256 of the record as JSON with sorted keys, with its number and the hash of the one before."""
    document = {**values, "seq": seq, "prev_hash": before}
    return hashlib.sha256(orjson.dumps(document, option=orjson.OPT_SORT_KEYS)).hexdigest()


def _hash_as_stored(row: Row[Any]) -> str | None:
    """The hash that the record should have; None if somebody stored what we cannot have written."""
    try:
        return _hash(row.seq, row.prev_hash, {name: row._mapping[name] for name in _COLUMNS})  # noqa: SLF001  see _entry
    except orjson.JSONEncodeError:
        return None


def _entry(row: Row[Any]) -> Entry:
    found = {name: row._mapping[name] for name in _COLUMNS}  # noqa: SLF001  SQLAlchemy's public name for it
    try:
        found["detail"] = orjson.loads(found["detail"])
    except orjson.JSONDecodeError:
        # Not our doing, as `verify` says; the others have to be seen all the same.
        found["detail"] = {"unreadable": str(found["detail"])}
    return Entry(row.seq, row.prev_hash, row.hash, Record(**found))
