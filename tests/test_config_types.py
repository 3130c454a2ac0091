"""Durations, sizes and ratios, as people write them."""

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tocsin.config.types import (
    describe,
    format_duration,
    format_size,
    parse_duration,
    parse_ratio,
    parse_season,
    parse_size,
    parse_whole_seconds,
)

#: Prometheus counts nanoseconds in 64 bits.
LONGEST_MS = 9_223_372_036_000


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0.0),
        ("0s", 0.0),
        ("15ms", 0.015),
        ("90s", 90.0),
        ("1h30m", 5400.0),
        ("2w", 1209600.0),
        ("1y2w3d4h5m6s7ms", 33019506.007),
        ("100y", 3153600000.0),
    ],
)
def test_durations_are_read_as_prometheus_reads_them(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


NO_DURATIONS = [
    "",
    "5",
    "1.5h",
    "-5m",
    "5 m",
    "5M",
    "30m1h",
    "5m5m",
    "m",
    "1h 30m",
    "٣m",
    "5m\n",
    "300y",
    "9" * 5000 + "s",
]


@pytest.mark.parametrize("text", [*NO_DURATIONS, 5, 5.0, True, None, [], {}])
def test_what_prometheus_would_refuse_is_no_duration(text: object) -> None:
    with pytest.raises(ValueError, match=r"^found .*, expected a duration such as 30s, 5m or 1h30m$"):
        parse_duration(text)


@given(st.integers(0, LONGEST_MS))
@example(31_536_000_000)
@example(604_800_000)
@example(LONGEST_MS)
def test_a_duration_that_was_written_is_read_as_it_was(milliseconds: int) -> None:
    assert parse_duration(format_duration(milliseconds / 1000)) == milliseconds / 1000


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(5400, "1h30m"), (7776000, "90d"), (604800, "1w"), (31536000, "1y"), (0.0301, "30ms"), (0, "0s"), (86400, "1d")],
)
def test_years_and_weeks_are_written_where_they_are_exact(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


@pytest.mark.parametrize("text", ["500ms", "0s", "1s500ms", "1m1ms"])
def test_a_grid_needs_whole_seconds(text: str) -> None:
    with pytest.raises(ValueError, match=f"^found '{text}', expected a duration of whole seconds, at least 1s$"):
        parse_whole_seconds(text)


def test_whole_seconds_are_an_integer() -> None:
    assert (parse_whole_seconds("1m30s"), type(parse_whole_seconds("1000ms"))) == (90, int)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("64MB", 64_000_000),
        ("1GiB", 2**30),
        ("1 kB", 1000),
        ("1KB", 1000),
        ("7", 7),
        ("7B", 7),
        (7, 7),
        ("2TiB", 2**41),
    ],
)
def test_sizes_are_decimal_or_binary_as_their_unit_says(text: object, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "0", 0, -1, "1.5GB", "64 megabytes", "64mb", "٣MB", True, None, 1.0, "9" * 5000])
def test_what_is_no_size_is_refused(text: object) -> None:
    with pytest.raises(ValueError, match=r"^found .*, expected a size such as 64MB or 1GiB$"):
        parse_size(text)


@given(st.integers(1, 2**60))
@example(64_000_000)
@example(65_536)
def test_a_size_that_was_written_is_read_as_it_was(size: int) -> None:
    # Digits beyond what a size may have are beyond any machine.
    assert len(str(size)) > 15 or parse_size(format_size(size)) == size


def test_a_size_is_written_in_its_largest_exact_unit() -> None:
    assert [format_size(n) for n in (64_000_000, 65_536, 1500, 10**12)] == ["64MB", "64KiB", "1500", "1TB"]


@given(st.integers(0, 10**6), st.integers(0, 4))
def test_a_percentage_is_the_double_nearest_to_its_ratio(digits: int, decimals: int) -> None:
    text = f"{digits / 10**decimals:.{decimals}f}"
    assert parse_ratio(f"{text}%") == float(f"{text}e-2")


def test_ratios_are_numbers_or_percentages() -> None:
    assert [parse_ratio(value) for value in (0.999, 1, "99.9%", "40 %", "-5%")] == [0.999, 1.0, 0.999, 0.4, -0.05]


@pytest.mark.parametrize("value", ["0.999", "99,9%", "%", "1e3%", True, None, float("nan"), float("inf"), 10**400, []])
def test_what_is_no_ratio_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match=re.escape("expected a ratio such as 0.999 or 99.9%")):
        parse_ratio(value)


def test_a_season_stays_what_it_was() -> None:
    assert (parse_season(288), parse_season("1d")) == (288, "1d")


@pytest.mark.parametrize("value", [True, 6.0, "six", "0s", None])
def test_what_is_no_season_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match="expected a number of slots or a duration such as 1d"):
        parse_season(value)


def test_values_are_described_as_yaml_has_them() -> None:
    values: list[object] = [None, True, 5, 2.50, "a'b", "x" * 61, [1], (1,), {}]
    assert [describe(value) for value in values] == [
        "nothing",
        "true",
        "the number 5",
        "the number 2.5",
        '"a\'b"',
        repr("x" * 57 + "..."),
        "a list",
        "a list",
        "a mapping",
    ]
