"""Series for an expression: Prometheus gives it the value that they were made for, or none are made."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from generated import promtool
from tocsin.config import expr
from tocsin.generate.feed import solve
from tocsin.generate.feed.values import Line, Unsolved
from tocsin.generate.promql import selector
from tocsin.generate.promtool import Input, Run

LABELS = {"node": "n1", "instance": "i", "job": "j"}
VALUES = [
    ("x", 3.0),
    ('x{a="b"} / 100', 0.8),
    ("(100 - x) / 100", 0.2),
    ("-x", 3.0),
    ("2 * x + 1", 7.0),
    ("10 / x", 4.0),
    ("a offset 5m", 3.0),
    ("avg by (node) (x)", 2.0),
    ("topk(1, x)", 2.0),
    ("abs(x)", 2.0),
    ("clamp_max(x, 5)", 2.0),
    ('sum by (node) (rate(x{c=~"5..|timeout"}[5m]))', 2.0),
    ("increase(x[1h])", 5.0),
    ("delta(x[1h])", -5.0),
    ("deriv(x[10m])", -0.5),
    ("max_over_time(x[1h])", 4.0),
    ('sum(rate(x{c=~"5.."}[5m])) / sum(rate(x[5m]))', 0.02),
    ('(sum(rate(x{c=~"5.."}[5m])) or vector(0)) / (sum(rate(x[5m])) > 0)', 0.02),
    ('sum(rate(x{c!="200"}[5m])) / sum(rate(x[5m]))', 0.1),
    ('1 - avg by (node) (rate(cpu{mode="idle"}[5m]))', 0.9),
    ("1 - a / b", 0.9),
    ("a * b", 3.0),
    ("a + b", 3.0),
    ("a - b", 3.0),
    ("hits / (hits + misses)", 0.6),
    ("sum(rate(h[5m])) / (sum(rate(h[5m])) + sum(rate(m[5m])))", 0.6),
    ("rate(s_sum[5m]) / (rate(s_count[5m]) > 0)", 0.2),
    ("a / (b > 500)", 0.25),
    ("rate(a[5m]) / on (node) group_left (job) b", 3.0),
    ("histogram_quantile(0.95, sum by (le, node) (rate(x_bucket[5m])))", 0.25),
    ("time() - x", 3600.0),
    ("(x - time()) / 86400", 14.0),
    ("a unless b", 2.0),
    ("a and on (node) b > 2", 2.0),
    ("a > b", 2.0),
    ("min without (job) (a)", 2.0),
    ("predict_linear(x[1h], 3600)", 5.0),
]
TRUTHS = [
    "x > 3",
    "3 <= x",
    "up == 0",
    "up != 1",
    "sum(rate(a[5m])) == 0",
    "increase(x[1h]) > 0",
    "a > b",
    "a > 1 and b > 2",
    "a / b > 0.5 unless c",
    "a > 1 or b > 1",
    'absent(up{job="x"})',
    'ALERTS{alertname="X"}',
    "rate(a[5m]) >= 0.1",
]
UNKNOWN = ["count(x)", "changes(x[1h])", "x ^ 2", 'label_replace(x, "a", "b", "c", "d")', "x[5m:1m]", "x @ 5", "x / x"]
EVERY = 15


def shows(asked: str, fed: solve.Fed, wanted: Sequence[Mapping[str, str]]) -> dict[str, Any]:
    """A test: once the series have settled, the query gives 1 with each of these labels."""
    samples = round(fed.settles / EVERY) + 3
    series = [
        Input(leaf.metric, leaf.labels, [Run(leaf.line.start, samples, leaf.line.slope * EVERY)]) for leaf in fed.leaves
    ]
    expected = [{"labels": selector("", labels), "value": 1} for labels in wanted]
    at = f"{(samples - 1) * EVERY}s"
    return {
        "name": asked,
        "interval": f"{EVERY}s",
        "input_series": [one.data() for one in series],
        "promql_expr_test": [{"expr": asked, "eval_time": at, "exp_samples": expected}],
    }


def passes(tests: list[dict[str, Any]], folder: Path) -> None:
    (folder / "tests.yml").write_text(yaml.safe_dump({"evaluation_interval": f"{EVERY}s", "tests": tests}))
    status, said = promtool("test", "rules", "tests.yml", cwd=folder)
    assert status == 0, said


def test_prometheus_gives_the_value_that_was_wanted(tmp_path: Path) -> None:
    tests = []
    for text, value in VALUES:
        fed = solve.value(expr.parse(text), Line(value), LABELS)
        assert fed.labels is not None
        near = f"abs(({text}) - {value}) <= bool 1e-9"
        tests.append(shows(near, fed, [dict(fed.labels)]))
    passes(tests, tmp_path)


@pytest.mark.parametrize("true", [True, False])
def test_prometheus_agrees_that_a_condition_holds_or_not(true: bool, tmp_path: Path) -> None:
    conditions = [(f"count({text})", solve.truth(expr.parse(text), true, LABELS)) for text in TRUTHS]
    passes([shows(asked, fed, [{}] if true else []) for asked, fed in conditions], tmp_path)


@pytest.mark.parametrize("text", UNKNOWN)
def test_for_what_it_does_not_know_nothing_is_made(text: str) -> None:
    with pytest.raises(Unsolved):
        solve.value(expr.parse(text), Line(3), LABELS)


@pytest.mark.parametrize(("text", "value"), [("rate(x[5m])", -1.0), ('x{c="1"} / x', 2.0), ("abs(x)", -1.0)])
def test_for_a_value_that_it_cannot_have_nothing_is_made(text: str, value: float) -> None:
    with pytest.raises(Unsolved):
        solve.value(expr.parse(text), Line(value), LABELS)


def test_an_expression_that_is_too_deep_is_not_solved() -> None:
    with pytest.raises(Unsolved, match="too deep"):
        solve.value(expr.parse("-" * 990 + "x"), Line(3), LABELS)


@pytest.mark.parametrize(
    ("op", "true", "bound", "exact", "value"),
    [
        (">", True, 80.0, True, 80.00008),
        (">", False, 80.0, True, 80.0),
        (">", False, 80.0, False, 79.99992),
        (">=", True, 80.0, True, 80.0),
        (">=", False, 80.0, True, 79.99992),
        ("<", True, -5.0, True, -5.000005),
        ("<=", True, 0.1 + 0.2, True, (0.1 + 0.2) * (1 - 1e-6)),
        ("==", True, 5.0, True, 5.0),
        ("!=", True, 5.0, True, 6.0),
        (">", True, 0.0, False, 1e-3),
        (">", False, 0.0, False, 0.0),
    ],
)
def test_a_value_is_at_the_bound_where_it_can_be_and_just_beside_it_otherwise(
    op: str, true: bool, bound: float, exact: bool, value: float
) -> None:
    assert solve.beside(op, true, bound, exact=exact) == pytest.approx(value, rel=1e-12)


def test_equality_with_what_may_be_rounded_is_not_tried() -> None:
    with pytest.raises(Unsolved):
        solve.beside("==", True, 5.0, exact=False)


@given(st.text(min_size=1, max_size=50), st.floats(-1e9, 1e9))
def test_any_label_value_is_on_the_series_and_on_the_result(text: str, value: float) -> None:
    fed = solve.value(expr.parse("max by (node) (x)"), Line(value), {"node": text})
    assert (fed.leaves[0].labels, dict(fed.labels or ())) == ({"node": text}, {"node": text})
