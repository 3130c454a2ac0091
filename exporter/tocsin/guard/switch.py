"""The kill switch: one row that says whether operations may run, for all replicas.

Whoever decides reads the row in the transaction of the decision and locks it against a flip until the intent is on the
disk; so no decision can pass a switch that was off before it was committed.
"""

from dataclasses import dataclass

from sqlalchemy import Connection, select, update

from tocsin.guard.audit import DISABLE, ENABLE, Entry, Record, append
from tocsin.store.tables import kill_switch

#: Longest reason for which it is flipped.
LONGEST_REASON = 1000


@dataclass(frozen=True, slots=True)
class Switch:
    """`enabled`: operations may run. `generation` grows with every flip; `changed_at` is unix time."""

    enabled: bool
    generation: int
    reason: str | None
    changed_by: str | None
    changed_at: float


def read(connection: Connection, *, lock: bool = False) -> Switch:
    """The switch. `lock` keeps others from flipping it until the transaction ends, the first of all locks."""
    query = select(kill_switch)
    # SQLite has one writer and no row locks: SQLAlchemy leaves the clause out there.
    row = connection.execute(query.with_for_update(read=True) if lock else query).one()
    return Switch(row.enabled, row.generation, row.reason, row.changed_by, row.changed_at)


def clean_reason(text: str) -> str:
    """The reason that somebody gives, without space around it. Raises ValueError for one that cannot be kept."""
    reason = text.strip()
    if not reason:
        raise ValueError("found no reason, expected some words")
    # What is no text in UTF-8, and NUL, no database keeps.
    if len(reason) > LONGEST_REASON or "\0" in reason or any("\ud800" <= c <= "\udfff" for c in reason):
        raise ValueError(f"expected at most {LONGEST_REASON} characters of text")
    return reason


def flip(connection: Connection, *, enabled: bool, principal: str, reason: str | None, now: float) -> Entry:
    """Set the switch, and write who did it. Said twice it is written twice: the second may have another reason."""
    if connection.dialect.name == "postgresql":
        # A row that is always locked by somebody who decides is never free to be flipped: new ones lock it together
        # with the old ones, for minutes. Who asks for the table waits his turn, and new ones wait behind him.
        connection.exec_driver_sql("LOCK TABLE kill_switch IN EXCLUSIVE MODE")
    connection.execute(
        update(kill_switch).values(
            enabled=enabled,
            generation=kill_switch.c.generation + 1,
            reason=reason,
            changed_by=principal,
            changed_at=now,
        )
    )
    kind, result = (ENABLE, "ENABLED") if enabled else (DISABLE, "DISABLED")
    return append(connection, Record(at=now, principal=principal, kind=kind, result=result, reason=reason))
