"""Calendars and maintenance windows against an oracle that goes from wall time to unix time, not back."""

import math
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tocsin.core.calendar import (
    Calendar,
    Recurring,
    Single,
    Windows,
    parse_date,
    parse_days,
    parse_hours,
    parse_moment,
    parse_rule,
    parse_zone,
)

NAMES = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
#: Days on which clocks change, with the wall times that are skipped or repeated.
DST = [
    ("America/New_York", date(2026, 3, 8), "skips", "02:30"),
    ("America/New_York", date(2026, 11, 1), "repeats", "01:30"),
    ("Europe/Berlin", date(2026, 3, 29), "skips", "02:30"),
    ("Europe/Berlin", date(2026, 10, 25), "repeats", "02:30"),
]
OFFICE = [("mon-fri", "09:00-17:00", 3.0), ("sat-sun", None, 0.4), ("holiday", None, 0.2)]

Lines = list[tuple[str, str | None, float]]


def unix(text: str, zone: str = "America/New_York", fold: int = 0) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone), fold=fold).timestamp()


def walls(first: date, days: int, zone: ZoneInfo) -> Iterator[tuple[float, date, int]]:
    """Unix time, date and minute of every minute that happens on these local days, by trying all wall times."""
    for n in range(days):
        for minute in range(1440):
            wall = datetime(first.year, first.month, first.day) + timedelta(days=n, minutes=minute)  # noqa: DTZ001  wall
            for fold in (0, 1):
                there = wall.replace(tzinfo=zone, fold=fold)
                back = there.astimezone(UTC).astimezone(zone)
                if back.replace(tzinfo=None) == wall and back.fold == fold:
                    yield there.timestamp(), wall.date(), minute


def covered(text: str, hours: str | None, holidays: set[date], around: date) -> set[tuple[date, int]]:
    """Every local minute of a line in the days around a date, by enumeration."""
    out = set()
    for n in range(-5, 6):
        day = around + timedelta(days=n)
        if text == "holiday":
            holds = day in holidays
        elif "-" in text:
            first, last = (NAMES.index(name) for name in text.split("-"))
            span = NAMES[first : last + 1] if first <= last else NAMES[first:] + NAMES[: last + 1]
            holds = NAMES[day.weekday()] in span
        else:
            holds = text == "daily" or NAMES[day.weekday()] in text.split(",")
        if holds:
            start, end = (0, 1440) if hours is None else minutes(hours)
            out |= {(day + timedelta(days=m // 1440), m % 1440) for m in range(start, end)}
    return out


def minutes(hours: str) -> tuple[int, int]:
    start, end = (int(clock[:2]) * 60 + int(clock[3:]) for clock in hours.split("-"))
    return start, end if start < end else end + 1440


def expected(lines: Lines, holidays: set[date], around: date) -> dict[tuple[date, int], float]:
    """Multiplier of every local minute: the least specific lines are written first, and overwritten."""
    out: dict[tuple[date, int], float] = {}
    for kind in (
        lambda d: d not in ("holiday", "sat", "sun", "sat-sun", "sat,sun"),
        lambda d: d[0] == "s",
        "holiday".__eq__,
    ):
        for timed in (False, True):
            for days, hours, times in reversed(lines):
                if kind(days) and (hours is not None) == timed:
                    out |= dict.fromkeys(covered(days, hours, holidays, around), times)
    return out


@pytest.mark.parametrize(("zone", "day", "what", "clock"), DST)
@pytest.mark.parametrize(
    "lines",
    [
        OFFICE,
        [("daily", "01:30-02:30", 2.0), ("sun", "22:00-02:15", 5.0), ("sat", None, 7.0)],
        [
            ("fri-mon", "22:00-03:00", 2.0),
            ("tue,wed", "00:00-24:00", 3.0),
            ("holiday", "20:00-02:45", 4.0),
            ("sat-sun", None, 6.0),
        ],
    ],
)
def test_every_minute_around_a_change_of_clocks_has_its_multiplier(
    zone: str, day: date, what: str, clock: str, lines: Lines
) -> None:
    holidays = {day - timedelta(days=1), day + timedelta(days=2)}
    calendar = Calendar.of(zone, [d.isoformat() for d in holidays], lines)
    oracle = expected(lines, holidays, day)
    happened = list(walls(day - timedelta(days=1), 3, ZoneInfo(zone)))
    assert len(happened) == 3 * 1440 + (60 if what == "repeats" else -60)
    minute = int(clock[:2]) * 60 + int(clock[3:])
    assert sum(wall[1:] == (day, minute) for wall in happened) == (2 if what == "repeats" else 0)
    times = np.array([t for t, _, _ in happened])
    assert calendar.multipliers(times).tolist() == [oracle.get((d, m), 1.0) for _, d, m in happened]


def test_office_hours_are_three_times_normal_and_nights_are_not() -> None:
    calendar = Calendar.of("America/New_York", ["2026-12-25"], OFFICE)
    cases = {
        "2026-12-23T09:00": 3.0,
        "2026-12-23T08:59:59": 1.0,
        "2026-12-23T16:59:59": 3.0,
        "2026-12-23T17:00": 1.0,
        "2026-12-23T03:00": 1.0,
        "2026-12-26T10:00": 0.4,
        "2026-12-25T10:00": 0.2,
        "2026-12-25T03:00": 0.2,
    }
    assert {text: calendar.multiplier(unix(text)) for text in cases} == cases


def test_eastern_standard_time_stays_where_it_is_in_summer() -> None:
    lines = [("daily", "09:00-17:00", 3.0)]
    summer = unix("2026-07-01T09:30", "America/New_York")
    assert Calendar.of("America/New_York", [], lines).multiplier(summer) == 3.0
    assert Calendar.of("EST", [], lines).multiplier(summer) == 1.0
    assert Calendar.of("-05:00", [], lines).multiplier(summer) == 1.0


@pytest.mark.parametrize(
    ("lines", "text", "times"),
    [
        ([("daily", None, 2.0), ("daily", "09:00-10:00", 3.0)], "2026-06-03T09:30", 3.0),
        ([("daily", None, 2.0), ("wed", None, 3.0)], "2026-06-03T09:30", 2.0),
        ([("daily", "09:00-10:00", 3.0), ("sat", None, 2.0)], "2026-06-06T09:30", 2.0),
        ([("sat", None, 2.0), ("holiday", None, 4.0)], "2026-06-06T09:30", 2.0),
        ([("sat", "09:00-10:00", 2.0), ("holiday", None, 4.0)], "2026-07-04T09:30", 4.0),
        ([("sat", None, 2.0), ("holiday", "10:00-11:00", 4.0)], "2026-07-04T09:30", 2.0),
        ([("fri-sat", None, 2.0), ("sat", None, 3.0)], "2026-06-06T09:30", 3.0),
        ([("fri", "22:00-06:00", 2.0), ("sat", None, 3.0)], "2026-06-06T01:00", 3.0),
        ([("holiday", "22:00-06:00", 2.0)], "2026-07-05T05:59:59", 2.0),
        ([("holiday", "22:00-06:00", 2.0)], "2026-07-04T05:00", 1.0),
    ],
)
def test_the_most_specific_line_wins(lines: Lines, text: str, times: float) -> None:
    assert Calendar.of("America/New_York", ["2026-07-04"], lines).multiplier(unix(text)) == times


def test_a_fraction_before_midnight_is_still_the_day_before() -> None:
    calendar = Calendar.of("UTC", [], [("sat", None, 2.0)])
    assert calendar.multiplier(math.nextafter(unix("2026-06-06T00:00", "UTC"), 0)) == 1.0
    assert calendar.multiplier(unix("2026-06-06T00:00", "UTC")) == 2.0


def test_multipliers_keep_the_shape() -> None:
    calendar = Calendar.of("UTC", [], [("daily", "00:00-12:00", 2.0)])
    times = np.array([[0.0, 43200.0], [43199.0, 86400.0]])
    assert calendar.multipliers(times).tolist() == [[2.0, 1.0], [2.0, 2.0]]
    assert calendar.multipliers(np.empty(0)).shape == (0,)


@pytest.mark.parametrize(("text", "hours"), [("+05:30", 5.5), ("-03:00", -3.0), ("+00:00", 0.0), ("UTC", 0.0)])
def test_zones_are_names_or_offsets(text: str, hours: float) -> None:
    assert datetime(2026, 1, 1, tzinfo=parse_zone(text)).utcoffset() == timedelta(hours=hours)


@pytest.mark.parametrize(
    "text", ["", "Mars", "America", "../etc/passwd", "/etc/passwd", "+5:30", "+24:00", "UTC+1", "a\0", "\ud800"]
)
def test_what_is_no_zone_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="expected an IANA time zone such as Europe/Berlin"):
        parse_zone(text)


@pytest.mark.parametrize(
    ("text", "days"),
    [
        ("daily", {0, 1, 2, 3, 4, 5, 6}),
        ("mon-fri", {0, 1, 2, 3, 4}),
        ("fri-mon", {4, 5, 6, 0}),
        ("sat", {5}),
        ("mon, wed,fri", {0, 2, 4}),
        ("mon-tue,saturday", {0, 1, 5}),
        ("mon-mon", {0}),
    ],
)
def test_days_are_single_lists_and_ranges(text: str, days: set[int]) -> None:
    assert parse_days(text) == frozenset(days)


@pytest.mark.parametrize(
    "text", ["", "mo", "mon-", "-fri", "mon;fri", "mon,,fri", "weekdays", "mon,holiday", "mon-wed-fri", "Mon"]
)
def test_what_are_no_days_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="expected daily, mon-fri, a list such as mon,wed,fri, or holiday"):
        parse_days(text)


@pytest.mark.parametrize(
    "text", ["9-17", "09:00", "09:00-25:00", "24:00-08:00", "09:60-10:00", "09:00-24:30", "09:00 - 10:00"]
)
def test_what_are_no_hours_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="expected hours such as 09:00-17:00"):
        parse_hours(text)


@given(st.integers(0, 1439), st.integers(0, 1440))
def test_hours_are_minutes_of_a_day(start: int, end: int) -> None:
    text = f"{start // 60:02}:{start % 60:02}-{end // 60:02}:{end % 60:02}"
    if start == end:
        with pytest.raises(ValueError, match="expected an end that is not the start"):
            parse_hours(text)
    else:
        assert (parse_hours(text).start, parse_hours(text).end) == (start * 60, end * 60)


@pytest.mark.parametrize(
    "text", ["2026-02-30", "20261225", "2026-W01-1", "25.12.2026", "2026-12-25T00:00", "٢٠٢٦-12-25"]
)
def test_what_is_no_date_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="expected a date such as 2026-12-25"):
        parse_date(text)


def test_a_moment_is_wall_time_unless_it_says_its_offset() -> None:
    berlin = parse_zone("Europe/Berlin")
    assert parse_moment("2026-07-01T12:00", berlin) == unix("2026-07-01T10:00", "UTC")
    assert parse_moment("2026-07-01T12:00Z", berlin) == unix("2026-07-01T12:00", "UTC")
    assert parse_moment("2026-07-01T12:00+05:30", berlin) == unix("2026-07-01T06:30", "UTC")
    assert parse_moment("2026-07-01", berlin) == unix("2026-06-30T22:00", "UTC")


def nth(day: date, weekday: int, months: set[int], n: int) -> date:
    """The n-th such weekday (-1: the last) of the days that share year and months, by listing them."""
    days = [date(day.year, 1, 1) + timedelta(days=i) for i in range(366)]
    return [d for d in days if d.year == day.year and d.month in months and d.weekday() == weekday][n]


@pytest.mark.parametrize("period", ["month", "quarter"])
@pytest.mark.parametrize(("word", "n"), [("first", 0), ("second", 1), ("third", 2), ("fourth", 3), ("last", -1)])
@pytest.mark.parametrize(("name", "weekday"), [("sunday", 6), ("friday", 4), ("tue", 1)])
def test_the_nth_weekday_is_found_on_every_day_of_five_years(
    period: str, word: str, n: int, name: str, weekday: int
) -> None:
    rule = parse_rule(f"{word} {name} of {period}")
    for i in range(5 * 365):
        day = date(2023, 1, 1) + timedelta(days=i)
        first = (day.month - 1) // 3 * 3 + 1
        months = {day.month} if period == "month" else {first, first + 1, first + 2}
        assert rule(day) == (day.weekday() == weekday and nth(day, weekday, months, n) == day), day


@pytest.mark.parametrize(
    "text", ["", "fifth sunday of month", "first day of month", "first sunday", "holiday", "first sun of year"]
)
def test_what_is_no_rule_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="or a rule such as first sunday of quarter"):
        parse_rule(text)


def test_the_quarterly_window_holds_on_its_four_nights_of_the_year() -> None:
    windows = Windows((Recurring.of("quarterly", "first sunday of quarter", "02:00-04:00", "UTC"),))
    start = unix("2026-01-01T00:00", "UTC")
    times = np.arange(start, start + 365 * 86400, 1800.0)
    held = [datetime.fromtimestamp(t, UTC).strftime("%m-%d %H:%M") for t in times[windows.mask(times)]]
    nights = ["01-04", "04-05", "07-05", "10-04"]
    assert held == [f"{night} {clock}" for night in nights for clock in ("02:00", "02:30", "03:00", "03:30")]


@pytest.mark.parametrize(("zone", "day", "what", "clock"), DST)
def test_a_window_in_the_changing_hour_happens_never_or_twice(zone: str, day: date, what: str, clock: str) -> None:
    end = f"{clock[:3]}45"
    windows = Windows((Recurring.of("w", "daily", f"{clock}-{end}", zone),))
    happened = list(walls(day, 1, ZoneInfo(zone)))
    held = [wall for wall in happened if windows.active(wall[0]) == "w"]
    assert len(held) == (30 if what == "repeats" else 0)


def test_a_window_past_midnight_belongs_to_the_day_on_which_it_begins() -> None:
    windows = Windows((Recurring.of("w", "fri", "22:00-06:00", "Europe/Berlin"),))
    cases = {"2026-06-05T21:59:59": None, "2026-06-05T22:00": "w", "2026-06-06T05:59:59": "w", "2026-06-06T06:00": None}
    assert {text: windows.active(unix(text, "Europe/Berlin")) for text in cases} == cases
    assert windows.active(unix("2026-06-06T23:00", "Europe/Berlin")) is None
    assert windows.active(unix("2026-06-05T05:00", "Europe/Berlin")) is None


def test_the_first_window_that_holds_gives_its_name() -> None:
    single = Single.of("move", "2026-03-01T02:00", "2026-03-01T04:00", "Europe/Berlin")
    windows = Windows((single, Recurring.of("night", "daily", "00:00-06:00", "UTC")))
    start = unix("2026-03-01T01:00", "UTC")
    assert [windows.active(start + dt) for dt in (-1, 0, 7199, 7200, 5 * 3600)] == [
        "night",
        "move",
        "move",
        "night",
        None,
    ]
    assert Windows().active(0.0) is None
    assert windows.mask(np.array([[start], [start + 5 * 3600]])).tolist() == [[True], [False]]


def test_a_window_that_ends_before_it_starts_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^found '2026-03-01T02:00', expected an end after the start"):
        Single.of("move", "2026-03-01T02:00", "2026-03-01T02:00", "UTC")
