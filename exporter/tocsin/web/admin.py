"""The routes of the guard: the kill switch, and the audit.

Answers about the switch have the fields of the learning runbook, and those alone.
"""

import math
from typing import Any

import orjson
import structlog
from aiohttp import web

from tocsin.core.readable import iso
from tocsin.guard import audit, switch
from tocsin.guard.asked import Misasked, number_of, page
from tocsin.guard.rate import Rate
from tocsin.guard.switch import Switch
from tocsin.web.program import PRINCIPAL, PROGRAM, Route, answer

log = structlog.get_logger(__name__)

_MESSAGES = {
    True: ("ENABLED", "Kill switch enabled - automated operations allowed"),
    False: ("DISABLED", "Kill switch disabled - all automated operations blocked"),
}
#: How the runbooks call who may flip it.
_AUTHORITY = "EMERGENCY_OVERRIDE"


async def _disable(request: web.Request) -> web.Response:
    try:
        reason = _reason(await request.read())
    except Misasked as error:
        return _misasked(error)
    return await _flip(request, enabled=False, reason=reason)


async def _enable(request: web.Request) -> web.Response:
    return await _flip(request, enabled=True, reason=None)


def _reason(body: bytes) -> str:
    """The reason in the body of a request. Raises Misasked."""
    expected = 'expected JSON such as {"reason": "Production incident"}'
    try:
        found = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise Misasked("reason", f"the body is no JSON, {expected}") from None
    reason = found.get("reason") if isinstance(found, dict) else None
    if not isinstance(reason, str):
        raise Misasked("reason", f"the body gives no reason, {expected}")
    try:
        return switch.clean_reason(reason)
    except ValueError as error:
        raise Misasked("reason", str(error)) from None


async def _flip(request: web.Request, *, enabled: bool, reason: str | None) -> web.Response:
    program, principal = request.app[PROGRAM], request[PRINCIPAL].name
    now = program.clock()
    entry = await program.store.write(
        lambda connection: switch.flip(connection, enabled=enabled, principal=principal, reason=reason, now=now)
    )
    log.warning("the kill switch was flipped", enabled=enabled, principal=principal, reason=reason, audit=entry.id)
    return answer(flipped(entry.id, enabled=enabled))


def flipped(audit_id: str, *, enabled: bool) -> dict[str, str]:
    """What the runbook has answered to a flip."""
    status, message = _MESSAGES[enabled]
    return {"status": status, "message": message, "auditId": audit_id}


async def _status(request: web.Request) -> web.Response:
    return answer(status(await request.app[PROGRAM].store.visit(switch.read)))


def status(found: Switch) -> dict[str, Any]:
    """The switch as the runbook shows it: `active` is the block, `enabled` the operations."""
    off = not found.enabled
    return {
        "active": off,
        "enabled": found.enabled,
        "disabledAt": iso(found.changed_at) if off else None,
        "disabledBy": {"type": _AUTHORITY, "identifier": found.changed_by} if off else None,
        "reason": found.reason if off else None,
        "lastModified": iso(found.changed_at) if found.changed_by is not None else None,
    }


async def _audit(request: web.Request) -> web.Response:
    try:
        asked = page(_once(request))
    except Misasked as error:
        return _misasked(error)
    found = await request.app[PROGRAM].store.visit(
        lambda connection: audit.entries(connection, asked.wanted, limit=asked.limit + 1, before=asked.before)
    )
    shown = found[: asked.limit]
    return answer(
        {"records": [entry.data() for entry in shown], "next": shown[-1].seq if len(found) > asked.limit else None}
    )


def _once(request: web.Request) -> dict[str, str]:
    """The parameters of the query. Raises Misasked for one that is given twice: one of the two would be ignored."""
    given: dict[str, str] = {}
    for name, text in request.query.items():
        if name in given:
            raise Misasked(name, "found it more than once, expected it once")
        given[name] = text
    return given


async def _record(request: web.Request) -> web.Response:
    text = request.match_info["id"]
    asked = number_of(text)
    if asked is not None:
        kind, seq = asked
        entry = await request.app[PROGRAM].store.visit(lambda connection: audit.entry(connection, seq))
        if entry is not None and kind in (None, entry.record.kind):
            return answer(entry.data())
    return answer({"error": "NOT_FOUND", "message": f"there is no audit record {text[:100]!r}"}, 404)


def _misasked(error: Misasked) -> web.Response:
    return answer({"error": "INVALID_PARAMETER", "parameter": error.parameter, "message": str(error)}, 400)


def rate_limited(rate: Rate) -> web.Response:
    """The answer to whoever wants an operation once too often."""
    wait = max(1, math.ceil(rate.retry_after))
    response = answer(
        {"error": "RATE_LIMIT_EXCEEDED", "message": f"Rate limit exceeded. Retry after {wait} seconds."}, 429
    )
    response.headers["Retry-After"] = str(wait)
    response.headers["X-RateLimit-Limit"] = str(rate.most)
    response.headers["X-RateLimit-Remaining"] = str(rate.remaining)
    return response


ROUTES = (
    Route("POST", "/learning/kill-switch/disable", _disable, "emergency", open=False),
    Route("POST", "/learning/kill-switch/enable", _enable, "emergency", open=False),
    Route("GET", "/learning/kill-switch/status", _status, "read"),
    Route("GET", "/api/admin/audit", _audit, "read", open=False),
    Route("GET", "/api/admin/audit/{id}", _record, "read", open=False),
)
