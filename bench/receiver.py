"""The peer of intake.py, a program of its own: a receiver of notifications that commits each alert as it comes.

It stores the same rows in the same tables, as durably, and answers when all alerts of a notification are stored.
"""

import asyncio
import sqlite3
import sys
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any, Protocol

import orjson
import psycopg
from aiohttp import web

from tocsin.respond.payload import identity

_COLUMNS = (
    "id, identity, service, alertname, fingerprint, labels, annotations, starts_at, first_seen, last_seen, state, "
    "resolved_at, tombstone_until"
)
_INSERT = f"INSERT INTO episodes ({_COLUMNS}) VALUES ({', '.join(['%s'] * 13)})"  # noqa: S608  names of columns
_OPEN = "SELECT id FROM episodes WHERE identity = %s AND state = 'firing'"
_SEEN = "UPDATE episodes SET last_seen = %s, annotations = %s WHERE id = %s"
_END = "UPDATE episodes SET last_seen = %s, state = 'resolved', resolved_at = %s, tombstone_until = %s WHERE id = %s"


class Connection(Protocol):
    """What both drivers' connections have."""

    def execute(self, statement: str, values: tuple[Any, ...] = ..., /) -> Any: ...  # noqa: ANN401  a cursor


class _Sqlite:
    def __init__(self, path: str) -> None:
        self._connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._connection.execute("PRAGMA synchronous = FULL")

    def execute(self, statement: str, values: tuple[Any, ...] = ()) -> Any:  # noqa: ANN401  a cursor
        return self._connection.execute(statement.replace("%s", "?"), values)


def connect(url: str, password: str) -> tuple[Connection, str]:
    """A connection to a store that is there, and how a transaction begins."""
    if url.startswith("sqlite:///"):
        return _Sqlite(url.removeprefix("sqlite:///")), "BEGIN IMMEDIATE"
    return psycopg.connect(url, password=password, autocommit=True), "BEGIN"


class Receiver:
    """Stores alerts, one transaction each, in one thread: the loop goes on taking requests meanwhile."""

    def __init__(self, url: str, password: str) -> None:
        self._connection, self._begin = connect(url, password)
        self._thread = ThreadPoolExecutor(1)

    async def receive(self, request: web.Request) -> web.Response:
        """A notification."""
        body, now = await request.read(), time.time()
        await asyncio.get_running_loop().run_in_executor(self._thread, self._store, orjson.loads(body)["alerts"], now)
        return web.Response(text="stored\n")

    def _store(self, alerts: list[dict[str, Any]], now: float) -> None:
        for alert in alerts:
            self._connection.execute(self._begin)
            self._one(alert, now)
            self._connection.execute("COMMIT")

    def _one(self, alert: dict[str, Any], now: float) -> None:
        labels, firing = alert["labels"], alert["status"] == "firing"
        which, annotations = identity(labels), orjson.dumps(alert["annotations"]).decode()
        known = self._connection.execute(_OPEN, (which,)).fetchone()
        starts, ends = (datetime.fromisoformat(alert[name]).timestamp() for name in ("startsAt", "endsAt"))
        if known is not None:
            if firing:
                self._connection.execute(_SEEN, (now, annotations, known[0]))
            else:
                self._connection.execute(_END, (now, ends, now + 86400, known[0]))
            return
        over = (None, None) if firing else (ends, now + 86400)
        text, state = orjson.dumps(labels, option=orjson.OPT_SORT_KEYS).decode(), "firing" if firing else "resolved"
        about = (labels.get("tocsin_service", ""), labels["alertname"], alert["fingerprint"], text, annotations)
        self._connection.execute(_INSERT, (uuid.uuid4().hex, which, *about, starts, now, now, state, *over))


async def _healthy(_request: web.Request) -> web.Response:
    return web.Response(text="healthy\n")


def main(url: str, password: str, port: int) -> None:
    """Serve until the process is told to end."""
    app = web.Application(client_max_size=2**26)
    app.router.add_post("/api/v2/webhook", Receiver(url, password).receive)
    app.router.add_get("/-/healthy", _healthy)
    web.run_app(app, host="127.0.0.1", port=port, print=None, access_log=None)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
