"""What the panels, variables, marks and links of the examples' dashboards show."""

import json
import re

import pytest

from example_dashboards import OTHERS, PLACES, SERVICES, UIDS, models, panel
from examples import config
from generated import process, service
from grafana import options, panels, queries
from tocsin.generate.dashboards import files, look

KINDS = ("Pattern extraction", "Calibration", "Snapshot")


def test_tiers_are_words_in_fixed_colours() -> None:
    for uid in (*SERVICES, "tocsin-overview"):
        (timeline,) = (one for one in models()[uid]["panels"] if one["type"] == "state-timeline")
        (mapping,) = timeline["fieldConfig"]["defaults"]["mappings"]
        assert {tier: one["text"] for tier, one in mapping["options"].items()} == {
            "-1": "-1 Unknown",
            "0": "0 Normal",
            "1": "1 Informational",
            "2": "2 Watch",
            "3": "3 Action",
            "4": "4 Critical",
        }
        assert [one["color"] for one in mapping["options"].values()] == list(look.TIERS.values())


def test_a_value_is_drawn_inside_the_band_where_it_was_expected() -> None:
    one = panel("maestro", "signups")
    assert [target["expr"] for target in one["targets"]] == [
        f'max by (resource) ({metric}{{tocsin_service="maestro", signal="signups"}})'
        for metric in ("tocsin_value", "tocsin_expected_lower", "tocsin_expected_upper")
    ]
    fills = {
        o["matcher"]["options"]: p["value"]
        for o in one["fieldConfig"]["overrides"]
        for p in o["properties"]
        if p["id"] == "custom.fillBelowTo"
    }
    assert fills == {"Expected at most": "Expected at least"}


def test_a_signal_with_several_resources_has_a_panel_for_each() -> None:
    one = panel("melody-meter", "utilization: $resource_1")
    assert (one["repeat"], one["gridPos"]["w"]) == ("resource_1", 24)
    assert 'signal="utilization", resource=~"$resource_1"' in one["targets"][0]["expr"]
    hidden = {v["name"]: v["query"]["query"] for v in models()["melody-meter"]["templating"]["list"] if v["hide"]}
    assert hidden["resource_1"] == (
        'query_result(topk(12, max by (resource) (tocsin_severity_level{tocsin_service="melody-meter", '
        'signal="utilization", resource=~"$resource"})))'
    )


@pytest.mark.parametrize("name", ["piano", 'a"} 3 4', "/dev/sda1 (x|y)", "C:\\x", "ü\n$b"])
def test_the_worst_resources_are_read_from_the_answer_whatever_they_are_called(name: str) -> None:
    (variable,) = (v for v in models()["melody-meter"]["templating"]["list"] if v["name"] == "resource_1")
    answer = [{"metric": {"resource": one}, "value": [1.5, "3"]} for one in (name, "calm")]
    assert options(variable, answer) == [name, "calm"]
    assert (variable["hide"], variable["sort"], variable["includeAll"]) == (2, 0, True)


def test_a_forecast_reaches_from_now_to_its_horizon_whatever_the_dashboard_shows() -> None:
    assert panel("melody-meter", "utilization, ahead: $resource_1")["timeFrom"] == "+1d"
    assert panel("tocsin-overview", "Capacity Forecast (CPU)")["timeFrom"] == "+3d"
    assert panel("tocsin-overview", "Capacity Forecast (CPU), 6h ahead")["timeFrom"] == "+6h"
    assert panel("tocsin-overview", "Capacity Forecast (CPU)")["maxDataPoints"] == 300
    assert panel("tocsin-capacity", "database-size")["timeFrom"] == "+7d"
    assert all("timeFrom" not in one for one in panels(models()["tocsin"]))


def test_the_forecast_of_processors_has_a_line_to_the_breach_of_each_service() -> None:
    found = {
        title: [t["expr"] for t in panel("tocsin-overview", title)["targets"] if t["refId"].startswith("breach")]
        for title in ("Capacity Forecast (CPU)", "Capacity Forecast (CPU), 6h ahead")
    }
    (maestro,), soon = found.values()
    assert 'tocsin_breach_timestamp_seconds{tocsin_service="maestro", signal="cpu"' in maestro
    assert "0.9 - " in maestro
    assert 'tocsin_service=~"$service"' in maestro
    assert [re.findall('tocsin_service="([^"]+)"', line)[0] for line in soon] == ["amas", "pynomaly"]


@pytest.mark.parametrize(
    ("uid", "title"), [("tocsin-overview", "Capacity Forecast (CPU)"), ("tocsin-capacity", "utilization")]
)
def test_the_lines_of_a_resource_have_one_colour_and_one_entry_in_the_legend(uid: str, title: str) -> None:
    one = panel(uid, title)
    legends = {target["refId"]: target["legendFormat"] for target in one["targets"]}
    assert legends == dict.fromkeys(("forecast0", "least0", "most0"), "{{resource}}") | {
        "breach0": "{{resource}}, to the breach"
    }
    assert one["fieldConfig"]["defaults"]["color"] == {"mode": "palette-classic-by-name"}
    hidden = [
        override["matcher"]["options"]
        for override in one["fieldConfig"]["overrides"]
        if {"id": "custom.hideFrom", "value": {"legend": True, "tooltip": True, "viz": False}} in override["properties"]
    ]
    assert hidden == ["least0", "most0"]


@pytest.mark.parametrize(("direction", "nearest"), [("both", "topk"), ("up", "topk"), ("down", "bottomk")])
def test_of_many_resources_those_nearest_to_the_limit_are_drawn(direction: str, nearest: str) -> None:
    one = service(signals={"free": {"limit": 1.0, "by": ["node"], "direction": direction}})
    made = next(d for d in files.dashboards(process(), (one,), PLACES) if d.uid == "tocsin-capacity").model("0", "0")
    found = [t["expr"] for p, _, t in queries(made) if p["title"].startswith("free")]
    assert [re.findall(r"\w*(?:top|bottom)k\(10,", expr) for expr in found] == [[f"{nearest}(10,"]] * 6


def test_normal_ranges_and_the_bounds_of_thresholds_are_lines_across() -> None:
    one = panel("pynomaly", "cpu: $resource_2")["fieldConfig"]["defaults"]
    assert [(step["value"], step["color"]) for step in one["thresholds"]["steps"]] == [
        (None, "transparent"),
        (0.2, look.GOOD),
        (0.4, look.GOOD),
        (0.8, look.WARNING),
        (0.95, look.CRITICAL),
        (1.0, look.CRITICAL),
    ]
    assert one["custom"]["thresholdsStyle"] == {"mode": "dashed"}


def test_burn_rates_have_the_thresholds_of_their_alerts() -> None:
    steps = {
        window: [
            step["value"]
            for step in panel("tocsin-slos", f"Burn rate over {window}")["fieldConfig"]["defaults"]["thresholds"][
                "steps"
            ][1:]
        ]
        for window in ("1h", "5m", "6h", "30m", "1d", "2h", "3d")
    }
    assert steps == {"1h": [14.4], "5m": [14.4], "6h": [1, 6], "30m": [6], "1d": [3], "2h": [3], "3d": [1]}


def test_links_lead_to_what_the_service_names() -> None:
    titles = {link["title"]: link["url"] for link in models()["maestro"]["links"]}
    assert titles["Traces"] == "https://jaeger.example.com/search?service=maestro-api"
    assert titles["Logs"].startswith("https://kibana.example.com/app/discover#/?_a=")
    assert "Runbook" not in titles  # each alert has one of its own
    runbooks = panel("maestro", "What can fire, and what to do")["options"]["content"]
    where = "https://wiki.example.com/ops/runbooks/maestro/CapacityCPUForecastCritical"
    row = f"| CapacityCPUForecastCritical | P3 | [runbook]({where}) |"
    assert row in runbooks.splitlines()
    # What belongs to one resource is on its panels: the dashboard's own variable may be several, as a regex.
    assert "Logs" not in {link["title"] for link in models()["melody-meter"]["links"]}
    for uid in SERVICES:
        around = [*models()[uid]["links"], panel(uid, "What can fire, and what to do")["options"]]
        assert "resource" not in json.dumps(around)
    links = panel("melody-meter", "utilization: $resource_1")["fieldConfig"]["defaults"]["links"]
    assert {link["title"]: link["url"] for link in links} == {
        "Why: Tocsin explains the grade": (
            "http://tocsin.example.com/api/v1/explain?service=melody-meter&signal=utilization"
            "&resource=${__field.labels.resource:percentencode}"
        ),
        "Logs": "https://kibana.example.com/app/discover?q=${__field.labels.resource:percentencode}",
    }


def test_links_from_the_overview_name_what_their_panel_has() -> None:
    (opened,) = panel("tocsin-overview", "Worst tier of each service")["fieldConfig"]["defaults"]["links"]
    rest = "?${__url_time_range}&${datasource:queryparam}"
    assert opened["url"] == f"/d/${{__field.labels.tocsin_service}}{rest}"
    table = panel("tocsin-overview", "Worst resources now")["fieldConfig"]["overrides"]
    (column,) = (one for one in table if one["matcher"]["options"] == "Service")
    (opened,) = column["properties"][0]["value"]
    assert opened["url"] == f"/d/${{__value.text}}{rest}"


def test_the_explanation_of_a_tier_is_asked_for_with_all_that_tells_it_apart() -> None:
    (why,) = panel("melody-meter", "Tiers")["fieldConfig"]["defaults"]["links"]
    label = "${__field.labels.%s:percentencode}"
    assert why["url"].partition("?")[2].split("&") == [
        f"service={label % 'tocsin_service'}",
        f"signal={label % 'signal'}",
        f"resource={label % 'resource'}",
    ]


@pytest.mark.parametrize("uid", UIDS)
def test_a_link_to_another_dashboard_does_not_take_the_resources_of_this_one(uid: str) -> None:
    others = models()[uid]["links"][0]
    assert (others["type"], others["includeVars"], others["keepTime"]) == ("dashboards", False, True)


@pytest.mark.parametrize("uid", [*SERVICES, "tocsin-overview"])
def test_alerts_are_on_the_first_screen(uid: str) -> None:
    assert panel(uid, "Alerts now")["gridPos"]["y"] == 5
    assert panel(uid, "Worst resources now")["gridPos"]["y"] == 5


@pytest.mark.parametrize("uid", SERVICES)
def test_marks_are_about_the_resources_that_are_chosen_and_tier_1_is_off(uid: str) -> None:
    alerts, tiers = models()[uid]["annotations"]["list"]
    assert (alerts["enable"], tiers["enable"]) == (True, False)
    assert (
        f'ALERTS{{alertstate="firing", tocsin_service="{uid}", resource=~"$resource|", severity!="none"}}'
        in (alerts["expr"])
    )
    assert 'resource=~"$resource"' in tiers["expr"]


def test_the_service_that_is_chosen_is_in_every_query_about_capacity() -> None:
    for one, _, target in queries(models()["tocsin-capacity"]):
        assert 'tocsin_service=~"$service"' in target["expr"], one["title"]


def test_each_objective_of_each_service_has_a_panel_of_its_own() -> None:
    slo = {"api": {"objective": 0.99, "sli": {"bad": "bad_total", "total": "all_total"}}}
    made = files.dashboards(process(), (service("shop", slos=slo), service("bank", slos=slo)), PLACES)
    found = [
        p for p in next(d for d in made if d.uid == "tocsin-slos").model("0", "0")["panels"] if "Bad" in p["title"]
    ]
    assert [one["title"] for one in found] == ["Bad events", "Bad events: shop api", "Bad events: bank api"]
    for one, name in zip(found[1:], ("shop", "bank"), strict=True):
        chosen = f'tocsin_service="{name}", slo="api", tocsin_service=~"$service", slo=~"$slo"'
        assert all(chosen in target["expr"] for target in one["targets"])


def test_a_bar_counts_each_run_of_the_learning_jobs_once() -> None:
    bars = [one for one in panels(models()["opx-learning-operations"]) if "drawStyle" in json.dumps(one)]
    steps = {
        one["title"]: {(target["interval"], re.findall(r"\[(.+?)\]", target["expr"])[0]) for target in one["targets"]}
        for one in bars
        if one["fieldConfig"]["defaults"]["custom"]["drawStyle"] == "bars"
    }
    assert steps == {
        **{f"{kind}: success and failure": {("1h", "$__interval")} for kind in KINDS},
        **{f"{kind} operations, by kind": {("1d", "$__interval")} for kind in ("Scheduled", "Manual")},
    }


def test_an_evaluation_is_old_on_the_dashboard_when_its_alert_fires() -> None:
    one = service(signals={"slow": {"interval": "15m"}})
    made = next(d for d in files.dashboards(process(), (one,), PLACES) if d.uid == "tocsin").model("0", "0")
    (age,) = (p for p in made["panels"] if p["title"] == "Age of the oldest evaluation")
    steps = [step["value"] for step in age["fieldConfig"]["defaults"]["thresholds"]["steps"]]
    assert steps == [None, 2700, 4500]


def test_dashboards_of_days_are_asked_less_often_than_those_of_hours() -> None:
    assert {uid: model["refresh"] for uid, model in models().items() if uid in OTHERS} == {
        "tocsin-overview": "1m",
        "tocsin-slos": "5m",
        "tocsin-capacity": "5m",
        "opx-learning-operations": "5m",
        "tocsin": "1m",
    }


def test_the_dashboards_of_the_services_are_where_their_alerts_link_to() -> None:
    for one in config().services:
        assert one.links.dashboard is not None
        uid = re.findall(r"/d/([^?]+)", one.links.dashboard)[0]
        wanted = re.findall(r"var-(\w+)=", one.links.dashboard)
        known = [variable["name"] for variable in models()[uid]["templating"]["list"]]
        assert set(wanted) <= set(known), one.service


def test_learning_has_the_six_rows_of_its_runbook() -> None:
    rows = [one["title"] for one in models()["opx-learning-operations"]["panels"] if one["type"] == "row"]
    assert rows == [
        "Row 1: Success and failure, by the hour",
        "Row 2: Error rates",
        "Row 3: Durations",
        "Row 4: Triggers",
        "Row 5: Calibration drift",
        "Row 6: Recent operations",
    ]

    def bounds(title: str) -> list[float]:
        return [
            s["value"]
            for s in panel("opx-learning-operations", title)["fieldConfig"]["defaults"]["thresholds"]["steps"]
        ]

    assert bounds("Snapshot: error rate") == [None, 0.1]
    assert bounds("Pattern extraction: duration") == [None, 300]
    assert bounds("Calibration drift") == [None, -0.15, 0.15]
    assert "topk(20, " in panel("opx-learning-operations", "Last 20 operations")["targets"][0]["expr"]


def test_the_earliest_and_the_latest_breach_are_columns_where_they_are_published() -> None:
    one = service(signals={"load": {"limit": 1.0, "by": ["node"]}})

    def columns(publish: str) -> list[str]:
        made = files.dashboards(process(publish=publish), (one,), PLACES)
        capacity = next(d for d in made if d.uid == "tocsin-capacity").model("0", "0")
        table = next(p for p in capacity["panels"] if p["title"] == "Predicted breaches")
        return list(table["transformations"][-1]["options"]["renameByName"].values())[3:]

    assert columns("essential") == ["Reaches its limit at", "Left"]
    assert columns("full") == ["Reaches its limit at", "At the earliest", "At the latest", "Left"]
