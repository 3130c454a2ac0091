"""What the check of rules finds, in the words in which it says it."""

from pathlib import Path
from typing import Any

import pytest

from generated import process, service
from tocsin.config.load import load
from tocsin.generate import rules
from tocsin.generate.lint.book import Book, Rule, rules_of
from tocsin.generate.lint.check import findings

SERVICE = service(signals={"load": {"expr": "sum(rate(http_requests_total[5m]))", "by": []}})


def found(*given: dict[str, Any], generated: bool = True, **target: Any) -> list[str]:
    """Messages about these rules, warnings marked."""
    every = [Rule("rules/shop.yml", "g", data, generated) for data in given]
    model = process(target=target)
    return [
        f"{'warning: ' if one.warning else ''}{one.rule}: {one.message}"
        for one in findings(Book(every, [SERVICE]), model.target)
    ]


def alert(expr: str, name: str = "A", **more: Any) -> dict[str, Any]:
    return {"alert": name, "expr": expr, **more}


def record(expr: str, name: str = "shop:x:sum", **labels: str) -> dict[str, Any]:
    return {"record": name, "expr": expr, "labels": labels}


GOOD = alert("sum by (node) (up) == 0", annotations={"summary": "{{ $labels.node }}"})


def test_a_good_rule_has_no_findings() -> None:
    assert found(GOOD) == []


def test_a_finding_says_where_it_is() -> None:
    (one,) = findings(Book([Rule("rules/shop.yml", "g", alert("("))]), process().target)
    assert str(one) == "rules/shop.yml: g / A: found no PromQL (unclosed left parenthesis), expected an expression"


def test_what_is_too_long_is_not_looked_into() -> None:
    assert found(alert("up" + " + up" * 600)) == [
        "warning: A: found 1201 words and signs, expected at most 1000: it was not looked into"
    ]


def test_old_names_of_functions_are_read() -> None:
    assert found(alert("holt_winters(up[5m], 0.1, 0.1) > 5")) == []


def test_an_alert_has_a_name_of_its_own() -> None:
    assert found(GOOD, {**GOOD, "expr": "up == 0"}) == [
        "A: found a second alert of this name, expected one: the first is in rules/shop.yml, g"
    ]


def test_recordings_of_one_name_differ_in_a_label() -> None:
    assert found(record("sum(up)", slo="a"), record("sum(up)", slo="b")) == []
    assert found(record("sum(up)", slo="a"), record("sum(up)", slo="a")) == [
        (
            "shop:x:sum: found a second recording of this name with the same labels, expected one: "
            "the first is in rules/shop.yml, g"
        )
    ]


def test_a_template_names_labels_of_the_result() -> None:
    texts = {"summary": "{{ $labels.nod }}", "description": "{{ $labels.team }}"}
    assert found({**GOOD, "annotations": texts, "labels": {"team": "t", "x": "{{ $labels.y }}"}}) == [
        "A: found the label 'y' in x, expected one of the expression's result: node",
        "A: found the label 'nod' in summary, expected one of the expression's result: node",
        (
            "A: found the label 'team' in description, expected one of the expression's result: node; "
            "a template does not see the rule's own labels"
        ),
    ]


def test_a_template_may_name_any_label_of_what_is_not_aggregated() -> None:
    assert found(alert("up == 0", annotations={"summary": "{{ $labels.whatever }}"})) == []


def test_a_result_without_labels_has_none_to_name() -> None:
    assert found(alert("sum(up) == 0", annotations={"summary": "{{ $labels.node }}"})) == [
        "A: found the label 'node' in summary, expected one of the expression's result: there is none"
    ]


def test_metrics_are_known() -> None:
    known = "up == 0 or tocsin_value > 1 or sum(rate(http_requests_total[5m])) > 1 or shop:x:sum > 1"
    assert found(alert(known), record("sum(up)")) == []
    expected = "expected one that Tocsin exposes, a rule records or the configuration names"
    assert found(alert("tocsin_valeu > 1")) == [f"A: found the metric tocsin_valeu, {expected}"]
    assert found(alert("shop:y:sum > 1")) == [f"A: found the metric shop:y:sum, {expected}"]


def test_a_metric_of_somebodys_own_rule_may_be_unknown_here() -> None:
    expected = "expected one that Tocsin exposes, a rule records or the configuration names"
    assert found(alert("mine > 1"), generated=False) == [f"warning: A: found the metric mine, {expected}"]
    assert found(alert("tocsin_valeu > 1"), generated=False) == [f"A: found the metric tocsin_valeu, {expected}"]


def test_an_alert_that_another_stands_on_is_known() -> None:
    assert found(alert('ALERTS{alertname="A"}', "B"), GOOD) == []
    assert found(alert('ALERTS{alertname="C"}', "B")) == [
        "B: found ALERTS of the alert 'C', expected one of these files"
    ]


def test_matchers_of_a_selector_go_together() -> None:
    assert found(alert('up{a="1", a!="1"} == 0 or up == 0')) == [
        'A: found a="1" and a!="1" in one selector, expected matchers that a series can satisfy'
    ]


def test_a_range_has_two_scrapes() -> None:
    assert found(alert("changes(up[30s]) > 2")) == []
    assert found(alert("changes(up[29s]) > 2 or changes(up[29s]) < 1")) == [
        "A: found a range of 29s, expected at least 30s, two scrapes"
    ]
    assert found(alert("changes(up[1m]) > 2"), scrape_interval="1m") == [
        "A: found a range of 1m, expected at least 2m, two scrapes"
    ]


def test_a_subquery_has_a_bounded_number_of_points() -> None:
    assert found(alert("max_over_time((up < 1)[11000m:1m]) == 0")) == []
    assert found(alert("max_over_time((up < 1)[11001m:1m]) == 0")) == [
        "A: found a subquery of 11001 points, expected at most 11000: a longer step, or a recording rule"
    ]
    # Without a step it is the evaluation interval.
    assert found(alert("max_over_time((up < 1)[1d:]) == 0"), evaluation_interval="5s") == [
        "A: found a subquery of 17280 points, expected at most 11000: a longer step, or a recording rule"
    ]


def test_points_of_nested_subqueries_are_multiplied() -> None:
    nested = "max_over_time(min_over_time((up < 1)[2h:1m])[2h:1m]) == 0"
    assert found(alert(nested)) == [
        "A: found a subquery of 14400 points, expected at most 11000: a longer step, or a recording rule"
    ]


@pytest.mark.parametrize(
    ("expr", "message"),
    [
        ("up > 1", "A: found a condition that no value fulfils, expected an alert that can fire"),
        ("vector(1)", "A: found a condition that always holds, expected an alert that can resolve"),
        ("up", "A: found no condition, expected one that can fail: it fires as soon as there is a series"),
        (
            "up >= 0",
            (
                "warning: A: found a condition that every value fulfils, expected one that can fail: "
                "it fires as soon as there is a series"
            ),
        ),
    ],
)
def test_an_alert_can_fire_and_not_fire(expr: str, message: str) -> None:
    assert found(alert(expr)) == [message]


def test_the_watchdog_always_fires() -> None:
    assert found(alert("vector(1)", "TocsinWatchdog")) == []


def test_a_recording_is_called_by_level_metric_and_operations() -> None:
    assert found(record("sum(up)", "up_sum")) == [
        "warning: up_sum: found a name of another form, expected level:metric:operations"
    ]


def test_a_recording_carries_the_labels_that_it_needs() -> None:
    assert found(record("up")) == [
        (
            "warning: shop:x:sum: found every label of its series in the recording, "
            "expected an aggregation by those it needs"
        )
    ]
    assert found(record("tocsin_stale")) == [
        "warning: shop:x:sum: found instance, job in the recording, expected the labels that it needs"
    ]
    assert found(record("sum by (job) (tocsin_stale)")) == []
    buckets = record("sum by (le) (rate(up[5m]))")
    assert found(buckets) == ["warning: shop:x:sum: found le in the recording, expected the labels that it needs"]
    assert found(buckets, alert("histogram_quantile(0.9, shop:x:sum) > 1")) == []


def test_what_is_no_rule_is_left_to_promtool() -> None:
    data = {"groups": [{"name": "g", "rules": [GOOD, "nothing"]}, "nothing", {"name": "h"}]}
    assert [rule.name for rule in rules_of("f", data)] == ["A"]
    assert rules_of("f", {"groups": "nothing"}) == []


def test_every_generated_rule_is_without_findings() -> None:
    model = process()
    many = [SERVICE, service("till", signals={"load": {"by": ["node"], "unit": "ratio", "limit": 1}})]
    data = rules.files(model, many)
    every = [rule for name, one in data.items() if not name.startswith("rules/tests/") for rule in rules_of(name, one)]
    assert len(every) > 10
    assert findings(Book(every, many), model.target) == []


def test_the_rules_of_the_examples_are_without_findings() -> None:
    config = load(Path(__file__).parent.parent / "examples" / "tocsin.yml")
    data = rules.files(config.process, config.services)
    every = [rule for name, one in data.items() if not name.startswith("rules/tests/") for rule in rules_of(name, one)]
    assert findings(Book(every, config.services), config.process.target) == []
