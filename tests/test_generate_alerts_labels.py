"""Labels of generated alerts: none that routes comes from the scrape, and `resource` is that of the gauges."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from generated import process, promtool, service, write
from tocsin import names
from tocsin.config.models import Service
from tocsin.core.resources import exported_name, identify
from tocsin.generate import rules
from tocsin.generate.alerts.value import Grouping
from tocsin.generate.promtool import Fires, Input, Run, case, document

#: What somebody exposes who wants to be told, or wants nobody to be.
HOSTILE = {
    "alertname": "Other",
    "alertstate": "pending",
    "dimension": "d",
    "escalated_alert": "Other",
    "escalation": "3",
    "page": "true",
    "receiver": "ceo",
    "severity": "P0",
    "signal": "other",
    "slo": "other",
    "team": "nobody",
    "tocsin_service": "other",
    "job": "j",
}
#: Those of them that a selector of Tocsin's own series lets pass.
BEHIND = {key: value for key, value in HOSTILE.items() if key not in (*names.BASE_LABELS, names.SLO)}
MINUTE = {"scrape_interval": "1m", "evaluation_interval": "1m"}
LOAD = {"expr": "load_ratio", "by": ["node"], "limit": 1.0, "forecast": {"horizon": "24h"}, "step": "30m"}
OF = {"tocsin_service": "shop", "signal": "load", "resource": "r"}


def shows(where: Path, model: Service, series: Sequence[Input], expected: Sequence[Fires]) -> None:
    """Have promtool say whether just these alerts fire on these series."""
    files = rules.files(process(target=MINUTE), [model])
    test = document(["../shop.yml"], 60, [case("labels", 60, series, expected)])
    write(where, {"rules/shop.yml": files["rules/shop.yml"], "rules/tests/labels.yml": test})
    status, said = promtool("test", "rules", "rules/tests/labels.yml", cwd=where)
    assert status == 0, said


def lasting(metric: str, value: float, **labels: str) -> Input:
    return Input(metric, labels, [Run(value, 121)])


KINDS: dict[str, Any] = {
    "thresholds": {
        "all": {"expr": "x_ratio", "warning": 1, "for": "0s"},
        "some": {"expr": "x_ratio", "by": ["node"], "warning": 1, "for": "0s", "severity": "mine"},
        "routing": {"expr": "x_ratio", "by": ["page", "receiver", "node"], "warning": 1, "for": "0s"},
        "one": {"expr": "x_ratio", "by": ["team"], "warning": 1, "for": "0s"},
    },
    "absent": [{"name": "Gone", "expr": 'gone{page="true", team="nobody", receiver="ceo"}', "for": "0s"}],
    "rate_of_change": [{"name": "Jump", "expr": "jump_ratio", "over": "20m", "rise": "50%", "for": "0s"}],
    "forecast_breach": [{"name": "Full", "signal": "load", "within": "12h", "for": "0s"}],
    "alerts": [
        {"name": "Any", "expr": "x_ratio > 1"},
        {"name": "Own", "expr": "sum by (node, page, escalation) (x_ratio) > 1"},
        {"name": "Said", "expr": 'ALERTS{alertname="ShopOne", alertstate="firing"} == 1'},
    ],
    "escalation": {"mine": {"when": "severity = mine", "steps": [{"to": "a"}, {"to": "b", "after": "30m"}]}},
    "slos": {"api": {"objective": "99%", "sli": {"bad": 'hits{code="500"}', "total": "hits"}}},
}
NODE = {"node": "n", "tocsin_service": "shop"}
#: Everything that fires on them after two hours, by its own labels.
FIRING: dict[str, list[dict[str, str]]] = {
    "ShopAll": [NODE | {"severity": "2", "signal": "all"}],
    "ShopSome": [NODE | {"severity": "mine", "signal": "some", "resource": "n"}],
    "ShopRouting": [
        NODE
        | {"severity": "2", "signal": "routing", "resource": "true/ceo/n"}
        | {"tocsin_page": "true", "tocsin_receiver": "ceo"}
    ],
    "ShopOne": [
        {"tocsin_team": "nobody", "severity": "2", "signal": "one", "resource": "nobody", "tocsin_service": "shop"}
    ],
    "Gone": [{"severity": "2", "tocsin_service": "shop"}],
    "Jump": [NODE | {"severity": "2"}],
    "Full": [OF | {"severity": "2"}],
    "Any": [NODE | {"severity": "2"}],
    "Own": [NODE | {"severity": "2", "tocsin_page": "true", "tocsin_escalation": "3"}],
    "Said": [{"severity": "2", "tocsin_service": "shop", "tocsin_team": "nobody", "resource": "nobody"}],
    "ShopLoadCritical": [OF | {"severity": "4"}],
    "ShopApiErrorBudgetBurn": [{"severity": "4", "tocsin_service": "shop", "slo": "api"}],
    "ShopApiErrorBudgetBurnTicket": [{"severity": "2", "tocsin_service": "shop", "slo": "api"}],
}


@pytest.mark.parametrize("hostile", [HOSTILE, {}])
def test_no_scraped_label_becomes_one_by_which_alerts_are_routed(tmp_path: Path, hostile: dict[str, str]) -> None:
    signals = {"load": {**LOAD, "alert": {"critical": {"tier": 4, "for": "1m"}}}}
    behind = BEHIND if hostile else {}
    series = [
        lasting("x_ratio", 2, node="n", **hostile),
        Input("jump_ratio", {"node": "n", **hostile}, [Run(1, 110), Run(2, 11)]),
        Input("hits", {"code": "500", **hostile}, [Run(0, 121, 600)]),
        lasting("tocsin_severity_level", 4, **OF, **behind),
        lasting("tocsin_no_breach", 1, **OF, **behind, reason="already_breached"),
    ]
    firing = dict(FIRING)
    if not hostile:
        # What is not there has no name of its own either.
        firing["ShopRouting"] = [NODE | {"severity": "2", "signal": "routing", "resource": "//n"}]
        firing["ShopOne"] = [{"severity": "2", "signal": "one", "tocsin_service": "shop"}]
        firing["Own"] = [NODE | {"severity": "2"}]
        firing["Said"] = [{"severity": "2", "tocsin_service": "shop"}]
    told = {"severity": "mine", "escalation": "mine", "receiver": "b", "escalated_alert": "ShopSome"}
    firing["ShopEscalationMineB"] = [FIRING["ShopSome"][0] | told]
    expected = [Fires(name, 7200, instances) for name, instances in firing.items()]
    shows(tmp_path, service(signals=signals, **KINDS), series, expected)


def test_series_that_differ_in_such_a_label_alone_are_one_alert_and_break_no_rule(tmp_path: Path) -> None:
    kinds: dict[str, Any] = {
        "thresholds": {"cpu": {"expr": "x_ratio", "warning": 1, "for": "0s"}},
        "alerts": [
            {"name": "By", "expr": "x_ratio > 1", "by": ["node"]},
            {"name": "Own", "expr": "max by (page, tocsin_page) (x_ratio) > 1"},
            {"name": "Mixed", "expr": "x_ratio unless max by (page) (gone)"},
        ],
    }
    values = [("a", ""), ("b", ""), ("a", "c"), ("", "a")]
    series = [lasting("x_ratio", 2, node="n", page=page, tocsin_page=more) for page, more in values]
    own = [{"tocsin_page": page, "tocsin_tocsin_page": more} for page, more in values]
    base = {"severity": "2", "tocsin_service": "shop"}
    expected = [
        Fires("ShopCpu", 600, [base | {"signal": "cpu", "node": "n"} | _filled(tocsin_page=m) for m in ("", "a", "c")]),
        Fires("By", 600, [base | {"node": "n", "resource": "n"}]),
        Fires("Own", 600, [base | _filled(**labels) for labels in own]),
        Fires("Mixed", 600, [base | {"node": "n"} | _filled(tocsin_page=page) for page in ("a", "b", "")]),
    ]
    shows(tmp_path, service(**kinds), series, expected)


def _filled(**labels: str) -> dict[str, str]:
    return {name: value for name, value in labels.items() if value}


LABELS = ["page", "tocsin_page", "tocsin_tocsin_page", "severity", "tocsin_service", "node", "a", "b"]
LABELS += ["resource", "tocsin_resource"]
#: Of at most five labels, so that no resource has more than 15 characters to escape.
VALUES = st.text('ab/\\\n"{}é`$', min_size=1, max_size=3)
grouped = st.lists(st.sampled_from(LABELS), min_size=1, max_size=5, unique=True)


@given(grouped, st.data())
def test_identity_labels_have_no_name_of_ours_and_those_of_two_are_never_one(
    by: list[str], data: st.DataObject
) -> None:
    series = {label: data.draw(VALUES) for label in by}
    found = Grouping(tuple(by), (), "x").identity(series)
    gauge = identify(series, tuple(by), frozenset(), "s")
    assert found.pop("resource") == gauge.resource
    assert not set(found) & names.ALERT_LABELS
    assert sorted(found.values()) == sorted(value for name, value in series.items() if by != ["resource"])
    ours = [label for label in by if label in names.ALERT_LABELS]
    assert [found[exported_name(label, alone=False)] for label in ours] == [series[label] for label in ours]


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(grouped, min_size=6, max_size=6), st.data())
def test_the_rules_make_the_identity_that_the_gauges_have(
    tmp_path: Path, many: list[list[str]], data: st.DataObject
) -> None:
    alerts = [{"name": f"E{i}", "expr": f"x{i} > 0", "by": by} for i, by in enumerate(many)]
    series, expected = [], []
    for i, by in enumerate(many):
        labels = data.draw(st.lists(st.fixed_dictionaries(dict.fromkeys(by, VALUES)), min_size=3, max_size=3))
        distinct = list({tuple(sorted(one.items())): one for one in labels}.values())
        series += [Input(f"x{i}", {**HOSTILE, **one}, [Run(1, 11)]) for one in distinct]
        grouping = Grouping(tuple(by), (), "x")
        own = {"severity": "2", "tocsin_service": "shop"}
        expected.append(Fires(f"E{i}", 300, [grouping.identity(one) | own for one in distinct]))
    shows(tmp_path, service(alerts=alerts), series, expected)


def full(where: Path, labels: dict[str, str], resource: str) -> None:
    """Have promtool say that an alert on these labels has this resource."""
    alerts = [{"name": "Full", "expr": "disk_ratio > 0.9", "by": list(labels)}]
    own = {"severity": "2", "tocsin_service": "shop", "resource": resource}
    shows(where, service(alerts=alerts), [lasting("disk_ratio", 1, **labels)], [Fires("Full", 300, [labels | own])])


@pytest.mark.parametrize("first", ["h", "a/b\\c"])
@pytest.mark.parametrize("count", range(14))
def test_up_to_fifteen_slashes_and_backslashes_are_escaped(tmp_path: Path, first: str, count: int) -> None:
    labels = {"instance": first, "mountpoint": "/x" * (count // 2) + "\\" * (count - count // 2) + "é\n"}
    full(tmp_path, labels, identify(labels, ("instance", "mountpoint"), frozenset(), "s").resource)


def test_what_is_beyond_stays_as_it_is(tmp_path: Path) -> None:
    labels = {"instance": "h/i", "mountpoint": "/var" * 16}
    full(tmp_path, labels, "h\\/i/" + "\\/var" * 14 + "/var" * 2)


@pytest.mark.parametrize("label", ["disk", "resource"])
def test_a_resource_of_one_label_is_its_value(tmp_path: Path, label: str) -> None:
    full(tmp_path, {label: "/a\\b/" * 9}, "/a\\b/" * 9)


@pytest.mark.parametrize("mark", ["\x1e", "\x1f"])
def test_a_value_with_a_mark_of_the_rule_in_it_breaks_no_rule(tmp_path: Path, mark: str) -> None:
    model = service(alerts=[{"name": "Full", "expr": "disk_ratio > 0.9", "by": ["host", "disk"]}])
    series = [lasting("disk_ratio", 1, host="h", disk=f"/a{mark}b/{i}") for i in range(2)]
    files = rules.files(process(target=MINUTE), [model])
    test = document(["../shop.yml"], 60, [case("marks", 60, series, [])])
    count = {"expr": 'count(ALERTS{alertstate="firing"})', "eval_time": "5m"}
    test["tests"][0]["promql_expr_test"] = [{**count, "exp_samples": [{"value": 2}]}]
    write(tmp_path, {"rules/shop.yml": files["rules/shop.yml"], "rules/tests/marks.yml": test})
    status, said = promtool("test", "rules", "rules/tests/marks.yml", cwd=tmp_path)
    assert status == 0, said


def test_links_of_several_labels_name_the_resource_as_the_gauges_do(tmp_path: Path) -> None:
    links = {"logs": "https://l/?q={resource}"}
    model = service(links=links, alerts=[{"name": "A", "expr": "x > 1", "by": ["host", "disk"], "summary": "s"}])
    groups = rules.files(process(target=MINUTE), [model])
    test = document(["../shop.yml"], 60, [case("links", 60, [lasting("x", 2, host="h 1", disk="/a")], [])])
    labels = {"severity": "2", "tocsin_service": "shop", "host": "h 1", "disk": "/a", "resource": "h 1/\\/a"}
    texts = {"summary": "s", "value": "2", "logs_url": "https://l/?q=h%201%2F%5C%2Fa"}
    (found,) = (one for group in groups["rules/shop.yml"]["groups"] for one in group["rules"] if one["alert"] == "A")
    texts["description"] = "Its condition holds; the value is 2.\nExpression: x > 1"
    assert set(found["annotations"]) == set(texts)
    expected = {"exp_labels": labels, "exp_annotations": texts}
    test["tests"][0]["alert_rule_test"] = [{"alertname": "A", "eval_time": "5m", "exp_alerts": [expected]}]
    write(tmp_path, {"rules/shop.yml": groups["rules/shop.yml"], "rules/tests/links.yml": test})
    status, said = promtool("test", "rules", "rules/tests/links.yml", cwd=tmp_path)
    assert status == 0, said


def test_an_expression_that_nobody_can_read_keeps_no_label_of_ours() -> None:
    for expr in ("x keep_metric_names by", "max by (page) (" + "x + " * 1000 + "x)"):
        assert Grouping(None, ("job",), expr).renamed == {}


def test_the_document_names_the_labels_that_are_ours() -> None:
    text = (Path(__file__).parent.parent / "CONFIGURATION.md").read_text(encoding="utf-8")
    (section,) = re.findall(r"## Labels of resources and alerts\n(.*?)\n## ", text, re.DOTALL)
    (reserved,) = re.findall(r"beside others: (.*?), and any", section, re.DOTALL)
    (own,) = re.findall(r"An alert has (.*?) from Tocsin", section, re.DOTALL)
    assert re.findall(r"`(\w+)`", reserved) == sorted(names.RESERVED_LABELS)
    assert re.findall(r"`(\w+)`", own) == sorted(names.ALERT_LABELS)
