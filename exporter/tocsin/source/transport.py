"""One request to the source, and what to do when it fails: bounds, classes of error, retries, own counters."""

import asyncio
import random
import ssl
import time
import zlib
from collections.abc import Awaitable, Callable, Sequence
from email.utils import parsedate_to_datetime
from ipaddress import ip_address
from types import TracebackType
from typing import Literal, Self, TypeVar
from urllib.parse import urlsplit

import aiohttp

from tocsin import __version__
from tocsin.config.models import SourceModel
from tocsin.source.auth import Credentials, secrets_in, tls_context
from tocsin.source.errors import SourceError, from_answer, page_text, quote, redact_url
from tocsin.telemetry import Telemetry

T = TypeVar("T")
Params = Sequence[tuple[str, str]]
Sleep = Callable[[float], Awaitable[None]]

#: First pause before a retry and the longest one, in seconds; each pause is twice the one before.
FIRST_PAUSE, LONGEST_PAUSE = 0.2, 5.0
#: Difference of clocks that the resolution of the Date header and the network explain, in seconds.
SKEW_TOLERANCE = 2.0
#: As much of an answer that is an error as is worth reading, in bytes.
ERROR_BODY = 64 * 1024
_READ_BUFFER = 1 << 20


def jitter() -> float:
    """Factor of a pause, so that replicas do not come back together."""
    return random.uniform(0.5, 1.5)  # noqa: S311  spreads load, guards nothing


class Transport:
    """HTTP towards one source. Use as an async context manager.

    At most ``limits.concurrency`` requests run at a time; each may take ``limits.timeout`` seconds and
    ``limits.response`` decoded bytes, and is tried again up to ``limits.retries`` times when its error says so.
    """

    def __init__(
        self,
        model: SourceModel,
        telemetry: Telemetry,
        clock: Callable[[], float] = time.time,
        sleep: Sleep = asyncio.sleep,
        jitter: Callable[[], float] = jitter,
    ) -> None:
        self.where = redact_url(model.url).rstrip("/")
        self._host = _checked_host(model.url, self.where)
        self._model = model
        self._limits = model.limits
        self._telemetry = telemetry
        self._clock, self._sleep, self._jitter = clock, sleep, jitter
        self._credentials = Credentials(model.auth)
        self._slots = asyncio.Semaphore(model.limits.concurrency)
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        connector = aiohttp.TCPConnector(limit=self._limits.concurrency, ssl=self._tls())
        self._session = aiohttp.ClientSession(
            connector=connector,
            timeout=aiohttp.ClientTimeout(total=self._limits.timeout),
            headers={
                "User-Agent": f"tocsin/{__version__}",
                "Accept": "application/json",
                # Compressing costs Prometheus five times the query: worth it over a network only.
                "Accept-Encoding": "identity" if _is_loopback(self._host) else "gzip",
            },
            # The bound on the size is for decoded bytes, so decoding is done here.
            auto_decompress=False,
            trust_env=False,
            cookie_jar=aiohttp.DummyCookieJar(),
            read_bufsize=_READ_BUFFER,
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def fetch(self, method: Literal["GET", "POST"], path: str, params: Params, decode: Callable[[bytes], T]) -> T:
        """Answer of one API call, decoded; SourceError once retrying is over or of no use.

        ``decode`` takes the body and may raise SourceError too: a truncated body is found there and retried here.
        """
        pause = FIRST_PAUSE
        for left in range(self._limits.retries, -1, -1):
            try:
                return await self._attempt(method, path, params, decode)
            except SourceError as error:
                error.where = self.where
                if not error.retry or left == 0:
                    raise
            await self._sleep(min(pause, LONGEST_PAUSE) * self._jitter())
            pause *= 2
        raise AssertionError("unreachable: the last attempt returns or raises")

    async def _attempt(
        self, method: Literal["GET", "POST"], path: str, params: Params, decode: Callable[[bytes], T]
    ) -> T:
        headers = self._credentials.headers()
        try:
            async with self._slots:
                started = time.perf_counter()
                try:
                    body = await self._exchange(method, path, params, headers)
                finally:
                    self._telemetry.count("source_query_seconds_total", by=time.perf_counter() - started)
            answer = decode(body)
        except SourceError as error:
            self._telemetry.count("source_requests_total", error.klass)
            raise
        self._telemetry.count("source_requests_total", "ok")
        return answer

    async def _exchange(
        self, method: Literal["GET", "POST"], path: str, params: Params, headers: dict[str, str]
    ) -> bytes:
        """Body of an answer 200 in JSON; every other outcome is a SourceError."""
        if self._session is None:
            raise RuntimeError("the source is used outside its context manager")
        tls = self._model.auth.tls
        request = self._session.request(
            method,
            self._model.url.rstrip("/") + path,
            params=params if method == "GET" else None,
            data=params if method == "POST" else None,
            headers=headers,
            allow_redirects=False,
            server_hostname=None if tls is None else tls.server_name,
        )
        try:
            async with request as response:
                self._note_clock(response.headers.get("Date"))
                return await self._body(response, secrets_in(headers))
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            raise self._failed(error) from error

    async def _body(self, response: aiohttp.ClientResponse, secrets: Sequence[str]) -> bytes:
        if response.status != 200:
            body = await read(response, ERROR_BODY, cut=True)
            raise from_answer(response.status, body, response.headers.get("Location", ""), secrets)
        if response.content_type != "application/json":
            text = quote(page_text(await read(response, ERROR_BODY, cut=True)), secrets)
            raise SourceError(
                f"answered 200 with {quote(response.content_type)} instead of JSON, check source.url, and source.auth "
                f"if there is a login page in front: {text or 'an empty body'}",
                "bad_response",
            )
        return await read(response, self._limits.response)

    def _tls(self) -> ssl.SSLContext | bool:
        if self._model.auth.tls is None:
            return True
        try:
            return tls_context(self._model.auth.tls)
        except SourceError as error:
            error.where = self.where
            raise

    def _failed(self, error: Exception) -> SourceError:
        if isinstance(error, TimeoutError):
            return SourceError(
                f"gave no complete answer within {self._limits.timeout:g}s; source.limits.timeout may be raised",
                "timeout",
                retry=True,
            )
        if isinstance(error, aiohttp.ClientPayloadError):
            return SourceError("closed the connection in the middle of its answer", "bad_response", retry=True)
        if isinstance(error, aiohttp.ClientSSLError):
            return SourceError(f"failed the TLS handshake, check source.auth.tls: {quote(str(error))}", "connection")
        if isinstance(error, aiohttp.ClientConnectionError | OSError):
            return SourceError(
                f"cannot be reached: {quote(str(error) or type(error).__name__)}", "connection", retry=True
            )
        return SourceError(f"does not speak HTTP as expected: {quote(str(error))}", "bad_response")

    def _note_clock(self, date: str | None) -> None:
        try:
            theirs = parsedate_to_datetime(date or "").timestamp()
        except ValueError:
            return
        skew = theirs - self._clock()
        self._telemetry.set("source_clock_skew_seconds", skew if abs(skew) > SKEW_TOLERANCE else 0.0)


async def read(response: aiohttp.ClientResponse, limit: int, *, cut: bool = False) -> bytes:
    """Body, decompressed, reading no further than ``limit`` decoded bytes: then it is cut, or ``too_large``."""
    encoding = response.headers.get("Content-Encoding", "identity").strip().lower()
    if encoding not in ("identity", "gzip", "deflate", ""):
        raise SourceError(f"compressed its answer with {quote(encoding)}, which was not asked for", "bad_response")
    inflate = zlib.decompressobj(wbits=47) if encoding in ("gzip", "deflate") else None
    chunks: list[bytes] = []
    size = 0
    async for raw in response.content.iter_any():
        chunk = raw if inflate is None else _inflated(inflate, raw, limit - size + 1)
        chunks.append(chunk)
        size += len(chunk)
        if size > limit:
            if cut:
                return b"".join(chunks)[:limit]
            raise SourceError(
                f"sent more than {limit} bytes: raise source.limits.response, or select fewer series", "too_large"
            )
    if inflate is not None and chunks and not inflate.eof:
        raise SourceError("sent a compressed body that ends too early", "bad_response", retry=True)
    return b"".join(chunks)


def _inflated(inflate: "zlib._Decompress", raw: bytes, at_most: int) -> bytes:
    try:
        return inflate.decompress(raw, at_most)
    except zlib.error as error:
        raise SourceError(f"sent a body that is not compressed as it says: {error}", "bad_response") from error


def _checked_host(url: str, where: str) -> str:
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and parts.port != 0
    except ValueError:  # brackets that do not close, a port that is no port
        parts, usable = urlsplit(""), False
    if not usable or not parts.hostname:
        raise SourceError("is not an address such as http://127.0.0.1:9090", "connection", where=where)
    if parts.username is not None:
        raise SourceError("must hold no user and password: use source.auth.basic", "unauthorized", where=where)
    if parts.query or parts.fragment:
        raise SourceError("must end before /api/v1, without ? and #", "connection", where=where)
    return parts.hostname


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
