"""What the first screens say in states that matter: Tocsin down, nothing known, nothing wrong, two replicas."""

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from generated import process, promtool, service
from grafana import everything, filled, queries
from tocsin import names
from tocsin.generate.dashboards import files, look
from tocsin.generate.dashboards.frame import Places

PLACES = Places("http://tocsin.example.com", "http://prometheus.example.com")
#: Seconds since 1970 at which the panels are looked at.
NOW = 600
SHOP = 'tocsin_service="shop", signal="load"'
NODES = ("a", "b", "c")
#: What the rules say in every state: the watchdog fires.
RULES = {'ALERTS{alertname="TocsinWatchdog", tocsin_service="tocsin", severity="none", alertstate="firing"}': 1}

#: Values by series: the same one all the time, or samples as promtool writes them.
Series = Mapping[str, float | str]


def of(metric: str, value: float, nodes: Sequence[str] = NODES, more: str = "") -> dict[str, float]:
    return {f'tocsin_{metric}{{{SHOP}, resource="{node}"{more}}}': value for node in nodes}


def program(where: str = "") -> dict[str, float]:
    """What a Tocsin says about itself."""
    return {
        f"tocsin_collector_running{{{where}}}": 1,
        f"tocsin_config_last_reload_successful{{{where}}}": 1,
        f"tocsin_stale{{{', '.join(filter(None, (SHOP, where)))}}}": 0,
        f"tocsin_evaluation_last_success_timestamp_seconds{{{', '.join(filter(None, (SHOP, where)))}}}": NOW - 30,
    }


def reasons(reason: str, nodes: Sequence[str] = NODES) -> dict[str, float]:
    return of("no_breach", 1, nodes, f', reason="{reason}"')


DOWN = RULES | {'ALERTS{alertname="TocsinDown", tocsin_service="tocsin", severity="critical", alertstate="firing"}': 1}
CALM = RULES | program() | of("severity_level", 0) | reasons("no_breach")
BLIND = RULES | program() | of("severity_level", -1) | reasons("insufficient_data")
SCARCE = CALM | of("severity_level", -1, ("a", "b"))
SOON = {
    **CALM,
    **of("severity_level", 3, ("a",)),
    **of("breach_timestamp_seconds", NOW + 7200, ("a",)),
    'ALERTS{alertname="LoadHigh", tocsin_service="shop", severity="warning", alertstate="firing"}': 1,
    'ALERTS{alertname="LoadLow", tocsin_service="shop", severity="warning", alertstate="pending"}': 1,
}
FULL = CALM | reasons("already_breached", ("b",))
#: The second replica knows nothing of `a`, and more of `b`.
PAIR = {
    **RULES,
    **program('instance="1"'),
    **program('instance="2"'),
    f'tocsin_stale{{{SHOP}, instance="2"}}': 1,
    f'tocsin_stale{{{SHOP}, instance="1"}}': 1,
    **of("severity_level", 0, NODES, ', instance="1"'),
    **of("severity_level", -1, ("a",), ', instance="2"'),
    **of("severity_level", 2, ("b",), ', instance="2"'),
    **of("no_breach", 1, NODES, ', reason="no_breach", instance="1"'),
    **of("no_breach", 1, NODES, ', reason="no_breach", instance="2"'),
}

#: No value is shown as "unknown" and grey; 1e10 seconds until a breach as "none" and green, 2e10 as "no forecast".
NOTHING, NEVER, NO_FORECAST = None, 1e10, 2e10
STATS = ("Worst tier now", "At tier 2 or above", "Unknown", "Alerts that fire", "Next predicted breach")
FIRST: Mapping[str, tuple[Series, Sequence[float | None]]] = {
    "nothing is there, not even rules": ({}, (NOTHING, NOTHING, NOTHING, NOTHING, NOTHING)),
    "Tocsin is down": (DOWN, (NOTHING, NOTHING, NOTHING, 1, NOTHING)),
    "nothing is wrong": (CALM, (0, 0, 0, 0, NEVER)),
    "nothing is known": (BLIND, (-1, NOTHING, 3, 0, NO_FORECAST)),
    "of most nothing is known": (SCARCE, (0, 0, 2, 0, NEVER)),
    "a breach is predicted": (SOON, (3, 1, 0, 1, 7200)),
    "a limit is reached": (FULL, (0, 0, 0, 0, 0)),
    "two replicas": (PAIR, (2, 1, 0, 0, NEVER)),
}
OWN_STATS = ("Running", "Configuration in force", "Signals that see nothing", "Age of the oldest evaluation")
OWN: Mapping[str, tuple[Series, Sequence[float | None]]] = {
    "Tocsin is down": (DOWN, (0, NOTHING, NOTHING, NOTHING)),
    "nothing is wrong": (CALM, (1, 1, 0, 30)),
    "two replicas": (PAIR, (1, 1, 1, 30)),
}
SCREENS = {"shop": (STATS, FIRST), "tocsin-overview": (STATS, FIRST), "tocsin": (OWN_STATS, OWN)}


@cache
def models() -> dict[str, dict[str, Any]]:
    one = service("shop", {"load": {"expr": "load", "limit": 1.0, "by": ["node"]}})
    return {made.uid: made.model("0", "0") for made in files.dashboards(process(), (one,), PLACES)}


def expression(uid: str, title: str, ref: str = "A") -> str:
    model = models()[uid]
    (found,) = (t["expr"] for panel, _, t in queries(model) if panel["title"] == title and t["refId"] == ref)
    return filled(found, everything(model))


def shows(name: str, series: Series, expected: Mapping[str, Sequence[tuple[str, float]]]) -> dict[str, Any]:
    """A test of promtool: at NOW each of the expressions gives these series with these values."""
    return {
        "name": name,
        "interval": "15s",
        "input_series": [
            {"series": one, "values": value if isinstance(value, str) else f"{value:.0f}x{NOW // 15}"}
            for one, value in series.items()
        ],
        "promql_expr_test": [
            {
                "expr": expr,
                "eval_time": f"{NOW}s",
                "exp_samples": [{"labels": labels, "value": value} for labels, value in samples],
            }
            for expr, samples in expected.items()
        ],
    }


def passes(tests: Sequence[Mapping[str, Any]], folder: Path) -> None:
    (folder / "tests.yml").write_text(yaml.safe_dump({"evaluation_interval": "15s", "tests": list(tests)}))
    status, said = promtool("test", "rules", "tests.yml", cwd=folder)
    assert status == 0, said


def stats(uid: str) -> Iterator[dict[str, Any]]:
    titles, states = SCREENS[uid]
    for state, (series, values) in states.items():
        yield shows(
            f"{uid}: {state}",
            series,
            {
                expression(uid, title): [] if value is None else [("{}", value)]
                for title, value in zip(titles, values, strict=True)
            },
        )


@pytest.mark.parametrize("uid", SCREENS)
def test_the_first_screen_says_what_is_known_and_no_more(uid: str, tmp_path: Path) -> None:
    passes(list(stats(uid)), tmp_path)


def test_what_has_no_value_is_grey_and_unknown_on_every_screen() -> None:
    for model in models().values():
        for panel in model["panels"]:
            if panel["type"] == "stat":
                defaults = panel["fieldConfig"]["defaults"]
                assert defaults["noValue"] == "unknown"
                assert {
                    "type": "special",
                    "options": {"match": "null+nan", "result": {"text": "unknown", "color": look.DIM, "index": 90}},
                } in defaults["mappings"]


def test_no_predicted_breach_is_green_and_one_that_is_there_red() -> None:
    for uid in ("shop", "tocsin-overview"):
        (panel,) = (panel for panel in models()[uid]["panels"] if panel["title"] == "Next predicted breach")
        at, *ranges, _ = panel["fieldConfig"]["defaults"]["mappings"]
        assert at["options"] == {"0": {"text": "reached", "color": look.CRITICAL, "index": 0}}
        shown = [(one["from"], one["to"], one["result"]) for one in (mapping["options"] for mapping in ranges)]
        assert shown == [
            (NEVER, NO_FORECAST - 1, {"text": "none", "color": look.GOOD, "index": 91}),
            (NO_FORECAST, None, {"text": "no forecast", "color": look.DIM, "index": 91}),
        ]


def test_the_table_of_alerts_has_that_tocsin_is_down_and_not_the_watchdog(tmp_path: Path) -> None:
    for uid in ("shop", "tocsin-overview"):
        table = expression(uid, "Alerts now")
        down = next(one for one in DOWN if "TocsinDown" in one)
        shop = [one for one in SOON if "LoadHigh" in one or "LoadLow" in one]
        tests = [
            shows("down", DOWN, {table: [(down, 1)]}),
            shows("soon", SOON, {table: [(one, 1) for one in shop]}),
        ]
        passes(tests, tmp_path)


def test_a_service_with_a_resource_of_which_nothing_is_known_is_not_shown_as_normal(tmp_path: Path) -> None:
    tiers = expression("tocsin-overview", "Worst tier of each service")
    shop = '{tocsin_service="shop"}'
    tests = [
        shows(name, series, {tiers: [(shop, value)]})
        for name, series, value in (
            ("calm", CALM, 0),
            ("scarce", SCARCE, -1),
            ("unusual", SCARCE | of("severity_level", 2, ("c",)), 2),
            ("pair", PAIR, 2),
        )
    ]
    passes(tests, tmp_path)


def test_what_falls_is_as_far_from_usual_as_what_rises(tmp_path: Path) -> None:
    series = CALM | of("zscore", 2, ("a",)) | of("zscore", -7, ("b",))
    shop = f"{{{SHOP}}}"
    highest, lowest = (expression("tocsin-overview", "Distance from usual", ref) for ref in "AB")
    passes([shows("zscore", series, {highest: [(shop, 2)], lowest: [(shop, -7)]})], tmp_path)


def test_replicas_count_once_among_the_reasons_for_no_breach_time(tmp_path: Path) -> None:
    reason = expression("tocsin-capacity", "Why there is no breach time")
    passes([shows("pair", PAIR, {reason: [(f'{{{SHOP}, reason="no_breach"}}', 3)]})], tmp_path)


def test_of_hundreds_of_resources_the_worst_are_drawn(tmp_path: Path) -> None:
    nodes = [f"n{i:03}" for i in range(200)]
    bad, shown = nodes[50:57], everything(models()["shop"])
    series: dict[str, float | str] = {**RULES, **program()}
    for i, node in enumerate(nodes):
        series |= of("severity_level", 3 if node in bad else 0, (node,))
        for metric in ("value", "zscore", "expected_lower", "expected_upper", "forecast_upper"):
            series |= of(metric, i, (node,))
        series |= of("forecast_value", 2 * i, (node,))
    (variable,) = (v for v in models()["shop"]["templating"]["list"] if v["name"] == "resource_1")
    few = filled(variable["query"]["query"].removeprefix("query_result(").removesuffix(")"), shown)
    several = {
        ("shop", "Tiers", "A"): 20,
        ("shop", "Distance from usual", "A"): 10,
        ("tocsin-capacity", "load", "forecast0"): 10,
        ("tocsin-capacity", "load: forecast and what came", "A"): 10,
    }
    expected = {f"count({expression(*panel)})": [("{}", float(count))] for panel, count in several.items()}
    expected[f"count({few})"] = [("{}", 12)]
    expected[f"count({few} == 3)"] = [("{}", 7)]
    tiers = expression("shop", "Tiers")
    expected[f"count({tiers} == 3)"] = [("{}", 7)]
    # What was unusual and has calmed down is in the timeline.
    calm = f'tocsin_severity_level{{{SHOP}, resource="n199"}}'
    series[calm] = "0x10 4x10 0x20"
    expected[f"{calm} and ({tiers})"] = [(calm, 0)]
    passes([shows("many", series, expected)], tmp_path)


def test_no_expression_counts_the_alert_that_always_fires() -> None:
    for uid in ("shop", "tocsin-overview", "tocsin-slos", "tocsin-capacity", "tocsin"):
        for annotation in models()[uid]["annotations"]["list"]:
            assert names.ALERTS not in annotation["expr"] or f'{names.SEVERITY}!="none"' in annotation["expr"]
