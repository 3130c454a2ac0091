"""`http`: send one request to a listed host, once."""

import asyncio
import json
import re
import ssl

import aiohttp
import structlog

from tocsin import __version__
from tocsin.config.hosts import Url, parse_url
from tocsin.config.operations import HttpParameters
from tocsin.config.secrets import SecretError, read_secret
from tocsin.config.types import describe as quoted
from tocsin.guard.addresses import Connector, Lookup, Refused, system_lookup
from tocsin.respond.operations.kind import Kind, Outcome, Task, plural

log = structlog.get_logger(__name__)

REASONS = (
    # ok
    "done",
    # refused
    "action_id_invalid",
    "bad_url",
    "host_not_allowed",
    "address_not_allowed",
    "no_time_left",
    # failed
    "secret_unusable",
    "ca_unusable",
    "name_not_resolved",
    "tls_failed",
    "connection_failed",
    "connection_timeout",
    # failed or unknown
    "client_error",
    "server_error",
    "redirected",
    # unknown
    "answer_timeout",
    "connection_lost",
    "answer_invalid",
    "answer_too_large",
    "gateway_error",
    "unexpected_status",
)

#: Bytes of an answer that are read, and thrown away: its end says that the receiver is done.
LONGEST_ANSWER = 1_000_000
_KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,199}")
#: What a receiver answers that has not begun, by what the status means (RFC 9110 and 6585). After any other error it
#: may have been done, in part or whole.
_NOT_BEGUN = frozenset(
    (301, 307, 308, 400, 401, 403, 404, 405, 406, 410, 411, 413, 414, 415, 417, 421, 422, 426, 428, 429, 431, 501, 505)
)
#: What somebody between us and the receiver answers, who cannot know what became of it.
_GATEWAY = (502, 504, *range(520, 528), 530, 598, 599)


class _CaError(Exception):
    """The certificates of the authorities cannot be read."""


class _Request:
    """One request. `begun` from the moment at which its first byte may be sent, `status` once that has come."""

    def __init__(self, task: Task, parameters: HttpParameters, lookup: Lookup) -> None:
        self._task, self._parameters, self._lookup = task, parameters, lookup
        self.begun = False
        self.status: int | None = None

    async def send(self) -> bool:
        """Send it, and read the answer; False when that is too long."""
        headers = await asyncio.to_thread(_headers, self._task, self._parameters)
        trusted = await asyncio.to_thread(_trusted, self._parameters)
        connector = Connector(self._task.allowed, self._connected, self._lookup)
        async with (
            aiohttp.ClientSession(
                connector=connector,
                timeout=aiohttp.ClientTimeout(),  # the caller's holds for everything, the look-up included
                trust_env=False,
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
            ) as session,
            session.request(
                self._parameters.method,
                self._parameters.url,
                data=_body(self._task, self._parameters),
                headers=headers,
                allow_redirects=False,
                ssl=trusted,
            ) as response,
        ):
            self.status = response.status
            size = 0
            async for chunk in response.content.iter_any():
                size += len(chunk)
                if size > LONGEST_ANSWER:
                    return False
            return True

    async def _connected(self) -> None:
        await self._task.check()
        self.begun = True


async def run(task: Task, parameters: HttpParameters, *, lookup: Lookup = system_lookup) -> Outcome:
    """Send the request, if its host is listed and the name's addresses may be called. Stopped comes from the task."""
    limit = task.left(parameters.timeout)
    if limit <= 0:
        return Outcome("refused", "no_time_left")
    if not _KEY.fullmatch(task.action_id):
        return Outcome("refused", "action_id_invalid")
    request = _Request(task, parameters, lookup)
    problem = None
    try:
        task.allowed.url(parameters.url)
        async with asyncio.timeout(limit):
            if not await request.send():
                problem = "answer_too_large"
    except Refused as error:
        return Outcome("refused", error.reason)
    except SecretError as error:
        # The audit has no texts; this one names a file.
        log.warning("an operation was not begun", action=task.action_id, reason="secret_unusable", why=str(error))
        return Outcome("failed", "secret_unusable")
    except _CaError as error:
        log.warning("an operation was not begun", action=task.action_id, reason="ca_unusable", why=str(error))
        return Outcome("failed", "ca_unusable")
    except (TimeoutError, aiohttp.ClientError, OSError) as error:
        if not request.begun:
            return Outcome("failed", _not_begun(error))
        problem = _not_answered(error)
    return _answered(request.status, problem, parameters)


def _answered(status: int | None, problem: str | None, parameters: HttpParameters) -> Outcome:
    """Outcome of a request that was sent; `problem` is why its answer is not whole."""
    if status is None:
        return Outcome("unknown", problem or "answer_invalid")
    detail, expect = {"status": status}, parameters.expect
    if status in expect if expect else 200 <= status < 300:
        return Outcome("ok", "done", detail) if problem is None else Outcome("unknown", problem, detail)
    failed = status in _NOT_BEGUN or status in parameters.not_done
    return Outcome("failed" if failed else "unknown", _meaning(status), detail)


def _meaning(status: int) -> str:
    if status in _GATEWAY:
        return "gateway_error"
    if status >= 500:
        return "server_error"
    return {3: "redirected", 4: "client_error"}.get(status // 100, "unexpected_status")


def _not_begun(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "connection_timeout"
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return "name_not_resolved"
    return "tls_failed" if isinstance(error, aiohttp.ClientSSLError) else "connection_failed"


def _not_answered(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "answer_timeout"
    if isinstance(error, aiohttp.ClientResponseError):
        return "answer_invalid"
    return "connection_lost"


def _headers(task: Task, parameters: HttpParameters) -> dict[str, str]:
    headers = {
        "User-Agent": f"tocsin/{__version__}",
        "Accept-Encoding": "identity",
        **parameters.headers,
        "Content-Type": "application/json",
        "Idempotency-Key": task.action_id,
    }
    if parameters.token_file is not None:
        token = read_secret(parameters.token_file)
        if not (token.isascii() and token.isprintable()):
            raise SecretError("the token is not one line of ASCII")
        headers["Authorization"] = f"Bearer {token}"
    return headers


def _trusted(parameters: HttpParameters) -> ssl.SSLContext | bool:
    """Whose certificates are trusted; True stands for what the system trusts."""
    if parameters.ca_file is None:
        return True
    try:
        return ssl.create_default_context(cafile=parameters.ca_file)
    except OSError as error:
        raise _CaError(f"cannot read the certificates in {parameters.ca_file}: {error}") from error


def _body(task: Task, parameters: HttpParameters) -> bytes:
    said = {
        "action_id": task.action_id,
        "operation": "http",
        "service": task.service,
        "resource": task.resource,
        "episode_id": task.episode_id,
        "capacity_minutes": task.capacity_minutes,
        "parameters": parameters.body or {},
    }
    # Pure ASCII: what is no valid Unicode, such as half a surrogate pair, arrives as it is.
    return json.dumps(said, ensure_ascii=True, allow_nan=False).encode("ascii")


def describe(parameters: HttpParameters, resource: str) -> str:
    """What a run would do, without what may be secret: the query of the URL, and the values of the headers."""
    where = _place(parse_url(parameters.url), parameters.url)
    fixed = f" and {plural(len(parameters.body), 'fixed parameter')}" if parameters.body else ""
    return f"send {parameters.method} to {where} about {quoted(resource)}, with its capacity{fixed}"


def _place(url: Url, text: str) -> str:
    path = text.split("//", 1)[1].partition("/")[2].partition("?")[0]
    host = f"[{url.host}]" if not isinstance(url.host, str) and url.host.version == 6 else url.host
    return f"{url.scheme}://{host}:{url.port}/{path}"


KIND = Kind(HttpParameters, run, describe, REASONS)
