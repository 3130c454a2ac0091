"""What the demonstration reads from Tocsin's page and from Prometheus' alerts."""

from __future__ import annotations

from tocsin.demo.readings import Line, Reading, Row, Subject, parse, shown, states

PAGE = """\
# HELP tocsin_severity_level Severity tier.
# TYPE tocsin_severity_level gauge
tocsin_severity_level{tocsin_service="melody-meter",signal="utilization",resource="piano"} 4
tocsin_severity_level{tocsin_service="melody-meter",signal="utilization",resource="cello"} 0
tocsin_severity_level{tocsin_service="melody-meter",signal="utilization",resource="voice"} -1
# TYPE tocsin_value gauge
tocsin_value{tocsin_service="melody-meter",signal="utilization",resource="piano"} 0.706
# TYPE tocsin_expected_lower gauge
tocsin_expected_lower{tocsin_service="melody-meter",signal="utilization",resource="piano"} 0.463
# TYPE tocsin_expected_upper gauge
tocsin_expected_upper{tocsin_service="melody-meter",signal="utilization",resource="piano"} 0.569
# TYPE tocsin_zscore gauge
tocsin_zscore{tocsin_service="melody-meter",signal="utilization",resource="piano"} 1.25
# TYPE tocsin_seasonal_zscore gauge
tocsin_seasonal_zscore{tocsin_service="melody-meter",signal="utilization",resource="piano"} 7.11
# TYPE tocsin_residual_delta gauge
tocsin_residual_delta{tocsin_service="melody-meter",signal="utilization",resource="piano"} 0.19
# TYPE tocsin_forecast_value gauge
tocsin_forecast_value{tocsin_service="melody-meter",signal="utilization",resource="piano",horizon="1d"} 0.514
# TYPE tocsin_no_breach gauge
tocsin_no_breach{tocsin_service="melody-meter",signal="utilization",resource="piano",reason="no_breach"} 1
# TYPE tocsin_breach_timestamp_seconds gauge
tocsin_breach_timestamp_seconds{tocsin_service="melody-meter",signal="utilization",resource="cello"} 1800000000
# TYPE tocsin_build_info gauge
tocsin_build_info{version="0.1.0"} 1
# TYPE tocsin_series gauge
tocsin_series{tocsin_service="melody-meter",signal="utilization"} 3
tocsin_series{tocsin_service="maestro",signal="signups"} 1
tocsin_series{tocsin_service="maestro",signal="cpu"} 0
# TYPE tocsin_slo_error_budget_remaining_ratio gauge
tocsin_slo_error_budget_remaining_ratio{tocsin_service="maestro",slo="api-errors"} 0.97
# TYPE tocsin_slo_burn_rate gauge
tocsin_slo_burn_rate{tocsin_service="maestro",slo="api-errors",window="5m"} 434
tocsin_slo_burn_rate{tocsin_service="maestro",slo="api-errors",window="1h"} 40
# TYPE tocsin_alerts_received_total counter
tocsin_alerts_received_total{status="firing"} 2
tocsin_alerts_received_total{status="resolved"} 1
"""


SUBJECT = Subject("melody-meter", "utilization", "Critical")
SIGNALS = {"melody-meter": ["utilization"], "maestro": ["signups", "cpu", "memory"]}


def alert(name: str, service: str, resource: str, state: str) -> dict[str, object]:
    return {"labels": {"alertname": name, "tocsin_service": service, "resource": resource}, "state": state}


def test_a_page_becomes_one_row_per_resource_of_the_signal_that_is_watched() -> None:
    other = 'tocsin_severity_level{tocsin_service="maestro",signal="signups",resource="signups"} 0\n'
    reading = parse(other + PAGE, [alert("Critical", "melody-meter", "piano", "firing")], SUBJECT, SIGNALS)
    assert reading.received == 2
    assert reading.rows == (
        Row("cello", 0, breach=1_800_000_000.0),
        Row("piano", 4, 0.706, 0.463, 0.569, 7.11, 0.19, 0.514, None, "no_breach", "firing"),
        Row("voice", -1),
    )


def test_a_service_has_its_signals_its_budgets_and_its_alerts() -> None:
    alerts = [
        alert("Critical", "melody-meter", "piano", "pending"),
        alert("Critical", "melody-meter", "cello", "firing"),
        alert("Burn", "maestro", "", "pending"),
        alert("Watchdog", "", "", "firing"),
    ]
    reading = parse(PAGE, alerts, SUBJECT, SIGNALS)
    assert reading.services == (
        Line("melody-meter", {"utilization": 3}, {"utilization"}, alerts={"Critical": "firing"}),
        Line(
            "maestro",
            {"signups": 1, "cpu": 0, "memory": 0},
            set(),
            {"api-errors": 0.97},
            {"api-errors": 434.0},
            {"Burn": "pending"},
        ),
    )
    maestro = reading.services[1]
    assert maestro.empty == ["cpu", "memory"]
    assert (maestro.named("pending"), maestro.named("firing")) == (["Burn"], [])
    assert [reading.state(name) for name in ("Critical", "Burn", "Watchdog")] == ["firing", "pending", ""]


def test_a_page_without_resources_is_an_empty_reading() -> None:
    page = '# TYPE tocsin_build_info gauge\ntocsin_build_info{version="0.1.0"} 1\n'
    assert parse(page, [], SUBJECT, {}) == Reading((), 0)


def test_a_resource_that_is_not_there_is_unknown() -> None:
    assert Reading().row("piano") == Row("piano", -1)
    assert parse(PAGE, [], SUBJECT, SIGNALS).row("piano").tier == 4


def test_the_state_of_an_alert_is_its_most_serious_one_for_each_resource() -> None:
    alerts = [
        alert("Critical", "melody-meter", "piano", "firing"),
        alert("Critical", "melody-meter", "piano", "pending"),
        alert("Critical", "melody-meter", "cello", "pending"),
        alert("Critical", "melody-meter", "drums", "inactive"),
    ]
    assert states(alerts, "resource") == {"piano": "firing", "cello": "pending"}
    assert states([], "resource") == {}


def test_what_arrived_is_read_from_the_landing_page_and_what_is_resolved_is_not_meant() -> None:
    row = "<tr>\n  <td>2026-01-01</td>\n  <td>{}</td>\n  <td>{}</td>\n</tr>\n"
    page = row.format("firing", "A&amp;B") + row.format("resolved", "Gone") + row.format("firing", "Critical")
    assert shown(page) == {"A&B", "Critical"}
    assert shown("None has arrived") == set()
