"""AWS Signature Version 4: AWS' published cases, what a signature must cover, and how it is used once."""

import hashlib
from dataclasses import replace

import pytest

from signing import AWS, AWS_AT, EMPTY, KEY, SECRET, Request, head, headers, published, stamp
from tocsin.guard.caller import Head, Reason
from tocsin.guard.sigv4 import SKEW, Replays, Signed, canonical_requests, matches, parse, string_to_sign

T0 = 1_800_000_000.0


def parsed(request: Head, now: float = T0) -> Signed:
    found = parse(request, request.values("authorization")[0], now)
    assert isinstance(found, Signed), found
    return found


def digest(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


# ------------------------------------------------------------------------------------------------ AWS' cases


@pytest.mark.parametrize("name", AWS)
def test_every_published_case_is_right_and_with_anything_changed_wrong(name: str) -> None:
    sent, _, body = published(name)
    signed = parsed(sent, AWS_AT)
    assert (signed.key_id, signed.service, signed.at) == (KEY, "service", AWS_AT)
    assert matches(signed, sent, SECRET, digest(body))
    others = [
        (replace(sent, method="PUT"), SECRET, body),
        (replace(sent, path=sent.path + "x"), SECRET, body),
        (replace(sent, query=sent.query + "&x=1"), SECRET, body),
        (replace(sent, headers=[("host", "other"), *sent.headers[1:]]), SECRET, body),
        (sent, SECRET + "x", body),
        (sent, SECRET, body + b"x"),
    ]
    assert [matches(signed, *other[:2], digest(other[2])) for other in others] == [False] * 6
    assert not matches(replace(signed, signature=b"0" * 64), sent, SECRET, digest(body))
    assert not matches(
        replace(signed, scope=signed.scope.replace("us-east-1", "us-east-2")), sent, SECRET, digest(body)
    )


def test_the_canonical_request_and_the_string_to_sign_are_those_that_aws_publishes() -> None:
    sent, _, _ = published("get-vanilla")
    signed = parsed(sent, AWS_AT)
    text = f"GET\n/\n\nhost:example.amazonaws.com\nx-amz-date:20150830T123600Z\n\nhost;x-amz-date\n{EMPTY}"
    assert canonical_requests(sent, signed.headers, EMPTY) == [text]
    assert string_to_sign(signed, text) == (
        "AWS4-HMAC-SHA256\n20150830T123600Z\n20150830/us-east-1/service/aws4_request\n"
        "bb579772317eb040ac9ed261061d46c1f17a8133879d6129b6e1c25292927e63"
    )


def forms(path: str, query: str = "") -> set[tuple[str, str]]:
    """Path and query of every accepted form."""
    texts = canonical_requests(Head("GET", path, query, [("host", "h")]), ("host",), EMPTY)
    return {(text.split("\n")[1], text.split("\n")[2]) for text in texts}


def test_an_encoded_path_may_be_signed_as_sent_or_encoded_once_more() -> None:
    assert forms("/audit/A%23b") == {("/audit/A%2523b", ""), ("/audit/A%23b", "")}
    # As sent this would be what the first form makes of /audit/A%23b.
    assert forms("/audit/A%2523b") == {("/audit/A%252523b", "")}


def test_a_query_may_be_signed_encoded_sorted_or_as_sent_and_always_means_the_same() -> None:
    assert forms("/", "to=b:c&from=a+d") == {
        ("/", "from=a%20d&to=b%3Ac"),
        ("/", "from=a+d&to=b:c"),
        ("/", "to=b:c&from=a+d"),
    }
    assert forms("/", "a=%2B") == {("/", "a=%2B")}
    assert forms("/", "flag") == {("/", "flag="), ("/", "flag")}


# ------------------------------------------------------------------------------------------------ what is refused

GOOD = Request(T0)
NAMES = "host;x-amz-date"


def credential(**parts: str) -> tuple[tuple[str, str], ...]:
    """An Authorization header with some of its parts replaced."""
    fields = {"Credential": f"{KEY}/{stamp(T0)[:8]}/r/s/aws4_request", "SignedHeaders": NAMES, "Signature": "0" * 64}
    given = {key: value for key, value in (fields | parts).items() if value}
    return (("authorization", "AWS4-HMAC-SHA256 " + ", ".join(f"{k}={v}" for k, v in given.items())),)


DAY = stamp(T0)[:8]
WRONG: dict[str, tuple[Request, Reason]] = {
    "no fields": (replace(GOOD, changed=(("authorization", "AWS4-HMAC-SHA256"),)), Reason.MALFORMED_CREDENTIALS),
    "no signature": (replace(GOOD, changed=credential(Signature="")), Reason.MALFORMED_CREDENTIALS),
    "a field twice": (
        replace(GOOD, changed=credential(Signature=f"{'0' * 64}, SignedHeaders={NAMES}")),
        Reason.MALFORMED_CREDENTIALS,
    ),
    "a field too many": (replace(GOOD, changed=credential(X="1")), Reason.MALFORMED_CREDENTIALS),
    "a short signature": (replace(GOOD, changed=credential(Signature="0" * 63)), Reason.MALFORMED_CREDENTIALS),
    "a signature in capitals": (replace(GOOD, changed=credential(Signature="A" * 64)), Reason.MALFORMED_CREDENTIALS),
    "no region": (
        replace(GOOD, changed=credential(Credential=f"{KEY}/{DAY}/s/aws4_request")),
        Reason.MALFORMED_CREDENTIALS,
    ),
    "another end": (
        replace(GOOD, changed=credential(Credential=f"{KEY}/{DAY}/r/s/aws5_request")),
        Reason.MALFORMED_CREDENTIALS,
    ),
    "digits of another script": (
        replace(GOOD, changed=credential(Credential=f"{KEY}/٢٠٢٧٠١١٥/r/s/aws4_request")),
        Reason.MALFORMED_CREDENTIALS,
    ),
    "another day": (
        replace(GOOD, changed=credential(Credential=f"{KEY}/20150830/r/s/aws4_request")),
        Reason.CREDENTIAL_SCOPE,
    ),
    "host not signed": (replace(GOOD, changed=credential(SignedHeaders="x-amz-date")), Reason.SIGNED_HEADERS),
    "date not signed": (replace(GOOD, changed=credential(SignedHeaders="host")), Reason.SIGNED_HEADERS),
    "no header signed": (replace(GOOD, changed=credential(SignedHeaders=";")), Reason.SIGNED_HEADERS),
    "a header twice": (replace(GOOD, changed=credential(SignedHeaders="host;host;x-amz-date")), Reason.SIGNED_HEADERS),
    "in disorder": (replace(GOOD, changed=credential(SignedHeaders="x-amz-date;host")), Reason.SIGNED_HEADERS),
    "in capitals": (replace(GOOD, changed=credential(SignedHeaders="Host;X-Amz-Date")), Reason.SIGNED_HEADERS),
    "a header that was not sent": (
        replace(GOOD, changed=credential(SignedHeaders="host;x-amz-date;x-other")),
        Reason.SIGNED_HEADERS,
    ),
    "no host": (replace(GOOD, changed=(("host", None),)), Reason.SIGNED_HEADERS),
    "no date": (replace(GOOD, changed=(("x-amz-date", None),)), Reason.SIGNED_HEADERS),
    "hash not signed": (replace(GOOD, changed=(("x-amz-content-sha256", EMPTY),)), Reason.SIGNED_HEADERS),
    "token not signed": (replace(GOOD, changed=(("x-amz-security-token", "t"),)), Reason.SIGNED_HEADERS),
    "a date that is none": (replace(GOOD, changed=(("x-amz-date", "20270230T000000Z"),)), Reason.MALFORMED_CREDENTIALS),
    "a date of another form": (
        replace(GOOD, changed=(("x-amz-date", "2027-01-15T08:00:00Z"),)),
        Reason.MALFORMED_CREDENTIALS,
    ),
    "a body that is not signed": (
        replace(GOOD, extra=(("x-amz-content-sha256", "UNSIGNED-PAYLOAD"),)),
        Reason.UNSIGNED_PAYLOAD,
    ),
    "a body in chunks": (
        replace(GOOD, extra=(("x-amz-content-sha256", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"),)),
        Reason.UNSIGNED_PAYLOAD,
    ),
    "another address": (replace(GOOD, path="http://other/"), Reason.MALFORMED_CREDENTIALS),
    "very many parameters": (replace(GOOD, query="&".join("a" * 101)), Reason.MALFORMED_CREDENTIALS),
    "too old": (replace(GOOD, at=T0 - SKEW - 1), Reason.CLOCK_SKEW),
    "too new": (replace(GOOD, at=T0 + SKEW + 1), Reason.CLOCK_SKEW),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_no_secret_makes_acceptable_is_refused_with_its_reason(name: str) -> None:
    request, reason = WRONG[name]
    sent = head(request)
    assert parse(sent, sent.values("authorization")[0], T0) is reason


@pytest.mark.parametrize("off", [-SKEW, 0.0, SKEW])
def test_a_clock_may_be_off_by_five_minutes(off: float) -> None:
    assert parsed(head(replace(GOOD, at=T0 + off))).at == T0 + off


def test_two_dates_are_one_too_many() -> None:
    sent = headers(GOOD)
    twice = Head("GET", "/", "", (*sent.items(), ("x-amz-date", sent["x-amz-date"])))
    assert parse(twice, sent["authorization"], T0) is Reason.SIGNED_HEADERS


# ------------------------------------------------------------------------------------------------ used once


def test_a_signature_is_accepted_once() -> None:
    replays, first = Replays(), parsed(head(GOOD))
    other = parsed(head(replace(GOOD, path="/other")))
    assert [replays.refuse(one, T0) for one in (first, first, other, first)] == [None, "replayed", None, "replayed"]


def test_a_signature_is_remembered_as_long_as_its_date_is_accepted_and_not_longer() -> None:
    replays = Replays(limit=1)
    first, later = parsed(head(GOOD)), parsed(head(replace(GOOD, at=T0 + SKEW)), T0 + SKEW)
    assert replays.refuse(first, T0) is None
    assert replays.refuse(first, T0 + SKEW) is Reason.REPLAYED
    assert replays.refuse(later, T0 + SKEW) is Reason.REPLAY_MEMORY_FULL
    assert replays.refuse(later, T0 + SKEW + 1) is None
    # Forgotten, and still not accepted by a clock that went back.
    assert replays.refuse(first, T0) is Reason.REPLAYED
