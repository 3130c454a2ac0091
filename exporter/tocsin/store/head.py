"""The last link of the audit's chain: what tells one state of a store from an older one."""

from dataclasses import dataclass

from sqlalchemy import Connection, select

from tocsin.store.tables import chain_head, meta


@dataclass(frozen=True)
class Head:
    """Number and hash of the last audit record; 0 and no hash while there is none."""

    seq: int
    hash: str


def audit_head(connection: Connection, *, lock: bool = False) -> Head:
    """What a caller compares with what it remembers: a smaller number means that the store is an older state.

    Whoever appends locks it, last of all locks, until its transaction ends. (SQLite has one writer and no row locks.)
    """
    statement = select(chain_head.c.seq, chain_head.c.hash)
    row = connection.execute(statement.with_for_update() if lock else statement).one()
    return Head(row.seq, row.hash)


def store_id(connection: Connection) -> str:
    """Which store this is: replicas share it, and an older state that is restored has it too."""
    found: str = connection.execute(select(meta.c.instance_id)).scalar_one()
    return found
