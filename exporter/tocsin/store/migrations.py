"""From the schema that is there to the newest: numbered files of SQL, each in one transaction with its number.

A process that dies leaves the number and the schema as they were before its transaction. Processes that start together
go one after the other, and each looks at the number again when it is its turn.
"""

import uuid
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import cache
from importlib import resources

from sqlalchemy import Connection, func, insert, inspect, select, text, update

from tocsin.store.errors import StoreCannotOpen, StoreNewer
from tocsin.store.tables import chain_head, meta

#: Any number will do, as long as every version of the program has the same.
_LOCK = 0x70C51

Transaction = Callable[[], AbstractContextManager[Connection]]


@cache
def scripts() -> tuple[tuple[str, ...], ...]:
    """The statements of each migration, in order; the first one is number 1."""
    folder = resources.files("tocsin.store") / "sql"
    names = sorted(file.name for file in folder.iterdir() if file.name.endswith(".sql"))
    assert names == [f"{n:04}.sql" for n in range(1, len(names) + 1)]
    return tuple(_statements((folder / name).read_text(encoding="utf-8")) for name in names)


def _statements(script: str) -> tuple[str, ...]:
    code = "\n".join(line for line in script.splitlines() if not line.startswith("--"))
    return tuple(statement.strip() for statement in code.split(";\n") if statement.strip())


def newest() -> int:
    """The version of the schema that this program needs."""
    return len(scripts())


def version(connection: Connection) -> int:
    """The version of the schema that is there, 0 in an empty database; StoreCannotOpen in somebody else's."""
    tables = inspect(connection).get_table_names()
    if {meta.name, chain_head.name} <= set(tables):
        found: int = connection.execute(select(meta.c.schema_version)).scalar_one()
        return found
    if tables:
        raise StoreCannotOpen(
            f"the database has another program's tables, such as {min(tables)}: expected an empty one"
        )
    return 0


def run(write: Transaction, dialect: str, now: float, probe: Callable[[str], None]) -> None:
    """Apply what is missing; StoreNewer when the schema is newer than this program."""
    while True:
        with write() as connection:
            if dialect == "postgresql":
                # Until the transaction ends, whichever way. On SQLite there is one writer anyway.
                connection.execute(select(func.pg_advisory_xact_lock(_LOCK)))
                connection.execute(text("SET LOCAL statement_timeout = 0"))
            have = _known_version(connection)
            if have == newest():
                return
            _apply(connection, have + 1, now, probe)
        probe(f"migration {have + 1}: committed")


def require_newest(read: Transaction) -> None:
    """StoreNewer, or StoreCannotOpen, when the schema is not the one that this program needs."""
    with read() as connection:
        have = _known_version(connection)
    if have < newest():
        found = f"has schema {have}" if have else "is empty"
        raise StoreCannotOpen(
            f"the store {found} and this program needs {newest()}: start Tocsin once to bring it there"
        )


def _known_version(connection: Connection) -> int:
    have = version(connection)
    if have > newest():
        raise StoreNewer(
            f"the store has schema {have} and this program knows up to {newest()}: "
            "run the newer program again, or restore a backup from before"
        )
    return have


def _apply(connection: Connection, number: int, now: float, probe: Callable[[str], None]) -> None:
    for i, statement in enumerate(scripts()[number - 1]):
        probe(f"migration {number}: before statement {i}")
        connection.exec_driver_sql(statement)
    probe(f"migration {number}: before its number")
    if number == 1:
        values = {"id": 1, "schema_version": 1, "instance_id": uuid.uuid4().hex, "created_at": now}
        connection.execute(insert(meta).values(values))
    else:
        connection.execute(update(meta).values(schema_version=number))
