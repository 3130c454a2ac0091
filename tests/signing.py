"""A plain signer of AWS Signature Version 4, for tests that need a request of now, and AWS' published cases."""

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from tocsin.guard.caller import Head

KEY, SECRET = "AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
EMPTY = hashlib.sha256(b"").hexdigest()


@dataclass(frozen=True)
class Request:
    """A request to sign; `path` and `query` are written as they are signed."""

    at: float
    method: str = "GET"
    path: str = "/"
    query: str = ""
    body: bytes = b""
    host: str = "tocsin:9889"
    region: str = "us-east-1"
    service: str = "execute-api"
    key: str = KEY
    secret: str = SECRET
    extra: tuple[tuple[str, str], ...] = ()
    #: Whether the hash of the body is declared in a header.
    declared: bool = False
    #: What is changed in the head once it is signed: headers by name, None to leave one out.
    changed: tuple[tuple[str, str | None], ...] = ()


def stamp(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y%m%dT%H%M%SZ")


def headers(request: Request) -> dict[str, str]:
    """Every header of the request, signed."""
    date, digest = stamp(request.at), hashlib.sha256(request.body).hexdigest()
    sent = {"host": request.host, "x-amz-date": date, **dict(request.extra)}
    if request.declared:
        sent["x-amz-content-sha256"] = digest
    names = ";".join(sorted(sent))
    lines = [request.method, request.path, request.query, *(f"{name}:{sent[name]}" for name in sorted(sent))]
    canonical = "\n".join((*lines, "", names, digest))
    scope = f"{date[:8]}/{request.region}/{request.service}/aws4_request"
    to_sign = f"AWS4-HMAC-SHA256\n{date}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    key = ("AWS4" + request.secret).encode()
    for part in (*scope.split("/"), to_sign):
        key = hmac.new(key, part.encode(), "sha256").digest()
    credential = f"Credential={request.key}/{scope}, SignedHeaders={names}, Signature={key.hex()}"
    signed = {**sent, "authorization": f"AWS4-HMAC-SHA256 {credential}", **dict(request.changed)}
    return {name: value for name, value in signed.items() if value is not None}


def head(request: Request) -> Head:
    return Head(request.method, request.path, request.query, tuple(headers(request).items()))


def changed(request: Request, **others: Any) -> Request:
    return replace(request, **others)


#: The moment, the region and the service of AWS' cases.
AWS_AT = datetime(2015, 8, 30, 12, 36, tzinfo=UTC).timestamp()
AWS_SCOPE = "20150830/us-east-1/service/aws4_request"
_FORM = "9095672bbd1f56dfc5b65f3e153adc8731a4a654192329106275f4c7b24d0b6e"
_LETTERS = "-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_ONE = (("my-header1", "value1"),)
_POSTED = (("content-length", "13"), ("x-amz-content-sha256", _FORM))
_TOKEN = "6e86291e8372ff2a2260956d9b8aae1d763fbf315fa00fa31553b73ebf194267"  # noqa: S105  published
#: Name -> target, headers beside host and x-amz-date, signature; a name that begins with post is a POST.
AWS: Mapping[str, tuple[str, tuple[tuple[str, str], ...], str]] = {
    "get-vanilla": ("/", (), "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"),
    "get-header-key-duplicate": (
        "/",
        (("my-header1", "value2"), ("my-header1", "value2"), ("my-header1", "value1")),
        "c9d5ea9f3f72853aea855b47ea873832890dbdd183b4468f858259531a5138ea",
    ),
    "get-header-value-order": (
        "/",
        tuple(("my-header1", f"value{i}") for i in (4, 1, 3, 2)),
        "08c7e5a9acfcfeb3ab6b2185e75ce8b1deb5e634ec47601a50643f830c755c01",
    ),
    "get-header-value-trim": (
        "/",
        (("my-header1", " value1"), ("my-header2", ' "a   b   c"')),
        "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736",
    ),
    "get-relative-relative-normalized": (
        "/example1/example2/../..",
        (),
        "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31",
    ),
    "get-relative-relative-unnormalized": (
        "/example1/example2/../..",
        (),
        "dc33e0856fd4baca4d7aa2146c38958283844764f38c74252a333df5e613003b",
    ),
    "get-slashes-normalized": (
        "//example//",
        (),
        "9a624bd73a37c9a373b5312afbebe7a714a789de108f0bdfe846570885f57e84",
    ),
    "get-slashes-unnormalized": (
        "//example//",
        (),
        "87cca117541a147f6df867677d98a7d80dff226d2bfca9e4ffa899665623c7e5",
    ),
    "get-slash-pointless-dot-normalized": (
        "/./example",
        (),
        "ef75d96142cf21edca26f06005da7988e4f8dc83a165a80865db7089db637ec5",
    ),
    "get-slash-dot-slash-unnormalized": (
        "/./",
        (),
        "68714168e6557f8f2de0ef956fc24dc2593a4bd2961f8df51898d8a134695145",
    ),
    "get-space-normalized": (
        "/example%20space/",
        (),
        "652487583200325589f1fba4c7e578f72c47cb61beeca81406b39ddec1366741",
    ),
    "get-unreserved": (
        f"/{_LETTERS}",
        (),
        "07ef7494c76fa4850883e2b006601f940f8a34d404d0cfa977f52a65bbf5f24f",
    ),
    "get-utf8": ("/ሴ", (), "8318018e0b0f223aa2bbf98705b62bb787dc9c0e678f255a891fd03141be5d85"),
    "get-vanilla-empty-query-key": (
        "/?Param1=value1",
        (),
        "a67d582fa61cc504c4bae71f336f98b97f1ea3c7a6bfe1b6e45aec72011b9aeb",
    ),
    "get-vanilla-query-order-encoded": (
        "/?Param-3=Value3&Param=Value2&%E1%88%B4=Value1",
        (),
        "371d3713e185cc334048618a97f809c9ffe339c62934c032af5a0e595648fcac",
    ),
    "get-vanilla-query-order-key-case": (
        "/?Param2=value2&Param1=value1",
        (),
        "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500",
    ),
    "get-vanilla-query-unreserved": (
        f"/?{_LETTERS}={_LETTERS}",
        (),
        "9c3e54bfcdf0b19771a7f523ee5669cdf59bc7cc0884027167c21bb143a40197",
    ),
    "get-vanilla-utf8-query": (
        "/?ሴ=bar",
        (),
        "2cdec8eed098649ff3a119c94853b13c643bcf08f8b0a1d91e12c9027818dd04",
    ),
    "get-vanilla-with-session-token": (
        "/",
        (("x-amz-security-token", _TOKEN),),
        "07ec1639c89043aa0e3e2de82b96708f198cceab042d4a97044c66dd9f74e7f8",
    ),
    "post-vanilla": ("/", (), "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"),
    "post-header-key-sort": ("/", _ONE, "c5410059b04c1ee005303aed430f6e6645f61f4dc9e1461ec8f8916fdf18852c"),
    "post-x-www-form-urlencoded": (
        "/",
        (("content-type", "application/x-www-form-urlencoded"), *_POSTED),
        "d3875051da38690788ef43de4db0d8f280229d82040bfac253562e56c3f20e0b",
    ),
    "post-x-www-form-urlencoded-parameters": (
        "/",
        (("content-type", "application/x-www-form-urlencoded; charset=utf-8"), *_POSTED),
        "328d1b9eaadca9f5818ef05e8392801e091653bafec24fcab71e7344e7f51422",
    ),
}


def published(name: str) -> tuple[Head, str, bytes]:
    """One of AWS' cases: the head as it is sent, its Authorization, and its body."""
    target, more, signature = AWS[name]
    method = "POST" if name.startswith("post") else "GET"
    path, _, query = target.partition("?")
    sent = (("Host", "example.amazonaws.com"), *more, ("X-Amz-Date", "20150830T123600Z"))
    names = ";".join(sorted({name.lower() for name, _ in sent}))
    given = f"AWS4-HMAC-SHA256 Credential={KEY}/{AWS_SCOPE}, SignedHeaders={names}, Signature={signature}"
    body = b"Param1=value1" if name.startswith("post-x") else b""
    return Head(method, path, query, (*sent, ("Authorization", given))), given, body
