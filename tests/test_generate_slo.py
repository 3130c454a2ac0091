"""Rules of SLOs: what they are, and that promtool sees them detect and reset when the vectors say so."""

import json
import math
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import generated
from tocsin.config.load import load
from tocsin.core import slo as core
from tocsin.demo.servers import PROMTOOL
from tocsin.generate import render, slo, slo_cases
from tocsin.generate.promtool import Fires, Input, Run, case, document
from tools.servers import require

VECTORS = json.loads((Path(__file__).parent / "testdata" / "slo_burn_vectors.json").read_text())
EVENTS = 'bad: "http_requests_total{code=~\\"5..\\"}", total: http_requests_total'


def services(folder: Path, slos: str, target: str = "", service: str = "shop") -> tuple[Any, Any]:
    """Service and target of a configuration with these SLOs, as YAML in braces."""
    process = f"source: {{url: http://127.0.0.1:9090}}\nservices: [shop.yml]\n{target}"
    (folder / "tocsin.yml").write_text(process)
    (folder / "shop.yml").write_text(f"service: {service}\nseverity: page-ticket\nslos: {slos}\n")
    config = load(folder / "tocsin.yml")
    return config.services[0], config.process.target


def promtool(folder: Path, groups: list[dict[str, Any]], target: Any, tests: list[dict[str, Any]]) -> None:
    """Fail with what promtool says unless the tests pass."""
    (folder / "rules.yml").write_text(render.to_yaml({"groups": groups}))
    (folder / "test.yml").write_text(render.to_yaml(document(["rules.yml"], target.evaluation_interval, tests)))
    status, said = generated.promtool("test", "rules", "test.yml", cwd=folder)
    assert status == 0, said


def _counter(code: str, stretches: list[tuple[int, int]]) -> Input:
    """A counter of requests from 0 on: scrapes and the rise in each, one stretch after the other."""
    runs, value = [Run(0)], 0
    for scrapes, step in stretches:
        runs.append(Run(value + step, scrapes, step))
        value += scrapes * step
    return Input("http_requests_total", {"code": code}, runs)


#: Objective, share of bad events, which alert, and seconds between scrapes and evaluations. All of them off the
#: boundary: just at a threshold PromQL's floating point decides.
DETECTED = [
    *((0.999, ratio, "page", 30) for ratio in (0.01, 0.02, 0.1, 1.0)),
    *((0.99, ratio, "page", 30) for ratio in (0.1, 0.25, 1.0)),
    *((0.9999, ratio, "page", 30) for ratio in (0.001, 0.005)),
    *((0.999, ratio, "ticket", 300) for ratio in (0.002, 0.005)),
    (0.99, 0.02, "ticket", 300),
    (0.9995, 0.002, "ticket", 300),
]


@pytest.mark.parametrize(("objective", "ratio", "kind", "every"), DETECTED)
def test_detection_and_reset_are_within_a_scrape_and_an_evaluation_of_the_vector(
    tmp_path: Path, objective: float, ratio: float, kind: core.Kind, every: int
) -> None:
    vector = next(c for c in VECTORS["cases"] if (c["slo"], c["error_ratio"]) == (objective, ratio))
    pairs = [r for r in vector["rules"] if r["rule"].startswith(kind) and r["fires"]]
    detected, reset = min(r["detection_s"] for r in pairs), max(r["reset_s_after_stop"] for r in pairs)
    service, target = services(
        tmp_path,
        f"{{api: {{objective: {objective}, sli: {{{EVENTS}}}}}}}",
        f"target: {{scrape_interval: {every}s, evaluation_interval: {every}s}}\n",
    )
    # Good traffic over the longest window of the alert, then errors until every pair that ever fires has fired.
    quiet = max(r["long_s"] for r in vector["rules"] if r["rule"].startswith(kind)) // every
    bad = math.ceil(max(r["detection_s"] for r in pairs) / every) + 3
    after = math.ceil(reset / every) + 4
    # Constant traffic in whole numbers: what does not add up exactly is a reset of the counter.
    failing = round(ratio * 1e9)
    series = [
        _counter("200", [(quiet, 10**9), (bad, 10**9 - failing), (after, 10**9)]),
        _counter("500", [(quiet, 0), (bad, failing), (after, 0)]),
    ]
    [one] = slo.objectives(service, target)
    name, labels = one.alert_name(kind), one.alert_labels(kind)
    assert name is not None
    onset, tolerance = quiet * every, 2 * every
    stop = onset + bad * every
    expected = [Fires(name, onset + detected + tolerance, [labels]), Fires(name, stop + reset + tolerance)]
    if detected > tolerance:
        expected.append(Fires(name, onset + detected - tolerance))
    if reset > tolerance:
        expected.append(Fires(name, stop + reset - tolerance, [labels]))
    groups = generated.needed(slo.groups(service, target), name)
    promtool(tmp_path, groups, target, [case("vector", every, series, expected)])


# ------------------------------------------------------------------------------------------------ every kind of SLI

KINDS = {
    "bad": '{bad: "http_requests_total{code=~\\"5..\\"}", total: http_requests_total}',
    "good": '{good: "http_requests_total{code!~\\"5..\\"}", total: http_requests_total}',
    "apart": "{bad: app_errors_total, total: app_events_total}",
    "window": "{bad: 'increase(a_total[$window]) + increase(b_total[$window])', total: 'increase(c_total[$window])'}",
    "latency": '{latency: {histogram: "request_seconds{job=\\"api\\"}", le: 0.5}}',
    "whole": "{latency: {histogram: request_seconds, le: 1}}",
    "probe": '{probe: "probe_success{job=\\"web\\"}"}',
    "now": "{ratio: error_share}",
    "over": "{ratio: '1 - rate(a_total[$window]) / rate(b_total[$window])'}",
    "below": "{threshold: {expr: 'rate(hits_total[5m]) / rate(reads_total[5m])', below: 0.8}}",
    "above": "{threshold: {expr: queue_length, above: 500}}",
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("period", ["7d", "90d"])
def test_the_generated_tests_of_every_kind_pass(tmp_path: Path, kind: str, period: str) -> None:
    service, target = services(tmp_path, f"{{api: {{objective: 99.5%, period: {period}, sli: {KINDS[kind]}}}}}")
    cases = list(slo_cases.cases(service, target))
    assert len(cases) == (6 if kind in _COUNTERS else 4)
    assert sum(bool(one["exp_samples"]) for each in cases for one in each["promql_expr_test"]) == len(cases)
    promtool(tmp_path, list(slo.groups(service, target)), target, cases)


_COUNTERS = ("bad", "good", "apart", "latency", "whole")


@pytest.mark.e2e  # `make matrix` runs these with Prometheus 3
def test_a_native_histogram_is_asked_by_its_own_functions(tmp_path: Path) -> None:
    sli = '{latency: {histogram: "request_seconds{job=\\"api\\"}", le: 0.5, native: true}}'
    service, target = services(tmp_path, f"{{api: {{objective: 99%, sli: {sli}}}}}", 'target: {prometheus: "3.0"}\n')
    [one] = slo.objectives(service, target)
    exprs = slo.window_exprs(one)
    over = 'sum(increase(request_seconds{job="api"}[30m]))'
    assert exprs["tocsin_slo:events:increase1h"] == f"histogram_count({over.replace('30m', '1h')})"
    assert exprs["tocsin_slo:error:ratio_rate30m"] == (
        f"1 - (histogram_fraction(-Inf, 0.5, {over}) * histogram_count({over}))\n/ (histogram_count({over}) > 0)"
    )
    # 2 of 8 are slower: the third bucket of schema 0 is (0.5, 1]. Older promtools cannot read this input.
    values = "{{schema:0 count:0 sum:0 offset:-1 buckets:[0 0]}}+{{schema:0 count:8 sum:4 offset:-1 buckets:[6 2]}}x30"
    newest = require(*PROMTOOL)
    version = subprocess.run([newest, "--version"], capture_output=True, text=True, check=True).stdout
    if "version 2." in version:
        pytest.skip("promtool 2 cannot read native histograms in tests; `make matrix` runs this with 3")
    tests = [
        {
            "name": "native",
            "interval": "15s",
            "input_series": [{"series": 'request_seconds{job="api"}', "values": values}],
            "promql_expr_test": [
                {
                    "expr": "round(tocsin_slo:error:ratio_rate5m, 0.0001)",
                    "eval_time": "5m",
                    "exp_samples": [{"labels": '{tocsin_service="shop", slo="api"}', "value": 0.25}],
                }
            ],
        }
    ]
    promtool(tmp_path, list(slo.groups(service, target)), target, tests)


def test_the_budget_is_what_the_part_of_the_period_that_was_seen_says(tmp_path: Path) -> None:
    service, target = services(
        tmp_path,
        f"{{api: {{objective: 99%, period: 7d, sli: {{{EVENTS}}}}}}}",
        "target: {scrape_interval: 5m, evaluation_interval: 5m}\n",
    )
    # Eight hours with 2 % bad, eight without any, eight without the metric; 300 events in each five minutes.
    part, ends = 96, Run("stale")
    series = [
        Input("http_requests_total", {"code": "200"}, [Run(0, part, 294), Run(95 * 294 + 300, part, 300), ends]),
        Input("http_requests_total", {"code": "500"}, [Run(0, part, 6), Run(95 * 6, part), ends]),
    ]
    groups = list(slo.groups(service, target))
    for group in groups:
        group["interval"] = "5m"
        # Five minutes of a series that comes every five minutes hold one sample; ten hold what we look for.
        for one in group["rules"]:
            if one.get("record", "").endswith("5m"):
                one["expr"] = one["expr"].replace("[5m]", "[10m]")
    budget, history = "tocsin_slo:error_budget_remaining:ratio", "tocsin_slo:history:ratio"
    tests = case("budget", 300, series, [])
    # 192 of the 2016 slots of the week were seen, and 1 % of what happened in them was bad: the whole of their budget.
    tests["promql_expr_test"] = [
        {
            "expr": f"abs({name} - {value}) < bool 0.001",
            "eval_time": "1d",
            "exp_samples": [{"labels": _LABELS, "value": 1}],
        }
        for name, value in ((history, 192 / 2016), (budget, 1 - 192 / 2016))
    ]
    promtool(tmp_path, groups, target, [tests])


_LABELS = '{tocsin_service="shop", slo="api"}'


# ------------------------------------------------------------------------------------------------ what is written


def test_an_slo_costs_no_more_rules_and_series_than_sloths_seventeen(tmp_path: Path) -> None:
    service, target = services(tmp_path, f"{{api: {{objective: 99.9%, sli: {{{EVENTS}}}}}}}")
    found = [one for group in slo.groups(service, target) for one in group["rules"]]
    assert (len(found), sum("record" in one for one in found)) == (17, 15)
    assert {tuple(one["labels"]) for one in found if "record" in one} == {("tocsin_service", "slo")}


def test_thresholds_are_literal_and_a_page_is_asked_for_by_name(tmp_path: Path) -> None:
    slos = f"{{api: {{objective: 99.9%, sli: {{{EVENTS}}}, alert: {{page: Burn, ticket: false}}}}}}"
    service, target = services(tmp_path, slos)
    [alert] = [one for group in slo.groups(service, target) for one in group["rules"] if "alert" in one]
    assert (alert["alert"], alert["labels"]["page"]) == ("Burn", "true")
    assert ">= 0.0144\n" in alert["expr"]
    assert ">= 0.006\n" in alert["expr"]
    silent, _ = services(tmp_path, f"{{api: {{objective: 99.9%, sli: {{{EVENTS}}}}}}}")
    [page, ticket] = [one for group in slo.groups(silent, target) for one in group["rules"] if "alert" in one]
    assert (page["alert"], "page" in page["labels"]) == ("ShopApiErrorBudgetBurn", False)
    assert (ticket["alert"], ticket["labels"]["severity"]) == ("ShopApiErrorBudgetBurnTicket", "ticket")


@settings(max_examples=15, deadline=None)
@given(st.text(min_size=1, max_size=50), st.text(max_size=50))
def test_no_name_of_an_slo_breaks_a_rule(name: str, description: str) -> None:
    sli, alert = {"ratio": "x"}, {"page": "Page", "ticket": "Ticket"}
    shop = generated.service(
        slos={name: {"objective": 0.999, "sli": sli, "description": description, "alert": alert}}, team=name
    )
    target = generated.process().target
    with tempfile.TemporaryDirectory() as folder:
        promtool(Path(folder), list(slo.groups(shop, target)), target, list(slo_cases.cases(shop, target)))
