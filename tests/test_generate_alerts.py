"""Alerts on values: what their rules ask, say and are called."""

from typing import Any

import pytest

from generated import process, service
from tocsin.config.models import Service, Signal
from tocsin.generate import rules

LOAD = {"expr": "load_ratio", "by": ["node"], "unit": "ratio", "limit": 1.0, "forecast": {"horizon": "24h"}}
SIGNALS = {"load": {**LOAD, "step": "30m", "dimension": "capacity", "alert": {}}}


def shop(**more: Any) -> Service:
    return service(signals=SIGNALS, **more)


def made(service: Service, **target: Any) -> dict[str, dict[str, Any]]:
    """All rules of the service by name."""
    files = rules.files(process(target=target) if target else process(), [service])
    return {one["alert"]: one for group in files["rules/shop.yml"]["groups"] for one in group["rules"]}


def only(service: Service, **target: Any) -> dict[str, Any]:
    (found,) = made(service, **target).values()
    return found


def threshold(**more: Any) -> dict[str, Any]:
    return only(shop(thresholds={"cpu": {"expr": "cpu_ratio", **more}}))


def test_a_threshold_up_is_the_maximum_above_a_bound_and_one_down_the_minimum_below_it() -> None:
    assert threshold(warning=0.8, by=["node"])["expr"] == (
        'label_join(max by (node) (cpu_ratio), "resource", "/", "node") > 0.8'
    )
    assert threshold(critical=60, direction="down", by=["resource"])["expr"] == "min by (resource) (cpu_ratio) < 60"


def test_by_nothing_there_is_one_alert() -> None:
    assert threshold(warning=1e20, by=[])["expr"] == "max(cpu_ratio) > 1e+20"


def test_several_labels_are_joined_in_their_order() -> None:
    found = threshold(warning=1, by=["node", "disk"])["expr"]
    assert r'label_join(max by (node, disk) (cpu_ratio), "resource", "\x1f", "node", "disk")' in found
    assert found.endswith(r""""resource", "$1/$2", "resource", `([^\x1f]*)\x1f([^\x1f]*)`) > 1""")


def test_without_by_no_label_of_replicas_is_left_and_none_that_the_alert_sets() -> None:
    alert = only(shop(team="keys", thresholds={"cpu": {"expr": "cpu_ratio", "warning": 1}}))
    ours = "alertname, alertstate, dimension, escalated_alert, escalation, page, receiver, remediation, severity"
    dropped = f"job, replica, prometheus_replica, {ours}, signal, slo, team, tocsin_service"
    assert alert["expr"] == f"max without ({dropped}) (cpu_ratio) > 1"


def test_a_label_that_the_alert_sets_itself_is_kept_under_another_name() -> None:
    copied = 'label_join(max by (severity) (cpu_ratio), "tocsin_severity", "", "severity")'
    assert threshold(warning=1, by=["severity"])["expr"] == (
        f'label_join(max without (severity) ({copied}), "resource", "/", "tocsin_severity") > 1'
    )


def test_a_comment_in_an_expression_swallows_nothing() -> None:
    assert threshold(warning=1, by=[], expr="cpu_ratio # of all\n")["expr"] == "max(\ncpu_ratio # of all\n) > 1"


def test_the_threshold_of_a_signal_takes_its_expression_labels_unit_and_dimension() -> None:
    alert = only(shop(thresholds={"full": {"signal": "load", "critical": 0.95}}))
    assert alert["expr"] == 'label_join(max by (node) (load_ratio), "resource", "/", "node") > 0.95'
    assert alert["labels"] == {
        "severity": "4",
        "dimension": "capacity",
        "tocsin_service": "shop",
        "signal": "load",
    }
    assert alert["annotations"]["summary"] == (
        "full of {{ $labels.resource }} (shop) is above {{ 0.95 | humanizePercentage }}: "
        "{{ $value | humanizePercentage }}"
    )


@pytest.mark.parametrize(
    ("more", "resource"),
    [
        ({"signal": "errors"}, "errors"),
        ({"signal": "load"}, None),
        ({"signal": "load", "by": []}, "load"),
        ({"expr": "max_over_time(sum(x)[5m:1m]) / 2"}, "full"),
        ({"expr": "topk(3, x)"}, None),
        ({"expr": "sum by (node) (x)"}, None),
        ({"expr": "absent(x)"}, None),
    ],
)
def test_a_value_without_labels_is_about_the_resource_that_its_signal_has(
    more: dict[str, Any], resource: str | None
) -> None:
    """So a critical alert hides its own warning, and the tier alert of the signal is about the same resource."""
    one = shop(thresholds={"full": {**more, "critical": 0.95}})
    one.signals["errors"] = Signal.model_validate({"expr": "1 - avg(rate(e[5m]))", "alert": {}})
    assert only(one)["labels"].get("resource") == resource


def test_a_change_of_a_signal_without_labels_is_about_the_same_resource_as_its_tiers() -> None:
    one = shop(rate_of_change=[{"name": "Jump", "signal": "load", "by": [], "over": "1h", "rise": 0.5}])
    assert only(one)["labels"]["resource"] == "load"


def test_what_the_threshold_says_wins() -> None:
    model = {"signal": "load", "by": ["disk"], "unit": "count", "dimension": "disks", "severity": "sev1", "page": True}
    alert = only(shop(team="keys", thresholds={"full": {**model, "warning": 1, "for": "0s", "keep_firing_for": "9m"}}))
    assert alert["expr"].startswith("label_join(max by (disk) (load_ratio)")
    assert alert["labels"] == {
        "severity": "sev1",
        "team": "keys",
        "dimension": "disks",
        "page": "true",
        "tocsin_service": "shop",
        "signal": "load",
    }
    assert ("for" in alert, alert["keep_firing_for"]) == (False, "9m")


def test_warning_and_critical_are_two_alerts_in_one_group() -> None:
    model = {"expr": "cpu_ratio", "warning": 0.8, "critical": 0.95}
    one = shop(
        severity="P0-P3", thresholds={"cpu": model, "mem": {**model, "name": "Mem"}, "io": {"expr": "x", "warning": 1}}
    )
    groups = rules.files(process(), [one])["rules/shop.yml"]["groups"]
    assert [(group["name"], [rule["alert"] for rule in group["rules"]]) for group in groups] == [
        ("tocsin-shop-threshold-cpu", ["ShopCpuWarning", "ShopCpuCritical"]),
        ("tocsin-shop-threshold-mem", ["MemWarning", "MemCritical"]),
        ("tocsin-shop-threshold-io", ["ShopIo"]),
    ]
    assert [rule["labels"]["severity"] for rule in groups[0]["rules"]] == ["P2", "P0"]
    assert [rule["for"] for rule in groups[0]["rules"]] == ["5m", "5m"]


def test_a_signal_that_is_called_like_a_group_does_not_clash() -> None:
    one = service(signals={"threshold-cpu": {}}, thresholds={"cpu": {"expr": "x", "warning": 1}})
    groups = rules.files(process(), [one])["rules/shop.yml"]["groups"]
    assert [group["name"] for group in groups] == ["tocsin-shop-threshold-cpu", "tocsin-shop-threshold-cpu-2"]


def test_the_description_has_what_was_found_what_is_allowed_and_what_is_aimed_at() -> None:
    text = threshold(warning=0.25, unit="seconds", target=0.2, by=["node"])["annotations"]["description"]
    assert text == (
        "The value is {{ $value | humanizeDuration }}; "
        "it has been above {{ 0.25 | humanizeDuration }} for at least 5m.\n"
        "The aim is {{ 0.2 | humanizeDuration }}."
    )


def test_texts_and_the_runbook_of_the_configuration_win() -> None:
    one = shop(
        links={"runbook": "https://w/{alert}", "logs": "https://l/{signal}/{resource}"},
        thresholds={
            "cpu": {"expr": "x", "by": [], "warning": 1, "summary": "{{ $value }}", "runbook": "https://r/{service}"}
        },
    )
    annotations = only(one)["annotations"]
    assert annotations["summary"] == "{{ $value }}"
    assert (annotations["runbook_url"], annotations["logs_url"]) == ("https://r/shop", "https://l/cpu/")


def test_absence_has_no_label_but_the_alert_s_own() -> None:
    alert = only(shop(absent=[{"name": "Gone", "expr": 'x{job="a"}', "level": "page", "for": "10m"}]))
    assert (alert["alert"], alert["expr"], alert["for"]) == ("Gone", 'max(absent(x{job="a"}))', "10m")
    assert alert["labels"] == {"severity": "4", "tocsin_service": "shop"}


def test_absence_with_zero_is_one_alert_for_both() -> None:
    alert = only(shop(absent=[{"name": "Gone", "expr": "rate(x[5m])", "zero": True}]))
    assert alert["expr"] == "max(absent(rate(x[5m])))\nor max(abs(rate(x[5m]))) == 0"


def test_a_change_is_a_share_of_what_was() -> None:
    model = {"name": "Jump", "signal": "load", "over": "1h", "rise": "50%", "fall": "30%"}
    alert = only(shop(rate_of_change=[model]), evaluation_interval="30s")
    past = "last_over_time((max by (node) (load_ratio))[30s:30s] offset 1h)"
    change = f'label_join((max by (node) (load_ratio) - {past})\n/ (abs({past}) > 0), "resource", "/", "node")'
    assert alert["expr"] == f"{change} >= 0.5\nor {change} <= -0.3"
    assert alert["for"] == "5m"
    assert alert["labels"]["signal"] == "load"


@pytest.mark.parametrize(("over", "wait"), [("1h", "5m"), ("10m", "5m"), ("4m", "2m"), ("61s", "30s")])
def test_a_change_waits_for_no_more_than_half_of_its_time(over: str, wait: str) -> None:
    alert = only(shop(rate_of_change=[{"name": "Jump", "expr": "x", "over": over, "fall": 0.5}]))
    assert alert["for"] == wait
    assert "signal" not in alert["labels"]


def test_a_breach_fires_before_the_limit_and_beyond_it() -> None:
    alert = only(shop(forecast_breach=[{"name": "Full", "signal": "load", "within": "12h"}]))
    of = 'tocsin_service="shop", signal="load"'
    assert alert["expr"] == (
        f"min by (tocsin_service, signal, resource) (tocsin_breach_timestamp_seconds{{{of}}}) - time() <= 43200\n"
        f'or 0 * max by (tocsin_service, signal, resource) (tocsin_no_breach{{{of}, reason="already_breached"}})'
    )
    assert (alert["for"], alert["keep_firing_for"]) == ("15m", "15m")
    assert alert["labels"]["dimension"] == "capacity"


def test_an_expression_fires_as_it_is() -> None:
    alert = only(shop(alerts=[{"name": "Down", "expr": "up == 0", "by": ["instance"], "keep_firing_for": "1m"}]))
    assert alert["expr"] == 'label_join(max by (instance) (up == 0), "resource", "/", "instance")'
    assert ("for" in alert, alert["keep_firing_for"]) == (False, "1m")


def test_alerts_without_a_runbook_are_a_warning() -> None:
    model = {"name": "Gone", "expr": "x"}
    lacks, has = shop(absent=[model]), shop(absent=[{**model, "runbook": "https://w"}])
    assert rules.warnings(process(), [lacks]) == ["shop: links.runbook is not given, so its alerts have no runbook_url"]
    assert rules.warnings(process(), [has]) == []
