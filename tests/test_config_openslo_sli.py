"""Indicators of OpenSLO: which query becomes which SLI, and what cannot be read."""

from pathlib import Path
from typing import Any

import pytest

from openslo import PROCESS, TOTAL, inline, metric, ratio, read, refused, slo, warned


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "tocsin.yml").write_text(PROCESS)
    (tmp_path / "services").mkdir()
    return tmp_path


def asked(folder: Path, indicator: dict[str, Any], **spec: Any) -> dict[str, Any]:
    """The SLI of the only SLO, as a service file would have it."""
    config = read(folder, slo(indicator=inline(indicator), **spec))
    [found] = config.services[0].slos.values()
    return found.sli.model_dump(exclude_none=True)


@pytest.mark.parametrize(
    ("indicator", "expected"),
    [
        (ratio("a{x='1'}", "sum(b)"), {"good": "a{x='1'}", "total": "b"}),
        (ratio("sum(a_total)", "b_count", counter=None), {"good": "a_total", "total": "b_count"}),
        (
            ratio("a", "b", kind="bad", counter=False),
            {"ratio": "sum(sum_over_time(a[$window])) / (sum(sum_over_time(b[$window])) > 0)"},
        ),
        (
            ratio("a", "b", counter=False),
            {"ratio": "1 - sum(sum_over_time(a[$window])) / (sum(sum_over_time(b[$window])) > 0)"},
        ),
        (
            ratio("sum(rate(a[{{.window}}])) + sum(rate(c[{{.window}}]))", "sum(rate(b[{{.window}}]))"),
            {"good": "sum(increase(a[$window])) + sum(increase(c[$window]))", "total": "b"},
        ),
        ({"ratioMetric": {"rawType": "failure", "raw": metric("slo:errors")}}, {"ratio": "slo:errors"}),
        ({"ratioMetric": {"rawType": "success", "raw": metric("slo:good")}}, {"ratio": "1 - (slo:good)"}),
        (
            {"ratioMetric": {"rawType": "failure", "raw": metric("sum(rate(a[5m])) / sum(rate(b[5m]))")}},
            {"ratio": "(sum(rate(a[$window])) / sum(rate(b[$window]))) >= -Inf"},
        ),
    ],
)
def test_ratio_metrics(folder: Path, indicator: dict[str, Any], expected: dict[str, Any]) -> None:
    assert asked(folder, indicator) == expected


P99 = "histogram_quantile(0.99, sum by (le) (rate(d_bucket[5m])))"


@pytest.mark.parametrize(
    ("op", "expected"),
    [
        ("lte", {"threshold": {"expr": P99, "above": 0.5}}),
        ("gte", {"threshold": {"expr": P99, "below": 0.5}}),
        ("lt", {"ratio": f"(({P99}) >= -Inf) >= bool 0.5"}),
        ("gt", {"ratio": f"(({P99}) >= -Inf) <= bool 0.5"}),
    ],
)
def test_threshold_metrics_keep_their_ranges_and_what_the_bound_itself_is(
    folder: Path, op: str, expected: dict[str, Any]
) -> None:
    objectives = [{"op": op, "value": 0.5, "target": 0.99}]
    assert asked(folder, {"thresholdMetric": metric(P99)}, objectives=objectives) == expected


def test_what_is_no_sum_of_rates_is_a_ratio_and_says_so(folder: Path) -> None:
    config = read(folder, slo(indicator=inline(ratio("sum(max_over_time(a[5m]))", "sum(max_over_time(b[5m]))"))))
    assert config.services[0].slos["api"].sli.ratio == (
        "1 - (sum(max_over_time(a[$window]))) / ((sum(max_over_time(b[$window]))) > 0)"
    )
    [warning] = warned(config)
    assert warning.startswith(
        "spec.indicator.spec.ratioMetric.good: found a query that is more than sums of rate() over the window"
    )


AT = "spec.indicator.spec"
GOODS = f"{AT}.ratioMetric.good"
RAW = f"{AT}.ratioMetric.raw"
QUERY = f"{GOODS}.metricSource.spec.query"


@pytest.mark.parametrize(
    ("indicator", "expected"),
    [
        ({}, f"{AT}: found neither of ratioMetric and thresholdMetric, expected one"),
        (
            {"ratioMetric": {"good": metric("a")}},
            f"{AT}.ratioMetric: found good, expected good and total, bad and total, or raw",
        ),
        (
            ratio("a", "b", counter=None),
            f"{AT}.ratioMetric: found no word on whether the metrics are counters, expected counter: true or false",
        ),
        (
            ratio("a", TOTAL),
            f"{GOODS}: found one query with a window and one without, expected both alike",
        ),
        (
            ratio("avg(a)", "b"),
            (
                f"{GOODS}: found another expression, expected a selector, the sum of one, or sums of rate() "
                "or increase() over a window"
            ),
        ),
        (
            ratio("sum(rate(a[5m])) - sum(rate(b[1m]))"),
            (f"{QUERY}: found ranges of 1m and 5m, expected one and the same, or {{{{.window}}}} for the window"),
        ),
        (
            ratio("sum(rate(a[5m])"),
            (f"{QUERY}: found no PromQL (unclosed left parenthesis), expected an expression that gives a vector"),
        ),
        (
            {"ratioMetric": {"raw": metric("a")}},
            f"{AT}.ratioMetric.rawType: found nothing, expected success or failure",
        ),
        (
            {"ratioMetric": {"rawType": "failure", "raw": metric("a", type="Datadog")}},
            f"{RAW}.metricSource.type: found 'Datadog', expected Prometheus",
        ),
        (
            {"ratioMetric": {"rawType": "failure", "raw": metric("a", type=None, metricSourceRef="x")}},
            (
                f"{RAW}.metricSource.type: found no type, expected Prometheus (or that of a DataSource in "
                "these files, by metricSourceRef)"
            ),
        ),
    ],
)
def test_what_is_wrong_with_an_indicator_is_said_where_it_is(
    folder: Path, indicator: dict[str, Any], expected: str
) -> None:
    assert refused(folder, slo(indicator=inline(indicator))) == [expected]


@pytest.mark.parametrize(
    ("objective", "query", "expected"),
    [
        ({"op": "eq", "value": 1}, "a", "spec.objectives[0].op: found 'eq', expected one of lte, gte, lt, gt"),
        ({"op": "lt", "value": "1"}, "a", "spec.objectives[0].value: found '1', expected a number"),
        (
            {"op": "lt", "value": 1},
            "rate(a[{{.window}}])",
            f"{AT}.thresholdMetric.metricSource.spec.query: found a window to fill in, expected a value at a moment",
        ),
    ],
)
def test_what_is_wrong_with_a_threshold_is_said_where_it_is(
    folder: Path, objective: dict[str, Any], query: str, expected: str
) -> None:
    found = slo(indicator=inline({"thresholdMetric": metric(query)}), objectives=[{"target": 0.9, **objective}])
    assert refused(folder, found) == [expected]
