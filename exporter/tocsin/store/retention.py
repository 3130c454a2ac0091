"""What is forgotten after a while, in steps so small that nobody waits for them. The audit is kept."""

from sqlalchemy import Table, delete, select

from tocsin.store.store import Store
from tocsin.store.tables import decisions, insights

#: Seconds for which they are kept.
KEPT = 90 * 86400.0
#: Each has a column `at`, with an index, and a key `id`.
FORGOTTEN = (decisions, insights)


def forget(store: Store, now: float, *, rows: int = 500) -> int:
    """Delete up to so many of the oldest rows of each table that are older than :data:`KEPT`, one transaction each.

    Returns how many were deleted: call it again, after letting others write, until that is 0.
    """
    return sum(_step(store, table, now - KEPT, rows) for table in FORGOTTEN)


def _step(store: Store, table: Table, before: float, rows: int) -> int:
    with store.read() as connection:
        old = select(table.c.id).where(table.c.at < before).order_by(table.c.at).limit(rows)
        ids = connection.execute(old).scalars().all()
    if not ids:
        return 0
    with store.write() as connection:
        return connection.execute(delete(table).where(table.c.id.in_(ids))).rowcount
