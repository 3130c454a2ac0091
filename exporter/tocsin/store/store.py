"""The store: transactions that read, transactions that write, and errors that say whether to try again."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Self

from sqlalchemy import Connection, Engine

from tocsin.config.store_url import Location, parse_store_url
from tocsin.store import migrations
from tocsin.store.engines import Engines, Waits, engines
from tocsin.store.errors import StoreBusy, StoreCannotOpen, StoreCorrupt, translated

#: Called with the name of each point at which a process may die; tests die there.
Probe = Callable[[str], None]

_POLL = 0.02


def nothing(_point: str) -> None:
    """The probe of a program that is no test."""


class Store:
    """One SQLite file or one PostgreSQL database, of the newest schema. Any number of threads may use it at once.

    Every StoreError is safe to meet: the transaction was rolled back (unless the error is `uncertain`), and the next
    one begins on a connection that is checked or new.
    """

    def __init__(self, location: Location, connections: Engines, probe: Probe) -> None:
        self.location = location
        self.probe = probe
        self._engines = connections

    @classmethod
    def open(
        cls,
        url: str,
        *,
        now: float,
        password: str | None = None,
        migrate: bool = True,
        waits: Waits | None = None,
        probe: Probe = nothing,
    ) -> Self:
        """Connect and bring the schema up to date; `now` (Unix seconds) dates a new store.

        With `migrate` off nothing is changed: a store that is missing, empty or of an older program is `cannot_open`.

        StoreError as named by its reason: `newer_schema` when a newer program was here, `cannot_open` for a URL that
        is no store's, a folder that is missing or a database of another program, `lost` also for a refused login.
        """
        try:
            location = parse_store_url(url)
        except ValueError as error:
            raise StoreCannotOpen(f"store: {error}") from error
        waits = waits or Waits()
        store = cls(location, engines(location, password, waits, create=migrate), probe)
        try:
            if migrate:
                _patiently(lambda: migrations.run(store.write, location.kind, now, probe), waits.busy)
            else:
                migrations.require_newest(store.read)
        except BaseException:
            store.close()
            raise
        return store

    @property
    def dialect(self) -> str:
        """`sqlite` or `postgresql`."""
        return self.location.kind

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A transaction that sees one moment of the store and cannot write; waits for no writer."""
        with self._transaction(self._engines.reader) as connection:
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A transaction that is on the disk when the block has ended, and is rolled back when it raises.

        SQLite: the only writer. PostgreSQL: read committed, so lock what you decide by (`with_for_update`), in the
        order of :mod:`tocsin.store.tables`.
        """
        with self._transaction(self._engines.writer) as connection:
            yield connection
            self.probe("write: before the commit")

    def close(self) -> None:
        """Close the connections; a later transaction opens new ones."""
        self._engines.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextmanager
    def _transaction(self, engine: Engine) -> Iterator[Connection]:
        committing = False
        try:
            self._engines.check()
            with engine.connect() as connection, connection.begin():
                yield connection
                committing = True
        except Exception as error:
            found = translated(error, committing=committing)
            if found is None:
                raise
            if isinstance(found, StoreCorrupt):
                # What these connections have cached outlives the repair of the file.
                self._engines.dispose()
            if found is error:
                raise
            raise found from error


def _patiently(do: Callable[[], None], patience: float) -> None:
    """Try again while others are at it: two processes that create one file at once do not wait for each other."""
    deadline = time.monotonic() + patience
    while True:
        try:
            return do()
        except StoreBusy:
            if time.monotonic() > deadline:
                raise
            time.sleep(_POLL)
