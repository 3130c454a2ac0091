"""The page where somebody says that they look after an alert: where the link of a message leads."""

from collections.abc import Mapping
from functools import partial
from typing import Any

from aiohttp import web
from sqlalchemy import Connection

from tocsin import names
from tocsin.respond import opinions
from tocsin.store.rows import Found
from tocsin.web.alerts import MOST
from tocsin.web.pages import cut, page, text_of
from tocsin.web.program import PROGRAM, Route

#: Most alerts that are shown.
SHOWN = 100
#: Parameters of the query, and the labels that they ask for.
LABELS = {
    "alertname": names.ALERTNAME,
    "service": names.SERVICE,
    "signal": names.SIGNAL,
    "resource": names.RESOURCE,
}


async def _alerts(request: web.Request) -> web.Response:
    """The newest open alerts with these labels; one that is empty or not given may be anything."""
    wanted = {key: text for key in LABELS if (text := request.query.get(key))}
    found = await request.app[PROGRAM].store.visit(partial(_open, wanted=wanted))
    shown = {key: cut(text) for key, text in wanted.items()}
    return page("alerts.html", wanted=shown, alerts=[_shown(row) for row in found[:SHOWN]], number=len(found))


def _open(connection: Connection, wanted: Mapping[str, str]) -> list[Found]:
    # No label has a NUL, and PostgreSQL cannot be asked for one.
    if any("\0" in text for text in wanted.values()):
        return []
    service, alertname = wanted.get("service"), wanted.get("alertname")
    rows = opinions.listed(connection, firing=True, service=service, alertname=alertname, most=MOST)
    return [row for row in rows if all(row.labels.get(LABELS[key]) == text for key, text in wanted.items())]


def _shown(row: Found) -> dict[str, Any]:
    labels, said = row.labels, row.annotations
    of = (row.service, labels.get(names.SIGNAL) or labels.get(names.SLO), labels.get(names.SEVERITY))
    what = {
        "name": row.alertname,
        "of": ", ".join(filter(None, of)),
        "resource": labels.get(names.RESOURCE, ""),
        "summary": said.get("summary") or said.get("description") or "",
    }
    return {
        **{key: cut(text) for key, text in what.items()},
        "id": row.id,
        "since": row.starts_at,
        "who": row.acknowledged_by,
        "when": row.acknowledged_at,
    }


async def _script(_request: web.Request) -> web.Response:
    return web.Response(text=text_of("alerts.js"), content_type="text/javascript")


ROUTES: tuple[Route, ...] = (
    Route("GET", "/alerts", _alerts, "read"),
    Route("GET", "/alerts.js", _script, "read"),
)
