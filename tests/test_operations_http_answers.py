"""The operation `http`: what each answer, and each way not to answer, means."""

import asyncio
import socket
from typing import Any

import pytest
from aiohttp import web
from pydantic import ValidationError

from operating import OK, Handler, answering, asked, raw, receiver, task
from tocsin.config.operations import HttpParameters
from tocsin.respond.operations import Outcome
from tocsin.respond.operations import http as operation


def parameters(url: str, **changed: Any) -> HttpParameters:
    return HttpParameters.model_validate({"url": url, "timeout": "5s", **changed})


def run_against(handler: Handler, given: Any = None, **changed: Any) -> Outcome:
    async def go() -> Outcome:
        async with raw(handler) as url:
            return await operation.run(given or task(), parameters(url, **changed))

    return asyncio.run(go())


@pytest.mark.parametrize(
    ("status", "expect", "result", "reason"),
    [
        (200, [], "ok", "done"),
        (204, [], "ok", "done"),
        (202, [202], "ok", "done"),
        (200, [202], "unknown", "unexpected_status"),
        (409, [202, 409], "ok", "done"),
        (301, [], "failed", "redirected"),
        (302, [], "unknown", "redirected"),
        (303, [], "unknown", "redirected"),
        (307, [], "failed", "redirected"),
        (308, [], "failed", "redirected"),
        (400, [], "failed", "client_error"),
        (401, [], "failed", "client_error"),
        (404, [], "failed", "client_error"),
        (429, [], "failed", "client_error"),
        (408, [], "unknown", "client_error"),
        (409, [], "unknown", "client_error"),
        (499, [], "unknown", "client_error"),
        (500, [], "unknown", "server_error"),
        (501, [], "failed", "server_error"),
        (503, [], "unknown", "server_error"),
        (502, [], "unknown", "gateway_error"),
        (504, [], "unknown", "gateway_error"),
        (522, [], "unknown", "gateway_error"),
    ],
)
def test_a_status_says_how_it_ended(status: int, expect: list[int], result: str, reason: str) -> None:
    asked = []

    async def answer(request: web.Request) -> web.Response:
        asked.append(request.path)
        return web.Response(status=status, headers={"Location": "/elsewhere"})

    async def go() -> Outcome:
        async with receiver(answer) as url:
            return await operation.run(task(), parameters(url, expect=expect))

    outcome = asyncio.run(go())
    assert (outcome.result, outcome.reason, outcome.detail) == (result, reason, {"status": status})
    assert asked == ["/recycle"]  # once, and nowhere else


def test_a_receiver_may_say_by_which_statuses_it_has_done_nothing() -> None:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asked(reader)
        writer.write(b"HTTP/1.1 503 Later\r\nContent-Length: 0\r\n\r\n")

    assert run_against(handle, not_done=[409, 503]) == Outcome("failed", "server_error", {"status": 503})
    assert run_against(handle, not_done=[409]) == Outcome("unknown", "server_error", {"status": 503})
    with pytest.raises(ValidationError, match="found 503 in expect and in not_done, expected it in one of them"):
        parameters("http://ops/x", expect=[503], not_done=[503])


def test_a_connection_that_is_reset_after_the_request_leaves_it_unknown() -> None:
    async def reset(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asked(reader)
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        writer.transport.abort()

    assert run_against(reset) == Outcome("unknown", "connection_lost")


def test_a_connection_that_is_closed_without_an_answer_leaves_it_unknown_and_is_not_tried_again() -> None:
    requests = []

    async def close(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        requests.append(await asked(reader))

    # PUT and DELETE too: libraries like to repeat these.
    for method in ("POST", "PUT", "DELETE"):
        assert run_against(close, method=method) == Outcome("unknown", "connection_lost")
    assert len(requests) == 3


def test_no_answer_in_time_leaves_it_unknown() -> None:
    async def silent(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await asked(reader)
        await asyncio.Event().wait()

    assert run_against(silent, timeout="500ms") == Outcome("unknown", "answer_timeout")


@pytest.mark.parametrize(
    ("start", "outcome"),
    [
        (b"HTTP/1.1 200 OK\r\nX: ", Outcome("unknown", "answer_timeout")),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n", Outcome("unknown", "answer_timeout", {"status": 200})),
        (b"HTTP/1.1 403 No\r\nContent-Length: 100\r\n\r\n", Outcome("failed", "client_error", {"status": 403})),
    ],
)
def test_an_answer_that_drips_is_given_up_in_time(start: bytes, outcome: Outcome) -> None:
    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asked(reader)
        writer.write(start)
        while True:
            writer.write(b"0")
            await asyncio.sleep(0.01)

    async def go() -> tuple[Outcome, float]:
        began = asyncio.get_running_loop().time()
        async with raw(drip) as url:
            return await operation.run(task(), parameters(url, timeout="500ms")), (
                asyncio.get_running_loop().time() - began
            )

    got, took = asyncio.run(go())
    assert got == outcome
    assert took < 2


def test_an_answer_that_never_ends_is_cut() -> None:
    sent = 0

    async def flood(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        await asked(reader)
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            writer.write(b"x" * 65536)
            await writer.drain()
            sent += 65536

    assert run_against(flood) == Outcome("unknown", "answer_too_large", {"status": 200})
    assert sent < 16 * operation.LONGEST_ANSWER  # what the buffers of both sides take


def test_an_answer_of_the_longest_length_is_read() -> None:
    body = b"x" * operation.LONGEST_ANSWER
    head = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(body)
    assert run_against(answering(head, body)) == Outcome("ok", "done", {"status": 200})


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (b"SSH-2.0-OpenSSH\r\n\r\n", Outcome("unknown", "answer_invalid")),
        (b"HTTP/1.1 200 OK\r\n" + b"X: " + b"x" * 100_000 + b"\r\n\r\n", Outcome("unknown", "answer_invalid")),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nx", Outcome("unknown", "connection_lost", {"status": 200})),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", Outcome("unknown", "answer_invalid")),
        (b"HTTP/1.1 500 No\r\nContent-Length: 10\r\n\r\nx", Outcome("unknown", "server_error", {"status": 500})),
        (OK, Outcome("ok", "done", {"status": 200})),
    ],
)
def test_an_answer_that_is_not_whole_is_no_success(answer: bytes, outcome: Outcome) -> None:
    assert run_against(answering(answer)) == outcome
