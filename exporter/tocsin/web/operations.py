"""The page of operations: whether they may run, what is held until a human has looked, and what was done last."""

import shlex
from typing import Any

from aiohttp import web

from tocsin.core.readable import printable
from tocsin.respond import overview
from tocsin.respond.actions import PENDING
from tocsin.store.rows import Found
from tocsin.web.pages import cut, page
from tocsin.web.program import PROGRAM, Route

#: Most actions that are shown, and most resources.
SHOWN = 50
#: What is said of an action's state; the reason comes behind it.
_STATES = {
    "intent": "is about to run",
    "running": "runs",
    "ok": "done",
    "failed": "failed, nothing was done",
    "refused": "refused",
    "held": "waits",
    "dry_run": "dry run",
    "unknown": "nobody knows whether it was done",
}
_VERIFIED = {
    PENDING: "not known yet whether it has helped",
    "ok": "it has helped",
    "failed": "it has not helped",
}
_UNKNOWN = {"interrupted": "whoever ran it was gone before it ended"}


async def _operations(request: web.Request) -> web.Response:
    program = request.app[PROGRAM]
    now = program.clock()
    found = await program.store.visit(lambda connection: overview.read(connection, now, most=SHOWN))
    return page(
        "operations.html",
        switch=found.switch,
        why=cut(found.switch.reason or ""),
        storm=found.storm,
        restored_at=found.restored_at,
        held=[_held(row) for row in found.held],
        actions=[_action(row) for row in found.latest],
        most=SHOWN,
    )


def _held(row: Found) -> dict[str, Any]:
    # Behind `--`, because a name that begins with `-` would be read as an option.
    command = "tocsin release resource --reason TEXT -- " + shlex.join([row.service, row.id])
    return {"of": cut(row.service), "resource": cut(row.id), "since": row.held_since, "command": printable(command)}


def _action(row: Found) -> dict[str, Any]:
    return {
        "operation": row.operation,
        "alert": cut(row.alertname),
        "of": cut(row.service),
        "resource": cut(row.resource),
        "at": row.ended_at or row.updated_at,
        "state": row.state,
        "said": _STATES[row.state],
        "more": cut(_more(row)),
    }


def _more(row: Found) -> str:
    """What there is to say beside the state."""
    if row.state == "dry_run":
        return str(row.result["would"])
    if row.state == "ok":
        return _VERIFIED[row.result["verify"]]
    reason = row.reason or ""
    return (_UNKNOWN if row.state == "unknown" else overview.REASONS).get(reason, reason)


ROUTES: tuple[Route, ...] = (Route("GET", "/operations", _operations, "read"),)
