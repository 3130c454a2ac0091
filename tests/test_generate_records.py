"""Plain recording rules: from the service file to the rule, its test, and what is refused."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from generated import of_services, passes, process, service
from tocsin.config.faults import ConfigError, show_path
from tocsin.config.load import load
from tocsin.generate import rules
from tocsin.generate.lint.book import Book, rules_of
from tocsin.generate.lint.check import findings

RECORDS = {"business:revenue_per_minute": "sum(rate(business_revenue_total[5m])) * 60"}


def test_a_record_is_a_rule_without_labels_of_its_own_in_one_group() -> None:
    data = rules.files(process(), [service("shop", {}, records=RECORDS)])["rules/shop.yml"]
    assert data["groups"] == [
        {
            "name": "tocsin-shop-records",
            "interval": "15s",
            "rules": [
                {
                    "record": "business:revenue_per_minute",
                    "expr": "sum(rate(business_revenue_total[5m])) * 60",
                }
            ],
        }
    ]


def test_its_test_passes_and_fails_on_another_expression(tmp_path: Path) -> None:
    data = of_services(rules.files(process(), [service("shop", {}, records=RECORDS)]))
    (case,) = data["rules/tests/shop.yml"]["tests"]
    assert case["name"] == "business:revenue_per_minute records its expression"
    passes(tmp_path / "right", data)
    data["rules/shop.yml"]["groups"][0]["rules"][0]["expr"] = "sum(rate(business_revenue_total[5m]))"
    with pytest.raises(AssertionError, match="business:revenue_per_minute"):
        passes(tmp_path / "wrong", data)


def test_an_expression_that_nobody_knows_how_to_feed_has_no_test() -> None:
    strange = {"shop:orders:peak": "max(max_over_time((sum(orders))[1h:5m]))"}
    data = rules.files(process(), [service("shop", {}, records=strange)])
    assert data["rules/shop.yml"]["groups"][0]["rules"][0]["record"] == "shop:orders:peak"
    assert data["rules/tests/shop.yml"]["tests"] == []


def test_a_name_that_the_configuration_gives_needs_no_operations_and_its_metrics_are_known() -> None:
    found = service("shop", {}, records=RECORDS)
    files = rules.files(process(), [found])
    book = Book(rules_of("rules/shop.yml", files["rules/shop.yml"]), [found])
    assert findings(book, process().target) == []


def faults(folder: Path, *services: dict[str, Any]) -> list[str]:
    for i, one in enumerate(services):
        (folder / f"{i}.yml").write_text(yaml.safe_dump(one))
    files = [f"{i}.yml" for i in range(len(services))]
    whole = {"source": {"url": "http://127.0.0.1:9090"}, "services": files}
    (folder / "tocsin.yml").write_text(yaml.safe_dump(whole))
    with pytest.raises(ConfigError) as error:
        load(folder / "tocsin.yml")
    return [f"{fault.path}: {fault.message}" for fault in error.value.faults]


@pytest.mark.parametrize(
    ("name", "expr", "message"),
    [
        ("revenue", "up", "found the name 'revenue', expected level:metric:operations, or level:metric"),
        (
            "a:b-c",
            "up",
            "found the name 'a:b-c', expected level:metric:operations, or level:metric",
        ),
        ("tocsin_slo:a:b", "up", "found 'tocsin_slo:a:b', expected another name: tocsin_ is for Tocsin's own"),
        (
            "a:b",
            "sum(",
            "found no PromQL (unclosed left parenthesis), expected an expression that gives a vector",
        ),
    ],
)
def test_what_is_no_recording_rule_is_refused_where_it_stands(
    tmp_path: Path, name: str, expr: str, message: str
) -> None:
    one = {"service": "shop", "signals": {"load": {"expr": "up"}}, "records": {name: expr}}
    assert faults(tmp_path, one) == [f"{show_path(('records', name))}: {message}"]


def test_two_services_cannot_record_the_same_name(tmp_path: Path) -> None:
    signals = {"load": {"expr": "up"}}
    one = {"service": "a", "signals": signals, "records": RECORDS}
    (found,) = faults(tmp_path, one, {**one, "service": "b"})
    assert found.startswith(
        "records['business:revenue_per_minute']: found the recording 'business:revenue_per_minute' again, expected"
    )
