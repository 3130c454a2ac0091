"""Who may call which route: every route has a row, every principal a column, and every cell is asserted."""

import asyncio
import base64
import io
import json
import shutil
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

import bcrypt
import pytest

from signing import KEY, SECRET, Request, changed, headers
from site_client import WEBHOOK, Client, Site, alert, bearer, caller, notification, snapshot
from tocsin.config.models import OpenRoute, Scope
from tocsin.config.models import Principal as Model
from tocsin.web.app import ROUTES, create_app
from tocsin.web.auth import MAX_SIGNED

WHO = ("nobody", "stranger", "webhook", "read", "admin", "emergency")
#: Route -> status for each of WHO: as it is by default, and with every open route closed.
MATRIX: dict[tuple[str, str], tuple[tuple[int, ...], tuple[int, ...]]] = {
    ("GET", "/"): ((200,) * 6, (401, 401, 403, 200, 403, 403)),
    ("GET", "/metrics"): ((200,) * 6, (401, 401, 403, 200, 403, 403)),
    ("GET", "/-/healthy"): ((200,) * 6, (401, 401, 403, 200, 403, 403)),
    ("GET", "/-/ready"): ((200,) * 6, (401, 401, 403, 200, 403, 403)),
    ("POST", "/-/reload"): ((200,) * 6, (401, 401, 403, 403, 200, 403)),
    ("PUT", "/-/reload"): ((200,) * 6, (401, 401, 403, 403, 200, 403)),
    ("GET", "/config"): ((200,) * 6, (401, 401, 403, 200, 403, 403)),
    ("GET", "/api/v1/explain"): ((400,) * 6, (401, 401, 403, 400, 403, 403)),
    ("POST", WEBHOOK): ((401, 401, 200, 403, 403, 403), (401, 401, 200, 403, 403, 403)),
    ("GET", "/api/alerts/active"): ((200,) * 6, (401, 401, 403, 200, 403, 403)),
    ("GET", "/api/alerts/history"): ((200,) * 6, (401, 401, 403, 200, 403, 403)),
    ("GET", "/alerts"): ((200,) * 6, (401, 401, 403, 200, 403, 403)),
    ("GET", "/alerts.js"): ((200,) * 6, (401, 401, 403, 200, 403, 403)),
    ("GET", "/operations"): ((200,) * 6, (401, 401, 403, 200, 403, 403)),
    ("POST", "/api/alerts/{id}/acknowledge"): ((401, 401, 403, 403, 404, 403), (401, 401, 403, 403, 404, 403)),
    ("POST", "/api/alerts/{id}/outcome"): ((401, 401, 403, 403, 400, 403), (401, 401, 403, 403, 400, 403)),
    ("POST", "/learning/kill-switch/disable"): ((401, 401, 403, 403, 403, 400), (401, 401, 403, 403, 403, 400)),
    ("POST", "/learning/kill-switch/enable"): ((401, 401, 403, 403, 403, 200), (401, 401, 403, 403, 403, 200)),
    ("GET", "/learning/kill-switch/status"): ((200,) * 6, (401, 401, 403, 200, 403, 403)),
    ("GET", "/api/admin/audit"): ((401, 401, 403, 200, 403, 403), (401, 401, 403, 200, 403, 403)),
    ("GET", "/api/admin/audit/{id}"): ((401, 401, 403, 404, 403, 403), (401, 401, 403, 404, 403, 403)),
}
SCOPES: tuple[Scope, ...] = get_args(Scope)


def site(*more: Model, closed: Sequence[str] = ()) -> Site:
    """One principal for each scope, whose token is its name."""
    made = Site(snapshot("a"), *(caller(scope, scope, name=scope) for scope in SCOPES), *more)
    made.closed = closed
    return made


def asked(where: Site, method: str, path: str) -> tuple[int, ...]:
    """The status for each of WHO."""
    found: list[int] = []

    async def talk(client: Client) -> None:
        for who in WHO:
            sent = {} if who == "nobody" else bearer(who)
            body = notification(alert()) if path == WEBHOOK else None
            async with client.request(method, path.replace("{id}", "none"), headers=sent, json=body) as response:
                found.append(response.status)

    where.use(talk)
    return tuple(found)


def test_every_route_of_the_program_has_a_row() -> None:
    app = create_app(site().program)
    served = {(route.method, route.resource.canonical) for route in app.router.routes() if route.resource}
    heads = {("HEAD", path) for method, path in MATRIX if method == "GET"}
    assert served == MATRIX.keys() | heads


def test_what_is_open_can_be_closed_and_nothing_else() -> None:
    assert {route.path for route in ROUTES if route.open} == set(get_args(OpenRoute))


@pytest.mark.parametrize(("method", "path"), MATRIX)
def test_each_principal_may_what_its_scopes_say(method: str, path: str) -> None:
    by_default, closed = MATRIX[method, path]
    assert asked(site(), method, path) == by_default
    assert asked(site(closed=get_args(OpenRoute)), method, path) == closed
    if method == "GET":
        assert asked(site(closed=get_args(OpenRoute)), "HEAD", path) == closed


@pytest.mark.parametrize("path", get_args(OpenRoute))
def test_one_closed_route_closes_no_other(path: str) -> None:
    where = site(closed=[path])
    for method, other in MATRIX:
        if other != WEBHOOK:
            assert asked(where, method, other) == MATRIX[method, other][other == path]


def test_nothing_configured_leaves_what_is_guarded_closed() -> None:
    where = Site(snapshot("a"))
    where.closed = get_args(OpenRoute)
    for method, path in MATRIX:
        assert asked(where, method, path) == (503,) * 6


def test_a_refusal_is_named_alike_in_the_answer_and_in_the_metric() -> None:
    where = site(closed=["/config"])
    _, found, text = where.ask("GET", "/config", headers=bearer("webhook"))
    assert json.loads(text) == {"error": "scope_missing", "message": "webhook does not have scope 'read'"}
    assert "WWW-Authenticate" not in found
    assert where.telemetry.value("refusals_total", "scope_missing") == 1


def test_a_user_of_the_port_is_asked_for_where_no_principal_is() -> None:
    where = site(closed=["/config"])
    where.users = {"prom": bcrypt.hashpw(b"s3cret", bcrypt.gensalt(4)).decode()}
    user = {"Authorization": "Basic " + base64.b64encode(b"prom:s3cret").decode()}
    principal = {"Authorization": "Basic " + base64.b64encode(b"read:read").decode()}
    for path, by_user, by_principal, by_both in (
        ("/metrics", 200, 401, 200),
        ("/config", 401, 200, 200),
        ("/nothing", 404, 401, 404),
    ):
        assert where.ask("GET", path, headers=user)[0] == by_user
        assert where.ask("GET", path, headers=principal)[0] == by_principal
        assert where.ask("GET", path, headers={**user, "x-admin-key": "read"})[0] == by_both
        assert where.ask("GET", path)[0] == 401


def test_a_signed_body_that_does_not_come_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    where = site(signer(tmp_path))
    monkeypatch.setattr("tocsin.web.auth._PATIENCE", 0.05)
    found: list[bytes] = []

    async def talk(client: Client) -> None:
        sent = headers(Request(where.program.clock(), "POST", path=WEBHOOK, body=b"x" * 100))
        reader, writer = await asyncio.open_connection("127.0.0.1", client.port)
        lines = [f"POST {WEBHOOK} HTTP/1.1", *(f"{name}: {value}" for name, value in sent.items())]
        writer.write("\r\n".join([*lines, "content-length: 100", "", "x"]).encode())
        found.append(await asyncio.wait_for(reader.readline(), 5))
        writer.close()

    where.use(talk)
    assert found == [b"HTTP/1.1 408 Request Timeout\r\n"]


# ------------------------------------------------------------------------------------------------ signed requests


def signer(folder: Path) -> Model:
    (folder / "secret").write_text(SECRET)
    return Model(name="signer", secret_file=str(folder / "secret"), access_key_id=KEY, scopes=SCOPES)


def signed(where: Site, path: str, request: Request, **how: Any) -> tuple[int, str]:
    """Status, and the reason or the text, of a request that is signed for the address where it goes."""
    found: list[tuple[int, str]] = []

    async def talk(client: Client) -> None:
        sent = headers(changed(request, host=f"127.0.0.1:{client.port}", path=path))
        url = f"http://127.0.0.1:{client.port}{path}"
        data = how.get("data") or io.BytesIO(request.body)
        async with client.session.request(
            request.method, url, headers={**sent, **how.get("more", {})}, data=data
        ) as response:
            text = await response.text()
            named = response.content_type == "application/json" and response.status >= 400
            found.append((response.status, json.loads(text)["error"] if named else text))

    where.use(talk)
    return found[0]


def test_a_signed_notification_is_taken(tmp_path: Path) -> None:
    where = site(signer(tmp_path))
    body = json.dumps(notification(alert())).encode()
    request = Request(where.program.clock(), "POST", body=body)
    assert signed(where, WEBHOOK, request) == (200, "1 alerts received\n")


def test_what_was_read_for_its_signature_is_there_for_who_reads_a_body_in_pieces(tmp_path: Path) -> None:
    where = site(signer(tmp_path))
    body = b'{"outcome": "true"}'.ljust(16_384)
    for said, expected in ((body, (404, "NOT_FOUND")), (body + b" ", (413, "BODY_TOO_LARGE"))):
        request = Request(where.program.clock(), "POST", body=said)
        assert signed(where, "/api/alerts/x/outcome", request) == expected


def test_a_signed_body_is_bounded_and_comes_as_it_is(tmp_path: Path) -> None:
    where = site(signer(tmp_path))
    body = b" " * MAX_SIGNED
    now = where.program.clock()
    status, text = signed(where, WEBHOOK, Request(now, "POST", body=body))
    assert (status, text.startswith("not Alertmanager's")) == (400, True)
    assert signed(where, WEBHOOK, Request(now, "POST", body=body + b" ")) == (401, "signed_body")
    encoded = {"Content-Encoding": "gzip"}
    assert signed(where, WEBHOOK, Request(now, "POST", body=b"x"), more=encoded) == (401, "signed_body")

    async def chunks() -> Any:
        yield b"x"

    assert signed(where, WEBHOOK, Request(now, "POST", body=b"x"), data=chunks()) == (401, "signed_body")


def test_a_get_has_the_empty_body(tmp_path: Path) -> None:
    where = site(signer(tmp_path), closed=["/config"])
    assert signed(where, "/config", Request(where.program.clock())) == (200, "process: {}\n")


def _curl_signs() -> bool:
    curl = shutil.which("curl")
    return curl is not None and b"--aws-sigv4" in subprocess.run([curl, "--help", "all"], capture_output=True).stdout


async def _curl(argv: list[str]) -> str:
    run = await asyncio.create_subprocess_exec("curl", "-q", "-sS", *argv, stdout=subprocess.PIPE)
    return (await run.communicate())[0].decode()


@pytest.mark.skipif(not _curl_signs(), reason="this curl does not sign")
def test_curl_signs_what_is_accepted(tmp_path: Path) -> None:
    where = site(signer(tmp_path), closed=["/config", "/api/v1/explain"])
    where.program.clock = time.time
    sign = ["--aws-sigv4", "aws:amz:us-east-1:execute-api", "--user", f"{KEY}:{SECRET}"]
    wrong = ["--aws-sigv4", "aws:amz:us-east-1:execute-api", "--user", f"{KEY}:{SECRET}x"]
    other = ["--aws-sigv4", "aws:amz:us-east-1:s3", "--user", f"{KEY}:{SECRET}"]
    body = ["-H", "Content-Type: application/json", "--data", json.dumps(notification(alert()))]
    found: list[str] = []

    async def talk(client: Client) -> None:
        base = f"http://127.0.0.1:{client.port}"
        asked = (
            [*sign, base + "/config"],
            [*sign, base + "/api/v1/explain?resource=a&signal=sig"],
            [*sign, base + "/api/v1/explain?signal=sig&resource=%C3%A4%20b"],
            [*sign, *body, base + WEBHOOK],
            [*wrong, *body, base + WEBHOOK],
            [*other, *body, base + WEBHOOK],
        )
        found.extend([await _curl(argv) for argv in asked])
        where.program.clock = lambda: time.time() + 400
        found.append(await _curl([*sign, *body, base + WEBHOOK]))

    where.use(talk)
    assert found[0] == "process: {}\n"
    assert json.loads(found[1])[0]["resource"] == "a"
    assert json.loads(found[2])["error"] == "no resource 'ä b'"
    assert found[3] == "1 alerts received\n"
    reasons = [json.loads(text)["error"] for text in found[4:]]
    assert reasons == ["unknown_credentials", "credential_scope", "clock_skew"]
