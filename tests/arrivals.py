"""Alerts as they are after they were checked, put into a store and read from it."""

from typing import Any

from sqlalchemy import select

from tocsin.respond import episodes
from tocsin.respond.payload import Alert, identity
from tocsin.store import Store, tables


def alert(*, firing: bool = True, starts: float = 100.0, ends: float | None = None, **labels: str) -> Alert:
    labels = {"alertname": "A", "tocsin_service": "shop", **labels}
    return Alert(identity(labels), firing, labels, {"summary": "s"}, starts, ends)


def stored(store: Store) -> list[dict[str, Any]]:
    with store.read() as connection:
        rows = connection.execute(select(tables.episodes).order_by(tables.episodes.c.first_seen, tables.episodes.c.id))
        return [dict(row._mapping) for row in rows]


def take(store: Store, now: float, *alerts: Alert, **how: Any) -> episodes.Stored:
    with store.write() as connection:
        return episodes.store(connection, alerts, now, **how)
