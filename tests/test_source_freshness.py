import pytest

from tocsin.source.freshness import timestamp_expr


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


@pytest.mark.parametrize(
    "expr",
    [
        "up + 1",
        "100 / up",
        "up % 2",
        "up ^ 2",
        "up > 5",
        "up / down",
        "up * on (a) down",
        "sum(up)",
        "rate(up[5m])",
        "up[5m]",
        "max_over_time(up[5m:])",
        "timestamp(up)",
        "abs(up)",
        "up @ 1600000000",
        "up @ end()",
        "up or down",
        "1",
        "time() * 2",
        "up * scalar(down)",
        '{job="a"}',
        '{__name__=~"up|down"}',
        '{__name__!="up"}',
        "not promql (",
        "",
        "up smoothed nonsense",
    ],
)
def test_any_other_expression_has_none(expr: str) -> None:
    assert timestamp_expr(expr) is None
