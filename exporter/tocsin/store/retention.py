"""What is forgotten after a while, in steps so small that nobody waits for them. The audit is kept."""

from sqlalchemy import Select, Table, delete, exists, select

from tocsin.store.store import Store
from tocsin.store.tables import actions, decisions, episodes, insights, outbox

#: Seconds for which they are kept.
KEPT = 90 * 86400.0


def forget(store: Store, now: float, *, rows: int = 500) -> int:
    """Delete up to so many of the oldest rows of each kind that are older than :data:`KEPT`, one transaction each.

    Decisions and insights; and ended episodes on which nobody acted and of which no human said what they were. Returns
    how many were deleted: call it again, after letting others write, until that is 0.
    """
    before = now - KEPT
    old = {table: select(table.c.id).where(table.c.at < before).order_by(table.c.at) for table in (decisions, insights)}
    return sum(_step(store, table, query.limit(rows)) for table, query in {**old, episodes: _episodes(before)}.items())


def _episodes(before: float) -> Select[tuple[str]]:
    return (
        select(episodes.c.id)
        .where(
            episodes.c.first_seen < before,
            episodes.c.last_seen < before,
            episodes.c.state != "firing",
            episodes.c.outcome.is_(None),
            *(~exists().where(table.c.episode_id == episodes.c.id) for table in (actions, outbox)),
        )
        .order_by(episodes.c.first_seen)
    )


def _step(store: Store, table: Table, old: Select[tuple[str]]) -> int:
    with store.read() as connection:
        ids = connection.execute(old).scalars().all()
    if not ids:
        return 0
    with store.write() as connection:
        return connection.execute(delete(table).where(table.c.id.in_(ids))).rowcount
