"""The operation `http`, against real servers on the loopback: what arrives, and what each way to fail is called."""

import asyncio
import contextlib
import json
import socket
import ssl
import subprocess
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from operating import NOW, OK, Checks, Handler, answering, asked, raw, receiver, secret, task
from tocsin.config.operations import HttpParameters
from tocsin.respond.operations import OPERATIONS, Outcome, Stopped
from tocsin.respond.operations import http as operation


def parameters(url: str, **changed: Any) -> HttpParameters:
    return HttpParameters.model_validate({"url": url, "timeout": "5s", **changed})


def run_against(handler: Handler, given: Any = None, **changed: Any) -> Outcome:
    async def go() -> Outcome:
        async with raw(handler) as url:
            return await operation.run(given or task(), parameters(url, **changed))

    return asyncio.run(go())


def test_the_receiver_learns_what_it_is_about_as_json_and_the_action_as_its_idempotency_key(tmp_path: Path) -> None:
    got: list[tuple[str, str, dict[str, str], Any]] = []

    async def answer(request: web.Request) -> web.Response:
        got.append((request.method, request.path_qs, dict(request.headers), json.loads(await request.read())))
        return web.json_response({})

    async def go() -> Outcome:
        async with receiver(answer) as url:
            given = parameters(
                f"{url}?now=1", method="PUT", body={"drain": True, "grace": [1, "2s"]}, headers={"X-Team": "ops"},
                token_file=secret(tmp_path, "t0ken\n"),
            )  # fmt: skip
            return await operation.run(task(), given)

    assert asyncio.run(go()) == Outcome("ok", "done", {"status": 200})
    ((method, path, headers, body),) = got
    assert (method, path) == ("PUT", "/recycle?now=1")
    assert body == {
        "action_id": "a-1",
        "operation": "http",
        "service": "melody-meter",
        "resource": "room-3",
        "episode_id": "e-1",
        "capacity_minutes": 480.0,
        "parameters": {"drain": True, "grace": [1, "2s"]},
    }
    assert headers["Idempotency-Key"] == "a-1"
    assert headers["Authorization"] == "Bearer t0ken"
    assert headers["X-Team"] == "ops"
    assert headers["Content-Type"] == "application/json"
    assert "Cookie" not in headers


def test_a_refused_connection_certainly_did_nothing() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/"
        given = task()
        assert asyncio.run(operation.run(given, parameters(url))) == Outcome("failed", "connection_failed")
    assert given.check.count == 0  # type: ignore[attr-defined]  a Checks


def test_a_name_without_an_address_certainly_did_nothing() -> None:
    given = task(["nowhere.invalid"])
    outcome = asyncio.run(operation.run(given, parameters("http://nowhere.invalid/")))
    assert outcome == Outcome("failed", "name_not_resolved")


def test_a_name_server_that_does_not_answer_is_given_up_in_time() -> None:
    async def never(_host: str, _port: int) -> list[str]:
        await asyncio.Event().wait()
        return []

    given = task(["ops.example.com"])
    outcome = asyncio.run(operation.run(given, parameters("http://ops.example.com/", timeout="50ms"), lookup=never))
    assert outcome == Outcome("failed", "connection_timeout")


def test_a_connection_that_is_not_taken_in_time_certainly_did_nothing() -> None:
    # A full backlog: further handshakes are neither taken nor refused.
    with contextlib.ExitStack() as stack:
        full = stack.enter_context(socket.socket())
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        for _ in range(4):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(full.getsockname())
        given = task()
        url = f"http://127.0.0.1:{full.getsockname()[1]}/"
        outcome = asyncio.run(operation.run(given, parameters(url, timeout="200ms")))
    assert outcome == Outcome("failed", "connection_timeout")
    assert given.check.count == 0  # type: ignore[attr-defined]  a Checks


def test_what_stops_at_the_last_moment_sends_no_byte_and_leaves_no_connection() -> None:
    received: list[bytes] = []

    async def listen(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        received.append(await reader.read())  # to the end: the connection is closed

    async def go() -> None:
        async with raw(listen) as url:
            with pytest.raises(Stopped, match="kill_switch"):
                await operation.run(task(check=Checks(stop_at=1)), parameters(url))
            for _ in range(200):
                if received:
                    break
                await asyncio.sleep(0.01)

    asyncio.run(go())
    assert received == [b""]  # it was connected, and nothing came


def test_the_check_comes_after_the_connection_and_before_the_request() -> None:
    order: list[str] = []

    async def check() -> None:
        await asyncio.sleep(0.05)  # time for the server to see what there is to be seen
        order.append("checked")

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        order.append("connected")
        await asked(reader)
        order.append("requested")
        writer.write(OK)

    assert run_against(listen, task(check=check)) == Outcome("ok", "done", {"status": 200})
    assert order == ["connected", "checked", "requested"]


def test_a_check_that_takes_too_long_certainly_did_nothing() -> None:
    received: list[bytes] = []

    async def check() -> None:
        await asyncio.Event().wait()

    async def listen(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        received.append(await reader.read())

    assert run_against(listen, task(check=check), timeout="100ms") == Outcome("failed", "connection_timeout")
    assert b"".join(received) == b""


def test_what_is_cancelled_while_it_waits_is_cancelled_and_closes_its_connection() -> None:
    closed = []

    async def go() -> None:
        begun = asyncio.Event()

        async def silent(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
            await asked(reader)
            begun.set()
            closed.append(await reader.read())

        async with raw(silent) as url:
            running = asyncio.create_task(operation.run(task(), parameters(url)))
            await begun.wait()
            running.cancel()
            with pytest.raises(asyncio.CancelledError):
                await running
            for _ in range(200):
                if closed:
                    break
                await asyncio.sleep(0.01)

    asyncio.run(go())
    assert closed == [b""]


def test_no_step_lasts_beyond_the_deadline() -> None:
    async def silent(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await asked(reader)
        await asyncio.Event().wait()

    assert run_against(silent, task(deadline=NOW + 0.5)) == Outcome("unknown", "answer_timeout")
    assert run_against(silent, task(deadline=NOW)) == Outcome("refused", "no_time_left")


@pytest.mark.parametrize("action_id", ["", "a\r\nX: y", "a b", "é", "a" * 201, "-"])
def test_an_action_whose_id_is_no_header_is_refused(action_id: str) -> None:
    outcome = asyncio.run(operation.run(task(action_id=action_id), parameters("http://127.0.0.1:1/")))
    assert outcome == Outcome("refused", "action_id_invalid")


@pytest.mark.parametrize("content", ["", "to\r\nX-Evil: 1", "tökén", "x" * 70_000, None])
def test_a_token_that_cannot_be_sent_certainly_did_nothing(content: str | None, tmp_path: Path) -> None:
    path = str(tmp_path / "missing") if content is None else secret(tmp_path, content)
    outcome = asyncio.run(operation.run(task(), parameters("http://127.0.0.1:1/", token_file=path)))
    assert outcome == Outcome("failed", "secret_unusable")


def test_a_certificate_that_nobody_trusts_certainly_did_nothing_and_one_of_the_given_authorities_is_trusted(
    tmp_path: Path,
) -> None:
    argv = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    argv += ["-subj", "/CN=x", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", "key.pem", "-out", "cert.pem"]
    subprocess.run(argv, cwd=tmp_path, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")

    async def go(**more: Any) -> Outcome:
        async with raw(answering(OK), ssl=context) as url:
            return await operation.run(task(), parameters(url.replace("http:", "https:"), timeout="2s", **more))

    assert asyncio.run(go()) == Outcome("failed", "tls_failed")
    assert asyncio.run(go(ca_file=str(tmp_path / "cert.pem"))) == Outcome("ok", "done", {"status": 200})
    assert asyncio.run(go(ca_file=str(tmp_path / "missing.pem"))) == Outcome("failed", "ca_unusable")
    assert asyncio.run(go(ca_file=str(tmp_path / "key.pem"))) == Outcome("failed", "ca_unusable")


def test_proxies_of_the_environment_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    assert run_against(answering(OK)) == Outcome("ok", "done", {"status": 200})


def test_no_secret_is_in_an_outcome_a_description_or_a_log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    canaries = ["canary-token", "canary-header", "canary-query"]

    def told(status: bytes) -> list[str]:
        async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            request = await asked(reader)
            assert all(canary.encode() in request for canary in canaries)
            writer.write(b"HTTP/1.1 " + status + b" canary-token\r\nLocation: http://127.0.0.1/canary-token\r\n")
            writer.write(b"Content-Length: %d\r\n\r\n%s" % (len(request), request))

        async def go() -> list[str]:
            async with raw(echo) as url:
                given = parameters(
                    f"{url}?key=canary-query",
                    headers={"X-Key": "canary-header"},
                    token_file=secret(tmp_path, "canary-token"),
                )
                outcome = await operation.run(task(), given)
                return [repr(outcome), operation.describe(given, "room-3")]

        return asyncio.run(go())

    caplog.set_level("DEBUG")
    said = [text for status in (b"200", b"302", b"401", b"500", b"999", b"x") for text in told(status)]
    assert [canary for canary in canaries if any(canary in text for text in said)] == []
    assert len(said) == 12
    assert "canary" not in caplog.text


def test_a_description_is_one_plain_sentence() -> None:
    plain = parameters("https://ops.example.com/pool/recycle?key=1")
    rich = parameters("http://[fd00::1]:8080", body={"drain": True, "grace": 2}, method="DELETE")
    assert operation.describe(plain, "room-3") == (
        "send POST to https://ops.example.com:443/pool/recycle about 'room-3', with its capacity"
    )
    assert operation.describe(rich, "a\nb") == (
        "send DELETE to http://[fd00::1]:8080/ about 'a\\nb', with its capacity and 2 fixed parameters"
    )


def test_reasons_are_short_words_and_each_is_one_of_the_list() -> None:
    for kind in OPERATIONS.values():
        assert len(set(kind.reasons)) == len(kind.reasons)
        assert all(reason.replace("_", "").isalpha() and reason.islower() for reason in kind.reasons)
    assert set(OPERATIONS["http"].reasons) == set(operation.REASONS)
