"""The webhook: who may deliver, what is refused and why, and what is counted."""

import asyncio
import gzip
import io
import json
import sqlite3
from contextlib import closing
from typing import Any

import pytest
from structlog.testing import capture_logs

from scripted import T0
from site_client import TOKEN, WEBHOOK, Client, Site, alert, bearer, caller, notification
from tocsin.respond.intake import KEPT
from tocsin.web.app import MAX_WEBHOOK


def test_without_a_principal_the_webhook_is_closed() -> None:
    site = Site()
    status, _, text = site.ask("POST", WEBHOOK, json=notification(alert()), headers=bearer())
    assert (status, json.loads(text)["message"]) == (503, "no principal with scope 'webhook' is configured")
    assert (site.counted(503), site.telemetry.value("refusals_total", "not_configured")) == (1, 1)


def test_the_exporter_alone_has_no_webhook() -> None:
    assert Site(None, caller(), webhook=False).ask("POST", WEBHOOK, json={}, headers=bearer())[0] == 404


BASIC = 'Basic realm="tocsin"'


@pytest.mark.parametrize(
    ("headers", "reason"),
    [
        ({}, "no_credentials"),
        (bearer("wrong"), "unknown_credentials"),
        (bearer(""), "unknown_credentials"),
        ({"Authorization": TOKEN}, "malformed_credentials"),
        ({"Authorization": f"Basic {TOKEN}"}, "malformed_credentials"),
        ({"Authorization": "Bearer"}, "unknown_credentials"),
        ({"x-admin-key": "wrong", **bearer()}, "unknown_credentials"),
        ({"Authorization": f"Bearer {TOKEN}x"}, "unknown_credentials"),
        ({"Authorization": "Bearer ünïcödé"}, "unknown_credentials"),
    ],
)
def test_a_stranger_is_refused(headers: dict[str, str], reason: str) -> None:
    site = Site(None, caller())
    status, answered, text = site.ask("POST", WEBHOOK, json=notification(alert()), headers=headers)
    assert (status, answered["WWW-Authenticate"]) == (401, "Bearer" if "x-admin-key" in headers else BASIC)
    assert (answered["Content-Type"], json.loads(text)["error"]) == ("application/json; charset=utf-8", reason)
    assert (site.counted(401), site.telemetry.value("alerts_received_total", "firing")) == (1, 0)
    assert site.telemetry.value("refusals_total", reason) == 1


def test_that_alerts_are_refused_is_said_once_a_minute() -> None:
    site, now = Site(None, caller(), caller("other", "read", name="viewer")), T0
    site.program.clock = lambda: now
    said = []

    async def talk(client: Client) -> None:
        nonlocal now
        for seconds, token in ((0, "wrong"), (59, "other"), (60, "other"), (61, TOKEN), (119, "wrong"), (120, "")):
            now = T0 + seconds
            with capture_logs() as lines:
                async with client.post(WEBHOOK, json=notification(alert()), headers=bearer(token)):
                    said.append([line["why"] for line in lines if line["event"].startswith("alerts were refused")])

    site.use(talk)
    unknown = '{"error":"unknown_credentials","message":"these credentials are nobody\'s"}'
    named = '{"error":"scope_missing","message":"viewer does not have scope \'webhook\'"}'
    assert said == [[unknown], [], [named], [], [], [unknown]]


def test_a_caller_without_the_scope_is_refused_by_name() -> None:
    site = Site(None, caller("other", "read", name="viewer"), caller())
    status, _, text = site.ask("POST", WEBHOOK, json=notification(alert()), headers=bearer("other"))
    assert (status, text) == (403, '{"error":"scope_missing","message":"viewer does not have scope \'webhook\'"}\n')
    assert site.counted(403) == 1


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
def test_alerts_are_taken_counted_and_shown(scheme: str) -> None:
    site = Site(None, caller())
    body = notification(alert(), alert("resolved", resource="piano"), alert("odd"), groupKey="{}:{}", truncatedAlerts=0)
    status, _, text = site.ask("POST", WEBHOOK, json=body, headers={"Authorization": f"{scheme} {TOKEN}"})
    assert (status, text) == (200, "2 alerts received, 1 that cannot be taken\n")
    assert [site.telemetry.value("alerts_received_total", s) for s in ("firing", "resolved", "invalid")] == [1, 1, 1]
    assert site.counted(200) == 1
    assert [(a.name, a.at) for a in site.program.intake.latest()] == [("A", T0)] * 2
    assert "<td>resolved</td>" in site.ask("GET", "/")[2]


def test_only_the_last_alerts_are_kept() -> None:
    site = Site(None, caller())
    site.ask("POST", WEBHOOK, json=notification(*(alert(n=str(i)) for i in range(KEPT + 7))), headers=bearer())
    latest = site.program.intake.latest()
    assert (len(latest), latest[0].alert.labels["n"]) == (KEPT, str(KEPT + 6))


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "not Alertmanager's webhook payload"),
        (b"{", "not Alertmanager's webhook payload"),
        (b"null", "not Alertmanager's webhook payload"),
        (b"[]", "not Alertmanager's webhook payload"),
        (b"\xff\xfe", "not Alertmanager's webhook payload"),
        (b'{"version":"4"}', "missing required field `alerts`"),
        (b'{"version":"4","alerts":{}}', "Expected `array`, got `object`"),
        (b'{"version":"4","alerts":[{"x":' + b"[" * 200_000, "not Alertmanager's webhook payload"),
        (b'{"version":"4","alerts":[nul]}', "not Alertmanager's webhook payload"),
        (b'{"version":"4","alerts":[],"truncatedAlerts":"1"}', "Expected `int`, got `str`"),
        (b'{"version":"4","alerts":[],"x":' + b"[" * 200_000, "not Alertmanager's webhook payload"),
        (json.dumps({**notification(), "version": "5"}).encode(), "found payload version '5', expected '4'"),
        (json.dumps({**notification(), "version": 4}).encode(), "Expected `str`, got `int`"),
    ],
)
def test_a_malformed_body_is_refused_with_the_reason(body: bytes, reason: str) -> None:
    site = Site(None, caller())
    status, _, text = site.ask("POST", WEBHOOK, data=body, headers=bearer())
    assert status == 400
    assert reason in text
    assert (site.counted(400), site.program.intake.latest()) == (1, ())


def test_a_notification_of_no_alerts_is_fine() -> None:
    assert Site(None, caller()).ask("POST", WEBHOOK, json=notification(), headers=bearer())[2] == "0 alerts received\n"


def test_a_body_that_is_too_large_is_refused() -> None:
    site = Site(None, caller())
    with capture_logs() as lines:
        status, _, text = site.ask("POST", WEBHOOK, data=io.BytesIO(b" " * (MAX_WEBHOOK + 1)), headers=bearer())
    assert (status, site.counted(413)) == (413, 1)
    what = "make notifications smaller: group_by more labels, or set max_alerts in the receiver's webhook_configs"
    assert text == f"found more than 8388608 bytes; {what}\n"
    # Nobody sends these alerts again.
    (said,) = (line for line in lines if line["log_level"] == "warning")
    assert said["event"] == "alerts were lost: a notification is too large"
    assert (said["limit"], said["advice"]) == (8388608, what)
    fits = json.dumps(notification()).encode()
    body = io.BytesIO(fits + b" " * (MAX_WEBHOOK - len(fits)))
    assert site.ask("POST", WEBHOOK, data=body, headers=bearer())[0] == 200


def test_a_bomb_in_gzip_is_bounded_by_what_it_becomes() -> None:
    site = Site(None, caller())
    body = gzip.compress(b" " * (4 * MAX_WEBHOOK))
    assert len(body) < MAX_WEBHOOK / 100
    headers = {**bearer(), "Content-Encoding": "gzip"}
    assert site.ask("POST", WEBHOOK, data=body, headers=headers)[0] == 413


@pytest.mark.parametrize(
    "body",
    [b"abcde", gzip.compress(b"{}" * 1000, mtime=0)[:-4] + b"abcd", b"x" * 300_000],
    ids=["short", "of a wrong length", "long"],
)
def test_what_is_said_to_be_gzip_and_is_not_is_refused_without_a_traceback(
    body: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    site = Site(None, caller())
    answers: list[tuple[int, str]] = []

    async def talk(client: Client) -> None:
        for headers, data in (({"Content-Encoding": "gzip"}, body), ({}, json.dumps(notification()).encode())):
            async with client.post(WEBHOOK, data=data, headers={**bearer(), **headers}) as response:
                answers.append((response.status, await response.text()))

    site.use(talk)
    message = '{"error":"UNREADABLE_BODY","message":"the body is not what Content-Encoding or Transfer-Encoding says"}'
    assert answers == [(400, message), (200, "0 alerts received\n")]
    assert (site.counted(400), site.counted(500)) == (1, 0)
    assert caplog.records == []


def test_a_strangers_body_is_never_read() -> None:
    """The refusal comes while the body is still to be sent, however much of it there is."""
    site = Site(None, caller())
    answers: list[bytes] = []

    async def talk(client: Client) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", client.port)
        head = (
            f"POST {WEBHOOK} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer wrong\r\nContent-Length: 100000000000\r\n\r\n"
        )
        writer.write(head.encode() + b"{")
        answers.append(await asyncio.wait_for(reader.readline(), 5))
        writer.close()

    site.use(talk)
    assert answers == [b"HTTP/1.1 401 Unauthorized\r\n"]


def test_a_caller_that_goes_away_in_the_middle_has_delivered_nothing() -> None:
    site = Site(None, caller())

    async def talk(client: Client) -> None:
        _, writer = await asyncio.open_connection("127.0.0.1", client.port)
        head = f"POST {WEBHOOK} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\nContent-Length: 1000\r\n\r\n"
        writer.write(head.encode() + b"{")
        await writer.drain()
        writer.close()
        for _ in range(200):
            if site.counted(500):
                return
            await asyncio.sleep(0.01)

    site.use(talk)
    assert (site.counted(500), site.counted(200)) == (1, 0)


def test_one_bad_alert_does_not_block_its_group() -> None:
    site = Site(None, caller())
    bad: list[Any] = [
        None,
        1,
        {"labels": {"a": 1}},
        {**alert(), "status": None},
        alert("odd"),
        {**alert(), "labels": {}},
    ]
    body = notification(*bad, alert(resource="piano"))
    assert site.ask("POST", WEBHOOK, json=body, headers=bearer())[::2] == (
        200,
        "1 alerts received, 6 that cannot be taken\n",
    )
    assert site.telemetry.value("alerts_received_total", "invalid") == 6
    assert [row["resource"] for row in json.loads(site.ask("GET", "/api/alerts/active")[2])] == ["piano"]


def test_alerts_are_stored_before_they_are_answered() -> None:
    site = Site(None, caller())
    site.ask("POST", WEBHOOK, json=notification(alert(resource="piano")), headers=bearer())
    with closing(sqlite3.connect(site.file)) as connection, connection:
        assert connection.execute("SELECT alertname, state, starts_at FROM episodes").fetchall() == [
            ("A", "firing", T0)
        ]
    connection.close()


def test_a_store_that_is_gone_is_503_and_the_same_again_is_stored_once_it_is_back() -> None:
    site = Site(None, caller())
    answers: list[tuple[int, str]] = []

    async def talk(client: Client) -> None:
        for moved in (False, True, False):
            aside = site.file.with_name("aside.db")
            if moved:
                site.file.rename(aside)
            elif aside.exists():
                aside.rename(site.file)
            async with client.post(WEBHOOK, json=notification(alert()), headers=bearer()) as response:
                answers.append((response.status, await response.text()))

    site.use(talk)
    gone = '{"error":"STORE_UNAVAILABLE","reason":"cannot_open"}'
    assert answers == [(200, "1 alerts received\n"), (503, gone), (200, "1 alerts received\n")]
    assert site.telemetry.value("alerts_received_total", "firing") == 2
    assert len(json.loads(site.ask("GET", "/api/alerts/history")[2])) == 1


def test_a_body_that_does_not_come_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    site = Site(None, caller())
    monkeypatch.setattr("tocsin.web.app._PATIENCE", 0.05)
    answers: list[bytes] = []

    async def talk(client: Client) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", client.port)
        head = f"POST {WEBHOOK} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\nContent-Length: 1000\r\n\r\n"
        writer.write(head.encode() + b"{")
        answers.append(await asyncio.wait_for(reader.readline(), 5))
        writer.close()

    site.use(talk)
    assert answers == [b"HTTP/1.1 503 Service Unavailable\r\n"]
    assert site.counted(503) == 1
