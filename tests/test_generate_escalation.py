"""Escalation -> rules: expressions, labels and texts of the levels, and generated tests that find what is wrong."""

import subprocess
from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from promql_parser import parse

from generated import passes as passes_promtool
from generated import process, promtool, service, untold, write
from tocsin import names
from tocsin.config.models import Service
from tocsin.generate import escalation, escalation_cases, meta, rules
from tocsin.generate import promtool as tests_of
from tools.servers import require

MELODY = {
    "when": "tier >= 4",
    "steps": [
        {"to": "oncall"},
        {"to": "ops-lead", "after": "15m"},
        {"to": "director", "after": "30m", "or": "3 times in 2h"},
        {"to": "executive", "if": "over 50% of resources"},
    ],
}
URGENT = {"when": "severity = 4", "steps": [{"to": "oncall"}, {"to": "manager", "after": "30m", "or": "3 times in 2h"}]}

LEVELS = 'max by (tocsin_service, signal, resource) (tocsin_severity_level{tocsin_service="shop", signal="load"})'
KNOWN = f"{LEVELS} >= 0"
DIRECTOR = f"""\
(min_over_time(({KNOWN})[31m15s:1m]) >= 4
  and count_over_time(({KNOWN} >= 4)[31m15s:1m]) >= 25
or changes((({KNOWN}) >= bool 4)[2h:1m]) - resets((({KNOWN}) >= bool 4)[2h:1m]) >= 3)
unless on (tocsin_service, signal, resource) max by (tocsin_service, signal, resource) \
(tocsin_acknowledged{{tocsin_service="shop", alertname=~"ShopLoadCritical|ShopEscalationCriticalOpsLead|\
ShopEscalationCriticalDirector|ShopEscalationCriticalExecutive"}} == 1)"""

FIRES = 'max without (alertstate) (ALERTS{tocsin_service="shop", severity="4", alertstate="firing", escalation=""})'
BEFORE = FIRES.replace("})", "} offset 1m)")
MANAGER = f"""\
label_replace(
({FIRES}
  and count_over_time(({FIRES})[30m:1m]) >= 24
  and count_over_time(({FIRES})[6m:1m] offset 30m) >= 1
or count_over_time(({FIRES} unless {BEFORE})[2h:1m]) >= 3)
unless on (alertname, tocsin_service, signal, resource) max by (alertname, tocsin_service, signal, resource) \
(tocsin_acknowledged{{tocsin_service="shop"}} == 1),
"escalated_alert", "$1", "alertname", "(.*)")"""


def shop(signals: Mapping[str, Any] | None = None, **policies: Any) -> Service:
    return service(signals=signals, escalation=policies or {"critical": MELODY}, team="keys")


def files(shop: Service, **target: str) -> dict[str, Any]:
    """Rules and tests of the levels alone, as they are among those of the service."""
    model = process(target=target).target
    cases = list(escalation_cases.cases(shop, model))
    return {
        "rules/shop.yml": {"groups": list(escalation.groups(shop, model))},
        "rules/tests/shop.yml": tests_of.document(["../shop.yml"], model.evaluation_interval, cases),
    }


def levels(shop: Service) -> dict[str, dict[str, Any]]:
    """The rules of all levels by the name of their alert."""
    return {rule["alert"]: rule for group in files(shop)["rules/shop.yml"]["groups"] for rule in group["rules"]}


def test_an_alert_about_tocsin_is_not_escalated_to_the_people_of_a_service() -> None:
    thresholds = {"cpu": {"expr": "cpu", "warning": 1}}
    steps: list[dict[str, Any]] = [{"to": "ops-lead"}, {"to": "director", "after": "15m"}]
    policy = {"w": {"when": "severity = warning", "steps": steps}}
    one = service(severity="warning-critical", thresholds=thresholds, escalation=policy)
    (rule,) = levels(one).values()
    about = "|".join(names.META_ALERTS)
    assert rule["expr"].count("ALERTS{") == rule["expr"].count(f'escalation="", alertname!~"{about}"}}') == 3
    assert {alert.severity for alert in meta.alerts([one], process().target)} <= set(escalation.OF_META)


def test_each_level_is_an_alert_of_its_own_for_its_receiver() -> None:
    found = levels(shop())
    assert {name: rule["labels"] for name, rule in found.items()} == {
        f"ShopEscalationCritical{name}": {
            "severity": "4",
            "team": "keys",
            "escalation": "critical",
            "receiver": receiver,
        }
        for name, receiver in (("OpsLead", "ops-lead"), ("Director", "director"), ("Executive", "executive"))
    }
    assert [rule.get("for") for rule in found.values()] == [None] * 3
    assert [rule.get("keep_firing_for") for rule in found.values()] == [None, None, "5m"]


def test_a_level_looks_back_over_its_time_and_counts_how_often_it_came_back() -> None:
    assert levels(shop())["ShopEscalationCriticalDirector"]["expr"] == DIRECTOR


def test_a_level_on_alerts_asks_for_them_at_the_beginning_in_between_and_now() -> None:
    assert levels(shop(urgent=URGENT))["ShopEscalationUrgentManager"]["expr"] == MANAGER


def test_every_expression_parses_for_every_kind_of_policy() -> None:
    signals = {"load": {}, "p99 (a|b)": {"alert": {"slow": {"tier": 3, "for": "1h"}}}, "quiet": {"alert": {}}}
    for rule in levels(shop(signals, critical=MELODY, urgent=URGENT)).values():
        parse(rule["expr"])


def test_signals_are_watched_that_have_an_alert_each_as_long_as_its_own_waits() -> None:
    signals = {"load": {}, "slow (a|b)": {"alert": {"slow": {"tier": 3, "for": "1h"}}}, "quiet": {"alert": {}}}
    expr = levels(shop(signals))["ShopEscalationCriticalDirector"]["expr"]
    assert 'signal="load"}) >= 0)[31m15s:1m]' in expr
    assert 'signal="slow (a|b)"}) >= 0)[1h30m:1m]' in expr
    assert 'signal=~"load|slow\\\\ \\\\(a\\\\|b\\\\)"}) >= 0) >= bool 4)[2h:1m]' in expr
    assert "quiet" not in expr


def test_a_level_pages_where_an_alert_does_that_it_follows() -> None:
    pages = {"critical": {"tier": 4, "page": True}, "action": {"tier": 3}}
    policies = {"all": MELODY, "three": {**MELODY, "when": "tier >= 3"}, "some": {**MELODY, "signals": ["lag"]}}
    found = levels(shop({"load": {"alert": pages}, "lag": {}}, **policies))
    assert {rule["labels"]["escalation"] for rule in found.values() if rule["labels"].get("page") == "true"} == {"all"}


def test_the_severity_of_a_level_is_on_the_scale_of_its_service_and_the_dimension_that_of_its_signals() -> None:
    business = {"load": {"dimension": "money"}, "lag": {"dimension": "money"}, "other": {}}
    policies = {"both": {**MELODY, "signals": ["load", "lag"]}, "mixed": MELODY}
    model = service(signals=business, severity="P0-P3", escalation=policies)
    found = {rule["labels"]["escalation"]: rule["labels"] for rule in levels(model).values()}
    assert (found["both"]["severity"], found["both"]["dimension"]) == ("P0", "money")
    assert "dimension" not in found["mixed"]


def test_a_policy_of_the_responder_or_with_one_step_generates_nothing() -> None:
    assert levels(shop(critical={**MELODY, "via": "responder"})) == {}
    assert levels(shop(critical={**MELODY, "steps": [{"to": "oncall"}]})) == {}


def test_long_times_have_few_points_and_short_ones_no_more_than_evaluations() -> None:
    def range_of(after: str) -> str:
        alert = {"alert": {"critical": {"tier": 4, "grades": 1}}, "relearn_after": 2016}
        steps = [{"to": "oncall"}, {"to": "lead", "after": after}]
        one = levels(shop({"load": alert}, critical={**MELODY, "steps": steps}))["ShopEscalationCriticalLead"]
        return str(one["expr"].split("[")[1].split("]")[0])

    assert range_of("1d") == "1d15s:48m"
    assert range_of("1m") == "1m15s:15s"


def expanded(tmp_path: Path, model: Service, alert: str, labels: str, series: str, at: str) -> tuple[str, str]:
    """Summary and description of an alert as promtool expands them."""
    write(tmp_path, files(model))
    test = {
        "interval": "1m",
        "input_series": [{"series": series.split(" -> ")[0], "values": series.split(" -> ")[1]}],
        "alert_rule_test": [{"eval_time": at, "alertname": alert, "exp_alerts": [{"exp_labels": {}}]}],
    }
    document = tests_of.document(["rules/shop.yml"], 15, [test])
    write(tmp_path, {"shown.yml": document})
    said = subprocess.run(
        [require("promtool"), "test", "rules", "shown.yml"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    text = said.stdout + said.stderr
    assert labels in text
    return text.split('summary="')[-1].split('"}')[0], text.split('description="')[-1].split('", ')[0]


def test_a_level_says_since_when_and_how_often(tmp_path: Path) -> None:
    series = 'tocsin_severity_level{tocsin_service="shop", signal="load", resource="piano"}'
    summary, description = expanded(
        tmp_path,
        shop(),
        "ShopEscalationCriticalDirector",
        'receiver="director"',
        f"{series} -> 0x5 4x2 0x2 4x2 0x2 4x40",
        "20m",
    )
    assert summary == "load of piano (shop) has been at tier 4 or above for 30m or 3 times in 2h: escalated to director"
    assert "The tier is 4 now." in description
    assert "It was reached 3 times within 2h." in description


#: What is changed in which level of the first policy, for which the generated tests must fail.
BREAKS = {
    "too early": ("Director", "[31m15s:1m]) >= 4", "[30m15s:1m]) >= 4"),
    "too late": ("Director", "[31m15s:1m]) >= 4", "[32m15s:1m]) >= 4"),
    "one tier below": ("Director", ">= 4\n", ">= 3\n"),
    "gaps do not matter": ("Director", "[31m15s:1m]) >= 25", "[31m15s:1m]) >= 20"),
    "gaps matter too much": ("Director", "[31m15s:1m]) >= 25", "[31m15s:1m]) >= 30"),
    "what is unknown counts": ("Director", f"{KNOWN})[31m", f"{LEVELS} >= -1)[31m"),
    "twice": ("Director", "[30m:15s]) >= 3", "[30m:15s]) >= 2"),
    "four times": ("Director", "[30m:15s]) >= 3", "[30m:15s]) >= 4"),
    "within less": ("Director", "[30m:15s]", "[29m30s:15s]"),
    "ends count as well": ("Director", " - resets(", " - 0 * resets("),
    "unknown is normal": ("Director", ">= 0) >= bool 4", ">= -1) >= bool 4"),
    "acknowledged by all": ("Director", "== 1)", ">= 0)"),
    "never acknowledged": ("Director", "== 1)", "== 2)"),
    "acknowledged by another alert": ("Director", 'alertname=~"', 'alertname=~".*|'),
    "at half of them": ("Executive", "> 0.5", ">= 0.5"),
    "at more": ("Executive", "> 0.5", "> 0.75"),
    "two are enough": ("Executive", ">= 3)", ">= 2)"),
    "at once": ("Executive", "[1m15s:15s]", "[15s:15s]"),
    "after longer": ("Executive", "[1m15s:15s]", "[1m45s:15s]"),
    "acknowledged ones count": ("Executive", "== 1))", "== 2))"),
    "not ended by its own": ("Executive", "== 1)", "== 2)"),
    "alert too early": ("Manager", "offset 30m", "offset 29m"),
    "alert too late": ("Manager", "offset 30m", "offset 31m"),
    "alert for a moment": ("Manager", "[30m:1m]) >= 24", "[30m:1m]) >= 18"),
    "alert without a gap": ("Manager", "[30m:1m]) >= 24", "[30m:1m]) >= 30"),
    "alert that has ended": ("Manager", f"({FIRES}\n", f"(last_over_time(({FIRES})[10m:1m])\n"),
    "escalated again": ("Manager", ', escalation=""', ""),
    "alert that waits": ("Manager", 'alertstate="firing"', 'alertstate!=""'),
    "alert twice": ("Manager", "[30m:15s]) >= 3", "[30m:15s]) >= 2"),
    "alert within less": ("Manager", "[30m:15s]", "[29m30s:15s]"),
    "alert acknowledged by another": ("Manager", "alertname, tocsin_service", "tocsin_service"),
    "alert never acknowledged": ("Manager", "== 1)", "== 2)"),
    "alert of no name": ("Manager", "escalated_alert", "escalated"),
}  # fmt: skip


@pytest.fixture(scope="module")
def generated() -> dict[str, Any]:
    steps = {name: [*policy["steps"]] for name, policy in (("critical", MELODY), ("urgent", URGENT))}
    for name, i in (("critical", 2), ("urgent", 1)):
        steps[name][i] = {**steps[name][i], "or": "3 times in 30m"}
    return files(shop(critical={**MELODY, "steps": steps["critical"]}, urgent={**URGENT, "steps": steps["urgent"]}))


def test_the_generated_tests_pass(tmp_path: Path, generated: dict[str, Any]) -> None:
    passes_promtool(tmp_path, generated)


@pytest.mark.parametrize("change", BREAKS)
def test_the_generated_tests_fail_when_a_level_is_wrong(tmp_path: Path, generated: dict[str, Any], change: str) -> None:
    data = {**deepcopy(generated), "rules/shop.yml": untold(generated["rules/shop.yml"])}
    level, old, new = BREAKS[change]
    kept = [
        rule for group in data["rules/shop.yml"]["groups"] for rule in group["rules"] if rule["alert"].endswith(level)
    ]
    assert len(kept) == 1
    assert old in kept[0]["expr"]
    kept[0]["expr"] = kept[0]["expr"].replace(old, new)
    data["rules/shop.yml"]["groups"] = [{"name": "one", "rules": kept}]
    tests = data["rules/tests/shop.yml"]
    tests["tests"] = [one for one in tests["tests"] if one["name"].startswith(kept[0]["alert"])]
    write(tmp_path, data)
    status, said = promtool("test", "rules", "rules/tests/shop.yml", cwd=tmp_path)
    assert status == 1, said
    assert kept[0]["alert"] in said


#: Awkward times: of scrapes and evaluations, of the first alert, and of the level.
AWKWARD = {
    "seconds": ("1s", "1s", "20s", "2 times in 1m", "1%"),
    "minutes": ("1m", "1m", "10m", "9 times in 1h", "90%"),
    "different": ("10s", "30s", "7m", "3 times in 20m", "33%"),
    "primes": ("7s", "11s", "13m", "3 times in 1h", "66.7%"),
    "seldom": ("1m", "15s", "2m", "4 times in 17m", "80%"),
}


@pytest.mark.parametrize("name", AWKWARD)
def test_the_generated_tests_pass_at_awkward_times(tmp_path: Path, name: str) -> None:
    scrape, evaluation, after, times, share = AWKWARD[name]
    steps = [{"to": "a"}, {"to": "b", "after": after, "or": times}]
    everywhere = [*steps, {"to": "c", "if": f"over {share} of resources"}]
    one = {"tier": {"when": "tier >= 1", "steps": everywhere}, "alert": {"when": "severity = 3", "steps": steps}}
    alerts = {
        "slow": {"alert": {"a": {"tier": 3, "for": "3m"}, "b": {"tier": 1}}},
        "fast": {"alert": {"a": {"tier": 1}}},
    }
    data = files(shop(alerts, **one), scrape_interval=scrape, evaluation_interval=evaluation)
    passes_promtool(tmp_path, {**data, "rules/shop.yml": untold(data["rules/shop.yml"])})


def test_hostile_names_neither_break_nor_inject(tmp_path: Path) -> None:
    hostile = ['"}) or vector(1) #', "{{ $labels.x }} {{", "a\nb\\", "`tick` (a|b.*"]
    policy = {
        "when": "tier >= 4",
        "steps": [{"to": hostile[0]}, {"to": hostile[1], "after": "2m", "or": "2 times in 9m"}],
    }
    policies = {name: {**policy, "signals": hostile[i:]} for i, name in enumerate(hostile[:3])}
    named = {
        key: {**one, "steps": [one["steps"][0], {**one["steps"][1], "name": f"Level{i}"}]}
        for i, (key, one) in enumerate(policies.items())
    }
    signals = {name: {"alert": {"a": {"tier": 4, "name": f"Alert{i}"}}} for i, name in enumerate(hostile)}
    passes_promtool(tmp_path, files(shop(signals, **named)))


def test_levels_are_among_the_rules_of_their_service() -> None:
    data = rules.files(process(), [shop()])
    groups = {group["name"]: [rule["alert"] for rule in group["rules"]] for group in data["rules/shop.yml"]["groups"]}
    assert groups["tocsin-shop-escalation-critical"] == list(levels(shop()))
    tested = {test["name"].split()[0] for test in data["rules/tests/shop.yml"]["tests"]}
    assert tested >= set(levels(shop()))
