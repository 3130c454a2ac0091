"""Backups: one SQLite file, dated, of one moment of either store; it is restored into an empty store of either kind."""

import os
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import Connection, func, insert, select, update

from tocsin.store.errors import StoreCannotOpen, StoreCorrupt, StoreNotEmpty, translated
from tocsin.store.head import Head, audit_head
from tocsin.store.store import Probe, Store
from tocsin.store.tables import IN_ORDER, chain_head, kill_switch, meta

_ROWS = 1000
#: A new store has one row in each of these; restoring puts the backup's in its place.
_ONE_ROW = (meta, kill_switch, chain_head)


def backup(store: Store, folder: Path, now: float) -> Path:
    """Write `tocsin-DATE.db` into the folder while others go on reading and writing, and return its path.

    The file is complete under that name or not there at all, readable by its owner alone, and checked. StoreError when
    the store cannot be read or the folder not be written.
    """
    target = folder / f"tocsin-{datetime.fromtimestamp(now, UTC):%Y%m%dT%H%M%SZ}.db"
    if target.exists():
        raise StoreCannotOpen(f"{target} is there already")
    with _files(folder) as partial:
        if store.dialect == "sqlite":
            _copy_file(store, partial)
        else:
            _copy_rows_into_file(store, partial, now)
        _sealed(partial)
        partial.rename(target)
        _synced(folder)
    return target


def restore(store: Store, file: Path, now: float) -> Head:
    """Put a backup into an empty store, all or nothing, and return its audit's head.

    `meta.restored_at` is set to `now`: until somebody clears it, actions are to be held, because what was done after
    the backup is not known here. StoreNotEmpty when anything was stored; StoreCorrupt, StoreNewer and StoreCannotOpen
    as they are for a store. The file is not changed.
    """
    if not file.is_file():
        raise StoreCannotOpen(f"{file} is not a file")
    with (
        tempfile.TemporaryDirectory() as folder,
        _migrated(file, Path(folder) / "backup.db", now) as source,
        source.read() as old,
        store.write() as new,
    ):
        _refuse_unless_empty(new, store)
        _copy(old, new, store.probe)
        new.execute(update(meta).values(restored_at=now))
        return audit_head(new)


@contextmanager
def _files(folder: Path) -> Iterator[Path]:
    """A file of a new name in the folder, removed unless it was renamed; errors of files become StoreError."""
    try:
        descriptor, name = tempfile.mkstemp(prefix=".tocsin-", suffix=".partial", dir=folder)
        os.close(descriptor)
        partial = Path(name)
        try:
            yield partial
        finally:
            for suffix in ("", "-wal", "-shm"):
                partial.with_name(partial.name + suffix).unlink(missing_ok=True)
    except OSError as error:
        raise StoreCannotOpen(f"cannot write the backup in {folder}: {error.strerror}") from error
    except sqlite3.Error as error:
        raise translated(error) or error from error


def _copy_file(store: Store, partial: Path) -> None:
    """SQLite's own online backup; in one step, so that it is of one moment and no writer can make it begin anew."""
    with store.read() as connection:
        driver = connection.connection.driver_connection
        assert isinstance(driver, sqlite3.Connection)
        with closing(sqlite3.connect(partial)) as target:
            driver.backup(target)


def _copy_rows_into_file(store: Store, partial: Path, now: float) -> None:
    with (
        Store.open(f"sqlite:///{partial.absolute()}", now=now) as target,
        store.read() as old,
        target.write() as new,
    ):
        _copy(old, new, store.probe)


def _copy(old: Connection, new: Connection, probe: Probe) -> None:
    """All rows, a thousand at a time: neither store has to fit into memory."""
    for table in IN_ORDER:
        if table in _ONE_ROW:
            new.execute(table.delete())
        rows = old.execute(select(table), execution_options={"yield_per": _ROWS})
        for some in rows.mappings().partitions():
            new.execute(insert(table), [dict(row) for row in some])
        probe(f"copy: {table.name}")


def _sealed(partial: Path) -> None:
    """One file without journals, found intact and on the disk."""
    with closing(sqlite3.connect(partial, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = DELETE")
        _intact(connection, partial)
    _synced(partial)


def _intact(connection: sqlite3.Connection, file: Path) -> None:
    try:
        found = connection.execute("PRAGMA integrity_check(1)").fetchone()[0]
    except sqlite3.DatabaseError as error:
        raise StoreCorrupt(f"{file} is not a backup: {error}") from error
    if found != "ok":
        raise StoreCorrupt(f"{file} is damaged: {found.partition(chr(10))[0]}")


def _synced(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _migrated(file: Path, copy: Path, now: float) -> Iterator[Store]:
    """A copy of the backup with the newest schema."""
    with closing(sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro&immutable=1", uri=True)) as source:
        _intact(source, file)
        if not source.execute("SELECT 1 FROM sqlite_master").fetchone():
            raise StoreCannotOpen(f"{file} is empty: expected a backup")
        with closing(sqlite3.connect(copy)) as target:
            source.backup(target)
    with Store.open(f"sqlite:///{copy}", now=now) as store:
        yield store


def _refuse_unless_empty(connection: Connection, store: Store) -> None:
    for table in IN_ORDER:
        allowed = 1 if table in _ONE_ROW else 0
        if (connection.execute(select(func.count()).select_from(table)).scalar_one()) > allowed:
            raise StoreNotEmpty(f"{store.location} has rows in {table.name} already: restore into an empty store")
