"""Names of any kind stay names: in JSON, in YAML, in PromQL, and for Grafana's variables."""

import json
from collections.abc import Iterator
from typing import Any

import promql_parser as promql
import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from generated import process, service
from grafana import everything, filled, queries, walk
from tocsin import names
from tocsin.generate.dashboards import files, query, text
from tocsin.generate.dashboards.frame import Places

PLACES = Places("http://tocsin.example.com", "http://prometheus.example.com")
NAMES = st.text(min_size=1, max_size=40)


def matched(model: dict[str, Any], label: str) -> Iterator[str]:
    """What the queries of a dashboard want a label to be."""
    values = everything(model)
    for _, _, target in queries(model):
        for node, _ in walk(promql.parse(filled(target["expr"], values))):
            if isinstance(node, promql.VectorSelector):
                yield from (m.value for m in node.matchers.matchers if m.name == label and m.op == promql.MatchOp.Equal)


@given(NAMES, NAMES, NAMES, NAMES)
@example("$resource", "${datasource}", "[[service]]", "$service")
@example('a"b', "a\\", "\n", "{{x}}")
@example("`", "\0", "'", "](javascript:x)")
@settings(max_examples=40)
def test_hostile_names_never_break_a_dashboard(signal: str, slo: str, threshold: str, dimension: str) -> None:
    one = service(
        "shop",
        {signal: {"limit": 1.0, "dimension": dimension, "description": slo, "by": ["node"]}},
        team=dimension,
        slos={slo: {"objective": 0.99, "sli": {"bad": "bad_total", "total": "all_total"}}},
        thresholds={threshold: {"expr": 'up{job="$service"}', "warning": 1.0}},
        links={
            "logs": "https://logs.example.com/{service}/{resource}?signal={signal}",
            "runbook": "https://wiki/{alert}",
        },
    )
    made = dict(files.texts(process(), (one,), PLACES, "1", "abc"))
    shop = json.loads(made["dashboards/shop.json"])
    assert set(matched(shop, names.SIGNAL)) == {signal}
    assert set(matched(shop, names.SERVICE)) == {"shop"}
    assert set(matched(shop, "job")) == {"$service"}
    for name, content in made.items():
        if name.endswith(".json"):
            model = json.loads(content)
            assert list(matched(model, "job")) in ([], ["$service"])
        else:
            yaml.safe_load(content)
    for panel in shop["panels"]:
        assert "\n" not in panel["title"]


@given(st.text(max_size=60))
@example("$x")
@example("${x}")
@example("[[x]]")
def test_a_quoted_text_is_read_by_prometheus_as_itself_after_grafana(given: str) -> None:
    expr = filled(f"x{{a={query.quote(given)}}}", {"x": "wrong"})
    selector = promql.parse(expr)
    assert isinstance(selector, promql.VectorSelector)
    assert [m.value for m in selector.matchers.matchers] == [given]


@pytest.mark.parametrize(
    ("expr", "kept"),
    [
        ('up{a="$service"} # it\'s', 'up{a="\\x24service"}'),
        ("up{a='[[service]]'}", "up{a='\\x5b\\x5bservice]]'}"),
        ("up{a=~`.+$service`}", 'up{a=~".+\\x24service"}'),
        ("rate(x[5m])", "rate(x[5m])"),
    ],
)
def test_an_expression_of_the_configuration_means_the_same_to_prometheus(expr: str, kept: str) -> None:
    assert query.expression(expr) == kept
    values = {"service": "wrong"}
    assert str(promql.parse(filled(query.expression(expr), values))) == str(promql.parse(expr))


@given(st.text(max_size=60))
@example("a|b](x)$y<script>")
def test_markdown_stays_in_its_cell(given: str) -> None:
    cell = text.markdown(given)
    assert "\n" not in cell
    assert "$" not in cell
    assert "|" not in cell.replace("\\|", "")
