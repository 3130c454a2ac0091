"""Principals: who a request comes from, by `x-admin-key`, bearer, basic or AWS SigV4, and whether it has the scope.

Nothing configured means nothing is open: whoever needs a scope that nobody has is refused. Files with secrets are read
again when they change; one that cannot be read lets nobody in.
"""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import structlog

from tocsin.config.models import Principal as Model
from tocsin.config.secrets import SecretError, read_secret
from tocsin.guard import sigv4
from tocsin.guard.caller import Head, Principal, Reason, Refusal

log = structlog.get_logger(__name__)

ADMIN_KEY = "x-admin-key"
#: Shortest secret of a signing principal: whoever sees one signature can try secrets without asking us.
MIN_SECRET = 20
#: Reads the body of the request, when it is small enough and as it was sent; None: it is not.
Body = Callable[[], Awaitable[bytes | None]]


class _File:
    """A file with a secret; `text` is None while it cannot be read. Raises SecretError at first."""

    def __init__(self, owner: str, path: str, least: int) -> None:
        self._owner, self._path, self._least = owner, path, least
        self._seen = self._state()
        self.text: str | None = self._read()

    def renew(self) -> None:
        """Read the file again when it has changed."""
        # Looked at before it is read: what changes in between is seen the next time.
        seen = self._state()
        if seen == self._seen:
            return
        self._seen = seen
        try:
            self.text = self._read()
        except SecretError as error:
            self.text = None
            log.warning("nobody can authenticate with a secret that cannot be read", reason=str(error))
        else:
            log.info("the secret of a principal was read again", principal=self._owner)

    def _state(self) -> tuple[int, int, int] | None:
        try:
            stat = Path(self._path).stat()
        except OSError:
            return None
        return stat.st_mtime_ns, stat.st_size, stat.st_ino

    def _read(self) -> str:
        try:
            text = read_secret(self._path).strip()
        except SecretError as error:
            raise SecretError(f"principal {self._owner!r}: {error}") from None
        if not text:
            raise SecretError(f"principal {self._owner!r}: {self._path} is empty")
        if len(text) < self._least:
            raise SecretError(f"principal {self._owner!r}: {self._path} is shorter than {self._least} characters")
        return text


class _Known:
    """A principal, and what proves that it is the one."""

    def __init__(self, model: Model) -> None:
        self.principal = Principal(model.name, frozenset(model.scopes))
        self.key_id, self.service = model.access_key_id, model.sigv4_service
        self._hash = None if model.token_hash is None else bytes.fromhex(model.token_hash.removeprefix("sha256:"))
        path = model.token_file or model.secret_file
        self._file = None if path is None else _File(model.name, path, MIN_SECRET if model.secret_file else 0)

    def renew(self) -> None:
        if self._file is not None:
            self._file.renew()

    @property
    def unreadable(self) -> bool:
        return self._file is not None and self._file.text is None

    @property
    def digest(self) -> bytes:
        """Hash of the token; of one that signs or cannot be read a value that no token has."""
        if self._hash is not None:
            return self._hash
        if self._file is None or self._file.text is None or self.key_id is not None:
            return b""
        return _digest(self._file.text)

    @property
    def secret(self) -> str | None:
        return self._file.text if self._file is not None and self.key_id is not None else None


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()


class Principals:
    """The configured principals. Raises SecretError for a file with a secret that cannot be read.

    `before` are those of the configuration that this one replaces: what was signed for them stays used.
    """

    def __init__(self, models: Sequence[Model], before: "Principals | None" = None) -> None:
        self._known = [_Known(model) for model in models]
        self._replays: dict[str, sigv4.Replays] = {} if before is None else before._replays  # noqa: SLF001  of this class

    async def authenticate(self, head: Head, scope: str, body: Body, now: float) -> Principal | Refusal:
        """The principal that the request comes from, if it has the scope.

        The body is asked for only where a signature of somebody's key covers it.
        """
        able = [known for known in self._known if scope in known.principal.scopes]
        if not able:
            return Refusal.of(Reason.NOT_CONFIGURED, scope=scope)
        for known in self._known:
            known.renew()
        found = await self._find(head, body, now)
        if found is Reason.UNKNOWN_CREDENTIALS and any(known.unreadable for known in able):
            return Refusal.of(Reason.SECRET_UNREADABLE)
        if isinstance(found, Reason):
            return Refusal.of(found)
        for principal in found:
            if scope in principal.scopes:
                return principal
        return Refusal.of(Reason.SCOPE_MISSING, scope=scope, name=found[0].name)

    async def _find(self, head: Head, body: Body, now: float) -> list[Principal] | Reason:
        """Whose credentials these are. `x-admin-key` goes first: a user of the port may stand in Authorization."""
        keys, authorizations = head.values(ADMIN_KEY), head.values("authorization")
        if len(keys) > 1 or len(authorizations) > 1:
            return Reason.MALFORMED_CREDENTIALS
        if keys:
            return self._by_token(keys[0])
        if not authorizations:
            presigned = "X-Amz-Signature=" in head.query
            return Reason.PRESIGNED_QUERY if presigned else Reason.NO_CREDENTIALS
        kind, _, rest = authorizations[0].partition(" ")
        if kind == sigv4.ALGORITHM:
            return await self._by_signature(head, authorizations[0], body, now)
        if kind.lower() == "bearer":
            return self._by_token(rest)
        if kind.lower() == "basic":
            return self._by_password(rest)
        return Reason.MALFORMED_CREDENTIALS

    def _by_token(self, token: str, name: str | None = None) -> list[Principal] | Reason:
        digest = _digest(token.strip())
        # Every principal is compared, so that the time does not tell which one was nearly right.
        right = [known.principal for known in self._known if hmac.compare_digest(known.digest, digest)]
        found = [principal for principal in right if name in (None, principal.name)]
        return found or Reason.UNKNOWN_CREDENTIALS

    def _by_password(self, encoded: str) -> list[Principal] | Reason:
        try:
            name, colon, token = base64.b64decode(encoded.strip(), validate=True).decode().partition(":")
        except (binascii.Error, ValueError):
            return Reason.MALFORMED_CREDENTIALS
        return self._by_token(token, name) if colon else Reason.MALFORMED_CREDENTIALS

    async def _by_signature(self, head: Head, authorization: str, body: Body, now: float) -> list[Principal] | Reason:
        signed = sigv4.parse(head, authorization, now)
        if isinstance(signed, Reason):
            return signed
        known = next((known for known in self._known if known.key_id == signed.key_id), None)
        secret = known.secret if known is not None else None
        if known is None or secret is None:
            return Reason.UNKNOWN_CREDENTIALS
        if signed.service != known.service:
            return Reason.CREDENTIAL_SCOPE
        if signed.payload is not None and not sigv4.matches(signed, head, secret, signed.payload):
            return Reason.UNKNOWN_CREDENTIALS
        content = await body()
        if content is None:
            return Reason.SIGNED_BODY
        digest = hashlib.sha256(content).hexdigest()
        if signed.payload is None and not sigv4.matches(signed, head, secret, digest):
            return Reason.UNKNOWN_CREDENTIALS
        if signed.payload is not None and not hmac.compare_digest(signed.payload, digest):
            return Reason.BODY_MISMATCH
        replays = self._replays.setdefault(known.principal.name, sigv4.Replays())
        return replays.refuse(signed, now) or [known.principal]
