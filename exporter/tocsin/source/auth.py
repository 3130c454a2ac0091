"""Proving who we are to the source: basic, bearer token, own headers, TLS."""

import base64
import ssl
from collections.abc import Mapping
from pathlib import Path

from tocsin.config.models import Auth, Tls
from tocsin.source.errors import SourceError


class SecretFile:
    """A secret in a file, read again when the file changes: mounted tokens are rotated in place."""

    def __init__(self, path: str) -> None:
        self._path = Path(path)
        self._seen: tuple[int, int, int] | None = None
        self._text = ""

    def read(self) -> str:
        """Text of the file without surrounding white space; SourceError ``unauthorized`` when there is none."""
        try:
            stat = self._path.stat()
            seen = (stat.st_mtime_ns, stat.st_size, stat.st_ino)
            if seen != self._seen:
                self._text = self._path.read_text(encoding="utf-8").strip()
                self._seen = seen
        except (OSError, UnicodeDecodeError) as error:
            why = error.strerror if isinstance(error, OSError) else "not UTF-8"
            raise SourceError(
                f"needs the secret file {self._path}, which cannot be read: {why}", "unauthorized"
            ) from error
        if not self._text or any(c in self._text for c in "\r\n\0"):
            raise SourceError(f"needs the secret file {self._path}, which must hold one line of text", "unauthorized")
        return self._text


class Credentials:
    """Headers of each request, from the files as they are at that time."""

    def __init__(self, auth: Auth) -> None:
        self._own = dict(auth.headers)
        self._basic = auth.basic
        self._password = SecretFile(auth.basic.password_file) if auth.basic else None
        self._bearer = SecretFile(auth.bearer_file) if auth.bearer_file else None

    def headers(self) -> dict[str, str]:
        """Headers to send; SourceError ``unauthorized`` when a secret file cannot be read."""
        if not all(value.isprintable() for value in self._own.values()):
            raise SourceError("needs source.auth.headers, each of which must be one line of text", "unauthorized")
        out = dict(self._own)
        if self._bearer is not None:
            out["Authorization"] = f"Bearer {self._bearer.read()}"
        if self._basic is not None and self._password is not None:
            pair = f"{self._basic.username}:{self._password.read()}".encode()
            out["Authorization"] = f"Basic {base64.b64encode(pair).decode('ascii')}"
        return out


def secrets_in(headers: Mapping[str, str]) -> tuple[str, ...]:
    """Everything in these headers that must not come back in a message, longest first."""
    words = set(headers.values())
    scheme, _, credentials = headers.get("Authorization", "").partition(" ")
    words.add(credentials)
    if scheme == "Basic":
        words.add(base64.b64decode(credentials).decode("utf-8", "replace").partition(":")[2])
    return tuple(sorted(words - {""}, key=len, reverse=True))


def tls_context(tls: Tls) -> ssl.SSLContext:
    """Context of the connection; SourceError ``unauthorized`` when a certificate or key cannot be loaded."""
    try:
        context = ssl.create_default_context(cafile=tls.ca_file)
        if tls.cert_file is not None:
            context.load_cert_chain(tls.cert_file, tls.key_file)
    except (OSError, ssl.SSLError) as error:
        files = ", ".join(f for f in (tls.ca_file, tls.cert_file, tls.key_file) if f)
        raise SourceError(
            f"needs the TLS files {files}, which cannot be loaded: {error.strerror or error}", "unauthorized"
        ) from error
    if tls.insecure_skip_verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
