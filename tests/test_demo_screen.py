"""What the demonstration shows fits where it is shown."""

from __future__ import annotations

import io
import re
from datetime import UTC, datetime

import pytest
from rich.console import Console

from tocsin.demo.readings import Line, Reading, Row
from tocsin.demo.screen import Screen, band, breach, percent, services, strip, table

NOW = 1_800_000_000.0
READING = Reading(
    (
        Row("cello", 0, 0.891, 0.881, 0.913, -0.65, 0.005, 0.932, NOW + 33_900),
        Row("piano", 4, 0.706, 0.463, 0.569, 7.11, 0.19, 0.514, None, "no_breach", "firing"),
        Row("violin", 1, 0.6, 0.486, 0.588, 1.91, 0.06, 0.5, None, "insufficient_data", "pending"),
        Row("voice", -1),
    ),
    received=1,
    services=(
        Line("amas", {"cpu": 2, "queue": 1}, {"cpu", "queue"}),
        Line("learning", {"drift": 0, "duration": 1}, {"duration"}),
        Line(
            "maestro",
            {"cpu": 1},
            {"cpu"},
            {"api-latency": 1.0, "api-errors": 0.969},
            {"api-latency": 0.1, "api-errors": 434.0},
            {"ApiErrorBudgetBurnTicket": "pending", "ApiErrorBudgetBurn": "firing"},
        ),
    ),
)


def printed(width: int) -> list[str]:
    console = Console(width=width, file=io.StringIO(), highlight=False)
    console.print(table(READING, NOW, width))
    return console.file.getvalue().splitlines()  # type: ignore[attr-defined]  # the StringIO above


def test_numbers_are_written_for_people() -> None:
    assert percent(0.7061) == "70.6 %"
    assert band(READING.rows[1]) == "46.3 to 56.9 %"
    assert band(READING.rows[3]) == percent(None) == "-"


def test_a_breach_is_a_date_and_how_long_it_takes_and_otherwise_the_reason() -> None:
    cello, piano, violin, voice = READING.rows
    local = datetime.fromtimestamp(NOW + 33_900, tz=UTC).astimezone()
    assert breach(cello, NOW) == f"{local:%a %H:%M}, in 9h25m"
    assert [breach(row, NOW) for row in (piano, violin, voice)] == ["no breach", "insufficient data", "-"]


def test_the_strip_shows_value_band_and_limit_in_their_places() -> None:
    # 36 cells for 0 to 120 %: 3.33 points each.
    assert strip(Row("x", 0, value=0.5, lower=0.3, upper=0.4)).plain == "─" * 9 + "━" * 4 + "──●" + "─" * 14 + "┊─────"
    assert strip(Row("x", 0, value=9.0)).plain[-1] == "●"
    assert strip(Row("x", -1)).plain == "─" * 30 + "┊" + "─" * 5


@pytest.mark.parametrize("width", [80, 114, 153])
def test_the_table_fits_the_console_and_nothing_that_matters_is_cut_off(width: int) -> None:
    lines = printed(width)
    assert max(map(len, lines)) <= width
    text = "\n".join(lines)
    for word in ("piano", "70.6 %", "46.3 to 56.9 %", "7.11", "4", "51.4 %", "no breach", "FIRING"):
        assert word in text
    assert ("in 9h25m" in text) == (width > 80)
    assert ("●" in text) == (width > 114)


def test_without_a_terminal_there_are_plain_lines_and_one_table_at_the_end() -> None:
    out, now = io.StringIO(), [NOW]
    screen = Screen(Console(file=out, highlight=False), clock=lambda: now[0])
    screen.open({"Tocsin": "http://127.0.0.1:9889/"})
    for _ in range(4):
        now[0] += 2.0
        screen.show(READING, READING.row("piano"), "a surge")
    screen.close(READING)
    lines = out.getvalue().splitlines()
    assert "\x1b" not in out.getvalue()
    assert lines[0] == "   0.0 s  Tocsin: http://127.0.0.1:9889/"
    piano = "piano 70.6 %, expected 46.3 to 56.9 %, z 7.11, tier 4 Critical"
    assert lines[1:3] == [f"   2.0 s  {piano}", f"   8.0 s  {piano}"]
    # The frame and the title of one table, the title of the other, and two SLOs and alerts of maestro.
    assert len(lines) == 3 + 4 + len(READING.rows) + 1 + len(READING.services) + 1


def shown(width: int, *, whole: bool) -> list[str]:
    out = io.StringIO()
    Console(width=width, file=out, highlight=False).print(services(READING.services, width, whole=whole))
    return [line.rstrip() for line in out.getvalue().splitlines()]


def test_each_service_has_one_line_with_what_is_worst_of_it() -> None:
    assert [re.split(" {2,}", line.strip()) for line in shown(114, whole=False)] == [
        ["service", "signals", "error budget left", "alerts"],
        ["amas", "2 seen, 2 graded", "-", "-"],
        ["learning", "1 seen, 1 graded, 1 EMPTY", "-", "-"],
        ["maestro", "1 seen, 1 graded", "api-errors 96.9 %, burns 434x", "ApiErrorBudgetBurn FIRING, ApiErrorBud…"],
    ]


def test_on_a_narrow_console_the_lines_fit_too() -> None:
    assert shown(80, whole=False) == [
        " service       graded  error budget left               alerts",
        " amas          2/2     -                               -",
        " learning      1/2     -                               -",
        " maestro       1/1     api-errors 96.9 %, burns 434x   ApiErrorBudgetBurn FIRI…",
    ]


def test_at_the_end_nothing_of_a_service_is_cut_off() -> None:
    assert shown(114, whole=True)[3:] == [
        " maestro       1 seen, 1 graded           api-errors 96.9 %, burns 434x   ApiErrorBudgetBurn FIRING",
        "                                          api-latency 100.0 %             ApiErrorBudgetBurnTicket pending",
    ]
