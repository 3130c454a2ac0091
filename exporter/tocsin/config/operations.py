"""Parameters of the operations, by the name of the operation: all of them fixed in the file.

Nothing of an alert gets into a URL, a header, a path, a statement or the environment of an operation.
"""

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, JsonValue, model_validator

from tocsin.config.base import Model, Name, Path, PositiveInt
from tocsin.config.hosts import HttpUrl
from tocsin.config.store_url import Location, parse_store_url
from tocsin.config.types import Duration, checked, describe

_TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
#: Headers that the request itself needs, or that speak to a proxy.
_OURS = frozenset(
    {
        "connection",
        "content-encoding",
        "content-length",
        "content-type",
        "cookie",
        "expect",
        "host",
        "idempotency-key",
        "keep-alive",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)


def _headers(headers: dict[str, str]) -> dict[str, str]:
    for name, value in headers.items():
        if not _TOKEN.fullmatch(name):
            raise ValueError(f"found the header {describe(name)}, expected a name without spaces and colons")
        if name.lower() in _OURS or name.lower().startswith("proxy-"):
            raise ValueError(f"found the header {describe(name)}, expected one that the request does not need itself")
        if not (value.isascii() and value.isprintable()):
            raise ValueError(f"found other characters in the header {describe(name)}, expected one line of ASCII")
    return headers


def parse_database(text: str) -> Location:
    """Split the URL of a PostgreSQL database; ValueError when it is none or has a password."""
    try:
        found = parse_store_url(text)
    except ValueError:
        found = None
    if found is None or found.kind != "postgresql" or found.user is None or found.host is None:
        # The text may hold a password.
        raise ValueError(
            "found no address of a database, expected postgresql://USER@HOST:PORT/DATABASE, "
            "with the password in the file that password_file names"
        )
    return found


Timeout = Annotated[Duration, Field(gt=0, le=600)]
Status = Annotated[int, Field(ge=200, le=599)]


class HttpParameters(Model):
    """Parameters of `http`: one request, which is never repeated, to a host that `guard.hosts` lists.

    The receiver gets JSON: `action_id` (also as the header `Idempotency-Key`), `operation`, `service`, `resource`,
    `episode_id`, `capacity_minutes`, and `body` as `parameters`.
    """

    url: HttpUrl
    """Where the request goes: http or https, without user and password. A redirect is not followed."""
    method: Literal["POST", "PUT", "PATCH", "DELETE"] = "POST"
    """Method of the request."""
    body: dict[str, JsonValue] | None = None
    """Fixed values that the receiver gets as `parameters`."""
    token_file: Path | None = None
    """File with a bearer token; a newline at its end is ignored, and it is read for each request."""
    ca_file: Path | None = None
    """File with the certificates of the authorities that are trusted, instead of those of the system."""
    headers: Annotated[dict[Name, str], AfterValidator(_headers)] = Field(default_factory=dict)
    """Further headers by name; `/config` does not show their values."""
    expect: tuple[Status, ...] = ()
    """Statuses that mean that it was done, such as `202`; any from 200 to 299 by default."""
    not_done: tuple[Status, ...] = ()
    """Further statuses, such as `503`, by which the receiver says that it has done nothing: then it is not unknown."""
    timeout: Timeout = 10.0
    """Longest time for the request and its answer. Without an answer by then nobody knows whether it was done."""

    @model_validator(mode="after")
    def _one_meaning(self) -> Self:
        if both := sorted({*self.expect} & {*self.not_done}):
            raise ValueError(f"found {both[0]} in expect and in not_done, expected it in one of them")
        return self

    @model_validator(mode="after")
    def _one_authorization(self) -> Self:
        if self.token_file is not None and any(name.lower() == "authorization" for name in self.headers):
            raise ValueError("found the header 'Authorization' beside token_file, expected one of them")
        return self


class PostgresPoolRecycle(Model):
    """Parameters of `postgres_pool_recycle`: end connections to one database that have been idle for long.

    The user needs `pg_read_all_stats` and `pg_signal_backend` to see and end connections of others than itself.
    Connections of superusers and for replication, and Tocsin's own, are never ended.
    """

    url: Annotated[str, checked(parse_database)]
    """The database: `postgresql://USER@HOST:PORT/DATABASE`, past any pooler."""
    password_file: Path | None = None
    """File with the password; a newline at its end is ignored, and it is read each time."""
    idle_longer_than: Annotated[Duration, Field(gt=0)]
    """How long a connection must have been idle."""
    include_idle_in_transaction: bool = False
    """Whether to end connections that idle within a transaction too, which loses what they have not committed."""
    application: Name | None = None
    """Only connections with this `application_name`."""
    user: Name | None = None
    """Only connections of this user."""
    max_connections: PositiveInt = 10
    """Most connections that are ended at once, the longest idle first."""
    timeout: Timeout = 30.0
    """Longest time for all of it."""


PARAMETERS: Mapping[str, type[Model]] = MappingProxyType(
    {
        "http": HttpParameters,
        "postgres_pool_recycle": PostgresPoolRecycle,
    }
)
