"""Statements that both databases know and SQLAlchemy spells twice."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Table
from sqlalchemy import Row as _Row
from sqlalchemy.dialects import postgresql, sqlite

Row = Mapping[str, Any]
#: A row that was read, whatever its columns.
Found = _Row[*tuple[Any, ...]]


def insert_new(connection: Connection, table: Table, row: Row) -> bool:
    """Insert the row unless its key, or any other unique one, is there already; whether it was inserted.

    The other row may be of a transaction that has not ended yet: PostgreSQL waits for it.
    """
    # Not rowcount: psycopg's is not that of the insert.
    statement = _insert(connection, table).on_conflict_do_nothing().returning(*table.primary_key)
    return connection.execute(statement, row).first() is not None


def upsert(connection: Connection, table: Table, row: Row, update: Sequence[str]) -> None:
    """Insert the row; where its primary key is there already, change the columns in `update` alone."""
    statement = _insert(connection, table).values(row)
    changed = {name: statement.excluded[name] for name in update}
    connection.execute(statement.on_conflict_do_update(index_elements=list(table.primary_key), set_=changed))


def _insert(connection: Connection, table: Table) -> sqlite.Insert | postgresql.Insert:
    return sqlite.insert(table) if connection.dialect.name == "sqlite" else postgresql.insert(table)
