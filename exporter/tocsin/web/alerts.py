"""What alerts there are, in the AMAS runbook's shape, and what humans say of them."""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Any

import msgspec
from aiohttp import web
from sqlalchemy import Connection

from tocsin import names
from tocsin.core.snapshot import Snapshot
from tocsin.respond import opinions
from tocsin.store.rows import Found
from tocsin.web.program import PRINCIPAL, PROGRAM, Route, answer

#: Most alerts of an answer: of the history, and of those that fire.
NEWEST = 200
MOST = 10_000
#: Bytes of what a human says.
_MAX_BODY = 16_384

Values = Mapping[tuple[str, str, str], float]


class _Judgement(msgspec.Struct, forbid_unknown_fields=True):
    outcome: opinions.Verdict
    reason: str = ""


_JUDGEMENT = msgspec.json.Decoder(_Judgement)


def shown(row: Found, live: Values) -> dict[str, Any]:
    """An episode as JSON. What nobody knows is null.

    `metric` is the label `signal` (a threshold of that name, a signal, an SLO), else the alert's name. `value` and
    `threshold` are the annotations of these names; without one the value is the signal's present one, in `live`.
    """
    labels, annotations = row.labels, row.annotations
    signal, resource = labels.get(names.SIGNAL, ""), labels.get(names.RESOURCE, "")
    value = _number(annotations.get("value"))
    if value is None and row.state == "firing":
        value = live.get((row.service, signal, resource))
    return {
        "id": row.id,
        "metric": signal or row.alertname,
        "status": row.state,
        "severity": labels.get(names.SEVERITY),
        "value": value,
        "threshold": _number(annotations.get("threshold")),
        "occurredAt": _time(row.starts_at),
        "message": annotations.get("summary") or annotations.get("description"),
        "alertname": row.alertname,
        "service": row.service or None,
        "resource": resource or None,
        "endedAt": _time(row.resolved_at if row.state == "resolved" else row.expired_at),
        "acknowledgedAt": _time(row.acknowledged_at),
        "acknowledgedBy": row.acknowledged_by,
        "outcome": row.outcome,
        "outcomeReason": row.outcome_reason or None,
    }


def _number(text: str | None) -> float | None:
    try:
        found = math.nan if text is None else float(text)
    except ValueError:
        return None
    return found if math.isfinite(found) else None


def _time(t: float | None) -> str | None:
    if t is None:
        return None
    return datetime.fromtimestamp(t, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _live(snapshot: Snapshot, rows: Iterable[Found]) -> Values:
    """Present values of the signals that these episodes are about."""
    wanted = {(row.service, row.labels.get(names.SIGNAL, "")) for row in rows if row.state == "firing"}
    return dict(_values(snapshot, wanted))


def _values(snapshot: Snapshot, wanted: set[tuple[str, str]]) -> Iterator[tuple[tuple[str, str, str], float]]:
    for view in snapshot.signals:
        if (view.service, view.signal) in wanted:
            for identity, value in zip(view.resources, view.grades.x.tolist(), strict=False):
                if identity is not None and math.isfinite(value):
                    yield (view.service, view.signal, identity.resource), value


async def _list(request: web.Request, *, firing: bool, most: int) -> web.Response:
    program, service = request.app[PROGRAM], request.query.get("service")
    rows = await program.store.visit(partial(_listed, firing=firing, service=service, most=most))
    live = _live(program.snapshot(), rows)
    return answer([shown(row, live) for row in rows])


def _listed(connection: Connection, *, firing: bool, service: str | None, most: int) -> list[Found]:
    # No label has a NUL, and PostgreSQL cannot be asked for one.
    if service is not None and "\0" in service:
        return []
    return opinions.listed(connection, firing=firing, service=service, most=most)


async def _active(request: web.Request) -> web.Response:
    return await _list(request, firing=True, most=MOST)


async def _history(request: web.Request) -> web.Response:
    return await _list(request, firing=False, most=NEWEST)


async def _acknowledge(request: web.Request) -> web.Response:
    return await _say(request, opinions.acknowledge)


async def _outcome(request: web.Request) -> web.Response:
    body = await _bounded(request)
    if body is None:
        return answer({"error": "BODY_TOO_LARGE", "message": f"expected at most {_MAX_BODY} bytes"}, 413)
    try:
        said = _JUDGEMENT.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        expected = 'expected {"outcome": "true" | "dismissed" | "missed", "reason": "..."}'
        return answer({"error": "INVALID_OUTCOME", "message": f"{error}; {expected}"}, 400)
    if "\0" in said.reason:
        return answer({"error": "INVALID_OUTCOME", "message": "found a NUL in the reason"}, 400)
    return await _say(request, partial(opinions.judge, verdict=said.outcome, reason=said.reason))


async def _bounded(request: web.Request) -> bytes | None:
    """The body; None as soon as it is too long, however it is sent: in chunks or compressed it does not say so."""
    if (request.content_length or 0) > _MAX_BODY:
        return None
    if request.content.at_eof():
        # Nothing is left to read, be it that the whole was read for its signature: then it is remembered.
        return await request.read()
    body = bytearray()
    while chunk := await request.content.read(_MAX_BODY + 1 - len(body)):
        body += chunk
    return None if len(body) > _MAX_BODY else bytes(body)


async def _say(request: web.Request, say: Callable[..., Found]) -> web.Response:
    """Have a human's word stored with its audit record, and answer with what the episode is now."""
    program, episode = request.app[PROGRAM], request.match_info["id"]
    who, now = request[PRINCIPAL].name, program.clock()

    def work(connection: Connection) -> Found:
        return say(connection, episode, who=who, now=now)

    try:
        row = await program.store.write(work)
    except opinions.Missing:
        return answer({"error": "NOT_FOUND", "message": f"there is no alert {episode[:80]!r}"}, 404)
    except opinions.Ended as error:
        message = f"the alert has ended ({error}): only one that fires can be acknowledged"
        return answer({"error": "ALERT_ENDED", "message": message}, 409)
    return answer(shown(row, _live(program.snapshot(), [row])))


ROUTES: tuple[Route, ...] = (
    Route("GET", "/api/alerts/active", _active, "read"),
    Route("GET", "/api/alerts/history", _history, "read"),
    Route("POST", "/api/alerts/{id}/acknowledge", _acknowledge, "admin", open=False),
    Route("POST", "/api/alerts/{id}/outcome", _outcome, "admin", open=False),
)
