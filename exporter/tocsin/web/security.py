"""TLS and users of Tocsin's own port (`--web.config.file`)."""

import asyncio
import base64
import binascii
import hashlib
import hmac
import secrets
import ssl
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

import bcrypt
import structlog
from aiohttp import web
from aiohttp.typedefs import Handler

from tocsin.config.models import TlsServer

log = structlog.get_logger(__name__)

_ASK = {"WWW-Authenticate": 'Basic realm="tocsin"'}
_LATER = {"Retry-After": "1"}
#: Most passwords that wait to be checked, one after the other; at bcrypt's cost of 12 that is 8 s.
WAITING = 32


@cache
def _nobody() -> str:
    """Checked against when a user is unknown, so that it takes as long as for a known one."""
    return bcrypt.hashpw(b"nobody", bcrypt.gensalt(10)).decode()


def tls_context(model: TlsServer) -> ssl.SSLContext:
    """The server side; raises OSError (ssl.SSLError is one) for files that cannot be used.

    The files are read again when they change: each handshake looks, as those of the Prometheus exporters do.
    """
    files = _Files(model)
    context = files.context

    def renew(connection: ssl.SSLObject, _name: str, _context: ssl.SSLContext) -> None:
        connection.context = files.newest()

    # Called for every handshake, whether or not the client names a server.
    context.sni_callback = renew
    return context


class _Files:
    """The context of the certificate files as they are; files that cannot be used leave the old one in force.

    Each time a whole new context, because one whose certificate was loaded and whose key does not fit is of no use.
    """

    def __init__(self, model: TlsServer) -> None:
        self._model, self._seen = model, _signature(model)
        self._refused = self._seen
        self.context = _context(model)

    def newest(self) -> ssl.SSLContext:
        seen = _signature(self._model)
        if seen != self._seen:
            try:
                self.context = _context(self._model)
            except OSError as error:
                # Once for each state of the files: they are tried again with every handshake until they fit.
                if seen != self._refused:
                    log.warning("certificate files cannot be used, the old ones stay", reason=str(error))
                self._refused = seen
            else:
                self._seen = seen
                log.info("certificate files were read again", cert_file=self._model.cert_file)
        return self.context


def _context(model: TlsServer) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3 if model.min_version == "TLS13" else ssl.TLSVersion.TLSv1_2
    # With a password that is given, though empty, nobody is asked for one at a terminal.
    context.load_cert_chain(model.cert_file, model.key_file, password="")
    if model.client_ca_file is not None:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(model.client_ca_file)
    return context


def _signature(model: TlsServer) -> tuple[tuple[int, int, int] | None, ...]:
    """What changes when a file does; None for one that is not there."""

    def of(path: str) -> tuple[int, int, int] | None:
        try:
            stat = Path(path).stat()
        except OSError:
            return None
        return stat.st_mtime_ns, stat.st_size, stat.st_ino

    return tuple(of(path) for path in (model.cert_file, model.key_file, model.client_ca_file) if path is not None)


def _credentials(header: str) -> tuple[str, str]:
    """User and password of an Authorization header; empty ones for anything else than basic."""
    kind, _, encoded = header.partition(" ")
    if kind.lower() != "basic":
        return "", ""
    try:
        user, _, password = base64.b64decode(encoded.strip(), validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return "", ""
    return user, password


class _Users:
    """Whether a password is right.

    bcrypt is slow on purpose: it has a thread of its own, so that a stranger's guesses keep nothing else waiting. A
    scraper comes every few seconds with the same password; what is remembered of one is a keyed digest.
    """

    def __init__(self, users: Mapping[str, str]) -> None:
        self._users, self._key, self._waiting = users, secrets.token_bytes(32), 0
        self._thread = ThreadPoolExecutor(1, "password")
        # Apart from the wrong ones, however many: who has been let in need not wait behind them.
        self._right: set[bytes] = set()
        self._wrong: deque[bytes] = deque(maxlen=256)

    async def right(self, user: str, password: str) -> bool:
        """Whether it is this user's; raises HTTPServiceUnavailable when too many are being checked."""
        digest = hmac.digest(self._key, f"{user}\0{password}".encode(), hashlib.sha256)
        if digest in self._right:
            return True
        if digest in self._wrong:
            return False
        found = await self._checked(user, password.encode())
        (self._right.add if found else self._wrong.append)(digest)
        return found

    async def _checked(self, user: str, password: bytes) -> bool:
        # bcrypt reads 72 bytes; more are refused rather than cut.
        if len(password) > 72:
            return False
        if self._waiting >= WAITING:
            raise web.HTTPServiceUnavailable(text="too many passwords are being checked\n", headers=_LATER)
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, self._compare, user, password)
        finally:
            self._waiting -= 1

    def _compare(self, user: str, password: bytes) -> bool:
        return bcrypt.checkpw(password, (self._users.get(user) or _nobody()).encode()) and user in self._users

    async def close(self, _app: web.Application) -> None:
        self._thread.shutdown(wait=False, cancel_futures=True)


def basic_auth(app: web.Application, users: Mapping[str, str], but_for: Callable[[web.Request], bool]) -> None:
    """Have the app ask for a user, but for the requests whose route asks for a principal itself."""
    known = _Users(users)

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        if not but_for(request) and not await known.right(*_credentials(request.headers.get("Authorization", ""))):
            raise web.HTTPUnauthorized(text="a user and a password are needed\n", headers=_ASK)
        return await handler(request)

    app.middlewares.append(middleware)
    app.on_cleanup.append(known.close)
