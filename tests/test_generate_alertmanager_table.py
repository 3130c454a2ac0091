"""Who is told of what where it is not obvious: higher tiers, pages of which only chats hear, and what is said of it."""

from typing import Any

from alertmanagers import shop, site
from test_generate_alertmanager import expected
from tocsin.generate.alertmanager import build, table


def test_a_page_that_wakes_nobody_is_said_and_one_that_reaches_nobody_is_a_fault() -> None:
    one = site(shop(escalation={}))
    rows = table.rows(one)
    named = "shop: ShopLoadCritical (severity=4)"
    assert f"{named} pages, and nobody whom it reaches can be paged" in list(table.warnings(one, rows))
    assert not list(table.lost(rows))
    one = site(shop(escalation={}, default_receiver=None))
    rows = table.rows(one)
    assert list(table.lost(rows)) == [f"nobody is told of {named}, which pages"]
    assert f"nobody is told of {named}, which pages" in list(table.warnings(one, rows))


def test_a_page_of_which_only_chats_hear_wakes_the_default_too() -> None:
    policy = {"top": {"when": "tier >= 3", "steps": [{"to": "lead"}]}}
    routes = [{"to": "oncall", "severity": "4", "dimension": "api"}]
    page = {"tier": 4, "page": True}
    signals: dict[str, Any] = {
        "load": {"alert": {"critical": page, "action": {"tier": 3}}},
        "api": {"alert": {"critical": {**page, "name": "ShopApiDown"}}, "dimension": "api"},
    }
    one = site(shop(signals=signals, escalation=policy, default_receiver="boss"), routes=routes)
    assert expected(one)["ShopLoadCritical"] == ["tocsin-lead", "tocsin-boss"]
    # Somebody is woken already, and what does not page wakes nobody.
    assert expected(one)["ShopApiDown"] == ["tocsin-oncall"]
    assert expected(one)["ShopLoadAction"] == ["tocsin-lead"]
    assert not list(table.faults(one, build.parts(one).node, table.rows(one)))
    # The default is a chat as well: it would hear of it in vain.
    quiet = site(shop(signals=signals, escalation=policy), routes=routes)
    assert expected(quiet)["ShopLoadCritical"] == ["tocsin-lead"]


def test_the_first_step_of_a_tier_hears_of_the_higher_ones_too() -> None:
    policy = {"act": {"when": "tier >= 3", "steps": [{"to": "lead"}, {"to": "boss", "after": "30m"}]}}
    one = site(shop(escalation=policy))
    found = expected(one)
    assert (found["ShopLoadAction"], found["ShopLoadCritical"]) == (["tocsin-lead"], ["tocsin-lead"])
    assert found["ShopLoadWatch"] == ["tocsin-ops"]


def test_a_route_that_fits_no_alert_and_maintenance_that_mutes_pages_are_said() -> None:
    routes = [{"to": "ops", "severity": "4"}, {"to": "ops", "severity": "tickets"}, {"to": "ops", "team": "keys"}]
    window = {"name": "quarterly", "on": "first sunday of quarter", "hours": "02:00-04:00"}
    made = (shop(team="keys"), shop("other", escalation={}))
    one = site(*made, routes=routes, maintenance=[window, {**window, "name": "free", "mute": False}])
    said = [text for text in table.warnings(one, table.rows(one)) if "nobody" not in text]
    assert said == [
        "routes[1]: no alert has all of its labels, ops is told of nothing by it",
        (
            "maintenance (quarterly) mutes the pages of shop: one that ends meanwhile stays open in PagerDuty; "
            "`mute: false` mutes none"
        ),
    ]


def test_a_level_says_when_it_is_told() -> None:
    steps = [{"to": "oncall"}, {"to": "lead", "after": "15m", "or": "3 times in 2h"}]
    steps.append({"to": "boss", "if": "over 50% of resources"})
    one = site(shop(escalation={"top": {"when": "tier >= 4", "steps": steps}}))
    found = {row.labels["alertname"]: row.data().get("when") for row in table.rows(one) if "receiver" in row.labels}
    assert found == {
        "ShopEscalationTopLead": "after 15m or 3 times in 2h",
        "ShopEscalationTopBoss": "over 50% of resources",
    }
    assert all("when" not in row.data() for row in table.rows(one) if "receiver" not in row.labels)
