"""Who may call what: principals by bearer token, compared in constant time.

Nothing configured means nothing is open: a route that needs a scope answers 503 until some principal has it.
"""

import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass

from aiohttp import web

from tocsin.config.models import Principal
from tocsin.config.secrets import SecretError, read_secret


@dataclass(frozen=True, slots=True)
class Caller:
    """A principal with the digest of its token."""

    name: str
    digest: bytes
    scopes: frozenset[str]


def _digest(principal: Principal) -> bytes:
    if principal.token_hash is not None:
        return bytes.fromhex(principal.token_hash.removeprefix("sha256:"))
    assert principal.token_file is not None
    try:
        token = read_secret(principal.token_file).strip()
    except SecretError as error:
        raise SecretError(f"principal {principal.name!r}: {error}") from None
    if not token:
        raise SecretError(f"principal {principal.name!r}: {principal.token_file} is empty")
    return hashlib.sha256(token.encode()).digest()


def callers(principals: Sequence[Principal]) -> tuple[Caller, ...]:
    """The principals with their digests. Raises SecretError."""
    return tuple(Caller(p.name, _digest(p), frozenset(p.scopes)) for p in principals)


def authorize(request: web.Request, known: Sequence[Caller], scope: str) -> Caller:
    """The caller of a request that needs a scope; raises 503 (nobody has it), 401 or 403.

    Looks at the head of the request only: a stranger's body is never read.
    """
    if not any(scope in caller.scopes for caller in known):
        raise web.HTTPServiceUnavailable(text=f"no principal with scope {scope!r} is configured\n")
    kind, _, token = request.headers.get("Authorization", "").partition(" ")
    digest = hashlib.sha256(token.strip().encode("utf-8", "surrogateescape")).digest()
    # Every caller is compared, so that the time does not tell which one was nearly right.
    matches = [caller for caller in known if hmac.compare_digest(caller.digest, digest)]
    if kind.lower() != "bearer" or not matches:
        raise web.HTTPUnauthorized(text="a bearer token is needed\n", headers={"WWW-Authenticate": "Bearer"})
    for caller in matches:
        if scope in caller.scopes:
            return caller
    raise web.HTTPForbidden(text=f"{matches[0].name} does not have scope {scope!r}\n")
