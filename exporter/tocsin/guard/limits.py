"""Limits over a sliding time, kept in the store: a restart forgets none, and replicas share them."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, delete, func, select

from tocsin.store.rows import insert_new, upsert
from tocsin.store.tables import limit_slots, limits


@dataclass(frozen=True, slots=True)
class Limit:
    """At most `most` within `seconds`, counted under a name. Its share of the audit and of answers is `reason`."""

    name: str
    most: int
    seconds: float
    reason: str


@dataclass(frozen=True, slots=True)
class Room:
    """What is left of a limit: `remaining` more, and if none, the next one `retry_after` seconds from now."""

    limit: Limit
    remaining: int
    retry_after: float


def lock(connection: Connection, wanted: Sequence[Limit]) -> None:
    """Make these limits known, and lock them in one order, so that two who want the same ones do not wait crosswise."""
    for name in sorted({one.name for one in wanted}):
        insert_new(connection, limits, {"name": name})
        connection.execute(select(limits.c.name).where(limits.c.name == name).with_for_update()).one()


def room(connection: Connection, limit: Limit, holder: str, now: float) -> Room:
    """What is left of a limit for a holder, who never stands in his own way. Lock it first if you mean to take."""
    slots = limit_slots.c
    young = (slots.name == limit.name) & (slots.taken_at > now - limit.seconds) & (slots.holder != holder)
    taken: int = connection.execute(select(func.count()).select_from(limit_slots).where(young)).scalar_one()
    if taken < limit.most:
        return Room(limit, limit.most - taken, 0.0)
    if limit.most == 0:
        return Room(limit, 0, limit.seconds)
    # The next one is free when all but `most - 1` have become too old.
    query = select(slots.taken_at).where(young).order_by(slots.taken_at.desc()).offset(limit.most - 1).limit(1)
    oldest: float = connection.execute(query).scalar_one()
    return Room(limit, 0, oldest + limit.seconds - now)


def take(connection: Connection, limit: Limit, holder: str, now: float) -> None:
    """Take one of it; a second time for the same holder takes no more, but from now on. Forgets what is too old."""
    old = (limit_slots.c.name == limit.name) & (limit_slots.c.taken_at <= now - limit.seconds)
    connection.execute(delete(limit_slots).where(old))
    upsert(connection, limit_slots, {"name": limit.name, "holder": holder, "taken_at": now}, ["taken_at"])
