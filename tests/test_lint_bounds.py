"""Whether an alert can fire, and whether it can do anything else."""

import math
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tocsin.config.expr import parse
from tocsin.generate.lint.book import Book, Rule
from tocsin.generate.lint.bounds import BoundsOf, Presence, contradiction
from tocsin.generate.lint.interval import Interval, arithmetic, certain, kept, possible

RECORDS = [
    {"record": "shop:bad:ratio", "expr": "clamp_max(sum(rate(bad_total[5m])) / sum(rate(all_total[5m])), 1)"},
    {"record": "shop:slow:count", "expr": "count by (a) (slow > 5)", "labels": {"slo": "api"}},
    {"record": "a:b:c", "expr": "a:b:c + 1"},
]


def result(expr: str) -> tuple[Presence, Interval]:
    rules = [Rule("f", "g", data) for data in ({"alert": "A", "expr": expr}, *RECORDS)]
    values = BoundsOf(Book(rules)).result(rules[0])
    return values.presence, values.interval


NEVER, SOMETIMES, WITH_SERIES, ALWAYS = Presence


@pytest.mark.parametrize(
    ("expr", "presence"),
    [
        ("x", WITH_SERIES),
        ("x > 5", SOMETIMES),
        ("up == 0", SOMETIMES),
        ("up > 1", NEVER),
        ("up >= 0", WITH_SERIES),
        ("up < 1", SOMETIMES),
        ("x > +Inf", NEVER),
        ("x > -Inf", SOMETIMES),
        ("5 > x", SOMETIMES),
        ("0 > x_total", NEVER),
        ("0 <= x_total", WITH_SERIES),
        ("rate(x[5m]) < 0", NEVER),
        ("increase(x[5m]) - 1 < 0", SOMETIMES),
        ("-x_count > 0", NEVER),
        ("x_bucket * -2 >= 1", NEVER),
        ("x_total / y_total < 0", NEVER),
        ("x_total / y_total > 1", SOMETIMES),
        ("clamp_max(x, 1) >= 1.44", NEVER),
        ("clamp(x, 2, 3) > 1", WITH_SERIES),
        ("clamp_min(x, 2) < 1", NEVER),
        ("abs(x) < 0", NEVER),
        ("count(x) > 0", WITH_SERIES),
        ("count(x > 5) > 0", SOMETIMES),
        ("count(x) > 3", SOMETIMES),
        ("sum(rate(x[5m])) < 0", NEVER),
        ("sum(x) < 0", SOMETIMES),
        ("avg(up) > 1", NEVER),
        ("quantile(0.9, up) > 1", NEVER),
        ("quantile(2, up) > 1", SOMETIMES),
        ("sum(up) > 1", SOMETIMES),
        ("group(x) == 2", NEVER),
        ("stddev(x) < 0", NEVER),
        ("max_over_time(up[5m]) > 1", NEVER),
        ("sum_over_time(up[5m]) > 1", SOMETIMES),
        ("changes(x[5m]) < 0", NEVER),
        ("count_over_time((x >= 4)[30m:1m]) >= 24", SOMETIMES),
        ("count_over_time((x >= 4)[30m:1m]) >= 32", NEVER),
        ("(x > bool 5) > 1", NEVER),
        ("(up > bool 5) == 0", WITH_SERIES),
        ("absent(x)", SOMETIMES),
        ("absent(x) == 1", SOMETIMES),
        ("absent(x) > 1", NEVER),
        ("absent(vector(1))", NEVER),
        ('absent(x{a="1", a="2"})', ALWAYS),
        ("vector(1)", ALWAYS),
        ("vector(1) > 0", ALWAYS),
        ("vector(1) > 2", NEVER),
        ("vector(time()) > 0", ALWAYS),
        ("vector(time()) - 5 * x_total > 1", SOMETIMES),
        ("time() - x > 300", SOMETIMES),
        ("hour() > 23", NEVER),
        ("hour() > 22", SOMETIMES),
        ("day_of_week() >= 0", ALWAYS),
        ("x > 5 < 3", NEVER),
        ("x > 5 <= 5", NEVER),
        ("x >= 5 <= 5", SOMETIMES),
        ("x > 5 and x < 3", NEVER),
        ("(x > 5) and (x) < 3", NEVER),
        ("x > 3 and x < 5", SOMETIMES),
        # Not of one series, so both may hold.
        ("x > 5 and on () x < 3", SOMETIMES),
        ("x > 5 and y < 3", SOMETIMES),
        ("x > 5 or vector(1) > 2", SOMETIMES),
        ("x > 5 or vector(1)", ALWAYS),
        ("up > 1 or up > 2", NEVER),
        ("x and up > 1", NEVER),
        ("x unless up > 1", WITH_SERIES),
        ("x unless y", SOMETIMES),
        ("x == x", SOMETIMES),
        ("x != 5", SOMETIMES),
        ("vector(1) != 1", NEVER),
        ("vector(1) != 2", ALWAYS),
        ("sgn(x) > 1", NEVER),
        ("ceil(up) > 1", NEVER),
        ("floor(x) > 1", SOMETIMES),
        ("up % 2 >= 2", SOMETIMES),
        ("vector(2) ^ 3 == 8", ALWAYS),
        ("vector(1) / 0 > 0", SOMETIMES),
        # Series that are there only while something is so.
        ('ALERTS{alertname="A"}', SOMETIMES),
        ("tocsin_breach_timestamp_seconds", SOMETIMES),
        ('count(tocsin_value{exported_signal!=""}) > 0', SOMETIMES),
        ("tocsin_severity_level >= 5", NEVER),
        ("tocsin_severity_level >= 4", SOMETIMES),
        # Through recordings.
        ("shop:bad:ratio >= 1.44", NEVER),
        ("shop:bad:ratio >= 0.0144", SOMETIMES),
        ('shop:slow:count{slo="api"} > 0', SOMETIMES),
        ('shop:slow:count{slo="web"} > 0', NEVER),
        ("a:b:c", SOMETIMES),
    ],
)
def test_an_alert_fires_when_its_expression_has_a_result(expr: str, presence: Presence) -> None:
    assert result(expr)[0] == presence


@pytest.mark.parametrize(
    ("expr", "low", "high"),
    [
        ("1 - clamp(x, 0, 1)", 0, 1),
        ("clamp(x, -2, 1) * 3", -6, 3),
        ("clamp(x, -2, 1) / 2", -1, 0.5),
        ("abs(clamp(x, -2, 1))", 0, 2),
        ("abs(clamp(x, 1, 2))", 1, 2),
        ("x > 5", math.nextafter(5, 6), math.inf),
        ("x <= 5", -math.inf, 5),
        ("5 < x", math.nextafter(5, 6), math.inf),
        ("x == 5", 5, 5),
        ("up or clamp(x, 3, 4)", 0, 4),
        ("shop:bad:ratio", 0, 1),
        ("tocsin_severity_level", -1, 4),
        ("sum(clamp(x, 2, 3))", 2, math.inf),
        ("sum(clamp(x, -3, -2))", -math.inf, -2),
    ],
)
def test_values_lie_between_bounds(expr: str, low: float, high: float) -> None:
    assert result(expr)[1] == (low, high)


SMALL = st.integers(-4, 4).map(float)
INTERVALS = st.tuples(SMALL, SMALL).map(lambda ends: Interval(*sorted(ends)))
TRUTH = {
    ">": lambda x, y: x > y,
    ">=": lambda x, y: x >= y,
    "<": lambda x, y: x < y,
    "<=": lambda x, y: x <= y,
    "==": lambda x, y: x == y,
    "!=": lambda x, y: x != y,
}


@given(INTERVALS, INTERVALS, st.sampled_from(sorted(TRUTH)))
def test_comparisons_are_right_for_every_pair_of_whole_numbers(a: Interval, b: Interval, op: str) -> None:
    xs, ys = (range(int(one.low), int(one.high) + 1) for one in (a, b))
    held = [TRUTH[op](x, y) for x, y in product(xs, ys)]
    assert possible(op, a, b) == any(held)
    assert certain(op, a, b) == all(held)
    low, high = kept(op, a, b)
    assert all(low <= x <= high for x, y in product(xs, ys) if TRUTH[op](x, y))


@given(INTERVALS, INTERVALS, st.sampled_from("+-*/%"), st.data())
def test_arithmetic_stays_between_its_bounds(a: Interval, b: Interval, op: str, data: st.DataObject) -> None:
    x, y = (data.draw(st.floats(one.low, one.high)) for one in (a, b))
    low, high = arithmetic(op, a, b)
    if y or op not in "/%":
        value = {"+": x + y, "-": x - y, "*": x * y}.get(op)
        if value is None:
            value = x / y if op == "/" else math.fmod(x, y)
        assert low <= value <= high


@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        ('x{a="1"}', None),
        ('x{a="1", a="2"}', 'a="2" and a="1"'),
        ('x{a="1", a!="1"}', 'a="1" and a!="1"'),
        ('x{a="1", a!="2"}', None),
        ('x{a="1", a=~"[2-9]"}', 'a="1" and a=~"[2-9]"'),
        ('x{a="1", a=~"[0-9]"}', None),
        ('x{a="11", a=~"1"}', 'a="11" and a=~"1"'),
        ('x{a="1", a!~"1|2"}', 'a="1" and a!~"1|2"'),
        ('{__name__="x", __name__=~"y.*"}', '__name__="x" and __name__=~"y.*"'),
        ('x{a=~"1", a=~"2"}', None),
    ],
)
def test_matchers_that_no_series_satisfies_are_seen(selector: str, expected: str | None) -> None:
    assert contradiction(parse(selector)) == expected  # type: ignore[arg-type]  # the parser's trees have one type


def test_an_expression_that_nobody_can_read_may_fire() -> None:
    assert result("(")[0] == Presence.SOMETIMES
    assert result("x" + " + x" * 2000)[0] == Presence.SOMETIMES


def test_a_deep_tree_needs_no_deep_stack() -> None:
    assert result("(" * 400 + "up" + ")" * 400 + " > 1")[0] == Presence.NEVER
