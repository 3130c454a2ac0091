"""AWS Signature Version 4, verified: the form that comes in the header Authorization.

Signers differ in how they write a path and a query down before they sign them. AWS' own encode the path as sent once
more and sort the parameters; curl takes both as sent. Every form that is accepted here stands for one path and one set
of parameters, so that a signature cannot be carried over to another request.
Source: "Signature Version 4 signing process" in AWS' reference of IAM.
"""

import hashlib
import heapq
import hmac
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import parse_qsl, quote

from tocsin.guard.caller import Head, Reason

ALGORITHM = "AWS4-HMAC-SHA256"
#: Seconds that a caller's clock may be off, in either direction.
SKEW = 300.0
#: Signatures of one principal that are remembered, about 2 MB.
REMEMBERED = 10_000
_MOST_PARAMETERS = 100
_UNRESERVED = "-._~"
_CREDENTIAL = re.compile(
    r"(?P<key>[A-Za-z0-9_-]{1,128})/"
    r"(?P<scope>(?P<day>[0-9]{8})/[A-Za-z0-9-]{1,64}/(?P<service>[A-Za-z0-9._-]{1,64})/aws4_request)"
)
_DATE = re.compile(r"[0-9]{8}T[0-9]{6}Z")
_BLANKS = re.compile(r"[ \t]+")
_HASH = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Signed:
    """What a signed request claims: `at` is its unix time, `payload` the hash of its body where it says one."""

    key_id: str
    scope: str
    service: str
    date: str
    at: float
    headers: tuple[str, ...]
    signature: bytes
    payload: str | None


def parse(head: Head, authorization: str, now: float) -> Signed | Reason:
    """What the request claims, or why no secret in the world makes it acceptable."""
    fields = dict[str, str]()
    for part in authorization.removeprefix(ALGORITHM).split(","):
        key, _, value = part.strip().partition("=")
        if key in fields:
            return Reason.MALFORMED_CREDENTIALS
        fields[key] = value
    if fields.keys() != {"Credential", "SignedHeaders", "Signature"}:
        return Reason.MALFORMED_CREDENTIALS
    credential = _CREDENTIAL.fullmatch(fields["Credential"])
    readable = head.path.startswith("/") and head.query.count("&") < _MOST_PARAMETERS
    if credential is None or not _HASH.fullmatch(fields["Signature"]) or not readable:
        return Reason.MALFORMED_CREDENTIALS
    headers = tuple(fields["SignedHeaders"].split(";"))
    if not _covers(head, headers):
        return Reason.SIGNED_HEADERS
    date = head.values("x-amz-date")[0].strip()
    at = _unix(date)
    if at is None:
        return Reason.MALFORMED_CREDENTIALS
    if date[:8] != credential["day"]:
        return Reason.CREDENTIAL_SCOPE
    if abs(now - at) > SKEW:
        return Reason.CLOCK_SKEW
    payload = next((value.strip() for value in head.values("x-amz-content-sha256")), None)
    if payload is not None and not _HASH.fullmatch(payload):
        return Reason.UNSIGNED_PAYLOAD
    signature = fields["Signature"].encode()
    return Signed(credential["key"], credential["scope"], credential["service"], date, at, headers, signature, payload)


def _covers(head: Head, signed: Sequence[str]) -> bool:
    """Whether the signature covers what it must, and nothing that was not sent."""
    sent = [name.lower() for name, _ in head.headers]
    must = {"host", "x-amz-date"} | {name for name in sent if name.startswith("x-amz-")}
    once = all(sent.count(name) == 1 for name in must)
    return once and must <= set(signed) <= set(sent) and list(signed) == sorted(set(signed))


def _unix(date: str) -> float | None:
    if not _DATE.fullmatch(date):
        return None
    try:
        return datetime.strptime(date, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).timestamp()
    except ValueError:
        return None


def matches(signed: Signed, head: Head, secret: str, payload: str) -> bool:
    """Whether the signature was made with this secret for this request, whose body has the hash `payload`."""
    key = _key(secret, signed.scope)
    right = False
    for request in canonical_requests(head, signed.headers, payload):
        # No early exit: the time is the same for every form.
        right |= hmac.compare_digest(_sign(key, string_to_sign(signed, request)).hex().encode(), signed.signature)
    return right


def _sign(key: bytes, text: str) -> bytes:
    return hmac.digest(key, text.encode("utf-8", "surrogateescape"), hashlib.sha256)


def _key(secret: str, scope: str) -> bytes:
    key = f"AWS4{secret}".encode()
    for part in scope.split("/"):
        key = _sign(key, part)
    return key


def string_to_sign(signed: Signed, request: str) -> str:
    """The string of which the signature is the keyed hash."""
    digest = hashlib.sha256(request.encode("utf-8", "surrogateescape")).hexdigest()
    return f"{ALGORITHM}\n{signed.date}\n{signed.scope}\n{digest}"


def canonical_requests(head: Head, headers: Sequence[str], payload: str) -> list[str]:
    """The canonical request in every form that is accepted, AWS' own first."""
    values = "".join(f"{name}:{','.join(map(_trimmed, head.values(name)))}\n" for name in headers)
    return [
        "\n".join((head.method, path, query, values, ";".join(headers), payload))
        for path in _paths(head.path)
        for query in _queries(head.query)
    ]


def _trimmed(value: str) -> str:
    return _BLANKS.sub(" ", value).strip(" ")


def _paths(sent: str) -> list[str]:
    forms = [quote(_normalized(sent), safe="/" + _UNRESERVED, errors="surrogateescape")]
    # As sent a %25 would be ambiguous: it is what AWS' form makes of a single %.
    if "%25" not in sent and sent not in forms:
        forms.append(sent)
    return forms


def _normalized(path: str) -> str:
    """The path without empty and dot segments (RFC 3986, section 5.2.4)."""
    kept: list[str] = []
    for segment in path.split("/"):
        if segment == "..":
            del kept[-1:]
        elif segment not in ("", "."):
            kept.append(segment)
    return "/" + "/".join(kept) + ("/" if kept and path.endswith("/") else "")


def _queries(sent: str) -> list[str]:
    parsed = parse_qsl(sent, keep_blank_values=True, errors="surrogateescape", max_num_fields=_MOST_PARAMETERS)
    encoded = sorted(tuple(quote(text, safe=_UNRESERVED, errors="surrogateescape") for text in pair) for pair in parsed)
    ordered = sorted(part.partition("=")[::2] for part in sent.split("&") if part)
    forms = ("&".join(f"{key}={value}" for key, value in pairs) for pairs in (encoded, ordered))
    return list(dict.fromkeys((*forms, sent)))


class Replays:
    """The signatures of one principal that were accepted and could be sent again. In memory: a restart forgets them."""

    def __init__(self, limit: int = REMEMBERED) -> None:
        self._limit = limit
        self._seen: set[bytes] = set()
        self._ends: list[tuple[float, bytes]] = []
        self._latest = 0.0

    def refuse(self, signed: Signed, now: float) -> Reason | None:
        """Remember a signature that is right; the reason when it may not be accepted."""
        # A clock that goes back does not bring back what was forgotten.
        self._latest = max(self._latest, now)
        while self._ends and self._ends[0][0] < self._latest:
            self._seen.discard(heapq.heappop(self._ends)[1])
        end = signed.at + SKEW
        if signed.signature in self._seen or end < self._latest:
            return Reason.REPLAYED
        if len(self._seen) >= self._limit:
            return Reason.REPLAY_MEMORY_FULL
        self._seen.add(signed.signature)
        heapq.heappush(self._ends, (end, signed.signature))
        return None
