"""What hides what, rule by rule, as Alertmanager's documentation says it; tests/e2e/test_routes.py asks a real one."""

import json
import re
from typing import Any, Literal, cast

from alertmanagers import shop, site
from generated import service
from tocsin import names
from tocsin.generate.alertmanager import inhibit
from tocsin.generate.alertmanager.matchers import Matcher
from tocsin.generate.alertmanager.site import Site

MATCHER = re.compile(r'(\w+)(=~|!~|!=|=)(".*")')
Op = Literal["=", "!=", "=~", "!~"]
PAGE = {"page": "true"}


def holds(texts: list[str], labels: dict[str, str]) -> bool:
    found = [MATCHER.fullmatch(text) for text in texts]
    return all(one is not None and Matcher(one[1], cast(Op, one[2]), json.loads(one[3])).holds(labels) for one in found)


def hides(one: Site, source: dict[str, str], target: dict[str, str]) -> bool:
    """Whether the first alert hides the second one."""
    return any(
        holds(rule["source_matchers"], source)
        and holds(rule["target_matchers"], target)
        and all(source.get(label, "") == target.get(label, "") for label in rule["equal"])
        for rule in inhibit.rules(one)
    )


def alert(name: str, severity: str, **more: str) -> dict[str, str]:
    return {"alertname": name, "severity": severity, "tocsin_service": "shop", **more}


def down(when: str = "tier >= 4", **more: Any) -> Site:
    """A service whose `up` says that it is down, and a policy that follows all of its signals."""
    signals = {"up": {"alert": {"critical": {"tier": 4}}}, "errors": {"alert": {"critical": {"tier": 4}}}}
    steps = [{"to": "oncall"}, {"to": "lead", "after": "15m"}]
    given = {"signals": signals, "escalation": {"top": {"when": when, "steps": steps}}, "down": ["ShopUpCritical"]}
    return site(shop(**{**given, **more}))


def test_down_spares_the_levels_that_follow_it_and_hides_those_of_its_symptoms() -> None:
    up = alert("ShopUpCritical", "4", signal="up", resource="a")
    level = alert("ShopEscalationTopLead", "4", escalation="top", receiver="lead", resource="b")
    one = down()
    assert not hides(one, up, {**level, "signal": "up"})
    assert hides(one, up, {**level, "signal": "errors"})
    assert hides(one, up, alert("ShopErrorsCritical", "4", signal="errors", resource="a"))
    assert not hides(one, up, up)


def test_down_spares_a_level_about_a_share_of_all_resources() -> None:
    everywhere = {"to": "boss", "if": "over 50% of resources", "name": "Everywhere"}
    one = down(escalation={"top": {"when": "tier >= 4", "steps": [{"to": "oncall"}, everywhere]}})
    up = alert("ShopUpCritical", "4", signal="up", resource="a")
    assert not hides(one, up, alert("Everywhere", "4", escalation="top", receiver="boss"))


def test_down_spares_the_level_of_a_severity_that_follows_it_alone() -> None:
    one = down("severity = 4")
    up = alert("ShopUpCritical", "4", signal="up", resource="a")
    level = {"escalation": "top", "receiver": "lead", "signal": "up", "resource": "a"}
    assert not hides(one, up, alert("ShopEscalationTopLead", "4", **level, escalated_alert="ShopUpCritical"))
    assert hides(one, up, alert("ShopEscalationTopLead", "4", **level, escalated_alert="ShopErrorsCritical"))


def test_down_hides_every_level_of_a_policy_that_does_not_follow_it() -> None:
    policy = {"when": "tier >= 4", "signals": ["errors"], "steps": [{"to": "oncall"}, {"to": "lead", "after": "15m"}]}
    one = down(escalation={"errors": policy})
    up = alert("ShopUpCritical", "4", signal="up", resource="a")
    level = alert("ShopEscalationErrorsLead", "4", escalation="errors", receiver="lead", signal="errors", resource="a")
    assert hides(one, up, level)


def test_nothing_hides_a_page() -> None:
    """Alertmanager would keep back that it is over, and PagerDuty's incident would stay open."""
    up = alert("ShopUpCritical", "4", signal="up", resource="a", dimension="api", **PAGE)
    for page in ("ShopErrorsCritical", "ShopErrorsWatch"):
        target = alert(page, "2", signal="errors", resource="a", dimension="api", **PAGE)
        assert not hides(down(), up, target)
        assert hides(down(), up, {**target, "page": ""})


def test_no_severity_hides_a_level() -> None:
    critical = alert("ShopLoadCritical", "4", signal="load", resource="a", dimension="api")
    watch = alert("ShopLoadWatch", "2", signal="load", resource="a", dimension="api")
    assert hides(site(), critical, watch)
    assert not hides(site(), critical, {**watch, "escalation": "top", "receiver": "lead"})


def test_what_has_no_resource_is_not_the_same_resource() -> None:
    critical, watch = alert("ThrMemCritical", "4", signal="mem"), alert("ThrMemWarning", "2", signal="mem")
    assert not hides(site(), {**critical, "instance": "A"}, {**watch, "instance": "B"})
    assert hides(site(), {**critical, "resource": "A"}, {**watch, "resource": "A"})
    assert not hides(site(), {**critical, "resource": "A"}, watch)


def test_an_alert_about_tocsin_neither_hides_nor_is_hidden() -> None:
    one = site(service("shop", severity="warning-critical"))
    same = {"signal": "load", "resource": "load", "dimension": "api"}
    for name in names.META_ALERTS:
        assert not hides(one, alert("ShopLoadCritical", "critical", **same), alert(name, "warning", **same))
        assert not hides(one, alert(name, "critical", **same), alert("ShopLoadWatch", "warning", **same))
    assert hides(one, alert("ShopLoadCritical", "critical", **same), alert("ShopLoadWatch", "warning", **same))
