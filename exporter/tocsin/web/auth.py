"""Who may call what: the routes ask the guard here, before anything of the body is read."""

import asyncio

import orjson
from aiohttp import web

from tocsin.guard.caller import RETRY, Head, Principal, Reason, Refusal
from tocsin.guard.principals import Principals
from tocsin.telemetry import Telemetry

#: Largest body of a signed request: it is read before it is known whether the signature is right.
MAX_SIGNED = 2**20
#: Seconds in which it has to arrive.
_PATIENCE = 10
_ASK = {"WWW-Authenticate": 'Bearer, Basic realm="tocsin"'}
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
    raise _refused(found)


def _refused(refusal: Refusal) -> web.HTTPError:
    kind = _REFUSED[refusal.reason]
    return kind(
        text=orjson.dumps({"error": refusal.reason, "message": refusal.message}).decode() + "\n",
        content_type="application/json",
        headers=_ASK if kind is web.HTTPUnauthorized else None,
    )
