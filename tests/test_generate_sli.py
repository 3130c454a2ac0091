"""SLIs that are written in unlucky ways, or that ask for what is not there: what promtool sees of their rules."""

from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.utils import floatToGoString

import generated
from tocsin.config import window
from tocsin.generate import meta, rules, slo, slo_cases
from tocsin.generate.lint.book import Book, rules_of
from tocsin.generate.lint.check import findings
from tocsin.generate.promtool import Input, Run, case
from tocsin.generate.sli import spellings

EVERY = 60
SLOTS = 4 * 60 * 60 // EVERY
OF = {"tocsin_service": "shop", "slo": "api"}
BUDGET, SHARE = "tocsin_slo:error_budget_remaining:ratio", "tocsin_slo:error:ratio_rate1h"


def shop(sli: dict[str, Any], **more: Any) -> Any:
    return generated.service(signals={}, slos={"api": {"objective": 0.99, "sli": sli}}, **more)


def seen(folder: Path, sli: dict[str, Any], inputs: list[Input], expected: dict[str, float | None]) -> None:
    """Check values, or None for nothing, after four hours; an alert is 1 when it fires."""
    target = {"scrape_interval": "1m", "evaluation_interval": "1m"}
    service, process = shop(sli), generated.process(target=target)
    groups = list(slo.groups(service, process.target))
    about = {"name": "about", "interval": "1m", "rules": [m.data() for m in meta.alerts([service], process.target)]}
    test = case("sli", EVERY, inputs, [])
    test["promql_expr_test"] = [
        {
            "expr": f'sum(ALERTS{{alertname="{name}", alertstate="firing"}})' if name[0] == "T" else f"sum({name})",
            "eval_time": "4h",
            "exp_samples": [] if value is None else [{"labels": "{}", "value": value}],
        }
        for name, value in expected.items()
    ]
    generated.write(folder, {"rules/shop.yml": {"groups": generated.needed([*groups, about], *expected)}})
    document = {"rule_files": ["rules/shop.yml"], "evaluation_interval": "1m", "tests": [test]}
    generated.write(folder, {"test.yml": document})
    status, said = generated.promtool("test", "rules", "test.yml", cwd=folder)
    assert status == 0, said


def rising(name: str, step: float, **labels: str) -> Input:
    return Input(name, labels, [Run(0, SLOTS + 1, step)])


LATENCY = {"latency": {"histogram": "request_seconds", "le": 0.3}}


def test_a_latency_without_a_bucket_at_its_bound_has_no_budget_and_an_alert(tmp_path: Path) -> None:
    inputs = [rising("request_seconds_count", 8), rising("request_seconds_bucket", 8, le="+Inf")]
    inputs += [rising("request_seconds_bucket", 8, le=bound) for bound in ("0.25", "0.5")]
    seen(tmp_path, LATENCY, inputs, {BUDGET: None, SHARE: None, "TocsinSLOAbsent": 1})


def test_a_latency_without_requests_has_its_whole_budget_and_no_such_alert(tmp_path: Path) -> None:
    inputs = [rising("request_seconds_count", 0), rising("request_seconds_bucket", 0, le="0.3")]
    seen(tmp_path, LATENCY, inputs, {BUDGET: 1, SHARE: None, "TocsinSLOAbsent": None})


@pytest.mark.parametrize("spelled", ["1000000", "1000000.0", "1e+06"])
def test_the_bucket_of_a_large_bound_is_found_however_it_is_written(tmp_path: Path, spelled: str) -> None:
    inputs = [rising("size_bytes_count", 8), rising("size_bytes_bucket", 6, le=spelled)]
    seen(tmp_path, {"latency": {"histogram": "size_bytes", "le": 1000000}}, inputs, {SHARE: 0.25})


@pytest.mark.parametrize("le", [0.005, 0.3, 1.0, 2.5, 250.0, 100000.0, 1e6, 2.5e6, 12345678.0, 1e-5, 2.5e-5, 1e21])
def test_bounds_are_spelled_as_people_and_programs_do(le: float) -> None:
    assert {floatToGoString(le), f"{le:.15g}"} <= set(spellings(le))
    assert {float(one) for one in spellings(le)} == {le}


def test_java_writes_powers_of_ten_its_own_way() -> None:
    assert spellings(1e7) == ["10000000", "10000000.0", "1e+07", "1.0E7"]
    assert spellings(2.5e-5) == ["0.000025", "2.5e-05", "2.5E-5"]
    assert spellings(0.3) == ["0.3"]


def test_a_ratio_over_a_window_is_averaged_over_its_series(tmp_path: Path) -> None:
    sli = {"ratio": "rate(bad[$window]) / rate(all[$window])"}
    inputs = [rising(name, step, instance=str(i)) for i in range(3) for name, step in (("bad", 1), ("all", 8))]
    seen(tmp_path, sli, inputs, {SHARE: 0.125})


COMMENTED = {
    "selectors": {"bad": "bad_total # those that fail", "total": "all_total{} # don't count twice"},
    "numbers": {"bad": "increase(bad_total[$window]) # bad", "total": "increase(all_total[$window]) # all"},
    "share": {"ratio": "rate(bad_total[$window]) # bad\n/ rate(all_total[$window]) # of all"},
    "moment": {"ratio": "rate(bad_total[5m]) / rate(all_total[5m]) # now"},
}


@pytest.mark.parametrize("sli", COMMENTED.values(), ids=COMMENTED)
def test_a_comment_in_an_sli_swallows_nothing(tmp_path: Path, sli: dict[str, Any]) -> None:
    seen(tmp_path, sli, [rising("bad_total", 1), rising("all_total", 8)], {SHARE: 0.125})


def test_comments_in_selectors_of_histograms_and_probes_swallow_nothing(tmp_path: Path) -> None:
    latency = {"latency": {"histogram": 'request_seconds{job="}#"} # the API', "le": 1}}
    inputs = [rising("request_seconds_count", 8, job="}#"), rising("request_seconds_bucket", 6, job="}#", le="1.0")]
    seen(tmp_path, latency, inputs, {SHARE: 0.25})
    seen(tmp_path, {"probe": "up # all"}, [Input("up", {}, [Run(1, SLOTS + 1)])], {SHARE: 0})


def test_the_window_is_found_wherever_it_is_but_in_a_comment() -> None:
    assert window.has_window("errors:rate$window")
    assert window.has_window('sum(x{window="$window"})')
    assert not window.has_window("x # over $window")
    assert window.over("rate(x[$window]) # $window", "5m") == "rate(x[5m])"
    assert window.fault("rate(x[$window:1m])") is None
    assert window.fault("rate(x[$windows])") == "found $windows, expected no other placeholder than $window"
    assert window.fault("rate(x[$__rate_interval])") == (
        "found $__rate_interval, expected no other placeholder than $window"
    )
    assert window.fault('x{a="$b"}') is None


def about_slos(data: dict[str, Any]) -> dict[str, Any]:
    """Without the alerts about Tocsin that have nothing to do with SLOs, and without their tests."""
    rules, tests = deepcopy(data["rules/tocsin.yml"]), deepcopy(data["rules/tests/tocsin.yml"])
    [group] = rules["groups"]
    group["rules"] = [one for one in group["rules"] if one["alert"].startswith("TocsinSLO")]
    tests["tests"] = [one for one in tests["tests"] if one["name"].startswith("TocsinSLO")]
    return {**data, "rules/tocsin.yml": rules, "rules/tests/tocsin.yml": tests}


@pytest.mark.parametrize(
    ("sli", "wanted"),
    [
        ({"bad": "b", "total": "t"}, {"TocsinSLOAbsent", "TocsinSLOBroken", "TocsinSLOIdle"}),
        ({"ratio": "x"}, {"TocsinSLOAbsent", "TocsinSLOBroken"}),
        ({"ratio": "rate(x[$window])"}, {"TocsinSLOAbsent", "TocsinSLOBroken"}),
        ({"probe": "up"}, {"TocsinSLOAbsent", "TocsinSLOBroken"}),
        ({"threshold": {"expr": "x", "above": 5}}, {"TocsinSLOAbsent"}),
    ],
)
def test_an_sli_has_those_alerts_about_itself_that_can_fire(
    tmp_path: Path, sli: dict[str, Any], wanted: set[str]
) -> None:
    service = shop(sli)
    data = rules.files(generated.process(), [service])
    generated.passes(tmp_path, about_slos(data))
    book = Book([one for name, file in data.items() for one in rules_of(name, file)], [service])
    assert [str(one) for one in findings(book, generated.process().target)] == []
    found = {one["alert"] for one in data["rules/tocsin.yml"]["groups"][0]["rules"]}
    assert {name for name in found if "SLO" in name} == wanted
    assert list(slo_cases.cases(service, generated.process().target))
