"""The alerts of the five runbooks, as the examples have them: names, severities, figures, who is told and when."""

import re
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml

from examples import alerts, files, service
from generated import promtool, write

#: Alerts by the names that the runbooks give them or that belong to one of their lines: severity, dimension, seconds.
MAESTRO = {
    "BusinessSignupAnomaly": ("ticket", "signup"),
    "SignupZeroTraffic": ("ticket", "signup"),
    "ApiLatencySLOBreach": ("page", "api"),
    "ApiLatencySLOBreachTicket": ("ticket", "api"),
    "ApiErrorBudgetBurn": ("page", "api"),
    "ApiErrorBudgetBurnTicket": ("ticket", "api"),
    "RevenueRunRateShortfall": ("ticket", "revenue"),
    "CapacityCPUForecastCritical": ("P3", "capacity"),
    "CapacityMemoryForecastCritical": ("P3", "capacity"),
}


@pytest.mark.parametrize("name", MAESTRO)
def test_maestro_has_the_alerts_of_its_runbook_by_name(name: str) -> None:
    labels = alerts()[name]["labels"]
    assert (labels["severity"], labels["dimension"]) == MAESTRO[name]


def test_the_fast_burn_rates_page_and_the_slow_ones_are_a_ticket() -> None:
    """14.4, 6, 3 and 1 times the budget of 0.1 %."""
    page, ticket = alerts()["ApiErrorBudgetBurn"]["expr"], alerts()["ApiErrorBudgetBurnTicket"]["expr"]
    bounds = re.compile(r"clamp_max\(.*, 1\) >= (0\.0[0-9]+)")
    assert [float(bound) for bound in bounds.findall(page)] == [0.0144, 0.006]
    assert [float(bound) for bound in bounds.findall(ticket)] == [0.003, 0.001]
    assert "\nor (" in page


LEARNING = {
    "LearningCalibrationFailed": "P0",
    "LearningConsecutiveFailures": "P0",
    "LearningSeveralOperationsFailing": "P0",
    "LearningExtractionFailing": "P1",
    "LearningSnapshotFailing": "P1",
    "LearningErrorRateVeryHigh": "P1",
    "LearningErrorRateHigh": "P2",
    "LearningOperationTimeout": "P2",
    "LearningOperationFailed": "P2",
    "LearningDriftSignificant": "P3",
}


@pytest.mark.parametrize("name", LEARNING)
def test_learning_has_its_alarms_with_the_severity_of_their_kind(name: str) -> None:
    assert alerts()[name]["labels"]["severity"] == LEARNING[name]


#: Per threshold of the table of objectives: target, where the alert begins, which side, and its name.
OBJECTIVES = {
    "throughput": (1000, 800, "down", "AmasThroughputLow"),
    "latency-p95": (0.2, 0.25, "up", "AmasLatencyP95High"),
    "latency-p99": (0.5, 0.6, "up", "AmasLatencyP99High"),
    "http.error_rate.5xx": (0.01, 0.02, "up", "HttpErrorRate5xx"),
    "monitoring-overhead": (0.1, 0.15, "up", "AmasMonitoringOverheadHigh"),
    "cache-hit-rate": (0.8, 0.6, "down", "AmasCacheHitRateLow"),
}


@pytest.mark.parametrize("key", OBJECTIVES)
def test_amas_has_target_and_alert_threshold_as_two_numbers(key: str) -> None:
    target, bound, direction, name = OBJECTIVES[key]
    found = service("amas").thresholds[key]
    assert (found.target, found.critical or found.warning, found.direction, found.name) == (
        target,
        bound,
        direction,
        name,
    )
    assert alerts()[name]["expr"].endswith(f" {'>' if direction == 'up' else '<'} {bound:g}")


def test_decisions_that_take_long_are_high_after_two_minutes_and_stay_for_the_cool_down() -> None:
    rule = alerts()["DecisionLatencyP99"]
    assert rule["expr"].endswith("[5m]))) / 1000) > 0.5")
    assert (rule["for"], rule["keep_firing_for"], rule["labels"]["severity"]) == ("2m", "5m", "high")
    assert rule["labels"]["signal"] == "decision.latency.p99"


def test_amas_knows_what_one_instance_can_do_and_what_is_usual() -> None:
    signals, thresholds = service("amas").signals, service("amas").thresholds
    limits = {name: signals[name].limit for name in ("throughput", "users", "connections", "process-memory")}
    assert limits == {"throughput": 1200, "users": 500, "connections": 20, "process-memory": 512e6}
    assert {breach.signal for breach in service("amas").forecast_breach} == set(limits)
    assert list(signals["insights"].normal or ()) == [100, 500]
    cpu = thresholds["cpu"]
    assert (cpu.warning, cpu.critical, cpu.for_) == (0.7, 0.9, 300)
    assert (thresholds["memory"].warning, thresholds["scale-latency-p95"].warning) == (0.8, 0.2)


#: Warning, critical, as the runbook has them in percent and milliseconds.
CRITICAL_THRESHOLDS = {
    "cpu": (0.80, 0.95),
    "memory": (0.85, 0.95),
    "disk": (0.85, 0.95),
    "response": (0.5, 1.0),
    "errors": (0.01, 0.05),
}


@pytest.mark.parametrize("key", CRITICAL_THRESHOLDS)
def test_pynomaly_has_the_critical_thresholds_of_its_runbook(key: str) -> None:
    found = service("pynomaly").thresholds[key]
    assert (found.warning, found.critical) == CRITICAL_THRESHOLDS[key]
    name = f"Pynomaly{key.capitalize()}"
    assert [alerts()[name + level]["labels"]["severity"] for level in ("Warning", "Critical")] == ["P2", "P0"]


#: Service, policy: who is told after how many seconds; None: at once.
ESCALATION = {
    ("melody-meter", "critical"): [
        ("scheduling-oncall", None),
        ("product-ops-lead", 900),
        ("director", 1800),
        ("executive", None),
    ],
    ("maestro", "page"): [("maestro-oncall", None), ("incident-commander", 300)],
    ("maestro", "page-platform"): [("platform-oncall", 300)],
    ("learning", "P0"): [("opx-oncall", None), ("opx-engineering-manager", 3600)],
    ("amas", "high"): [("amas-oncall", None), ("amas-senior", 1800), ("amas-platform-lead", 3600)],
    ("pynomaly", "P0"): [
        ("pynomaly-oncall", None),
        ("pynomaly-engineering-lead", 1800),
        ("pynomaly-vp-engineering", 3600),
    ],
    ("pynomaly", "P1"): [
        ("pynomaly-oncall", None),
        ("pynomaly-engineering-lead", 1800),
        ("pynomaly-engineering-lead", 3600),
    ],
    ("pynomaly", "P2"): [("pynomaly-oncall", None), ("pynomaly-team-lead", 1800), ("pynomaly-team-lead", 3600)],
    ("pynomaly", "P3"): [("pynomaly-engineer", None), ("pynomaly-team-lead", 1800)],
}


@pytest.mark.parametrize(("name", "policy"), ESCALATION)
def test_escalation_follows_the_matrix_of_the_runbook(name: str, policy: str) -> None:
    steps = service(name).escalation[policy].steps
    assert [(step.to, step.after) for step in steps] == ESCALATION[name, policy]
    levels = [step for step in steps if step.after or step.if_]
    told = {alert["labels"]["receiver"] for alert in alerts().values() if _is_of(alert, name, policy)}
    assert told == {step.to for step in levels}


def _is_of(alert: dict[str, Any], service: str, policy: str) -> bool:
    return alert["labels"].get("escalation") == policy and f'tocsin_service="{service}"' in alert["expr"]


def test_the_director_is_told_after_half_an_hour_or_three_times_and_executives_when_it_is_everywhere() -> None:
    director, executive = service("melody-meter").escalation["critical"].steps[2:]
    assert (director.or_, executive.if_) == ("3 times in 2h", "over 50% of resources")


def test_every_alert_has_a_link_to_its_runbook_and_pynomalys_are_pages_of_the_index() -> None:
    assert [name for name, rule in alerts().items() if "runbook_url" not in rule["annotations"]] == []
    pages = {
        rule["annotations"]["runbook_url"].split("/pynomaly/")[-1] for n, rule in alerts().items() if "Pynomaly" in n
    }
    assert pages <= {
        f"{category}/{page}"
        for category, names_ in {
            "incident-response": "system-down high-cpu memory-issues database-issues network-issues security-incidents",
            "maintenance": "system-updates database-maintenance backup-procedures log-rotation certificate-renewal",
            "monitoring": "alert-escalation performance-monitoring health-checks metrics-analysis",
            "backup-recovery": "backup-verification disaster-recovery point-in-time-recovery data-migration",
        }.items()
        for page in names_.split()
    }


def test_maestro_links_to_dashboard_logs_and_traces() -> None:
    annotations = alerts()["ApiErrorBudgetBurn"]["annotations"]
    assert annotations["dashboard_url"] == "https://grafana.example.com/d/maestro?var-resource="
    assert annotations["traces_url"] == "https://jaeger.example.com/search?service=maestro-api"
    assert "status_code >= 400" in annotations["logs_url"]


def _rising(series: str, *hours: float) -> dict[str, str]:
    """A counter that rises by one at each of these hours, over six days of minutes."""
    at = [0, *(round(hour * 60) for hour in hours), 6 * 24 * 60]
    runs = " ".join(f"{i}x{end - begin - 1}" for i, (begin, end) in enumerate(pairwise(at)))
    return {"series": series, "values": runs}


def _counter(operation: str, status: str, *hours: float) -> dict[str, str]:
    labels = f'operation="{operation}",status="{status}",trigger="SCHEDULED"'
    return _rising(f"learning_operations_total{{{labels}}}", *hours)


def _durations(operation: str, short: list[float], long: list[float]) -> list[dict[str, str]]:
    """Runs that take less than five minutes, and more."""
    name, labels = "learning_operation_duration_seconds", f'operation="{operation}"'
    counted = _rising(f"{name}_count{{{labels}}}", *sorted([*short, *long]))
    return [counted, _rising(f'{name}_bucket{{{labels},le="300"}}', *short)]


def _firing(name: str, hour: float, count: int) -> dict[str, Any]:
    expr = f'count(ALERTS{{alertname="{name}",alertstate="firing"}}) or vector(0)'
    return {"expr": expr, "eval_time": f"{round(hour * 60)}m", "exp_samples": [{"labels": "{}", "value": count}]}


def test_failures_of_daily_runs_are_told_one_by_one_two_in_a_row_and_three(tmp_path: Path) -> None:
    """Runs a minute after midnight: well on days 1 and 5, not on days 2, 3 and 4."""
    write(tmp_path, {"rules/learning.yml": files()["rules/learning.yml"]})
    day = [24 * n + 1 / 60 for n in range(6)]
    one, two, three = "LearningOperationFailed", "LearningExtractionFailing", "LearningConsecutiveFailures"
    series = [
        _counter("PATTERN_EXTRACTION", "SUCCESS", day[1], day[5]),
        _counter("PATTERN_EXTRACTION", "FAILURE", day[2], day[3], day[4]),
        _counter("CALIBRATION", "FAILURE", day[2] + 2),
        _counter("CALIBRATION", "SUCCESS", day[2] + 5),
        _counter("SNAPSHOT", "TIMEOUT", day[4] + 1),
        _counter("SNAPSHOT", "SUCCESS"),
        *_durations("SNAPSHOT", short=[day[1] + 1], long=[day[2] + 1]),
    ]
    expected = [
        *(_firing(one, day[1] + 0.5, 0), _firing(one, day[2] + 0.5, 1), _firing(one, day[2] + 1.5, 0)),
        *(_firing(two, day[2] + 0.5, 0), _firing(two, day[3] + 0.5, 1), _firing(two, day[3] + 23, 1)),
        *(_firing(two, day[4] + 23, 1), _firing(two, day[5] + 3, 0)),
        *(_firing(three, day[4] - 0.5, 0), _firing(three, day[4] + 0.5, 1), _firing(three, day[5] + 3, 0)),
        *(_firing("LearningCalibrationFailed", day[2] + 1.5, 0), _firing("LearningCalibrationFailed", day[2] + 3, 1)),
        _firing("LearningCalibrationFailed", day[2] + 5.5, 0),
        _firing("LearningSnapshotFailing", day[4] + 2, 0),
        *(_firing("LearningSeveralOperationsFailing", day[4] + 0.5, 0),),
        *(_firing("LearningSeveralOperationsFailing", day[4] + 1.5, 1),),
        *(_firing("LearningSeveralOperationsFailing", day[4] + 4, 0),),
        *(_firing("LearningOperationTimeout", day[1] + 1.5, 0), _firing("LearningOperationTimeout", day[2] + 1.5, 1)),
        *(_firing("LearningOperationTimeout", day[4] + 0.5, 0), _firing("LearningOperationTimeout", day[4] + 1.5, 1)),
    ]
    test = {"interval": "1m", "input_series": series, "promql_expr_test": expected}
    document = {"rule_files": ["rules/learning.yml"], "evaluation_interval": "10m", "tests": [test]}
    (tmp_path / "test.yml").write_text(yaml.safe_dump(document))
    status, said = promtool("test", "rules", "test.yml", cwd=tmp_path)
    assert status == 0, said
