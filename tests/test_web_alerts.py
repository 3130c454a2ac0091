"""The alerts in the runbook's shape, and what humans say of them: who, when, once, and with an audit record."""

import asyncio
import gzip
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from scripted import T0
from site_client import WEBHOOK, Client, Site, bearer, caller, notification, snapshot
from stores import Place, place
from tocsin.config.models import Principal as Model
from tocsin.core.snapshot import Snapshot
from tocsin.guard import audit
from tocsin.respond.intake import Intake
from tocsin.store.handle import StoreHandle

ADMIN = bearer("ann")
ACKNOWLEDGED = {"acknowledgedAt": "2023-11-15T00:00:00.000Z", "acknowledgedBy": "ann"}


class Alerts(Site):
    """A site with the store of a test, and somebody who may deliver alerts and somebody who may judge them."""

    def __init__(self, found: Snapshot | None = None, where: Place | None = None) -> None:
        known: list[Model] = [caller(), caller("ann", "admin", name="ann"), caller("bob", "admin", name="bob")]
        super().__init__(found, *known)
        if where is not None:
            self.store = StoreHandle(where.url, self.telemetry, password=lambda: where.password)
            self.program.store, self.program.intake = self.store, Intake(self.telemetry, self.store)

    def deliver(self, *sent: dict[str, Any]) -> None:
        assert self.ask("POST", WEBHOOK, json=notification(*sent), headers=bearer())[0] == 200

    def get(self, path: str) -> Any:
        status, _, text = self.ask("GET", path)
        assert status == 200
        return json.loads(text)

    def say(self, path: str, body: Any = None, who: dict[str, str] = ADMIN) -> tuple[int, Any]:
        how = {"data": body} if isinstance(body, bytes) else {"json": body}
        status, _, text = self.ask("POST", f"/api/alerts/{path}", headers=who, **how)
        return status, json.loads(text)

    def records(self) -> list[tuple[Any, ...]]:
        found: list[audit.Entry] = []

        async def talk(_client: Client) -> None:
            found.extend(await self.store.read(lambda c: audit.entries(c, audit.Wanted(), limit=100)))
            assert await self.store.read(audit.verify) is None

        self.use(talk)
        records = [entry.record for entry in reversed(found)]
        return [(r.kind, r.principal, r.at, r.service, r.resource, r.reason, dict(r.detail)) for r in records]


def sent(status: str = "firing", annotations: dict[str, str] | None = None, **labels: str) -> dict[str, Any]:
    whole = {"alertname": "DecisionLatencyP99", "tocsin_service": "amas", "severity": "high", **labels}
    return {
        "status": status,
        "labels": {name: value for name, value in whole.items() if value},
        "annotations": {"summary": "Decision latency P99 exceeds 500ms"} if annotations is None else annotations,
        "startsAt": "2023-11-14T23:50:00.5Z",
        "endsAt": "2023-11-14T23:52:00Z",
    }


@pytest.fixture(params=["sqlite", "postgresql"])
def alerts(request: pytest.FixtureRequest, tmp_path: Any) -> Alerts:
    return Alerts(where=place(request.param, request, tmp_path))


def test_nothing_fires() -> None:
    site = Alerts()
    assert (site.get("/api/alerts/active"), site.get("/api/alerts/history")) == ([], [])


def test_an_alert_has_the_shape_of_the_runbook() -> None:
    site = Alerts()
    numbers = {"summary": "Decision latency P99 exceeds 500ms", "value": "550", "threshold": "500"}
    site.deliver(sent(signal="decision.latency.p99", annotations=numbers))
    (found,) = site.get("/api/alerts/active")
    assert len(found.pop("id")) == 32
    assert found == {
        "metric": "decision.latency.p99",
        "status": "firing",
        "severity": "high",
        "value": 550.0,
        "threshold": 500.0,
        "occurredAt": "2023-11-14T23:50:00.500Z",
        "message": "Decision latency P99 exceeds 500ms",
        "alertname": "DecisionLatencyP99",
        "service": "amas",
        **dict.fromkeys(("resource", "endedAt", "acknowledgedAt", "acknowledgedBy", "outcome", "outcomeReason")),
    }


@pytest.mark.parametrize("value", ["much", "NaN", "inf", ""])
def test_what_nobody_knows_is_null(value: str) -> None:
    site = Alerts()
    site.deliver(sent(tocsin_service="", severity="", annotations={"value": value}))
    (found,) = site.get("/api/alerts/active")
    assert found["metric"] == "DecisionLatencyP99"
    assert [found[key] for key in ("service", "severity", "value", "threshold", "message")] == [None] * 5


def test_the_value_is_the_signals_present_one_where_the_alert_does_not_say() -> None:
    live = snapshot("piano", "organ")
    site = Alerts(live)
    view = live.signals[0]
    service, signal = view.service, view.signal
    site.deliver(sent(tocsin_service=service, signal=signal, resource="organ"))
    site.deliver(sent("resolved", tocsin_service=service, signal=signal, resource="piano"))
    site.deliver(sent(tocsin_service=service, signal=signal, resource="harp"))
    found = {one["resource"]: one["value"] for one in site.get("/api/alerts/history")}
    assert found == {"organ": float(view.grades.x[1]), "piano": None, "harp": None}


def test_the_history_has_the_newest_200_and_active_those_that_fire() -> None:
    site = Alerts()
    now = T0
    site.program.clock = lambda: now
    for i in range(201):
        now = T0 + i
        site.deliver(sent("firing" if i % 2 else "resolved", resource=f"r{i}"))
    assert [one["resource"] for one in site.get("/api/alerts/history")] == [f"r{i}" for i in range(200, 0, -1)]
    active = site.get("/api/alerts/active")
    assert [one["resource"] for one in active] == [f"r{i}" for i in range(199, 0, -2)]
    resolved = next(one for one in site.get("/api/alerts/history") if one["resource"] == "r200")
    assert (resolved["status"], resolved["endedAt"]) == ("resolved", "2023-11-14T23:52:00.000Z")


def test_one_service_can_be_asked_for() -> None:
    site = Alerts()
    site.deliver(sent(), sent(tocsin_service="shop"))
    for path in ("active", "history"):
        assert [one["service"] for one in site.get(f"/api/alerts/{path}?service=shop")] == ["shop"]
        assert site.get(f"/api/alerts/{path}?service=none") == []


def test_an_alert_is_acknowledged_once_with_who_and_when(alerts: Alerts) -> None:
    alerts.deliver(sent(resource="piano"))
    (before,) = alerts.get("/api/alerts/active")
    path = f"{before['id']}/acknowledge"
    assert alerts.say(path) == (200, before | ACKNOWLEDGED)
    alerts.program.clock = lambda: T0 + 60
    assert alerts.say(path, who=bearer("bob")) == (200, before | ACKNOWLEDGED)
    assert alerts.get("/api/alerts/active") == [before | ACKNOWLEDGED]
    assert alerts.records() == [("alert.acknowledge", "ann", T0, "amas", "piano", None, {})]


def test_an_alert_that_has_ended_cannot_be_acknowledged(alerts: Alerts) -> None:
    alerts.deliver(sent("resolved"))
    (found,) = alerts.get("/api/alerts/history")
    message = "the alert has ended (resolved): only one that fires can be acknowledged"
    assert alerts.say(f"{found['id']}/acknowledge") == (409, {"error": "ALERT_ENDED", "message": message})
    assert alerts.records() == []


@pytest.mark.parametrize(
    "path", ["none/acknowledge", "none/outcome", "%00/outcome", "%F0%9F%8E%B9/acknowledge", "%FF/outcome"]
)
def test_an_alert_that_is_not_there_is_not_found(alerts: Alerts, path: str) -> None:
    status, answer = alerts.say(path, {"outcome": "true"})
    assert (status, answer["error"]) == (404, "NOT_FOUND")
    assert alerts.records() == []


def test_an_outcome_is_kept_can_be_corrected_and_each_word_is_in_the_audit(alerts: Alerts) -> None:
    alerts.deliver(sent("resolved"))
    (before,) = alerts.get("/api/alerts/history")
    path, said = f"{before['id']}/outcome", {"outcome": "dismissed", "reason": "a ♫ test"}
    expected = before | {"outcome": "dismissed", "outcomeReason": "a ♫ test"}
    assert alerts.say(path, said) == (200, expected)
    assert alerts.say(path, said, bearer("bob")) == (200, expected)
    assert alerts.say(path, {"outcome": "true"}, bearer("bob"))[1]["outcome"] == "true"
    (now,) = alerts.get("/api/alerts/history")
    assert (now["outcome"], now["outcomeReason"]) == ("true", None)
    assert alerts.records() == [
        ("alert.outcome", "ann", T0, "amas", None, "a ♫ test", {"outcome": "dismissed"}),
        ("alert.outcome", "bob", T0, "amas", None, None, {"outcome": "true", "before": "dismissed", "by": "ann"}),
    ]


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"", "truncated"),
        (b"null", "Expected `object`"),
        (b"[" * 10_000, "expected {"),
        ({}, "missing required field `outcome`"),
        ({"outcome": True}, "Expected `str`, got `bool`"),
        ({"outcome": "maybe"}, "Invalid enum value 'maybe'"),
        ({"outcome": "true", "reason": 1}, "Expected `str`, got `int`"),
        ({"outcome": "true", "result": "x"}, "unknown field `result`"),
        ({"outcome": "true", "reason": "\0"}, "found a NUL in the reason"),
    ],
)
def test_what_is_no_outcome_is_refused_with_what_is_expected(body: Any, why: str) -> None:
    site = Alerts()
    site.deliver(sent())
    (found,) = site.get("/api/alerts/active")
    status, answer = site.say(f"{found['id']}/outcome", body)
    assert (status, answer["error"]) == (400, "INVALID_OUTCOME")
    assert why in answer["message"]
    assert site.get("/api/alerts/active") == [found]


def test_a_long_reason_is_refused() -> None:
    status, answer = Alerts().say("x/outcome", {"outcome": "true", "reason": "x" * 20_000})
    assert (status, answer["error"]) == (413, "BODY_TOO_LARGE")


async def _in_chunks() -> AsyncIterator[bytes]:
    yield b'{"outcome": "true", "reason": "'
    for _ in range(20):
        yield b"x" * 1000
    yield b'"}'


@pytest.mark.parametrize("kind", ["chunked", "gzip"])
def test_a_long_reason_that_does_not_say_its_length_is_refused(kind: str) -> None:
    site = Alerts()
    site.deliver(sent())
    (found,) = site.get("/api/alerts/active")
    long = json.dumps({"outcome": "true", "reason": "x" * 20_000}).encode()
    body: Any = _in_chunks() if kind == "chunked" else gzip.compress(long)
    headers = ADMIN | ({} if kind == "chunked" else {"Content-Encoding": "gzip"})
    status, _, text = site.ask("POST", f"/api/alerts/{found['id']}/outcome", data=body, headers=headers)
    assert (status, json.loads(text)["error"]) == (413, "BODY_TOO_LARGE")
    assert site.get("/api/alerts/active") == [found]


@pytest.mark.parametrize(("more", "status"), [(0, 200), (1, 413)])
def test_a_reason_in_chunks_may_be_as_long_as_any(more: int, status: int) -> None:
    site = Alerts()
    site.deliver(sent())
    (found,) = site.get("/api/alerts/active")
    body = b'{"outcome": "true"}'.ljust(16_384 + more)

    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(body), 1000):
            yield body[start : start + 1000]

    assert site.ask("POST", f"/api/alerts/{found['id']}/outcome", data=pieces(), headers=ADMIN)[0] == status


def test_what_is_too_long_is_not_read_to_its_end() -> None:
    site = Alerts()
    answers: list[bytes] = []

    async def talk(client: Client) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", client.port)
        head = (
            "POST /api/alerts/x/outcome HTTP/1.1\r\nHost: x\r\nx-admin-key: ann\r\nTransfer-Encoding: chunked\r\n\r\n"
        )
        # More is announced, and never comes.
        writer.write(head.encode() + b"%x\r\n" % 10**9 + b" " * 16_385)
        # How the status is called differs from one Python to the next.
        answers.append((await asyncio.wait_for(reader.readline(), 5))[: len(b"HTTP/1.1 413 ")])
        writer.close()

    site.use(talk)
    assert answers == [b"HTTP/1.1 413 "]


@pytest.mark.parametrize("path", ["active", "history"])
def test_no_alert_is_of_a_service_with_a_nul(alerts: Alerts, path: str) -> None:
    alerts.deliver(sent())
    assert alerts.get(f"/api/alerts/{path}?service=%00") == []
    assert alerts.get(f"/api/alerts/{path}?service=amas%00") == []
    assert len(alerts.get(f"/api/alerts/{path}?service=amas")) == 1


def test_a_thousand_active_alerts_are_all_told() -> None:
    site = Alerts()
    site.deliver(*(sent(n=str(i)) for i in range(1000)))
    assert len({one["id"] for one in site.get("/api/alerts/active")}) == 1000


def test_the_store_being_away_is_said(tmp_path: Any) -> None:
    site = Alerts(where=Place(f"sqlite:///{tmp_path}/none/tocsin.db", None, None))
    for method, path in (("GET", "active"), ("GET", "history"), ("POST", "x/acknowledge")):
        status, _, text = site.ask(method, f"/api/alerts/{path}", headers=ADMIN)
        assert (status, json.loads(text)) == (503, {"error": "STORE_UNAVAILABLE", "reason": "cannot_open"})
