"""Connections to both databases, each with what makes a commit durable and a transaction ours to begin."""

import os
import stat
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event

from tocsin.config.store_url import Location
from tocsin.store.errors import StoreCannotOpen
from tocsin.store.mounts import network

#: Connections at once for reading, and on PostgreSQL for writing; SQLite has exactly one that writes.
SIZE = 5
#: A writer that died without a word (a machine that lost power) must not hold its locks for hours.
_IDLE_IN_TRANSACTION = 30.0


@dataclass(frozen=True)
class Waits:
    """Longest waits, in seconds: for others (locks, connections), and for one statement or connection of a server."""

    busy: float = 5.0
    statement: float = 10.0


@dataclass(frozen=True)
class Engines:
    """One engine that reads and one that writes; `check` raises StoreError when the store is not the opened one."""

    reader: Engine
    writer: Engine
    check: Callable[[], None]

    def dispose(self) -> None:
        """Close every connection that is not in use; the others when they are given back."""
        self.reader.dispose()
        self.writer.dispose()


def engines(location: Location, password: str | None, waits: Waits, *, create: bool = True) -> Engines:
    """Engines for the store; StoreCannotOpen when SQLite's file is not to be had. Does not connect."""
    if location.kind == "postgresql":
        return _postgresql(location, password, waits)
    path = Path(location.path)
    return _sqlite(path, _own_file(path, os.O_CREAT if create else 0), waits)


def _sqlite(path: Path, inode: tuple[int, int], waits: Waits) -> Engines:

    def check() -> None:
        # A file that was moved away or replaced takes every write and keeps none of them.
        try:
            found = path.stat()
        except OSError as error:
            raise StoreCannotOpen(f"{path} is gone: {error.strerror}") from error
        if (found.st_dev, found.st_ino) != inode:
            raise StoreCannotOpen(f"{path} is another file than the one that was opened")

    reader = _sqlite_engine(path, waits, size=SIZE, read_only=True)
    writer = _sqlite_engine(path, waits, size=1, read_only=False)
    return Engines(reader, writer, check)


def _own_file(path: Path, create: int) -> tuple[int, int]:
    """Create the file, or make it ours alone; SQLite gives its journals the same mode. Returns what identifies it."""
    if kind := network(path.parent):
        raise StoreCannotOpen(f"cannot open the store: {path.parent} is on {kind}: expected a disk of this machine")
    try:
        descriptor = os.open(path, create | os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC, 0o600)
    except OSError as error:
        missing = not path.parent.is_dir()
        what = f"the folder {path.parent} does not exist" if missing else f"{path}: {error.strerror}"
        raise StoreCannotOpen(f"cannot open the store: {what}") from error
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise StoreCannotOpen(f"cannot open the store: {path} is not a file")
        if found.st_uid == os.geteuid():
            mode = stat.S_IMODE(found.st_mode) & 0o700
            os.fchmod(descriptor, mode)
            # Journals that a killed process left have the mode that the file had then.
            for journal in (path.with_name(path.name + suffix) for suffix in ("-wal", "-shm")):
                with suppress(FileNotFoundError):
                    journal.chmod(mode)
        return found.st_dev, found.st_ino
    finally:
        os.close(descriptor)


def _sqlite_engine(path: Path, waits: Waits, *, size: int, read_only: bool) -> Engine:
    engine = create_engine(
        URL.create("sqlite+pysqlite", database=str(path)),
        hide_parameters=True,
        pool_size=size,
        max_overflow=0,
        pool_timeout=waits.busy,
        connect_args={"timeout": waits.busy},
    )

    @event.listens_for(engine, "connect")
    def connected(connection: Any, _record: object) -> None:  # noqa: ANN401  what the driver calls a connection
        # The Python module would begin transactions by itself, before some statements and not before others.
        connection.isolation_level = None
        cursor = connection.cursor()
        cursor.execute("PRAGMA journal_mode = WAL")
        cursor.execute("PRAGMA synchronous = FULL")
        cursor.execute("PRAGMA foreign_keys = ON")
        cursor.execute(f"PRAGMA query_only = {'ON' if read_only else 'OFF'}")
        cursor.close()

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        # A transaction that begins by reading and then wants to write fails when somebody else wrote in between.
        connection.exec_driver_sql("BEGIN" if read_only else "BEGIN IMMEDIATE")

    return engine


def _postgresql(location: Location, password: str | None, waits: Waits) -> Engines:
    reader = _postgresql_engine(location, password, waits, read_only=True)
    return Engines(reader, _postgresql_engine(location, password, waits, read_only=False), lambda: None)


def _postgresql_engine(location: Location, password: str | None, waits: Waits, *, read_only: bool) -> Engine:
    url = URL.create(
        "postgresql+psycopg", location.user, password, location.host, location.port, location.database, location.options
    )
    settings = {
        "statement_timeout": waits.statement,
        "lock_timeout": waits.busy,
        "idle_in_transaction_session_timeout": _IDLE_IN_TRANSACTION,
    }
    options = [f"-c {name}={round(seconds * 1000)}" for name, seconds in settings.items()]
    # A generic plan that was made while a table was empty is kept, and reads all of it ever after.
    options.append("-c plan_cache_mode=force_custom_plan")
    engine = create_engine(
        url,
        hide_parameters=True,
        pool_size=SIZE,
        max_overflow=0,
        pool_timeout=waits.busy,
        pool_pre_ping=True,  # after a restart of the server the pool is full of dead connections
        isolation_level="REPEATABLE READ" if read_only else "READ COMMITTED",
        connect_args={
            "connect_timeout": max(2, round(waits.statement)),
            "application_name": "tocsin",
            "options": " ".join(options),
            # A server that vanished without a word is noticed after half a minute, not after two hours.
            "keepalives_idle": 10,
            "keepalives_interval": 5,
            "keepalives_count": 3,
            "tcp_user_timeout": 30_000,
        },
    )

    @event.listens_for(engine, "connect")
    def connected(connection: Any, _record: object) -> None:  # noqa: ANN401  what the driver calls a connection
        # With off a commit is answered before it is on the disk: an intent could be acted on and forgotten.
        connection.execute(
            "SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'"
        )
        connection.commit()
        # None leaves it to the server: one that must not be written says so by itself.
        connection.read_only = True if read_only else None

    return engine
