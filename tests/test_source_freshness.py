import pytest

from tocsin.source.freshness import timestamp_expr, why_unstamped


@pytest.mark.parametrize(
    ("expr", "stamped"),
    [
        ("up", "timestamp(up)"),
        ("(up)", "timestamp(up)"),
        ("-up", "timestamp(up)"),
        ("+up", "timestamp(up)"),
        ('up{job="a"} / 100', 'timestamp(up{job="a"})'),
        ("100 * up", "timestamp(up)"),
        ("up * 2 / 3", "timestamp(up)"),
        ("-(2 ^ 10 * (up offset 5m)) / (60 * 60)", "timestamp(up offset 5m)"),
        ("up offset -5m", "timestamp(up offset -5m)"),
        ("up / -Inf", "timestamp(up)"),
        ('{__name__="up",a="b"}', 'timestamp({__name__="up",a="b"})'),
        ('{"with.dots"}', 'timestamp({__name__="with.dots"})'),
        ('up{a="q\\"\\\\n\\n",b=~"a\\\\.b|ü"}', 'timestamp(up{a="q\\"\\\\n\\n",b=~"a\\\\.b|ü"})'),
        ("up # with a comment\n", "timestamp(up)"),
    ],
)
def test_an_expression_of_one_sample_of_one_selector_has_a_timestamp(expr: str, stamped: str) -> None:
    assert timestamp_expr(expr) == stamped
    assert why_unstamped(expr) is None


@pytest.mark.parametrize(
    ("expr", "why"),
    [
        ("up + 1", "computed"),
        ("100 / up", "computed"),
        ("up % 2", "computed"),
        ("up ^ 2", "computed"),
        ("up > 5", "computed"),
        ("up / down", "many"),
        ("up * on (a) down", "many"),
        ("up + up", "many"),
        ("sum(up)", "aggregate"),
        ("topk(3, up)", "aggregate"),
        ("-sum by (a) (abs(up))", "aggregate"),
        ("quantile(scalar(down), up)", "many"),
        ("rate(up[5m])", "range"),
        ("sum(rate(up[5m])) / sum(rate(down[5m]))", "range"),
        ("up / rate(down[5m])", "range"),
        ("max_over_time(up[5m:])", "range"),
        ("rate(up[5m] @ 1600000000)", "range"),
        ("up[5m]", "range"),
        ("timestamp(up)", "computed"),
        ("abs(up)", "computed"),
        ("absent(up)", "computed"),
        ("up @ 1600000000", "fixed"),
        ("sum(up @ end())", "fixed"),
        ("up @ end()", "fixed"),
        ("up or down", "many"),
        ("1", "nothing"),
        ("time() * 2", "nothing"),
        ("vector(time())", "nothing"),
        ("up * scalar(down)", "many"),
        ('{job="a"}', "names"),
        ('{__name__=~"up|down"}', "names"),
        ('{__name__!="up"}', "unknown"),
        ('sum({job="a"})', "aggregate"),
        ("not promql (", "unknown"),
        ("", "unknown"),
        ("up smoothed nonsense", "unknown"),
    ],
)
def test_any_other_expression_has_none_and_the_reason_is_known(expr: str, why: str) -> None:
    assert timestamp_expr(expr) is None
    assert why_unstamped(expr) == why
