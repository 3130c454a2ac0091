"""What can go wrong with the store, each with a named reason and whether trying again may help."""

import sqlite3
from typing import ClassVar

import psycopg
from sqlalchemy import exc


class StoreError(Exception):
    """The store did not do it. `uncertain`: the commit itself broke, so it may have done it after all: look again."""

    reason: ClassVar[str] = "io_error"
    retry: ClassVar[bool] = False

    def __init__(self, message: str, *, uncertain: bool = False) -> None:
        super().__init__(message)
        self.uncertain = uncertain


class StoreBusy(StoreError):
    """Others hold what is needed, or the server is overloaded."""

    reason = "busy"
    retry = True


class StoreLost(StoreError):
    """The database cannot be reached, or went away meanwhile."""

    reason = "lost"
    retry = True


class StoreFull(StoreError):
    """There is no space left."""

    reason = "full"


class StoreReadOnly(StoreError):
    """The store may be read and not written."""

    reason = "read_only"


class StoreCorrupt(StoreError):
    """The content is damaged, or is no database at all."""

    reason = "corrupt"


class StoreCannotOpen(StoreError):
    """The file or its folder is missing, is another one than before, or may not be opened."""

    reason = "cannot_open"


class StoreNewer(StoreError):
    """A newer program has changed the schema."""

    reason = "newer_schema"


class StoreNotEmpty(StoreError):
    """Something is stored where a backup was to be restored."""

    reason = "not_empty"


class StoreConflict(StoreError):
    """A constraint says no: it is there already, or refers to what is not."""

    reason = "conflict"


class StoreInvalid(StoreError):
    """A value that this database cannot store, such as text with a NUL."""

    reason = "invalid"


#: Faults of one statement: the rest of the transaction is as good as before.
OF_ONE_STATEMENT = (StoreConflict, StoreInvalid)

#: Faults of a commit after which a part of it may have reached the disk, or all of it the server.
_UNCERTAIN = (StoreError, StoreLost, StoreCorrupt)

#: Primary result codes, https://www.sqlite.org/rescode.html; all others are StoreError itself.
_SQLITE: dict[int, type[StoreError]] = {
    sqlite3.SQLITE_BUSY: StoreBusy,
    sqlite3.SQLITE_LOCKED: StoreBusy,
    sqlite3.SQLITE_PERM: StoreCannotOpen,
    sqlite3.SQLITE_CANTOPEN: StoreCannotOpen,
    sqlite3.SQLITE_READONLY: StoreReadOnly,
    sqlite3.SQLITE_FULL: StoreFull,
    sqlite3.SQLITE_CORRUPT: StoreCorrupt,
    sqlite3.SQLITE_NOTADB: StoreCorrupt,
    sqlite3.SQLITE_CONSTRAINT: StoreConflict,
    sqlite3.SQLITE_TOOBIG: StoreInvalid,
    sqlite3.SQLITE_MISMATCH: StoreInvalid,
}

#: Codes and classes of codes, https://www.postgresql.org/docs/current/errcodes-appendix.html; the longest one wins.
_POSTGRESQL: dict[str, type[StoreError]] = {
    "08": StoreLost,
    "22": StoreInvalid,
    "23": StoreConflict,
    "25006": StoreReadOnly,  # read_only_sql_transaction
    "25P03": StoreLost,  # idle_in_transaction_session_timeout
    "28": StoreCannotOpen,  # invalid authorization
    "3D": StoreCannotOpen,  # no such database
    "40": StoreBusy,  # serialization failure, deadlock
    "42501": StoreReadOnly,  # insufficient_privilege
    "53": StoreBusy,  # out of memory, too many connections
    "53100": StoreFull,
    "54": StoreInvalid,  # program limit exceeded, such as a row too large for an index
    "55P03": StoreBusy,  # lock_not_available
    "57014": StoreBusy,  # statement timeout
    "57P": StoreLost,  # shut down, crashed, or starting
    "57P04": StoreCannotOpen,  # the database was dropped
    "XX001": StoreCorrupt,
    "XX002": StoreCorrupt,
}


def translated(error: Exception, *, committing: bool = False) -> StoreError | None:
    """The StoreError that says the same; None for an error that is not the database's. Values are never repeated."""
    if isinstance(error, StoreError):
        return error
    if isinstance(error, exc.TimeoutError):
        return StoreBusy("all connections are in use")
    cause = error.orig if isinstance(error, exc.StatementError) else error
    # orjson's error is TypeError itself: only that of a value on its way into a statement is meant.
    if isinstance(cause, UnicodeError | OverflowError) or (cause is not error and isinstance(cause, TypeError)):
        return StoreInvalid(f"a value cannot be stored: {type(cause).__name__}")
    if isinstance(cause, sqlite3.Error):
        kind, text = _sqlite(cause)
    elif isinstance(cause, psycopg.Error):
        kind, text = _postgresql(cause)
    else:
        return None
    return kind(text, uncertain=committing and kind in _UNCERTAIN)


def _sqlite(error: sqlite3.Error) -> tuple[type[StoreError], str]:
    # Errors that the Python module finds itself, such as a wrong number of values, have no code.
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
    if isinstance(error, sqlite3.DataError | sqlite3.InterfaceError):
        return StoreInvalid, str(error)
    return _SQLITE.get(code, StoreError), str(error)


def _postgresql(error: psycopg.Error) -> tuple[type[StoreError], str]:
    text = error.diag.message_primary or str(error).partition("\n")[0] or type(error).__name__
    code = error.sqlstate or ""
    for length in (5, 3, 2):
        if (kind := _POSTGRESQL.get(code[:length])) is not None:
            return kind, text
    if not code and isinstance(error, psycopg.OperationalError):
        return StoreLost, text
    # psycopg's own: a value that has no form in PostgreSQL.
    return (StoreInvalid if not code and isinstance(error, psycopg.DataError) else StoreError), text
