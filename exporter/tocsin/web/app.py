"""The routes. Handlers read the program's present snapshot and change nothing, reload and webhook apart."""

import asyncio
import contextlib
import gzip
import math
import re
from collections.abc import Awaitable, Callable, Iterator, Mapping

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler

from tocsin import __version__, names
from tocsin.core.explain import explain, instant
from tocsin.core.explain_slo import explain as explain_slo
from tocsin.core.snapshot import Missed, Sight, SignalView, Snapshot
from tocsin.metrics import OPENMETRICS, TEXT
from tocsin.respond.intake import Malformed
from tocsin.store import StoreError
from tocsin.web import admin, alerts, open_alerts, operations
from tocsin.web.auth import authorize
from tocsin.web.negotiate import wants_openmetrics
from tocsin.web.pages import page
from tocsin.web.program import PRINCIPAL, PROGRAM, Program, Route, answer
from tocsin.web.security import basic_auth

log = structlog.get_logger(__name__)

#: Largest body of a webhook; Alertmanager's notifications of 1,000 alerts are about 1 MB.
MAX_WEBHOOK = 8 * 2**20
_SMALLER = "make notifications smaller: group_by more labels, or set max_alerts in the receiver's webhook_configs"
#: Seconds in which it has to arrive.
_PATIENCE = 10
_WORST = 10
#: Seconds between two lines of the log that say the same of the webhook.
_SAY_AGAIN = 60.0
#: Why a cycle gave no grade, by its outcome.
_REASONS = {
    "timeout": "the source takes too long to answer",
    "unavailable": "the source is overloaded or not up",
    "connection": "the source cannot be reached",
    "unauthorized": "the source refuses the credentials",
    "redirect": "the source sends elsewhere: is there a login page in front?",
    "bad_query": "the source refuses the expression",
    "bad_response": "what answers is not the API of a Prometheus",
    "too_large": "the answer is too large",
    "too_many_samples": "the query touches too much data",
    "internal": "the source has failed",
    "internal_error": "Tocsin has failed",
    "clock_went_back": "the clock went back",
}
#: In Accept-Encoding: gzip, unless it is given the weight 0.
_GZIP = re.compile(r"\bgzip\b(?!\s*;\s*q=0(?:\.0*)?\s*(?:,|$))", re.IGNORECASE)


def create_app(
    program: Program, prefix: str = "", *, webhook: bool = True, users: Mapping[str, str] | None = None
) -> web.Application:
    """The application; `prefix` is where a proxy mounts it, such as /tocsin. `webhook`: whether alerts may arrive.

    `users` are names and bcrypt hashes, asked for where no principal is; without any nobody is asked for a password.
    """
    app = web.Application(client_max_size=MAX_WEBHOOK)
    app[PROGRAM] = program
    app.on_response_prepare.append(_protect)
    served: dict[web.AbstractRoute, Route] = {}
    for route in ROUTES:
        if webhook or route.path != names.WEBHOOK:
            for method in ("GET", "HEAD") if route.method == "GET" else (route.method,):
                served[app.router.add_route(method, prefix + route.path, _handled(route))] = route

    def asks_itself(request: web.Request) -> bool:
        route = served.get(request.match_info.route)
        return route is not None and route.guarded(program)

    if users:
        basic_auth(app, users, asks_itself)
    for path in ("/", prefix) if prefix else ():
        app.router.add_get(path, _to_prefix(prefix))
    return app


def _handled(route: Route) -> Handler:
    """The handler behind its guard; handlers of guarded routes find their caller under PRINCIPAL."""

    async def handle(request: web.Request) -> web.StreamResponse:
        program = request.app[PROGRAM]
        if route.guarded(program):
            known, now = program.principals(), program.clock()
            request[PRINCIPAL] = await authorize(request, known, route.scope, program.telemetry, now)
        try:
            return await route.handler(request)
        except web.RequestPayloadError:
            return _unreadable(request)
        except StoreError as error:
            log.warning("a request failed because of the store", path=route.path, reason=error.reason, why=str(error))
            return answer({"error": "STORE_UNAVAILABLE", "reason": error.reason}, 503)

    return _counted(handle) if route.path == names.WEBHOOK else handle


def _unreadable(request: web.Request) -> web.Response:
    """The answer to a body that cannot be unpacked."""
    # What is left of it is not waited for: that would raise once more.
    request.content.feed_eof()
    message = "the body is not what Content-Encoding or Transfer-Encoding says"
    response = answer({"error": "UNREADABLE_BODY", "message": message}, 400)
    response.force_close()
    return response


def _counted(handler: Handler) -> Handler:
    """Count the answers of the webhook, and say now and then that nobody may deliver with what was sent."""
    said = -math.inf

    async def count(request: web.Request) -> web.StreamResponse:
        # Counted as it ends: a caller that goes away in the middle of its body has delivered nothing.
        nonlocal said
        status, program = 500, request.app[PROGRAM]
        try:
            response = await handler(request)
            status = response.status
        except web.HTTPException as error:
            status = error.status
            if status in (401, 403) and abs((now := program.clock()) - said) >= _SAY_AGAIN:
                # An Alertmanager with the wrong token asks again and again, and its alerts are lost meanwhile.
                said = now
                why = (error.text or "").strip()
                log.warning("alerts were refused: are they an Alertmanager's?", status=status, why=why)
            raise
        else:
            return response
        finally:
            program.telemetry.count("webhook_requests_total", str(status))

    return count


def _to_prefix(prefix: str) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def redirect(_request: web.Request) -> web.Response:
        raise web.HTTPFound(prefix + "/")

    return redirect


async def _protect(_request: web.Request, response: web.StreamResponse) -> None:
    """Every page refuses to be framed or sniffed: it shows text from other people's labels."""
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["X-Frame-Options"] = "DENY"


async def _metrics(request: web.Request) -> web.StreamResponse:
    """Serve the page in chunks of whole families, gzipped for those who ask.

    Until every signal has been tried there is no page: a page without grades would look to the alerting rules as if
    what they hold had passed, while a scrape that fails looks like a Tocsin that is down, and holds them.
    """
    if not request.app[PROGRAM].ready():
        return web.Response(status=503, text="Tocsin is starting: not every signal has been evaluated once.\n")
    openmetrics = wants_openmetrics(",".join(request.headers.getall("Accept", ())))
    chunks = request.app[PROGRAM].page(openmetrics)
    headers = {"Content-Type": OPENMETRICS if openmetrics else TEXT}
    if _GZIP.search(request.headers.get("Accept-Encoding", "")) and not _loopback(request):
        # Level 1: the page is repetitive, higher levels cost several times the processor for a few percent.
        body = await asyncio.to_thread(lambda: gzip.compress(b"".join(chunks), 1, mtime=0))
        return web.Response(body=body, headers={**headers, "Content-Encoding": "gzip"})
    if request.method == "HEAD":
        # A stream would write its end into the next answer of the connection.
        return web.Response(headers=headers)
    response = web.StreamResponse(headers=headers)
    # A scraper that gives up is its own affair, and counted by Prometheus.
    with contextlib.suppress(ConnectionResetError):
        await response.prepare(request)
        for chunk in chunks:
            await response.write(chunk)
        await response.write_eof()
    return response


def _loopback(request: web.Request) -> bool:
    """On loopback compressing costs several times what the bytes would."""
    return request.remote in ("127.0.0.1", "::1")


async def _healthy(_request: web.Request) -> web.Response:
    return web.Response(text="Tocsin is healthy.\n")


async def _ready(request: web.Request) -> web.Response:
    if request.app[PROGRAM].ready():
        return web.Response(text="Tocsin is ready.\n")
    return web.Response(status=503, text="Tocsin is not ready: not every signal has been evaluated once.\n")


async def _reload(request: web.Request) -> web.Response:
    faults = await request.app[PROGRAM].reload()
    if faults:
        text = "the configuration was not loaded, the old one stays in force:\n" + "\n".join(faults) + "\n"
        return web.Response(status=500, text=text)
    return web.Response(text="the configuration was loaded\n")


async def _config(request: web.Request) -> web.Response:
    return web.Response(text=request.app[PROGRAM].config_text())


async def _index(request: web.Request) -> web.Response:
    program = request.app[PROGRAM]
    snapshot = program.snapshot()
    return page(
        "index.html",
        version=__version__,
        snapshot=snapshot,
        worst=[(explain(view, column), view.unit) for view, column in snapshot.worst(_WORST)],
        resources=sum(int(view.live.sum()) for view in snapshot.signals),
        budgets=[(e.as_dict(), e.notes) for e in map(explain_slo, snapshot.worst_budgets(_WORST))],
        arrivals=program.intake.latest()[:_WORST],
        ready=program.ready(),
        unseen=list(_unseen(snapshot)),
        signals=len(snapshot.signals) + sum(not missed.graded for missed in snapshot.missed),
        prefix=request.path.rstrip("/"),
    )


def _unseen(snapshot: Snapshot) -> Iterator[tuple[str, str, str, str]]:
    """Signals of which there is nothing to see: service/signal, since when, why, the expression if that is at fault."""
    reasons = {(missed.service, missed.signal): missed.reason for missed in snapshot.missed}
    shown: list[Missed | SignalView] = [missed for missed in snapshot.missed if not missed.graded]
    for one in shown + list(snapshot.signals):
        reason = reasons.get((one.service, one.signal))
        why = f"{_REASONS.get(reason, reason)} ({reason})" if reason else "its evaluation has not ended"
        at_fault = reason == "bad_query"
        if isinstance(one, Missed):
            since = "never graded since the start"
        elif one.sight is not Sight.CLEAR:
            since = f"no grade since {instant(one.grades.t)}"
        elif not one.live.any():
            since, why, at_fault = "no series", "is the expression right?", True
        else:
            continue
        yield f"{one.service}/{one.signal}", since, why, one.expr if at_fault else ""


async def _explain(request: web.Request) -> web.Response:
    """Explain every resource or SLO of that name, as JSON; 404 with near names when there is none."""
    query, snapshot = request.query, request.app[PROGRAM].snapshot()
    if slo := query.get("slo"):
        budgets = snapshot.find_slo(slo, service=query.get("service"))
        if not budgets:
            return answer({"error": f"no SLO {slo!r}", "near": snapshot.near_slo(slo)}, 404)
        return answer([explain_slo(view).as_dict() for view in budgets])
    resource = query.get("resource")
    if not resource:
        return answer({"error": "found no parameter resource or slo, expected the name of one"}, 400)
    found = snapshot.find(resource, service=query.get("service"), signal=query.get("signal"))
    if not found:
        return answer({"error": f"no resource {resource!r}", "near": snapshot.near(resource)}, 404)
    return answer([explain(view, column).as_dict() for view, column in found])


async def _webhook(request: web.Request) -> web.Response:
    """Answer 200 when the alerts are on the disk, and 503 for what Alertmanager has to send again."""
    program = request.app[PROGRAM]
    try:
        async with asyncio.timeout(_PATIENCE):
            body = await request.read()
    except TimeoutError:
        return web.Response(status=503, text="the body took too long\n")
    except web.HTTPRequestEntityTooLarge:
        # Alertmanager does not send it again, and after another answer it would in vain: it cannot get smaller.
        log.warning("alerts were lost: a notification is too large", limit=MAX_WEBHOOK, advice=_SMALLER)
        return web.Response(status=413, text=f"found more than {MAX_WEBHOOK} bytes; {_SMALLER}\n")
    try:
        received = await program.intake.receive(body, program.clock())
    except Malformed as error:
        return web.Response(status=400, text=f"{error}\n")
    invalid = f", {received.invalid} that cannot be taken" if received.invalid else ""
    return web.Response(text=f"{received.alerts} alerts received{invalid}\n")


ROUTES = (
    Route("GET", "/", _index, "read"),
    Route("GET", "/metrics", _metrics, "read"),
    Route("GET", "/-/healthy", _healthy, "read"),
    Route("GET", "/-/ready", _ready, "read"),
    Route("POST", "/-/reload", _reload, "admin"),
    Route("PUT", "/-/reload", _reload, "admin"),
    Route("GET", "/config", _config, "read"),
    Route("GET", "/api/v1/explain", _explain, "read"),
    Route("POST", names.WEBHOOK, _webhook, "webhook", open=False),
    *alerts.ROUTES,
    *open_alerts.ROUTES,
    *operations.ROUTES,
    *admin.ROUTES,
)
