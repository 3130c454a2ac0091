"""What the demonstration reads from Tocsin's page and from Prometheus' alerts."""

from __future__ import annotations

from tocsin.demo.readings import Reading, Row, parse, states

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
# TYPE tocsin_alerts_received_total counter
tocsin_alerts_received_total{status="firing"} 2
tocsin_alerts_received_total{status="resolved"} 1
"""


def test_a_page_becomes_one_row_per_resource() -> None:
    assert parse(PAGE, {"piano": "firing"}) == Reading(
        rows=(
            Row("cello", 0, breach=1_800_000_000.0),
            Row("piano", 4, 0.706, 0.463, 0.569, 7.11, 0.19, 0.514, None, "no_breach", "firing"),
            Row("voice", -1),
        ),
        received=2,
    )


def test_a_page_without_resources_is_an_empty_reading() -> None:
    assert parse('# TYPE tocsin_build_info gauge\ntocsin_build_info{version="0.1.0"} 1\n', {}) == Reading((), 0)


def test_a_resource_that_is_not_there_is_unknown() -> None:
    assert Reading().row("piano") == Row("piano", -1)
    assert parse(PAGE, {}).row("piano").tier == 4


def alert(name: str, resource: str, state: str) -> dict[str, object]:
    return {"labels": {"alertname": name, "resource": resource}, "state": state}


def test_the_state_of_an_alert_is_its_most_serious_one_for_each_resource() -> None:
    alerts = [
        alert("Critical", "piano", "firing"),
        alert("Critical", "piano", "pending"),
        alert("Critical", "cello", "pending"),
        alert("Other", "voice", "firing"),
    ]
    assert states(alerts, "Critical") == {"piano": "firing", "cello": "pending"}
    assert states([], "Critical") == {}
