"""The decision: each check in its order, what is held and what is final, and one intent however many decide."""

import re
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, update

from stores import NOW, episode
from tocsin.config.models import Guard, Remediation
from tocsin.guard import audit, switch
from tocsin.respond import storm
from tocsin.respond.actions import claim
from tocsin.respond.decide import FINAL, HELD, Confirmation, Decision, Request, decide
from tocsin.respond.policy import Plan
from tocsin.store import Store
from tocsin.store.catalogue import Seed, seed
from tocsin.store.tables import actions, decisions, episodes, limit_slots, limits, meta, resources

DOCUMENT = Path(__file__).parent.parent / "docs" / "safety.md"
DAY = 86400.0


def plan(guard: Mapping[str, Any] | None = None, **more: Any) -> Plan:
    """A remediation in earnest."""
    given = {"when": "ShopFull", "run": "http", "with": {"url": "http://ops/restart"}, "dry_run": False, **more}
    return Plan("shop", Remediation.model_validate(given), Guard.model_validate(guard or {}))


def request(number: int = 1, resource: str | None = "piano", asked: Plan | None = None, **more: Any) -> Request:
    """What is to be decided about an episode, which the ruler confirms."""
    labels = {"alertname": "ShopFull", "tocsin_service": "shop"} | ({"resource": resource} if resource else {})
    given = {"confirmation": Confirmation(NOW, "", "it fires"), **more}
    return Request(plan=asked or plan(), episode_id=str(number), labels=labels, describe="restart it", **given)


@pytest.fixture
def shop(store: Store) -> Store:
    """A store with five episodes that fire, and two resources."""
    with store.write() as connection:
        for number in range(1, 6):
            row = {**episode(number), "id": str(number), "identity": f"i{number}", "alertname": "ShopFull"}
            connection.execute(episodes.insert(), {**row, "service": "shop"})
        seed(connection, [Seed("shop", name) for name in ("piano", "violin", "organ", "flute")], NOW)
    return store


def decided(store: Store, wanted: Request | None = None, now: float = NOW) -> Decision:
    with store.write() as connection:
        return decide(connection, wanted or request(), now)


def row(store: Store, number: int = 1) -> Any:
    with store.read() as connection:
        return connection.execute(select(actions).where(actions.c.episode_id == str(number))).one()


def test_nothing_in_the_way_is_an_intent_with_its_record_and_its_slots(shop: Store) -> None:
    found = decided(shop)
    assert (found.state, found.reason) == ("intent", "")
    assert all(check.passed for check in found.checks)
    kept = row(shop)
    assert (kept.state, kept.dry_run, kept.resource, kept.resource_version) == ("intent", False, "piano", 1)
    with shop.read() as connection:
        (entry,) = audit.entries(connection, audit.Wanted(), limit=5)
        assert (entry.record.kind, entry.record.action_id, entry.record.resource) == ("action.intent", kept.id, "piano")
        assert audit.verify(connection) is None
        names = set(connection.execute(select(limit_slots.c.name)).scalars())
        assert names == {"cool_down:http:shop:piano", "day:http:shop:piano", "fleet:http"}
        assert connection.execute(select(decisions.c.outcome)).scalars().all() == ["intent"]


def test_a_dry_run_takes_its_slots_and_needs_no_confirmation(shop: Store) -> None:
    found = decided(shop, request(asked=plan(dry_run=True), confirmation=None))
    assert found.state == "dry_run"
    assert row(shop).result == {"would": "restart it"}
    assert decided(shop, request(2)).reason == "cool_down"


def switched_off(store: Store) -> Request:
    with store.write() as connection:
        switch.flip(connection, enabled=False, principal="ops", reason="incident", now=NOW)
    return request()


def restored(store: Store) -> Request:
    with store.write() as connection:
        connection.execute(update(meta).values(restored_at=NOW))
    return request()


def stormy(store: Store) -> Request:
    with store.write() as connection:
        storm.lock(connection)
        values = {"blocked_since": NOW - 60, "blocked_until": NOW + 1}
        connection.execute(update(limits).where(limits.c.name == storm.NAME).values(values))
    return request()


def in_doubt(store: Store) -> Request:
    with store.write() as connection:
        where = resources.c.id == "piano"
        connection.execute(update(resources).where(where).values(held_since=NOW, held_by="a1"))
    return request()


def gone(store: Store) -> Request:
    with store.write() as connection:
        connection.execute(update(resources).where(resources.c.id == "piano").values(active=False))
    return request()


def over(store: Store) -> Request:
    with store.write() as connection:
        ended = {"state": "resolved", "resolved_at": NOW, "tombstone_until": NOW + DAY}
        connection.execute(update(episodes).where(episodes.c.id == "1").values(ended))
    return request()


def earlier(store: Store, number: int, ago: float) -> None:
    """An intent for another episode of the piano."""
    said = Confirmation(NOW - ago, "", "it fires")
    assert decided(store, request(number, confirmation=said), NOW - ago).state == "intent"


def cooling(store: Store) -> Request:
    earlier(store, 2, 1799.0)
    return request()


def daily(store: Store) -> Request:
    for number, ago in ((2, 80000.0), (3, 50000.0), (4, 20000.0)):
        earlier(store, number, ago)
    return request()


def everywhere(store: Store) -> Request:
    for number, name in ((2, "violin"), (3, "organ"), (4, "flute")):
        assert decided(store, request(number, name)).state == "intent"
    return request()


@pytest.mark.parametrize(
    ("reason", "state", "prepared"),
    [
        ("kill_switch", "held", switched_off),
        ("store_restored", "held", restored),
        ("storm", "held", stormy),
        ("maintenance", "held", lambda _: request(maintenance="quarterly")),
        ("unconfirmed", "held", lambda _: request(confirmation=None)),
        ("unconfirmed", "held", lambda _: request(confirmation=Confirmation(NOW - 121, "", "it fires"))),
        ("unconfirmed", "held", lambda _: request(confirmation=Confirmation(NOW, "unconfirmed", "it does not"))),
        ("confirm_unreachable", "held", lambda _: request(confirmation=Confirmation(NOW, "confirm_unreachable", "x"))),
        ("no_resource", "refused", lambda _: request(resource=None)),
        ("unknown_resource", "refused", lambda _: request(resource="tuba")),
        ("unknown_resource", "refused", lambda _: request(resource="piano ")),
        ("cool_down", "held", cooling),
        ("daily_limit", "refused", daily),
        ("fleet_limit", "refused", everywhere),
        ("inactive_resource", "refused", gone),
        ("resource_held", "held", in_doubt),
        ("episode_over", "refused", over),
    ],
)
def test_what_is_in_the_way_is_named_and_takes_nothing(shop: Store, reason: str, state: str, prepared: Any) -> None:
    wanted = prepared(shop)
    with shop.read() as connection:
        taken = len(connection.execute(select(limit_slots)).all())
    found = decided(shop, wanted)
    assert (found.state, found.reason) == (state, reason)
    assert reason in (HELD if state == "held" else FINAL)
    assert [check.passed for check in found.checks] == [True] * (len(found.checks) - 1) + [False]
    kept = row(shop)
    assert (kept.state, kept.reason) == (state, reason)
    with shop.read() as connection:
        (newest,) = audit.entries(connection, audit.Wanted(), limit=1)
        assert (newest.record.kind, newest.record.reason) == (f"action.{state}", reason)
        assert len(connection.execute(select(limit_slots)).all()) == taken


def test_what_is_held_is_decided_again_without_another_record_until_it_changes(shop: Store) -> None:
    unsure = request(confirmation=None)
    first, second = decided(shop, unsure), decided(shop, unsure, NOW + 30)
    assert (first.action_id, second.written) == (second.action_id, None)
    assert row(shop).updated_at == NOW + 30
    third = decided(shop, request(confirmation=Confirmation(NOW + 60, "", "it fires")), NOW + 60)
    assert (third.state, third.action_id) == ("intent", first.action_id)
    with shop.read() as connection:
        found = audit.entries(connection, audit.Wanted(), limit=5)
    assert [entry.record.kind for entry in found] == ["action.intent", "action.held"]


@pytest.mark.parametrize("state", ["intent", "running", "ok", "failed", "refused", "dry_run", "unknown"])
def test_what_was_decided_is_not_decided_again(shop: Store, state: str) -> None:
    decided(shop)
    lease = {"lease_owner": "a", "lease_until": NOW} if state == "running" else {}
    with shop.write() as connection:
        connection.execute(update(actions).values(state=state, **lease))
    assert (decided(shop).state, row(shop).state) == ("gone", state)


def test_boundaries_of_the_limits(shop: Store) -> None:
    earlier(shop, 2, 1800.0)
    # A cool-down is over when all of it is, and the resource itself is one of the fleet's three already.
    assert decided(shop).state == "intent"
    loose = plan({"max_resources": 1, "cool_down": "0s", "max_per_day": 100})
    assert decided(shop, request(3, "violin", loose)).reason == "fleet_limit"
    assert decided(shop, request(4, "piano", replace(loose))).state == "intent"


def test_many_who_decide_at_once_make_one_intent(shop: Store) -> None:
    with ThreadPoolExecutor(6) as pool:
        found = list(pool.map(lambda _: decided(shop), range(12)))
    assert sorted(one.state for one in found) == ["gone"] * 11 + ["intent"]
    with shop.read() as connection:
        assert len(connection.execute(select(actions)).all()) == 1
        assert audit.verify(connection) is None


def test_many_episodes_of_one_resource_at_once_get_one_slot(shop: Store) -> None:
    with ThreadPoolExecutor(5) as pool:
        found = list(pool.map(lambda number: decided(shop, request(number)), range(1, 6)))
    assert sorted(one.reason for one in found) == ["", *["cool_down"] * 4]


def test_the_document_names_every_reason() -> None:
    tables = re.split(r"^\| (?:held|final) \|.*\n", DOCUMENT.read_text(), flags=re.MULTILINE)
    held, final = (re.findall(r"^\| `([a-z_]+)` \|", part, re.MULTILINE) for part in tables[1:3])
    assert (set(held), set(final)) == (set(HELD), set(FINAL))


def test_the_cool_down_counts_from_the_intent_that_is_run_and_not_from_one_that_was_held_again(shop: Store) -> None:
    def flip(now: float, *, enabled: bool) -> None:
        with shop.write() as connection:
            switch.flip(connection, enabled=enabled, principal="ops", reason="x", now=now)

    def again(number: int, now: float) -> Decision:
        return decided(shop, request(number, confirmation=Confirmation(now, "", "it fires")), now)

    first = decided(shop)
    flip(NOW + 1, enabled=False)
    with shop.write() as connection:
        assert claim(connection, first.action_id, "a", 30.0, NOW + 2) is None
    flip(NOW + 3, enabled=True)
    assert again(1, NOW + 1790).state == "intent"
    assert (again(2, NOW + 1801).reason, again(3, NOW + 3589).reason) == ("cool_down", "cool_down")
    assert again(4, NOW + 3590).state == "intent"


def test_a_resource_counts_for_the_fleet_from_its_last_run(shop: Store) -> None:
    one = plan({"max_resources": 1})

    def at(number: int, resource: str, now: float) -> Decision:
        asked = request(number, resource, asked=one, confirmation=Confirmation(now, "", "it fires"))
        return decided(shop, asked, now)

    assert decided(shop, request(1, asked=one)).state == "intent"
    assert at(2, "piano", NOW + 3000).state == "intent"
    assert at(3, "organ", NOW + 3601).reason == "fleet_limit"
    assert at(4, "organ", NOW + 6600).state == "intent"
