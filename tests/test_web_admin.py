"""The kill switch and the audit over HTTP: the answers of the runbook, word for word."""

import asyncio
import json
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from typing import Any

import pytest
from sqlalchemy import text

from scripted import T0
from site_client import Client, Site, bearer, caller
from stores import Place
from tocsin.guard.audit import Record, append
from tocsin.guard.rate import Rate
from tocsin.store.handle import StoreHandle
from tocsin.web.admin import rate_limited

DISABLE, ENABLE, STATUS = (f"/learning/kill-switch/{word}" for word in ("disable", "enable", "status"))
#: T0 as the runbook writes it.
NOW = "2023-11-15T00:00:00.000Z"


@pytest.fixture
def site(somewhere: Place) -> Site:
    made = Site(None, caller("emergency", "emergency", name="ops-admin"), caller("read", "read", name="auditor"))
    made.store = StoreHandle(somewhere.url, made.telemetry, password=lambda: somewhere.password)
    made.program.store = made.store
    return made


Asked = tuple[str, str, Any]


def answers(site: Site, *asked: Asked, who: str = "emergency") -> list[tuple[int, Any]]:
    """Status and JSON of each request, one after the other; a body that is bytes is sent as it is."""
    found: list[tuple[int, Any]] = []

    async def talk(client: Client) -> None:
        for method, path, body in asked:
            how = {"data": body} if isinstance(body, bytes) else {"json": body}
            async with client.request(method, path, headers=bearer(who), **how) as response:
                found.append((response.status, json.loads(await response.text())))

    site.use(talk)
    return found


def write(site: Site, records: Sequence[Record]) -> None:
    async def run() -> None:
        await site.store.start()
        await site.store.write(lambda connection: [append(connection, one) for one in records])
        await site.store.stop()

    asyncio.run(run())


def record(number: int, **changed: Any) -> Record:
    return Record(**{"at": T0 + number, "principal": "tocsin", "kind": "action.ok", "result": "ok", **changed})


def test_a_new_switch_is_enabled(site: Site) -> None:
    status = {"active": False, "enabled": True, "disabledAt": None, "disabledBy": None}
    assert answers(site, ("GET", STATUS, None)) == [(200, {**status, "reason": None, "lastModified": None})]


def test_the_switch_is_flipped_and_shown_as_the_runbook_says(site: Site) -> None:
    found = answers(
        site,
        ("POST", DISABLE, {"reason": " Production incident "}),
        ("GET", STATUS, None),
        ("POST", ENABLE, b""),
        ("GET", STATUS, None),
    )
    assert found == [
        (
            200,
            {
                "status": "DISABLED",
                "message": "Kill switch disabled - all automated operations blocked",
                "auditId": "KILL_SWITCH_DISABLE#1",
            },
        ),
        (
            200,
            {
                "active": True,
                "enabled": False,
                "disabledAt": NOW,
                "disabledBy": {"type": "EMERGENCY_OVERRIDE", "identifier": "ops-admin"},
                "reason": "Production incident",
                "lastModified": NOW,
            },
        ),
        (
            200,
            {
                "status": "ENABLED",
                "message": "Kill switch enabled - automated operations allowed",
                "auditId": "KILL_SWITCH_ENABLE#2",
            },
        ),
        (
            200,
            {
                "active": False,
                "enabled": True,
                "disabledAt": None,
                "disabledBy": None,
                "reason": None,
                "lastModified": NOW,
            },
        ),
    ]


EXAMPLE = 'expected JSON such as {"reason": "Production incident"}'


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", f"the body is no JSON, {EXAMPLE}"),
        (b"{", f"the body is no JSON, {EXAMPLE}"),
        (b"\xff", f"the body is no JSON, {EXAMPLE}"),
        (b"[" * 100_000, f"the body is no JSON, {EXAMPLE}"),
        ([], f"the body gives no reason, {EXAMPLE}"),
        ({}, f"the body gives no reason, {EXAMPLE}"),
        ({"reason": None}, f"the body gives no reason, {EXAMPLE}"),
        ({"reason": 5}, f"the body gives no reason, {EXAMPLE}"),
        ({"reason": " \n"}, "found no reason, expected some words"),
        ({"reason": "x" * 1001}, "expected at most 1000 characters of text"),
        ({"reason": "a\0b"}, "expected at most 1000 characters of text"),
    ],
)
def test_whoever_disables_says_why(site: Site, body: Any, message: str) -> None:
    refused, (_, status) = answers(site, ("POST", DISABLE, body), ("GET", STATUS, None))
    assert refused == (400, {"error": "INVALID_PARAMETER", "parameter": "reason", "message": message})
    assert status["enabled"] is True


def test_the_longest_reason_and_any_language_are_taken(site: Site) -> None:
    reason = "ü" * 999 + "♫"
    found = answers(site, ("POST", DISABLE, {"reason": reason, "more": 1}), ("GET", STATUS, None))
    assert (found[0][0], found[1][1]["reason"]) == (200, reason)


def test_each_flip_is_in_the_audit(site: Site) -> None:
    answers(site, ("POST", DISABLE, {"reason": "fire"}), ("POST", ENABLE, None))
    ((_, found),) = answers(site, ("GET", "/api/admin/audit", None), who="read")
    assert found["next"] is None
    enabled, disabled = found["records"]
    assert enabled["auditId"] == "KILL_SWITCH_ENABLE#2"
    assert disabled == {
        "id": "KILL_SWITCH_DISABLE#1",
        "seq": 1,
        "hash": enabled["prev_hash"],
        "prev_hash": "",
        "at": T0,
        "principal": "ops-admin",
        "kind": "KILL_SWITCH_DISABLE",
        "result": "DISABLED",
        "operation": None,
        "service": None,
        "resource": None,
        "episode_id": None,
        "action_id": None,
        "reason": "fire",
        "detail": {},
        "auditId": "KILL_SWITCH_DISABLE#1",
        "timestamp": NOW,
        "operationType": "KILL_SWITCH_DISABLE",
        "triggerType": "EMERGENCY",
        "status": "SUCCESS",
    }


def test_the_audit_is_filtered_and_paged(site: Site) -> None:
    write(
        site,
        [
            record(1, operation="http", service="shop", resource="piano"),
            record(2, kind="CALIBRATION", result="FAILURE", principal="ops"),
            record(3, operation="http", result="refused"),
            record(4, kind="CALIBRATION", result="SUCCESS"),
        ],
    )

    def seqs(query: str) -> tuple[list[int], int | None]:
        ((status, found),) = answers(site, ("GET", f"/api/admin/audit?{query}", None), who="read")
        assert status == 200
        return [one["seq"] for one in found["records"]], found["next"]

    assert seqs("") == ([4, 3, 2, 1], None)
    assert seqs("operationType=CALIBRATION") == ([4, 2], None)
    assert seqs("operationType=http") == ([3, 1], None)
    assert seqs("principal=ops") == ([2], None)
    assert seqs("result=ok&service=shop&resource=piano") == ([1], None)
    assert seqs(f"since={T0 + 2}&until={T0 + 3}") == ([3, 2], None)
    assert seqs("since=2023-11-15&until=2023-11-15") == ([4, 3, 2, 1], None)
    assert seqs("since=2023-11-15T00:00:03Z") == ([4, 3], None)
    assert seqs("until=2023-11-14") == ([], None)
    assert seqs("limit=2") == ([4, 3], 3)
    assert seqs("limit=2&before=3") == ([2, 1], None)
    assert seqs("limit=1&operationType=http") == ([3], 3)
    assert seqs("limit=1&operationType=http&before=3") == ([1], None)


@pytest.mark.parametrize(
    ("query", "parameter", "message"),
    [
        ("limit=0", "limit", "found '0', expected a whole number from 1 to 1000"),
        (
            "since=noon",
            "since",
            "found 'noon', expected a date such as 2026-01-31, a time such as 2026-01-31T12:00:00Z, or Unix seconds",
        ),
        ("principal=a&principal=b", "principal", "found it more than once, expected it once"),
        ("principal=%00", "principal", "expected text that can be printed"),
    ],
)
def test_a_question_that_makes_no_sense_is_answered_with_what_would(
    site: Site, query: str, parameter: str, message: str
) -> None:
    found = answers(site, ("GET", f"/api/admin/audit?{query}", None), who="read")
    assert found == [(400, {"error": "INVALID_PARAMETER", "parameter": parameter, "message": message})]


def test_one_record_is_found_by_its_number_or_its_id(site: Site) -> None:
    write(site, [record(1), record(2)])
    found = answers(
        site,
        ("GET", "/api/admin/audit/2", None),
        ("GET", "/api/admin/audit/action.ok%232", None),
        ("GET", "/api/admin/audit/action.failed%232", None),
        ("GET", "/api/admin/audit/3", None),
        ("GET", "/api/admin/audit/99999999999999999999", None),
        who="read",
    )
    assert found[0] == found[1]
    assert (found[0][0], found[0][1]["auditId"]) == (200, "action.ok#2")
    assert found[2:] == [
        (404, {"error": "NOT_FOUND", "message": f"there is no audit record '{name}'"})
        for name in ("action.failed#2", "3", "99999999999999999999")
    ]


def test_without_a_store_nothing_is_flipped_and_the_answer_says_so(site: Site) -> None:
    async def talk(client: Client) -> None:
        await site.store.stop()
        for method, path in (("POST", ENABLE), ("GET", STATUS), ("GET", "/api/admin/audit")):
            who = "read" if "audit" in path else "emergency"
            async with client.request(method, path, headers=bearer(who)) as response:
                assert response.status == 503
                assert await response.json() == {"error": "STORE_UNAVAILABLE", "reason": "lost"}

    site.use(talk)


def test_a_flip_that_others_hold_up_is_none() -> None:
    site = Site(None, caller("emergency", "emergency"))
    found: list[int] = []

    async def talk(client: Client) -> None:
        with closing(sqlite3.connect(site.file)) as other, other:
            other.execute("BEGIN IMMEDIATE")
            async with client.post(ENABLE, headers=bearer("emergency")) as response:
                found.append(response.status)
                assert await response.json() == {"error": "STORE_UNAVAILABLE", "reason": "busy"}
            other.rollback()
        count = await site.store.read(lambda c: c.execute(text("SELECT generation FROM kill_switch")).scalar_one())
        found.append(count)

    site.use(talk)
    assert found == [503, 1]


@pytest.mark.parametrize(("wait", "seconds"), [(3500.0, 3500), (0.2, 1), (59.01, 60), (0.0, 1)])
def test_a_rate_limit_is_answered_as_the_runbook_says(wait: float, seconds: int) -> None:
    response = rate_limited(Rate(allowed=False, most=5, remaining=0, retry_after=wait))
    assert response.status == 429
    assert isinstance(response.body, bytes)
    assert json.loads(response.body) == {
        "error": "RATE_LIMIT_EXCEEDED",
        "message": f"Rate limit exceeded. Retry after {seconds} seconds.",
    }
    headers = {name: response.headers[name] for name in ("Retry-After", "X-RateLimit-Limit", "X-RateLimit-Remaining")}
    assert headers == {"Retry-After": str(seconds), "X-RateLimit-Limit": "5", "X-RateLimit-Remaining": "0"}
