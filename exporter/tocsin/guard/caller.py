"""Who asks, what of a request shows it, and why somebody is refused: the words of every way to authenticate."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum


@dataclass(frozen=True, slots=True)
class Principal:
    """An authenticated caller."""

    name: str
    scopes: frozenset[str]


@dataclass(frozen=True, slots=True)
class Head:
    """A request without its body, as it was sent: the path and the query keep their percent signs."""

    method: str
    path: str
    query: str
    headers: Sequence[tuple[str, str]]

    def values(self, name: str) -> list[str]:
        """Every value of a header, in the order in which they were sent; `name` in lower case."""
        return [value for key, value in self.headers if key.lower() == name]


class Reason(StrEnum):
    """Why a caller is refused. None says which part of a secret was wrong, or whether a principal exists."""

    NOT_CONFIGURED = "not_configured"
    SECRET_UNREADABLE = "secret_unreadable"  # noqa: S105  a reason, no secret
    REPLAY_MEMORY_FULL = "replay_memory_full"
    SCOPE_MISSING = "scope_missing"
    NO_CREDENTIALS = "no_credentials"
    UNKNOWN_CREDENTIALS = "unknown_credentials"
    MALFORMED_CREDENTIALS = "malformed_credentials"
    PRESIGNED_QUERY = "presigned_query"
    SIGNED_HEADERS = "signed_headers"
    CREDENTIAL_SCOPE = "credential_scope"
    CLOCK_SKEW = "clock_skew"
    UNSIGNED_PAYLOAD = "unsigned_payload"
    SIGNED_BODY = "signed_body"
    BODY_MISMATCH = "body_mismatch"
    REPLAYED = "replayed"


TEXTS = {
    Reason.NOT_CONFIGURED: "no principal with scope {scope!r} is configured",
    Reason.SECRET_UNREADABLE: "the file of a principal's secret cannot be read at the moment",
    Reason.REPLAY_MEMORY_FULL: "too many signed requests within ten minutes",
    Reason.SCOPE_MISSING: "{name} does not have scope {scope!r}",
    Reason.NO_CREDENTIALS: "credentials are needed: x-admin-key, a bearer token, a user and password, or AWS SigV4",
    Reason.UNKNOWN_CREDENTIALS: "these credentials are nobody's",
    Reason.MALFORMED_CREDENTIALS: "the credentials cannot be read, or there are several",
    Reason.PRESIGNED_QUERY: "a signature in the query is not accepted, only one in the header Authorization",
    Reason.SIGNED_HEADERS: "the signature must cover host, x-amz-date and every other header x-amz-*, each once",
    Reason.CREDENTIAL_SCOPE: "the signature is for another day or service",
    Reason.CLOCK_SKEW: "the signature is from more than five minutes before or after this clock",
    Reason.UNSIGNED_PAYLOAD: "the signature must cover the body",
    Reason.SIGNED_BODY: "a signed body must give its length, at most 1 MiB, and may not be compressed",
    Reason.BODY_MISMATCH: "the body is not the one whose hash was signed",
    Reason.REPLAYED: "this signature was used before: sign again, a second later if nothing else differs",
}
#: Not the caller's fault, or soon over: the same request may be accepted later.
RETRY = frozenset({Reason.NOT_CONFIGURED, Reason.SECRET_UNREADABLE, Reason.REPLAY_MEMORY_FULL})


@dataclass(frozen=True, slots=True)
class Refusal:
    """A refused caller: the reason, for the metric and the answer, and a sentence for the answer."""

    reason: Reason
    message: str

    @classmethod
    def of(cls, reason: Reason, *, scope: str = "", name: str = "") -> "Refusal":
        """The refusal with its sentence; `scope` and `name` are for the reasons that speak of them."""
        return cls(reason, TEXTS[reason].format(scope=scope, name=name))
