"""Expressions without their recordings: the same question, asked of what is recorded."""

import promql_parser
import pytest

from tocsin.config.expr import parse
from tocsin.generate.lint.book import Book, Rule
from tocsin.generate.lint.inline import Cannot, inlined

RECORDS = [
    {"record": "a:x:sum", "expr": "sum by (n) (x)"},
    {"record": "a:y:sum", "expr": "sum(y)", "labels": {"slo": "one"}},
    {"record": "a:y:sum", "expr": "sum(z) / a:x:sum", "labels": {"slo": "two"}},
    {"record": "a:hostile:sum", "expr": "sum(y)", "labels": {"slo": 'a"b$1\\\n'}},
    {"record": "a:self:sum", "expr": "a:self:sum + 1"},
    {"record": "a:broken:sum", "expr": "("},
    {"record": "a:long:sum", "expr": "x" + " + x" * 400},
]
BOOK = Book([Rule("f", "g", data) for data in RECORDS])


def without(expr: str, there: tuple[str, ...] = ()) -> str:
    return same(inlined(parse(expr), BOOK, 15, lambda selector: selector.name in there))


def same(expr: str) -> str:
    return " ".join(promql_parser.parse(expr).prettify().split())


@pytest.mark.parametrize(
    ("expr", "expected"),
    [
        ("x > 1", "x > 1"),
        ("a:x:sum > 1", "((sum by (n) (x))) > 1"),
        ("max_over_time(a:x:sum[1h]) > 1", "max_over_time(((sum by (n) (x)))[1h:15s]) > 1"),
        ('a:y:sum{slo="one"} > 1', '((label_replace(sum(y), "slo", "one", "", ""))) > 1'),
        (
            'a:y:sum{slo!="one"} > 1',
            '((label_replace(sum(z) / ((sum by (n) (x))), "slo", "two", "", ""))) > 1',
        ),
        (
            "a:y:sum > 1",
            (
                '((label_replace(sum(y), "slo", "one", "", "")) or '
                '(label_replace(sum(z) / ((sum by (n) (x))), "slo", "two", "", ""))) > 1'
            ),
        ),
        ("-a:x:sum > 1", "-((sum by (n) (x))) > 1"),
        ("1 - a:x:sum > bool 1 == 1", "1 - ((sum by (n) (x))) > bool 1 == 1"),
        ("a:x:sum * on (n) group_left (v) y", "((sum by (n) (x))) * on (n) group_left (v) y"),
        ("topk by (n) (3, a:x:sum) or y", "topk by (n) (3, ((sum by (n) (x)))) or y"),
        ("sum without (n) (a:x:sum{})", "sum without (n) (((sum by (n) (x))))"),
        ("quantile(scalar(a:x:sum), y)", "quantile(scalar(((sum by (n) (x)))), y)"),
        ("count_over_time((a:x:sum > 1)[1h:5m])", "count_over_time((((sum by (n) (x))) > 1)[1h:5m])"),
        ("count_over_time(a:x:sum[1h:])", "count_over_time(((sum by (n) (x)))[1h:])"),
        ('label_replace(a:x:sum, "a", "\\"", "", "")', 'label_replace(((sum by (n) (x))), "a", "\\"", "", "")'),
        ("a:hostile:sum > 1", '((label_replace(sum(y), "slo", "a\\"b$$1\\\\\\n", "", ""))) > 1'),
    ],
)
def test_a_recording_is_replaced_by_what_it_records(expr: str, expected: str) -> None:
    assert without(expr) == same(expected)


def test_what_the_source_has_stays() -> None:
    assert without("a:x:sum > 1", ("a:x:sum",)) == "a:x:sum > 1"
    expected = '((label_replace(sum(z) / a:x:sum, "slo", "two", "", ""))) > 1'
    assert without('a:y:sum{slo="two"} > 1', ("a:x:sum",)) == same(expected)


@pytest.mark.parametrize(
    ("expr", "reason"),
    [
        ("a:x:sum offset 1h > 1", "a:x:sum is recorded, not in the source, and asked for at another time"),
        (
            "max_over_time(a:x:sum[1h:] offset 1h) > 1",
            "a recording that is not in the source is asked for at another time",
        ),
        ('a:x:sum{n="1"} > 1', "a:x:sum is recorded, not in the source, and asked for by its label n"),
        ("a:self:sum > 1", "a:self:sum is recorded from itself"),
        ("a:broken:sum > 1", "a:broken:sum is recorded by no rule that can be read"),
        ('a:y:sum{slo="three"} > 1', "a:y:sum is recorded by no rule that can be read"),
        ("a:long:sum + a:long:sum > 1", "it would be too long with its recordings written out"),
    ],
)
def test_what_cannot_be_replaced_says_why(expr: str, reason: str) -> None:
    with pytest.raises(Cannot) as caught:
        without(expr)
    assert str(caught.value) == reason
