"""`postgres_pool_recycle`: end connections to a database that have been idle for long, which makes room for others."""

import asyncio
import os
import socket
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any, LiteralString

import psycopg
import structlog

from tocsin.config.operations import PostgresPoolRecycle, parse_database
from tocsin.config.secrets import SecretError, read_secret
from tocsin.config.types import describe as quoted
from tocsin.config.types import format_duration
from tocsin.respond.operations.kind import Kind, Outcome, Stopped, Task, plural

log = structlog.get_logger(__name__)

REASONS = (
    # ok
    "done",
    "nothing_idle",
    "partly_denied",
    # refused
    "no_time_left",
    # failed
    "secret_unusable",
    "connection_failed",
    "connection_timeout",
    "login_refused",
    "permission_denied",
    "statement_failed",
    "statement_timeout",
    # failed or unknown
    "connection_lost",
    # unknown
    "stopped_midway",
    "not_confirmed",
)

#: What Tocsin calls itself: its connections, the store's among them, are never ended.
_OWN = "tocsin"
#: Seconds between two looks at what is still there.
_LOOK = 0.05
#: Seconds in which a run notices that its connection was cut.
_GRACE = 0.5

# Who is whose: a connection counts only if its role is known to be neither a superuser nor one for replication.
_ENDABLE: LiteralString = """
  a.datname = current_database() AND a.pid <> pg_backend_pid() AND a.backend_type = 'client backend'
  AND a.application_name <> %(own)s
  AND EXISTS (SELECT FROM pg_roles r WHERE r.oid = a.usesysid AND NOT r.rolsuper AND NOT r.rolreplication)
  AND a.state = ANY(%(states)s) AND a.state_change < clock_timestamp() - make_interval(secs => %(idle)s)
  AND (%(application)s::text IS NULL OR a.application_name = %(application)s)
  AND (%(user)s::text IS NULL OR a.usename = %(user)s)
"""
_FIND: LiteralString = f"""
SELECT a.pid, a.backend_start FROM pg_stat_activity a WHERE {_ENDABLE} ORDER BY a.state_change, a.pid LIMIT %(limit)s
"""  # noqa: S608  of constants
# Whose state is not shown to us could be idle or not.
_HIDDEN = """
SELECT count(*) FROM pg_stat_activity a
WHERE a.datname = current_database() AND a.pid <> pg_backend_pid() AND a.state IS NULL AND a.backend_type IS NULL
  AND (%(user)s::text IS NULL OR a.usename = %(user)s)
"""
# All is asked again in the statement that ends it: it may have begun to work, or be another with the same pid.
_END: LiteralString = f"""
SELECT pg_terminate_backend(a.pid) FROM pg_stat_activity a
WHERE a.pid = %(pid)s AND a.backend_start = %(start)s AND {_ENDABLE}
"""  # noqa: S608  of constants
_THERE = "SELECT pid, backend_start FROM pg_stat_activity WHERE pid = ANY(%(pids)s)"

Backend = tuple[int, datetime]


class _Recycling:
    """One run. What it has noted by then says how it ends when it breaks off."""

    def __init__(self, task: Task, parameters: PostgresPoolRecycle, limit: float) -> None:
        self._task, self._parameters, self._limit = task, parameters, limit
        self._connection: psycopg.AsyncConnection | None = None
        self._signalled: list[Backend] = []
        self._denied = 0
        self._doubtful = False

    @property
    def touched(self) -> bool:
        """Whether a connection was ended, or may have been."""
        return self._doubtful or bool(self._signalled)

    async def run(self) -> Outcome:
        """All of it; what is raised is for `broken`."""
        password = await asyncio.to_thread(self._password)
        self._connection = await psycopg.AsyncConnection.connect(**self._settings(password))
        try:
            return await self._recycle(self._connection)
        finally:
            await self._connection.close()

    async def stop(self, work: "asyncio.Task[Outcome]") -> None:
        """End the run at once, with the connection under it: a server that hangs does not answer a cancellation."""
        if self._connection is not None and not self._connection.closed:
            with suppress(OSError, psycopg.Error), socket.socket(fileno=os.dup(self._connection.fileno())) as wire:
                wire.shutdown(socket.SHUT_RDWR)
            await asyncio.wait({work}, timeout=_GRACE)
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)

    def broken(self, error: BaseException | None) -> Outcome:
        """Outcome of a run that raised this; None when its time was over."""
        timeout = error is None or isinstance(error, psycopg.errors.QueryCanceled)
        if self.touched:
            lost = not timeout and isinstance(error, psycopg.OperationalError)
            return Outcome("unknown", "connection_lost" if lost else "not_confirmed", self._detail())
        if self._connection is None:
            return Outcome("failed", "connection_timeout" if timeout else _not_connected(error))
        if timeout:
            return Outcome("failed", "statement_timeout")
        if isinstance(error, psycopg.errors.InsufficientPrivilege):
            return Outcome("failed", "permission_denied")
        return Outcome(
            "failed", "connection_lost" if isinstance(error, psycopg.OperationalError) else "statement_failed"
        )

    def midway(self) -> Outcome:
        """Outcome of a run that was told to stop after it had ended a connection."""
        return Outcome("unknown", "stopped_midway", self._detail())

    def _detail(self) -> dict[str, int]:
        return {"signalled": len(self._signalled), "denied": self._denied}

    async def _recycle(self, connection: psycopg.AsyncConnection) -> Outcome:
        values = self._values()
        found: list[Backend] = await (await connection.execute(_FIND, values)).fetchall()
        if not found:
            return await _nothing(connection, values)
        for backend in found:
            await self._task.check()
            await self._end(connection, backend, values)
        if not self._signalled:
            if self._denied:
                return Outcome("failed", "permission_denied", {"denied": self._denied})
            return Outcome("ok", "nothing_idle", {"ended": 0})  # all of them have work again
        await _until_gone(connection, self._signalled)
        detail = {"ended": len(self._signalled), "denied": self._denied}
        return Outcome("ok", "partly_denied" if self._denied else "done", detail)

    async def _end(self, connection: psycopg.AsyncConnection, backend: Backend, values: dict[str, Any]) -> None:
        pid, start = backend
        self._doubtful = True
        try:
            row = await (await connection.execute(_END, {**values, "pid": pid, "start": start})).fetchone()
        except psycopg.errors.InsufficientPrivilege:
            row = None
            self._denied += 1
        self._doubtful = False
        if row == (True,):
            self._signalled.append(backend)

    def _password(self) -> str | None:
        file = self._parameters.password_file
        return None if file is None else read_secret(file)

    def _settings(self, password: str | None) -> dict[str, Any]:
        where = parse_database(self._parameters.url)
        return {
            "host": where.host,
            "port": where.port,
            "user": where.user,
            "dbname": where.database,
            **where.options,
            "password": password,
            "application_name": _OWN,
            "options": f"-c statement_timeout={max(1, round(self._limit * 1000))}",
            "autocommit": True,  # what is ended stays ended: a transaction would only pretend
            "prepare_threshold": None,
        }

    def _values(self) -> dict[str, Any]:
        parameters = self._parameters
        in_transaction = ["idle in transaction", "idle in transaction (aborted)"]
        return {
            "own": _OWN,
            "states": ["idle", *(in_transaction if parameters.include_idle_in_transaction else ())],
            "idle": parameters.idle_longer_than,
            "application": parameters.application,
            "user": parameters.user,
            "limit": parameters.max_connections,
        }


async def run(task: Task, parameters: PostgresPoolRecycle) -> Outcome:
    """End what is idle, and see that it is gone. Stopped comes from the task."""
    limit = task.left(parameters.timeout)
    if limit <= 0:
        return Outcome("refused", "no_time_left")
    recycling = _Recycling(task, parameters, limit)
    work = asyncio.create_task(recycling.run())
    try:
        await asyncio.wait({work}, timeout=limit)
    finally:
        late = not work.done()
        if late:
            await recycling.stop(work)
    try:
        return work.result()
    except Stopped:
        if recycling.touched:
            return recycling.midway()
        raise
    except SecretError as error:
        log.warning("an operation was not begun", action=task.action_id, reason="secret_unusable", why=str(error))
        return Outcome("failed", "secret_unusable")
    except psycopg.Error as error:
        return recycling.broken(None if late else error)
    except asyncio.CancelledError:
        return recycling.broken(None)


async def _nothing(connection: psycopg.AsyncConnection, values: dict[str, Any]) -> Outcome:
    row = await (await connection.execute(_HIDDEN, values)).fetchone()
    hidden = row[0] if row else 0
    if hidden:
        return Outcome("failed", "permission_denied", {"hidden": hidden})
    return Outcome("ok", "nothing_idle", {"ended": 0})


async def _until_gone(connection: psycopg.AsyncConnection, backends: Sequence[Backend]) -> None:
    while True:
        cursor = await connection.execute(_THERE, {"pids": [pid for pid, _ in backends]})
        if not set(backends) & set(await cursor.fetchall()):
            return
        await asyncio.sleep(_LOOK)


def _not_connected(error: BaseException | None) -> str:
    if not isinstance(error, psycopg.OperationalError) or error.pgconn is None:
        return "connection_failed"
    # libpq gives no code here: either it was asked for the password, or the server has spoken.
    asked = error.pgconn.used_password or error.pgconn.needs_password
    return "login_refused" if asked or "FATAL" in str(error) else "connection_failed"


def describe(parameters: PostgresPoolRecycle, resource: str) -> str:
    """What a run would do."""
    where = parse_database(parameters.url)
    states = "idle, or idle in a transaction," if parameters.include_idle_in_transaction else "idle"
    of = [
        f"{what} {quoted(value)}"
        for what, value in (("user", parameters.user), ("application", parameters.application))
        if value is not None
    ]
    only = f" of {' and '.join(of)}" if of else ""
    at_most = plural(parameters.max_connections, "connection")
    longer = format_duration(parameters.idle_longer_than)
    return f"end at most {at_most}{only} to {where} that have been {states} for {longer}, for {quoted(resource)}"


KIND = Kind(PostgresPoolRecycle, run, describe, REASONS)
