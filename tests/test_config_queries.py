"""Queries of other formats: what counts events, what is a share, and what cannot be read."""

import pytest

from tocsin.config import queries


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ('sum(rate(x_total{code=~"5.."}[{{.window}}]))', 'x_total{code=~"5.."}'),
        ("rate(x_total[{{ .window }}])", "x_total"),
        ("sum by (job) (increase(x_total[$window]))", "x_total"),
        ("(sum(rate(x_total[{{- .window -}}])) by (job))", "x_total"),
        ('sum(rate({__name__="x_total"}[{{.window}}]))', '{__name__="x_total"}'),
        ('sum(rate(x_total{a="rate(x[5m])"}[{{.window}}])) # it\'s', 'x_total{a="rate(x[5m])"}'),
        ("sum(rate(x_total[{{.window}}] offset 1m))", "sum(increase(x_total[$window] offset 1m))"),
        ('sum(rate(x{w="{{.window}}"}[{{.window}}]))', 'sum(increase(x{w="$window"}[$window]))'),
        (
            "sum(rate(a[{{.window}}])) - sum(rate(b[{{.window}}]))",
            "sum(increase(a[$window])) - sum(increase(b[$window]))",
        ),
        ("sum(rate(a[{{.window}}])) OR on() vector(0)", "sum(increase(a[$window])) OR on() vector(0)"),
        ("2 * rate(a[{{.window}}]) / 60", "2 * increase(a[$window]) / 60"),
        ("rate(a[{{.window}}]) > 0", "increase(a[$window]) > 0"),
        ("rate(a[{{.window}}]) and on (job) up == 1", "increase(a[$window]) and on (job) up == 1"),
    ],
)
def test_sums_of_rates_become_numbers_of_events(text: str, number: str) -> None:
    query = queries.parse(text)
    assert len(query.counts) == 1
    assert query.number == number


@pytest.mark.parametrize(
    "text",
    [
        "rate(a[{{.window}}]) > 3",
        "rate(a[{{.window}}]) > bool 0",
        "rate(a[{{.window}}]) * rate(b[{{.window}}])",
        "rate(a[{{.window}}]) / rate(b[{{.window}}])",
        "1 / rate(a[{{.window}}])",
        "rate(a[{{.window}}]) + 1",
        "rate(a[{{.window}}]) - rate(a[5m])",
        "avg(rate(a[{{.window}}]))",
        "avg_over_time(a[{{.window}}])",
        "sum_over_time(count(a)[{{.window}}:])",
        "rate(a[{{.window}}]) unless rate(b[{{.window}}]) > 1",
        "slo:errors:ratio_rate{{.window}}",
        "vector(0)",
    ],
)
def test_what_is_not_in_proportion_to_the_events_counts_none(text: str) -> None:
    assert not queries.parse(text).counts


@pytest.mark.parametrize(
    ("text", "several"),
    [
        ("sum(a)", False),
        ("sum by () (a)", False),
        ("sum(a) or vector(0)", False),
        ("sum_over_time(count(a)[{{.window}}:])", False),
        ("scalar(a) * sum(b)", False),
        ("a", True),
        ("sum by (job) (a)", True),
        ("sum without (job) (a)", True),
        ("topk(3, a)", True),
        ("sum(a) / b", True),
        ("rate(a[{{.window}}])", True),
    ],
)
def test_it_is_known_whether_a_query_may_give_several_series(text: str, several: bool) -> None:
    assert queries.parse(text).several is several


def test_a_pair_that_counts_events_is_an_sli_of_events() -> None:
    bad, total = queries.parse("sum(rate(a[{{.window}}]))"), queries.parse("sum(rate(b[{{.window}}]))")
    assert queries.events("bad", bad, total) == queries.Asked({"bad": "a", "total": "b"})


def test_a_pair_in_different_units_is_a_ratio() -> None:
    bad, total = queries.parse("sum(rate(a[{{.window}}]))"), queries.parse("sum(increase(b[{{.window}}]))")
    asked = queries.events("good", bad, total)
    assert asked.sli == {"ratio": "1 - (sum(rate(a[$window]))) / ((sum(increase(b[$window]))) > 0)"}
    assert len(asked.remarks) == 1


def test_groups_of_a_ratio_are_added_up_before_they_are_divided() -> None:
    bad, total = queries.parse("sum by (x) (delta(a[{{.window}}]))"), queries.parse("count_over_time(b[{{.window}}])")
    asked = queries.events("bad", bad, total)
    assert asked.sli == {"ratio": "sum(sum by (x) (delta(a[$window]))) / (sum(count_over_time(b[$window])) > 0)"}
    assert len(asked.remarks) == 2


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ratio_of_errors", "ratio_of_errors"),
        ("sum(rate(a[5m])) / sum(rate(b[5m]))", "(sum(rate(a[$window])) / sum(rate(b[$window]))) >= -Inf"),
        ("avg_over_time(a[5m])", "max((avg_over_time(a[$window])) >= -Inf)"),
    ],
)
def test_a_share_stays_one_over_the_window_where_it_has_one(text: str, expected: str) -> None:
    assert queries.ratio("bad", queries.parse(text, fixed=True)).sli == {"ratio": expected}


def test_a_share_of_what_is_good_is_turned_around() -> None:
    assert queries.ratio("good", queries.parse("a")).sli == {"ratio": "1 - (a)"}


def test_a_range_in_a_string_is_no_range() -> None:
    assert queries.parse('a{b="[5m]"}', fixed=True).text == 'a{b="[5m]"}'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("sum(rate(a[{{.windo}}]))", "found {{.windo}}, expected no other placeholder than {{.window}}"),
        ("sum(rate(a[{{.window", "found {{.window, expected no other placeholder than {{.window}}"),
        (
            "sum(rate(a[5m])) / sum(rate(b[1h]))",
            "found ranges of 1h and 5m, expected one and the same, or {{.window}} for the window",
        ),
        ("max_over_time(a[1h:])", "found a subquery, expected {{.window}} where the window stands"),
        (
            "rate(a[{{.window}}]",
            "found no PromQL (unclosed left parenthesis), expected an expression that gives a vector",
        ),
        (
            "- " * 300 + "a",
            "found 301 words and signs, expected at most 300: record parts of it by a rule",
        ),
        ("5", "found a scalar, expected an expression that gives a vector"),
    ],
)
def test_what_cannot_be_read_is_said(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=r"^found") as caught:
        queries.parse(text, fixed=True)
    assert str(caught.value) == message


@pytest.mark.parametrize("text", ["- " * 299 + "a", "+".join(["a"] * 150), "(" * 149 + "a" + ")" * 149])
def test_the_largest_expression_is_walked(text: str) -> None:
    query = queries.parse(text)
    assert (query.several, bool(query.counts)) == (True, False)
