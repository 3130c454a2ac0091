"""The life of an action after its intent: claimed once, run by the one who has it, given up, verified."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from sqlalchemy import select, update

from stores import NOW, Place, episode
from test_respond_decide import decided, plan, request
from tocsin.guard import audit, switch
from tocsin.respond import actions, gauges, verify
from tocsin.respond.actions import Claim, Ended
from tocsin.respond.policy import Plan
from tocsin.source.columns import Vector
from tocsin.source.errors import SourceError
from tocsin.store import Store
from tocsin.store.catalogue import Seed, seed
from tocsin.store.handle import StoreHandle
from tocsin.store.tables import actions as table
from tocsin.store.tables import episodes, meta, resources
from tocsin.telemetry import Telemetry


@pytest.fixture
def shop(store: Store) -> Store:
    with store.write() as connection:
        for number in (1, 2):
            row = {**episode(number), "id": str(number), "identity": f"i{number}", "alertname": "ShopFull"}
            connection.execute(episodes.insert(), {**row, "service": "shop"})
        seed(connection, [Seed("shop", "piano", 240.0), Seed("shop", "organ")], NOW)
    return store


def claimed(store: Store, owner: str = "a", now: float = NOW, lease: float = 30.0) -> Any:
    with store.write() as connection:
        action_id = connection.execute(select(table.c.id)).scalar_one()
        return actions.claim(connection, action_id, owner, lease, now)


def ended(store: Store, claim: Claim, owner: str = "a", outcome: str = "ok", now: float = NOW) -> Ended | None:
    with store.write() as connection:
        return actions.end(connection, claim, owner, outcome, "done", {"status": 200}, now, 300.0)


def state(store: Store) -> tuple[str, str | None, bool]:
    """State and reason of the action, and whether its resource is held."""
    with store.read() as connection:
        row = connection.execute(select(table)).one()
        held = connection.execute(select(resources.c.held_by).where(resources.c.id == "piano")).scalar_one()
        assert held in (None, row.id)
        return row.state, row.reason, held is not None


def kinds(store: Store) -> list[str]:
    """Kinds of the audit's records, oldest first."""
    with store.read() as connection:
        assert audit.verify(connection) is None
        return [entry.record.kind for entry in audit.entries(connection, audit.Wanted(), limit=50)][::-1]


def test_an_intent_is_claimed_once_run_and_ended(shop: Store) -> None:
    decided(shop)
    first = claimed(shop)
    assert (first.operation, first.resource, first.capacity_minutes, first.until) == ("http", "piano", 240.0, NOW + 30)
    assert claimed(shop, "b") is None
    with shop.read() as connection:
        assert actions.mine(connection, first, "a", 10.0, NOW + 20) == ""
        assert actions.mine(connection, first, "a", 10.0, NOW + 20.1) == "lease_too_short"
        assert actions.mine(connection, first, "b", 10.0, NOW) == "lease_lost"
    assert ended(shop, first) == Ended(first.id, "shop", "http", "piano", "ok", "done")
    assert state(shop) == ("ok", "done", False)
    assert kinds(shop) == ["action.intent", "action.started", "action.ended"]


def test_many_who_claim_at_once_get_it_once(shop: Store) -> None:
    decided(shop)
    with ThreadPoolExecutor(6) as pool:
        found = list(pool.map(lambda number: claimed(shop, str(number)), range(12)))
    assert len([one for one in found if one is not None]) == 1


@pytest.mark.parametrize("why", ["kill_switch", "store_restored", "interrupted", "version"])
def test_an_intent_that_things_have_overtaken_is_held_and_decided_again(shop: Store, why: str) -> None:
    decided(shop)
    with shop.write() as connection:
        if why == "kill_switch":
            switch.flip(connection, enabled=False, principal="ops", reason="x", now=NOW)
        elif why == "store_restored":
            connection.execute(update(meta).values(restored_at=NOW))
        elif why == "version":
            connection.execute(update(resources).values(version=2))
    assert claimed(shop, now=NOW + 60.1 if why == "interrupted" else NOW + 60) is None
    assert state(shop) == ("held", "interrupted" if why == "version" else why, False)


def test_an_intent_whose_alert_is_over_is_refused(shop: Store) -> None:
    decided(shop)
    over(shop)
    found = claimed(shop)
    assert (found.outcome, found.reason, state(shop)[0]) == ("refused", "episode_over", "refused")


def over(store: Store) -> None:
    with store.write() as connection:
        ended = {"state": "resolved", "resolved_at": NOW, "tombstone_until": NOW + 86400}
        connection.execute(update(episodes).where(episodes.c.id == "1").values(ended))


def test_a_switch_that_is_off_stops_the_next_step(shop: Store) -> None:
    decided(shop)
    first = claimed(shop)
    with shop.write() as connection:
        switch.flip(connection, enabled=False, principal="ops", reason="x", now=NOW)
        assert actions.mine(connection, first, "a", 10.0, NOW) == "kill_switch"


def test_what_nobody_ended_is_unknown_when_its_lease_is_over_and_stays_so(shop: Store) -> None:
    decided(shop)
    first = claimed(shop)
    for now, given_up in ((NOW + 30, 0), (NOW + 30.1, 1), (NOW + 60, 0)):
        with shop.write() as connection:
            assert len(actions.recover(connection, now)) == given_up
    assert state(shop) == ("unknown", "interrupted", True)
    # The one who had it comes back: too late.
    assert ended(shop, first, now=NOW + 61) is None
    assert state(shop) == ("unknown", "interrupted", True)
    assert kinds(shop)[-2:] == ["action.ended", "action.late"]
    assert decided(shop, request(2)).reason == "cool_down"
    assert decided(shop, request(2, asked=plan(cool_down="0s"))).reason == "resource_held"


@pytest.mark.parametrize(("outcome", "held"), [("failed", False), ("refused", False), ("unknown", True)])
def test_only_what_is_unknown_holds_its_resource(shop: Store, outcome: str, held: bool) -> None:
    decided(shop)
    ended(shop, claimed(shop), outcome=outcome)
    assert state(shop) == (outcome, "done", held)


def test_what_is_held_until_its_alert_is_over_is_refused(shop: Store) -> None:
    decided(shop, request(confirmation=None))
    with shop.write() as connection:
        assert actions.close(connection, NOW) == []
    over(shop)
    with shop.write() as connection:
        assert [(one.outcome, one.reason) for one in actions.close(connection, NOW)] == [("refused", "episode_over")]
        assert actions.close(connection, NOW) == []


class Says:
    """A source with one result, none, or no answer."""

    def __init__(self, labels: bytes | None, *, away: bool = False) -> None:
        self.labels, self.away = labels, away

    async def instant(self, _expr: str, t: float, _step: float | None = None) -> Vector:
        if self.away:
            raise SourceError("is away", "connection")
        found = [] if self.labels is None else [self.labels]
        return Vector(t, found, np.ones(len(found)))


def test_an_intent_on_a_resource_that_is_held_since_is_decided_anew(shop: Store) -> None:
    first = decided(shop)
    second = decided(shop, request(2, asked=plan(cool_down="0s")))
    assert (first.state, second.state) == ("intent", "intent")
    with shop.write() as connection:
        one = actions.claim(connection, first.action_id, "a", 30.0, NOW)
    assert isinstance(one, Claim)
    with shop.write() as connection:
        actions.end(connection, one, "a", "unknown", "timeout", {}, NOW + 5)
    with shop.write() as connection:
        assert actions.claim(connection, second.action_id, "a", 30.0, NOW + 6) is None
    with shop.read() as connection:
        kept = connection.execute(select(table).where(table.c.id == second.action_id)).one()
    assert (kept.state, kept.reason) == ("held", "resource_held")


class Plans:
    """A policy with one plan."""

    def __init__(self, verify: str | None) -> None:
        self._plan = plan(verify=verify) if verify else plan()

    def find(self, *_: str) -> Plan:
        return self._plan


@pytest.mark.parametrize(
    ("expr", "source", "alert_over", "after", "expected"),
    [
        (None, Says(None), True, 29.9, "pending"),
        (None, Says(None), True, 30.0, "ok"),
        (None, Says(None), False, 299.9, "pending"),
        (None, Says(None), False, 300.0, "failed"),
        ("up < 1", Says(b"{}"), False, 30.0, "ok"),
        ("up < 1", Says(b'{"resource":"piano"}'), False, 30.0, "ok"),
        ("up < 1", Says(b'{"resource":"organ"}'), False, 30.0, "pending"),
        ("up < 1", Says(b'{"resource":"organ"}'), False, 300.0, "failed"),
        ("up < 1", Says(None), True, 299.0, "pending"),
        ("up < 1", Says(None, away=True), True, 30.0, "pending"),
        ("up < 1", Says(None, away=True), True, 300.0, "failed"),
    ],
)
def test_an_action_has_helped_when_its_alert_ended_or_its_expression_has_a_result(
    somewhere: Place, expr: str | None, source: Says, alert_over: bool, after: float, expected: str
) -> None:
    with somewhere.open() as store:
        with store.write() as connection:
            row = {**episode(1), "id": "1", "identity": "i1", "alertname": "ShopFull", "service": "shop"}
            connection.execute(episodes.insert(), row)
            seed(connection, [Seed("shop", "piano", 240.0)], NOW)
        decided(store)
        ended(store, claimed(store))
        if alert_over:
            over(store)

    async def run() -> gauges.Reading:
        handle = StoreHandle(somewhere.url, Telemetry(), password=lambda: somewhere.password, clock=lambda: NOW)
        await handle.start()
        try:
            policy: Any = Plans(expr)
            for _ in range(2):
                await verify.look(handle, source, policy, lambda: NOW + after)
            return await handle.read(lambda connection: gauges.read(connection, NOW + after))
        finally:
            await handle.stop()

    reading = asyncio.run(run())
    with somewhere.open() as store:
        with store.read() as connection:
            result = connection.execute(select(table.c.result)).scalar_one()
        assert (result["verify"], result["status"], state(store)[0]) == (expected, 200, "ok")
        assert kinds(store).count("action.verified") == (expected != "pending")
    # Its page is kept back for as long as it may still help.
    kept = {("shop", "piano"): 1.0} if expected == "pending" else {}
    assert reading.labelled["remediation_hold"] == kept
