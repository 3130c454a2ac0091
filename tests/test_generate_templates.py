"""What annotations say, expanded by promtool as Prometheus would."""

from pathlib import Path
from typing import Any

import pytest

from generated import process, promtool, rule, service, write
from tocsin.config.models import Service
from tocsin.generate import rules, templates
from tocsin.generate.promtool import Input, Run
from tocsin.generate.tier_cases import AWKWARD

LIMITED = {"unit": "ratio", "limit": 1.0, "description": "How full  it is,\nin {{ words }}."}
CLOCK = "tocsin_tier_run_start_timestamp_seconds"


def expanded(tmp_path: Path, shop: Service, gauges: dict[str, float], expected: dict[str, str]) -> None:
    """The one alert of this service, for a resource with an awkward name and these gauges, says what is expected."""
    data = rules.files(process(), [shop])
    ((name, signal),) = shop.signals.items()
    labels = {"tocsin_service": shop.service, "signal": name, "resource": AWKWARD}
    given = {"tocsin_severity_level": 4.0, **gauges}
    series = [
        Input(metric, {**labels, **({"tier": "4"} if metric == CLOCK else {})}, [Run(value, 20)]).data()
        for metric, value in given.items()
    ]
    found = rule(shop, *signal.alert, signal=name)
    alert = {"exp_labels": {**labels, "severity": "4"}, "exp_annotations": expected}
    wanted = {"alertname": found["alert"], "eval_time": "4m", "exp_alerts": [alert]}
    test = {"interval": "15s", "input_series": series, "alert_rule_test": [wanted]}
    document = {"rule_files": [f"rules/{shop.service}.yml"], "evaluation_interval": "15s", "tests": [test]}
    write(tmp_path, {**data, "expanded.yml": document})
    status, said = promtool("test", "rules", "expanded.yml", cwd=tmp_path)
    assert status == 0, said


def shop(name: str = "load", **signal: Any) -> Service:
    alert = {"tier": 4, **signal.pop("alert", {})}
    return service(signals={name: {**signal, "alert": {"critical": alert}}})


def test_the_default_text_has_the_numbers_in_it(tmp_path: Path) -> None:
    gauges = {
        "tocsin_value": 0.9312,
        "tocsin_expected_lower": 0.41,
        "tocsin_expected_upper": 0.583,
        "tocsin_zscore": 8.25,
        CLOCK: 60.0,
        "tocsin_breach_timestamp_seconds": 86_400.0,
    }
    expected = {
        "summary": f"load of {AWKWARD} (shop) has reached tier 4 (critical)",
        "description": (
            "How full it is, in {{ words }}.\n"
            "The value is 93.12%, expected 41% to 58.3%, 8.2 standard deviations from its baseline.\n"
            "At or above this tier since 1970-01-01 00:01:00 +0000 UTC.\n"
            "The forecast reaches the limit of 100% at 1970-01-02 00:00:00 +0000 UTC.\n"
            "Act on it at once: this is far outside of what was ever normal. Carry out what the runbook says and "
            "escalate.\n"
            "`tocsin explain` with the name of the resource says why it has its tier."
        ),
    }
    expanded(tmp_path, shop(**LIMITED), gauges, expected)


SEASONAL = {"zscore": {}, "seasonal": {"season": "1d"}}


@pytest.mark.parametrize("detect", [SEASONAL, {"seasonal": {"season": "1d"}}])
def test_where_a_season_may_have_graded_no_distance_from_the_baseline_is_told(
    tmp_path: Path, detect: dict[str, Any]
) -> None:
    gauges = {
        "tocsin_value": 0.9312,
        "tocsin_expected_lower": 0.41,
        "tocsin_expected_upper": 0.583,
        "tocsin_zscore": 0.3,
    }
    shown = shop(unit="ratio", detect=detect)
    expected = {
        "summary": f"load of {AWKWARD} (shop) has reached tier 4 (critical)",
        "description": (
            "The value is 93.12%, expected 41% to 58.3%.\n"
            "Act on it at once: this is far outside of what was ever normal. Carry out what the runbook says and "
            "escalate.\n"
            "`tocsin explain` with the name of the resource says why it has its tier."
        ),
    }
    expanded(tmp_path, shown, gauges, expected)


def test_while_nothing_is_known_the_text_says_so(tmp_path: Path) -> None:
    expected = {
        "summary": f"load of {AWKWARD} (shop) has reached tier 4 (critical)",
        "description": (
            "There is no value at present: Tocsin or its source cannot see it, and until it can the alert stays as it "
            "was.\n"
            "Act on it at once: this is far outside of what was ever normal. Carry out what the runbook says and "
            "escalate.\n"
            "`tocsin explain` with the name of the resource says why it has its tier."
        ),
    }
    expanded(tmp_path, shop(limit=7), {}, expected)


@pytest.mark.parametrize(
    ("unit", "value", "shown"),
    [
        ("ratio", 0.5, "50%"),
        ("seconds", 0.25, "250ms"),
        ("seconds", 5400, "1h 30m 0s"),
        ("bytes", 1536, "1.5kiB"),
        ("celsius", 21.5, "21.5 °C"),
        ("count", 1200, "1.2k"),
        ("per_second", 12, "12/s"),
        ("per_minute", 0.5, "500m/min"),
        ("none", -3, "-3"),
    ],
)
def test_a_value_reads_in_its_unit(tmp_path: Path, unit: str, value: float, shown: str) -> None:
    alert = {"summary": "-", "description": templates.number(repr(float(value)), unit)}
    expanded(tmp_path, shop(unit=unit, alert=alert), {}, {"summary": "-", "description": shown})


def test_text_of_the_configuration_is_a_template_as_prometheus_knows_them(tmp_path: Path) -> None:
    alert = {
        "summary": "{{ $labels.signal }} is {{ $value }}",
        "description": "at {{ $value | humanizePercentage }}",
    }
    expected = {"summary": "load is 4", "description": "at 400%"}
    expanded(tmp_path, shop(alert=alert), {}, expected)


@pytest.mark.parametrize("name", ['a "b" {{ $labels.x }}', "{", "{{ end }}", "}}", "{{- /* no */ -}}", "`'\\"])
def test_names_of_the_configuration_are_no_templates(tmp_path: Path, name: str) -> None:
    expected = {"summary": f"{name} of {AWKWARD} (shop) has reached tier 4 (critical)", "description": "-"}
    expanded(tmp_path, shop(name, alert={"name": "Named", "description": "-"}), {}, expected)


def test_links_are_filled_in_and_the_resource_is_escaped_for_a_url(tmp_path: Path) -> None:
    links = {
        "runbook": "https://wiki.example.com/{service}/{alert}#{signal}",
        "dashboard": "https://grafana.example.com/d/x?var={resource}&orgId=1",
        "logs": "https://logs.example.com/{resource}/{{literal}}",
        "traces": "https://traces.example.com/?q={service}+{resource}",
    }
    alert = {"tier": 4, "summary": "-", "description": "-"}
    linked = service(signals={"a b/c": {"alert": {"critical": alert}}}, links=links)
    escaped = "grand%20%22piano%22%20%5C%20%7B%7B%20%24labels.signal%20%7D%7D"
    expected = {
        "summary": "-",
        "description": "-",
        "runbook_url": "https://wiki.example.com/shop/ShopABCCritical#a%20b%2Fc",
        "dashboard_url": f"https://grafana.example.com/d/x?var={escaped}&orgId=1",
        "logs_url": f"https://logs.example.com/{escaped}/{{literal}}",
        "traces_url": f"https://traces.example.com/?q=shop+{escaped}",
    }
    expanded(tmp_path, linked, {}, expected)


def test_links_that_are_not_given_are_not_there() -> None:
    assert list(rule(service())["annotations"]) == ["summary", "description"]
