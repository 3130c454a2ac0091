"""Who may call what: the routes ask the guard here, before anything of the body is read."""

import asyncio
from collections.abc import Sequence

import orjson
from aiohttp import web

from tocsin.guard.caller import RETRY, Head, Principal, Reason, Refusal
from tocsin.guard.principals import ADMIN_KEY, Principals
from tocsin.telemetry import Telemetry

#: Largest body of a signed request: it is read before it is known whether the signature is right.
MAX_SIGNED = 2**20
#: Seconds in which it has to arrive.
_PATIENCE = 10
#: A line for each: Chromium reads the first word of a line alone.
_ASK = ('Basic realm="tocsin"', "Bearer")
#: For a request with `x-admin-key`: a browser asks its user for a password before a page's script has the answer.
_ASK_A_SCRIPT = ("Bearer",)
_REFUSED: dict[Reason, type[web.HTTPError]] = {
    **dict.fromkeys(Reason, web.HTTPUnauthorized),
    **dict.fromkeys(RETRY, web.HTTPServiceUnavailable),
    Reason.SCOPE_MISSING: web.HTTPForbidden,
}


def head_of(request: web.Request) -> Head:
    """What the guard looks at, as it was sent."""
    path, _, query = request.raw_path.partition("?")
    return Head(request.method, path, query, tuple(request.headers.items()))


async def authorize(
    request: web.Request, principals: Principals, scope: str, telemetry: Telemetry, now: float
) -> Principal:
    """The caller of a request that needs a scope; raises 401, 403 or 503, counted by reason.

    A stranger's body is never read; one that is signed with somebody's key is, to see whether the signature is right.
    """

    async def body() -> bytes | None:
        if not request.body_exists:
            return b""
        length = request.content_length
        encoded = request.headers.get("Content-Encoding", "identity").lower() != "identity"
        if length is None or length > MAX_SIGNED or encoded:
            return None
        try:
            async with asyncio.timeout(_PATIENCE):
                return await request.read()
        except TimeoutError:
            raise web.HTTPRequestTimeout(text="the body took too long\n") from None

    found = await principals.authenticate(head_of(request), scope, body, now)
    if isinstance(found, Principal):
        return found
    telemetry.count("refusals_total", found.reason)
    raise _refused(found, _ASK_A_SCRIPT if ADMIN_KEY in request.headers else _ASK)


def _refused(refusal: Refusal, ask: Sequence[str]) -> web.HTTPError:
    kind = _REFUSED[refusal.reason]
    return kind(
        text=orjson.dumps({"error": refusal.reason, "message": refusal.message}).decode() + "\n",
        content_type="application/json",
        headers=[("WWW-Authenticate", way) for way in ask] if kind is web.HTTPUnauthorized else None,
    )
