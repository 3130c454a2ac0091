"""PrometheusRule objects: names that Kubernetes accepts, and the same rules."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from generated import process, service
from tocsin.generate import kubernetes, rules

SERVICES = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}", fullmatch=True)
DNS_LABEL = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("shop", "tocsin-shop"),
        ("melody-meter", "tocsin-melody-meter"),
        ("Shop", "tocsin-shop-d00aae6b"),
        ("shop.eu", "tocsin-shop-eu-969d2014"),
        ("shop_eu", "tocsin-shop-eu-23c65277"),
        ("s" * 56, "tocsin-" + "s" * 56),
        ("s" * 57, "tocsin-" + "s" * 47 + "-74c39771"),
    ],
)
def test_an_object_is_named_after_its_service(name: str, expected: str) -> None:
    assert kubernetes.object_name(name) == expected


@given(st.sets(SERVICES, min_size=2, max_size=5))
def test_names_are_dns_labels_and_differ(names: set[str]) -> None:
    made = [kubernetes.object_name(name) for name in names]
    assert all(re.fullmatch(DNS_LABEL, name) for name in made)
    assert len(set(made)) == len(names)


def test_each_file_of_rules_has_an_object_with_the_same_groups() -> None:
    plain = rules.files(process(), [service()])
    made = dict(kubernetes.files(plain.items()))
    assert {name: made[name] for name in plain} == plain
    assert sorted(set(made) - set(plain)) == ["rules/kubernetes/shop.yml", "rules/kubernetes/tocsin.yml"]
    assert made["rules/kubernetes/shop.yml"] == {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": {
            "name": "tocsin-shop",
            "labels": {
                "app.kubernetes.io/name": "tocsin",
                "app.kubernetes.io/instance": "tocsin-shop",
                "app.kubernetes.io/component": "rules",
                "app.kubernetes.io/managed-by": "tocsin",
            },
        },
        "spec": {"groups": plain["rules/shop.yml"]["groups"]},
    }


#: https://github.com/prometheus-operator/prometheus-operator, pkg/apis/monitoring/v1: Duration, RuleGroup and Rule.
DURATION = re.compile("(0|(([0-9]+)y)?(([0-9]+)w)?(([0-9]+)d)?(([0-9]+)h)?(([0-9]+)m)?(([0-9]+)s)?(([0-9]+)ms)?)")
GROUP_FIELDS = {"name", "interval", "rules", "limit", "labels", "query_offset"}
RULE_FIELDS = {"alert", "record", "expr", "for", "keep_firing_for", "labels", "annotations"}


def test_groups_and_rules_have_only_fields_that_the_operator_knows() -> None:
    made = dict(kubernetes.files(rules.files(process(), [service(team="t")]).items()))
    for name in ("rules/kubernetes/shop.yml", "rules/kubernetes/tocsin.yml"):
        groups = made[name]["spec"]["groups"]
        assert groups
        for group in groups:
            assert set(group) <= GROUP_FIELDS
            assert DURATION.fullmatch(group["interval"])
            for rule in group["rules"]:
                assert set(rule) <= RULE_FIELDS
                assert all(DURATION.fullmatch(rule[key]) for key in ("for", "keep_firing_for") if key in rule)
                strings = [*rule.get("labels", {}).values(), *rule.get("annotations", {}).values()]
                assert all(isinstance(value, str) for value in strings)
