"""The address of the store: an absolute SQLite file, or a PostgreSQL database without its password."""

import re
from dataclasses import dataclass, field
from typing import Annotated, Literal
from urllib.parse import parse_qsl, unquote, urlsplit

from tocsin.config.types import checked, describe

DEFAULT = "sqlite:////var/lib/tocsin/tocsin.db"

#: What libpq may be told in the address; anything else could carry a secret or change what a transaction is.
_OPTIONS = ("host", "sslmode", "sslrootcert", "sslcert", "sslkey", "target_session_attrs")
_DATABASE = re.compile(r"/[^/]+")
_EXPECTED = f"expected {DEFAULT} (four slashes), or postgresql://USER@HOST/DATABASE"


@dataclass(frozen=True)
class Location:
    """Where the store is: `path` of the SQLite file, or the rest for PostgreSQL."""

    kind: Literal["sqlite", "postgresql"]
    path: str = ""
    user: str | None = None
    host: str | None = None
    port: int | None = None
    database: str = ""
    options: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        """What messages call it."""
        if self.kind == "sqlite":
            return self.path
        return f"{self.database} on {self.host or self.options.get('host', 'the local socket')}"


def parse_store_url(text: str) -> Location:
    """Split the address; ValueError with what was found and expected. A password is never repeated."""
    scheme, found, _ = text.partition("://")
    if not found or scheme not in ("sqlite", "postgresql"):
        shown = f"the scheme {describe(scheme)}" if found else "no scheme"
        raise ValueError(f"found {shown}, {_EXPECTED}")
    return _sqlite(text) if scheme == "sqlite" else _postgresql(text)


def _sqlite(text: str) -> Location:
    path = unquote(text.removeprefix("sqlite://"))
    if "?" in text or "#" in text:
        raise ValueError(f"found options after the path, {_EXPECTED}")
    if path in ("", "/", "/:memory:"):
        raise ValueError(f"found a store in memory, which a restart forgets, {_EXPECTED}")
    if not path.startswith("/"):
        raise ValueError(f"found a host, and SQLite is a file of this machine, {_EXPECTED}")
    path = path[1:]
    if path.startswith(("//", "\\")):
        raise ValueError(f"found the network path {describe(path)}, {_EXPECTED}")
    if not path.startswith("/"):
        raise ValueError(f"found the relative path {describe(path)}, {_EXPECTED}")
    if path.endswith("/") or not path.isprintable():
        raise ValueError(f"found {describe(path)}, expected the path of a file")
    return Location("sqlite", path)


def _postgresql(text: str) -> Location:
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise ValueError(f"found an address that cannot be split, {_EXPECTED}") from None
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    if parts.password is not None or "password" in options:
        raise ValueError("found a password in the address, expected it in the file that store_password_file names")
    if unknown := sorted(set(options) - set(_OPTIONS)):
        raise ValueError(f"found the option {describe(unknown[0])}, expected one of {', '.join(_OPTIONS)}")
    if not _DATABASE.fullmatch(parts.path) or parts.fragment:
        raise ValueError(f"found no name of a database, {_EXPECTED}")
    user = None if parts.username is None else unquote(parts.username)
    return Location("postgresql", "", user, parts.hostname, port, unquote(parts.path[1:]), options)


StoreUrl = Annotated[str, checked(parse_store_url)]
