"""Who a request comes from, whether it may, and the reason when not."""

import asyncio
import base64
import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from signing import KEY, SECRET, Request, head
from tocsin.config.models import Principal as Model
from tocsin.config.models import Scope
from tocsin.config.secrets import SecretError
from tocsin.guard.caller import RETRY, TEXTS, Head, Principal, Reason, Refusal
from tocsin.guard.principals import Principals

T0 = 1_800_000_000.0
TOKEN, OTHER = "hunter2-hunter2", "the next one"


def hashed(token: str) -> str:
    return f"sha256:{hashlib.sha256(token.encode()).hexdigest()}"


def by_hash(name: str, token: str, *scopes: Scope) -> Model:
    return Model(name=name, token_hash=hashed(token), scopes=scopes)


def by_file(folder: Path, name: str, *scopes: Scope, token: str = TOKEN) -> Model:
    (folder / name).write_text(f"{token}\n")
    return Model(name=name, token_file=str(folder / name), scopes=scopes)


def signer(folder: Path, *scopes: Scope, name: str = "signer", key: str = KEY, **more: Any) -> Model:
    (folder / name).write_text(f"{SECRET}\n")
    return Model(name=name, secret_file=str(folder / name), access_key_id=key, scopes=scopes or ("admin",), **more)


def basic(name: str, token: str) -> tuple[str, str]:
    return "Authorization", "Basic " + base64.b64encode(f"{name}:{token}".encode()).decode()


def bearer(token: str) -> tuple[str, str]:
    return "Authorization", f"Bearer {token}"


class Body:
    """A body, and how often it was asked for."""

    def __init__(self, content: bytes | None = b"") -> None:
        self.content, self.asked = content, 0

    async def __call__(self) -> bytes | None:
        self.asked += 1
        return self.content


def ask(
    known: Principals, sent: Head | Sequence[tuple[str, str]], scope: str = "admin", body: Body | None = None
) -> Principal | Refusal:
    request = sent if isinstance(sent, Head) else Head("GET", "/", "", sent)
    return asyncio.run(known.authenticate(request, scope, body or Body(), T0))


def reason(found: Principal | Refusal) -> Reason:
    assert isinstance(found, Refusal), found
    return found.reason


# ------------------------------------------------------------------------------------------------ tokens


@pytest.mark.parametrize(
    "header",
    [
        ("x-admin-key", TOKEN),
        ("X-Admin-Key", TOKEN),
        bearer(TOKEN),
        ("authorization", f"BEARER  {TOKEN}"),
        basic("ops", TOKEN),
    ],
)
@pytest.mark.parametrize("kept", ["hash", "file"])
def test_a_token_is_taken_in_each_of_its_places(tmp_path: Path, header: tuple[str, str], kept: str) -> None:
    model = by_hash("ops", TOKEN, "admin", "read") if kept == "hash" else by_file(tmp_path, "ops", "admin", "read")
    known = Principals([by_hash("other", "other", "admin"), model])
    assert ask(known, [header]) == Principal("ops", frozenset({"admin", "read"}))


UNKNOWN, MALFORMED = Reason.UNKNOWN_CREDENTIALS, Reason.MALFORMED_CREDENTIALS


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ([], Reason.NO_CREDENTIALS),
        ([("x-admin-key", "")], UNKNOWN),
        ([("x-admin-key", "wrong")], UNKNOWN),
        ([("x-admin-key", "wrong"), bearer(TOKEN)], UNKNOWN),
        ([("x-admin-key", TOKEN), ("x-admin-key", "wrong")], MALFORMED),
        ([bearer(TOKEN), bearer("wrong")], MALFORMED),
        ([bearer("wrong")], UNKNOWN),
        ([bearer("")], UNKNOWN),
        ([bearer(hashed(TOKEN))], UNKNOWN),
        ([bearer("ünï\udcff")], UNKNOWN),
        ([basic("other", TOKEN)], UNKNOWN),
        ([basic("nobody", TOKEN)], UNKNOWN),
        ([basic("ops", "wrong")], UNKNOWN),
        ([basic("", "")], UNKNOWN),
        ([("Authorization", "Basic !!!")], MALFORMED),
        ([("Authorization", "Basic /w==")], MALFORMED),
        ([("Authorization", "Basic ")], MALFORMED),
        ([("Authorization", "")], MALFORMED),
        ([("Authorization", f"Digest {TOKEN}")], MALFORMED),
        ([("Authorization", "AWS4-HMAC-SHA512 x")], MALFORMED),
    ],
)
def test_a_stranger_is_refused_with_the_reason(headers: list[tuple[str, str]], expected: Reason) -> None:
    known = Principals([by_hash("other", "other", "admin"), by_hash("ops", TOKEN, "admin")])
    body = Body()
    assert (reason(ask(known, headers, body=body)), body.asked) == (expected, 0)


def test_a_user_of_the_port_may_stand_beside_the_key() -> None:
    known = Principals([by_hash("ops", TOKEN, "admin")])
    assert ask(known, [basic("prom", "of the port"), ("x-admin-key", TOKEN)]) == Principal("ops", frozenset({"admin"}))


def test_without_anybody_who_may_it_is_closed_to_all() -> None:
    for models in ([], [by_hash("ops", TOKEN, "read")]):
        found = ask(Principals(models), [bearer(TOKEN)])
        assert found == Refusal(Reason.NOT_CONFIGURED, "no principal with scope 'admin' is configured")


def test_no_scope_includes_another() -> None:
    scopes: tuple[Scope, ...] = ("webhook", "read", "admin", "emergency")
    known = Principals([by_hash(scope, scope * 3, scope) for scope in scopes])
    for scope in scopes:
        for token in scopes:
            found = ask(known, [bearer(token * 3)], scope)
            if token == scope:
                assert found == Principal(scope, frozenset({scope}))
            else:
                assert found == Refusal(Reason.SCOPE_MISSING, f"{token} does not have scope {scope!r}")


def test_every_reason_has_a_sentence_and_only_what_passes_may_be_tried_again() -> None:
    assert TEXTS.keys() == set(Reason)
    assert set(RETRY) == {Reason.NOT_CONFIGURED, Reason.SECRET_UNREADABLE, Reason.REPLAY_MEMORY_FULL}


# ------------------------------------------------------------------------------------------------ files


@pytest.mark.parametrize(("content", "why"), [(None, "cannot read"), ("", "is empty"), (" \n", "is empty")])
def test_a_token_file_that_says_nothing_is_no_open_door(tmp_path: Path, content: str | None, why: str) -> None:
    if content is not None:
        (tmp_path / "token").write_text(content)
    with pytest.raises(SecretError, match=f"principal 'am': .*{why}"):
        Principals([Model(name="am", token_file=str(tmp_path / "token"), scopes=("webhook",))])


def test_a_secret_that_could_be_guessed_is_refused(tmp_path: Path) -> None:
    model = signer(tmp_path)
    (tmp_path / "signer").write_text("s" * 19)
    with pytest.raises(SecretError, match=r"^principal 'signer': .*/signer is shorter than 20 characters$"):
        Principals([model])
    (tmp_path / "signer").write_text("s" * 20)
    Principals([model])


def test_a_file_is_read_again_when_it_changes(tmp_path: Path) -> None:
    known = Principals([by_file(tmp_path, "ops", "admin")])
    by_file(tmp_path, "ops", "admin", token=OTHER)
    assert reason(ask(known, [bearer(TOKEN)])) is UNKNOWN
    assert ask(known, [bearer(OTHER)]) == Principal("ops", frozenset({"admin"}))


def test_a_file_that_is_gone_lets_nobody_in_and_asks_to_come_again(tmp_path: Path) -> None:
    known = Principals([by_file(tmp_path, "ops", "admin"), by_hash("other", "other", "admin", "read")])
    (tmp_path / "ops").unlink()
    with capture_logs() as logs:
        for token in (TOKEN, "", "wrong"):
            assert reason(ask(known, [bearer(token)])) is Reason.SECRET_UNREADABLE
    assert [(line["log_level"], line["reason"]) for line in logs] == [
        ("warning", f"principal 'ops': cannot read the secret in {tmp_path}/ops: No such file or directory")
    ]
    # Whom it does not concern is answered as before.
    assert ask(known, [bearer("other")]) == Principal("other", frozenset({"admin", "read"}))
    assert reason(ask(known, [bearer(TOKEN)], "read")) is UNKNOWN
    by_file(tmp_path, "ops", "admin")
    assert ask(known, [bearer(TOKEN)]) == Principal("ops", frozenset({"admin"}))


# ------------------------------------------------------------------------------------------------ signatures

POST = Request(T0, "POST", "/api/admin/x", body=b'{"reason": "drill"}')


@pytest.mark.parametrize("declared", [False, True])
def test_a_signed_request_is_its_principals(tmp_path: Path, declared: bool) -> None:
    known = Principals([by_hash("ops", TOKEN, "admin"), signer(tmp_path)])
    found = ask(known, head(replace(POST, declared=declared)), body=Body(POST.body))
    assert found == Principal("signer", frozenset({"admin"}))


@pytest.mark.parametrize("declared", [False, True])
@pytest.mark.parametrize(
    ("request_", "content", "expected"),
    [
        (replace(POST, secret=SECRET + "x"), POST.body, (UNKNOWN, UNKNOWN)),
        (replace(POST, key="AKIDOTHER"), POST.body, (UNKNOWN, UNKNOWN)),
        (POST, b'{"reason": "forged"}', (UNKNOWN, Reason.BODY_MISMATCH)),
        (POST, None, (Reason.SIGNED_BODY, Reason.SIGNED_BODY)),
        (replace(POST, service="s3"), POST.body, (Reason.CREDENTIAL_SCOPE, Reason.CREDENTIAL_SCOPE)),
        (replace(POST, at=T0 - 301), POST.body, (Reason.CLOCK_SKEW, Reason.CLOCK_SKEW)),
        (replace(POST, changed=(("host", "other"),)), POST.body, (UNKNOWN, UNKNOWN)),
    ],
)
def test_a_signature_that_is_not_right_is_refused_with_the_reason(
    tmp_path: Path, declared: bool, request_: Request, content: bytes | None, expected: tuple[Reason, Reason]
) -> None:
    known = Principals([signer(tmp_path)])
    found = ask(known, head(replace(request_, declared=declared)), body=Body(content))
    assert reason(found) is expected[declared]


def test_the_body_is_read_only_where_a_signature_may_be_right(tmp_path: Path) -> None:
    known = Principals([signer(tmp_path)])
    for request, asked in (
        (replace(POST, key="AKIDOTHER"), 0),
        (replace(POST, at=T0 - 301), 0),
        (replace(POST, declared=True, secret=SECRET + "x"), 0),
        (replace(POST, secret=SECRET + "x"), 1),
        (POST, 1),
    ):
        body = Body(POST.body)
        ask(known, head(request), body=body)
        assert body.asked == asked, request


@pytest.mark.parametrize("region", ["us-east-1", "eu-central-1"])
@pytest.mark.parametrize("service", ["execute-api", "tocsin"])
def test_any_region_and_the_configured_service_are_right(tmp_path: Path, region: str, service: str) -> None:
    known = Principals([signer(tmp_path, sigv4_service=service)])
    found = ask(known, head(replace(POST, region=region, service=service)), body=Body(POST.body))
    assert found == Principal("signer", frozenset({"admin"}))


def test_a_signed_request_is_accepted_once_also_after_a_reload(tmp_path: Path) -> None:
    models = [signer(tmp_path)]
    known = Principals(models)
    assert isinstance(ask(known, head(POST), body=Body(POST.body)), Principal)
    assert reason(ask(known, head(POST), body=Body(POST.body))) is Reason.REPLAYED
    again = Principals(models, before=known)
    assert reason(ask(again, head(POST), body=Body(POST.body))) is Reason.REPLAYED
    assert isinstance(ask(again, head(replace(POST, at=T0 + 1)), body=Body(POST.body)), Principal)


def test_a_wrong_signature_is_not_remembered(tmp_path: Path) -> None:
    known = Principals([signer(tmp_path)])
    assert reason(ask(known, head(POST), body=Body(b"forged"))) is UNKNOWN
    assert isinstance(ask(known, head(POST), body=Body(POST.body)), Principal)


def test_a_secret_is_no_token_and_a_token_no_secret(tmp_path: Path) -> None:
    known = Principals([signer(tmp_path), by_hash("ops", TOKEN, "admin")])
    for header in (bearer(SECRET), ("x-admin-key", SECRET), basic("signer", SECRET), basic(KEY, SECRET)):
        assert reason(ask(known, [header])) is UNKNOWN
    assert reason(ask(known, head(replace(POST, key="ops", secret=TOKEN)), body=Body(POST.body))) is UNKNOWN


def test_a_signer_without_the_scope_is_refused_by_name(tmp_path: Path) -> None:
    known = Principals([signer(tmp_path, "read"), by_hash("ops", TOKEN, "admin")])
    found = ask(known, head(POST), body=Body(POST.body))
    assert found == Refusal(Reason.SCOPE_MISSING, "signer does not have scope 'admin'")


def test_a_signer_whose_secret_is_gone_is_asked_to_come_again(tmp_path: Path) -> None:
    known = Principals([signer(tmp_path)])
    (tmp_path / "signer").unlink()
    assert reason(ask(known, head(POST), body=Body(POST.body))) is Reason.SECRET_UNREADABLE


def test_a_signature_in_the_query_is_refused_by_name(tmp_path: Path) -> None:
    known = Principals([signer(tmp_path)])
    sent = Head("GET", "/", f"X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Signature={'0' * 64}", [("host", "h")])
    assert reason(ask(known, sent)) is Reason.PRESIGNED_QUERY
