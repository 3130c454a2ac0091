"""A scripted HTTP proxy on loopback that misbehaves as told, one behaviour per request.

    async with FaultProxy(status(503), passthrough(), upstream=server.url) as proxy:
        ...                     # the first request gets a 503, the second and all later ones the real answer

The last behaviour of the script stays. Everything that was asked is kept in ``proxy.requests``.
"""

import asyncio
import gzip
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import aiohttp
from aiohttp import web

HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "content-length", "date", "server", "host"}


@dataclass(frozen=True)
class Asked:
    """One request as it came: parameters of the query string and of the form together, in order."""

    method: str
    path: str
    params: tuple[tuple[str, str], ...]
    headers: Mapping[str, str]

    def __getitem__(self, name: str) -> str:
        return dict(self.params)[name]


@dataclass(frozen=True)
class Call:
    """What a behaviour has to work with."""

    request: web.Request
    body: bytes
    proxy: "FaultProxy"


Behaviour = Callable[[Call], Awaitable[web.StreamResponse]]


class FaultProxy:
    """Serve the script, then its last line for ever."""

    def __init__(self, *script: Behaviour, upstream: str = "") -> None:
        self.script = list(script) or [passthrough()]
        self.upstream = upstream
        self.requests: list[Asked] = []
        self.most_at_once = 0
        self.url = ""
        self._at_once = 0
        self._runner: web.AppRunner | None = None
        self._session: aiohttp.ClientSession | None = None
        self.closing = asyncio.Event()

    async def __aenter__(self) -> Self:
        app = web.Application(client_max_size=1 << 24)
        app.router.add_route("*", "/{path:.*}", self._handle)
        self._runner = web.AppRunner(app, shutdown_timeout=1.0, handler_cancellation=True)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        self._session = aiohttp.ClientSession(auto_decompress=False, trust_env=False)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.closing.set()
        assert self._session is not None
        assert self._runner is not None
        await self._session.close()
        await self._runner.cleanup()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        form = await request.post()
        params = (*request.query.items(), *((k, str(v)) for k, v in form.items()))
        self.requests.append(Asked(request.method, request.path, params, dict(request.headers)))
        behave = self.script.pop(0) if len(self.script) > 1 else self.script[0]
        self._at_once += 1
        self.most_at_once = max(self.most_at_once, self._at_once)
        try:
            return await behave(Call(request, body, self))
        finally:
            self._at_once -= 1

    async def forward(self, call: Call) -> tuple[int, dict[str, str], bytes]:
        """Answer of the real server: status, headers worth keeping, body."""
        assert self._session is not None
        headers = {k: v for k, v in call.request.headers.items() if k.lower() not in HOP_BY_HOP}
        async with self._session.request(
            call.request.method, self.upstream + call.request.path_qs, data=call.body, headers=headers
        ) as answer:
            kept = {k: v for k, v in answer.headers.items() if k.lower() not in HOP_BY_HOP}
            return answer.status, kept, await answer.read()


def passthrough(**headers: str) -> Behaviour:
    """The real answer, with headers added; an underscore in their names is a hyphen."""

    async def behave(call: Call) -> web.StreamResponse:
        code, kept, body = await call.proxy.forward(call)
        kept.update({k.replace("_", "-"): v for k, v in headers.items()})
        return web.Response(status=code, headers=kept, body=body)

    return behave


def answer(body: bytes, code: int = 200, content_type: str = "application/json", **headers: str) -> Behaviour:
    """A fixed answer."""

    async def behave(_: Call) -> web.StreamResponse:
        named = {k.replace("_", "-"): v for k, v in headers.items()}
        return web.Response(status=code, body=body, headers={"Content-Type": content_type, **named})

    return behave


def status(code: int, error: str = "made to fail", kind: str = "execution") -> Behaviour:
    """An error as the Prometheus API words it."""
    return answer(json.dumps({"status": "error", "errorType": kind, "error": error}).encode(), code)


def redirect(location: str = "https://login.example.com/start?token=abc", code: int = 302) -> Behaviour:
    """What a login page in front does."""
    return answer(b"<a href='...'>Found</a>", code, "text/html", Location=location)


def gzipped(body: bytes) -> Behaviour:
    return answer(gzip.compress(body), Content_Encoding="gzip")


def hang() -> Behaviour:
    """Never answers; ends when the client goes away or the proxy closes."""

    async def behave(call: Call) -> web.StreamResponse:
        await call.proxy.closing.wait()
        return web.Response(status=500)

    return behave


def drip(body: bytes, pause: float) -> Behaviour:
    """One byte, a pause, one byte, ..."""

    async def behave(call: Call) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        await response.prepare(call.request)
        for i in range(len(body)):
            await response.write(body[i : i + 1])
            await asyncio.sleep(pause)
        return response

    return behave


def cut_off(body: bytes, keep: int) -> Behaviour:
    """Promises the whole body and closes the connection after ``keep`` bytes of it."""

    async def behave(call: Call) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "application/json", "Content-Length": str(len(body))})
        await response.prepare(call.request)
        await response.write(body[:keep])
        _close(call)
        return response

    return behave


def truncated(keep: int) -> Behaviour:
    """The real answer, well-formed HTTP, with only the first ``keep`` bytes of the JSON."""

    async def behave(call: Call) -> web.StreamResponse:
        code, kept, body = await call.proxy.forward(call)
        return web.Response(status=code, headers=kept, body=body[:keep])

    return behave


def close() -> Behaviour:
    """Closes the connection without a word."""

    async def behave(call: Call) -> web.StreamResponse:
        _close(call)
        return web.Response()

    return behave


def huge(size: int) -> Behaviour:
    """A body of ``size`` bytes, without saying so before; sent until the client goes away."""

    async def behave(call: Call) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        await response.prepare(call.request)
        sent = 0
        while sent < size:
            await response.write(b" " * 65536)
            sent += 65536
        return response

    return behave


def with_warnings(*warnings: str) -> Behaviour:
    """The real answer with warnings put in, as of a partial answer."""

    async def behave(call: Call) -> web.StreamResponse:
        code, kept, body = await call.proxy.forward(call)
        changed = {**json.loads(body), "warnings": list(warnings)}
        return web.Response(status=code, headers=kept, body=json.dumps(changed).encode())

    return behave


def _close(call: Call) -> None:
    assert call.request.transport is not None
    call.request.transport.close()
