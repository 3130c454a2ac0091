"""What the demonstration shows: a live table below the stages on a terminal, plain lines elsewhere."""

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Literal

from rich import box
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn
from rich.table import Table
from rich.text import Text

from tocsin import names
from tocsin.demo.readings import Line, Reading, Row

_STYLES = {-1: "dim", 0: "green", 1: "cyan", 2: "yellow", 3: "dark_orange", 4: "bold red"}
_ALERTS = {"": ("-", "dim"), "pending": ("pending", "yellow"), "firing": ("FIRING", "bold red")}
#: Characters of the strip that shows value and band between 0 and _STRIP_END.
_STRIP, _STRIP_END = 36, 1.2
#: Console columns from which on the table has all numbers, and the strips too.
_WIDE, _STRIPS = 114, 153
_PLAIN_EVERY = 5.0


def percent(ratio: float | None) -> str:
    """A ratio for people."""
    return "-" if ratio is None else f"{100 * ratio:.1f} %"


def band(row: Row) -> str:
    """The expected band for people."""
    if row.lower is None or row.upper is None:
        return "-"
    return f"{100 * row.lower:.1f} to {percent(row.upper)}"


def breach(row: Row, now: float) -> str:
    """When the limit is reached, or why there is no such time."""
    if row.breach is None:
        return row.no_breach.replace("_", " ") or "-"
    minutes = max(0, round((row.breach - now) / 60))
    at = datetime.fromtimestamp(row.breach, tz=UTC).astimezone()
    return f"{at:%a %H:%M}, in {minutes // 60}h{minutes % 60:02d}m"


def strip(row: Row) -> Text:
    """The band as a thick line and the value as a dot, from 0 to 120 %; a tick at the limit of 100 %."""
    text = Text()
    here, lower, upper, limit = (_cell(x) for x in (row.value, row.lower, row.upper, 1.0))
    for cell in range(_STRIP):
        if cell == here:
            text.append("●", _STYLES[row.tier])
        elif lower is not None and upper is not None and lower <= cell <= upper:
            text.append("━", "green")
        else:
            text.append("┊" if cell == limit else "─", "dim")
    return text


def _cell(x: float | None) -> int | None:
    return None if x is None else min(max(math.floor(x / _STRIP_END * _STRIP), 0), _STRIP - 1)


def number(x: float | None, decimals: int) -> str:
    """A plain number for people."""
    return "-" if x is None else f"{x:.{decimals}f}"


def table(reading: Reading, now: float, width: int) -> Table:
    """All resources at unix time `now`, for a console of `width` columns: what matters least is left out first."""
    wide, strips = width >= _WIDE, width >= _STRIPS
    out = Table(box=box.ROUNDED if wide else None, header_style="bold", border_style="dim")
    columns = _columns(now, wide=wide, strips=strips)
    for title, (justify, minimum, _) in columns.items():
        most = None if wide else max(minimum, len(title))
        out.add_column(title, justify=justify, min_width=minimum, max_width=most, no_wrap=True)
    for row in reading.rows:
        out.add_row(*(show(row) for _, _, show in columns.values()))
    return out


def services(lines: Sequence[Line], width: int, *, whole: bool) -> Table:
    """All services for a console of `width` columns: one line each, what is worst and has room, or `whole`."""
    wide, between = width >= _WIDE, "\n" if whole else ", "
    out = Table(box=None, header_style="bold")
    signals = [_signals(line, wide=wide) for line in lines]
    longest = max((len(text) for text in signals), default=0)
    least = {"service": 12, "signals" if wide else "graded": max(longest, 6), "error budget left": 30}
    for title, minimum in least.items():
        out.add_column(title, min_width=minimum, no_wrap=True)
    # Two columns of padding for each of the four.
    room = max(width - sum(least.values()) - 8, 12)
    out.add_column("alerts", max_width=room, no_wrap=not whole, overflow="fold" if whole else "ellipsis")
    for line, seen in zip(lines, signals, strict=True):
        slos = sorted(line.budgets, key=lambda slo: (line.budgets[slo], slo))
        budgets = Text("\n").join(_budget(line, slo) for slo in (slos if whole else slos[:1]))
        out.add_row(line.service, seen, budgets if slos else "-", _alerts(line, between))
    return out


def _signals(line: Line, *, wide: bool) -> Text:
    """How many signals are seen and graded, and how many there is nothing of."""
    empty, graded, most = len(line.empty), len(line.graded), len(line.series)
    text = f"{most - empty} seen, {graded} graded" if wide else f"{graded}/{most}"
    return Text(text + (f", {empty} EMPTY" if empty and wide else ""), "green" if graded == most else "yellow")


def _budget(line: Line, slo: str) -> Text:
    """What is left of an SLO's budget, and how fast it is spent where that is too fast."""
    left, burning = f"{slo} {100 * line.budgets[slo]:.1f} %", line.burning.get(slo, 0.0)
    return Text(f"{left}, burns {burning:.0f}x", "bold red") if burning > 1 else Text(left, "green")


def _alerts(line: Line, between: str) -> Text:
    """Names of the alerts that are active, the firing ones first."""
    shown = [Text.assemble(name, " ", _ALERTS[state]) for state in ("firing", "pending") for name in line.named(state)]
    return Text(between).join(shown) if shown else Text("-", "dim")


_Column = tuple[Literal["left", "right"], int, Callable[[Row], Text]]


def _columns(now: float, *, wide: bool, strips: bool) -> dict[str, _Column]:
    """Columns by title: alignment, least width (so that the table does not jump) and what they show of a row."""

    def when(row: Row) -> Text:
        text = breach(row, now)
        return Text(text if wide else text.partition(",")[0], "dim" if row.breach is None else "bold magenta")

    def graded(text: Callable[[Row], str]) -> Callable[[Row], Text]:
        return lambda row: Text(text(row), _STYLES[row.tier])

    tier = graded(lambda row: f"{row.tier} {names.TIER_LABELS[row.tier]}" if wide else str(row.tier))
    columns: dict[str, _Column | None] = {
        "resource": ("left", 8, graded(lambda row: row.resource)),
        "value": ("right", 6, graded(lambda row: percent(row.value))),
        "expected band": ("right", 14, lambda row: Text(band(row))),
        "0 %        the limit of 100 %  ┊ ": ("left", _STRIP, strip) if strips else None,
        "z": ("right", 5, graded(lambda row: number(row.z, 2))),
        "delta": ("right", 5, graded(lambda row: number(row.delta, 3))) if wide else None,
        "tier": ("left", 15 if wide else 4, tier),
        "in 24h": ("right", 6, lambda row: Text(percent(row.forecast))),
        "reaches 100 %" if wide else "full at": ("left", 20 if wide else 10, when),
        "alert": ("left", 7, lambda row: Text(*_ALERTS[row.alert])),
    }
    return {title: column for title, column in columns.items() if column is not None}


class Screen:
    """Speaks to a person: seconds since the start before each line. Use as a context manager."""

    def __init__(self, console: Console | None = None, clock: Callable[[], float] = time.time) -> None:
        self.console = console or Console(highlight=False)
        if not self.console.is_terminal:
            self.console.width = _WIDE
        self._clock, self._began = clock, clock()
        self._live: Live | None = None
        self._urls: Mapping[str, str] = {}
        self._told = -math.inf

    @property
    def seconds(self) -> float:
        """Since the start."""
        return self._clock() - self._began

    def say(self, text: str, style: str = "") -> None:
        """One line about what happens."""
        self.console.print(Text(f"{self.seconds:6.1f} s  ", "dim") + Text(text, style), soft_wrap=True)

    @contextmanager
    def bar(self, what: str, total: int) -> Iterator[Callable[[], None]]:
        """A progress bar, which the yielded function advances by one; none but on a terminal."""
        if not self.console.is_terminal:
            yield lambda: None
            return
        columns = (TextColumn("{task.description:>24}"), BarColumn(), TaskProgressColumn())
        with Progress(*columns, console=self.console, transient=True) as progress:
            task = progress.add_task(what, total=total)
            yield lambda: progress.advance(task)

    def open(self, urls: Mapping[str, str]) -> None:
        """Begin with the table; `urls` are what to look at in a browser, by title."""
        self._urls = urls
        if self.console.is_terminal:
            self._live = Live(console=self.console, auto_refresh=False)
            self._live.start()
        else:
            for title, url in urls.items():
                self.say(f"{title}: {url}")

    def show(self, reading: Reading, watched: Row, what: str) -> None:
        """Show a reading; `what` says what goes on. Without a terminal: a line about `watched` now and then."""
        if self._live is not None:
            self._live.update(self._picture(reading, what), refresh=True)
        elif self._clock() - self._told >= _PLAIN_EVERY:
            self._told = self._clock()
            tier = f"tier {watched.tier} {names.TIER_LABELS[watched.tier]}"
            z = number(watched.z, 2)
            self.say(f"{watched.resource} {percent(watched.value)}, expected {band(watched)}, z {z}, {tier}")

    def _picture(self, reading: Reading, what: str) -> RenderableType:
        title = Text.assemble(("Tocsin", "bold"), f"  {self.seconds:.0f} s  ", (what, "italic"))
        links = Table.grid(padding=(0, 2))
        for name, url in self._urls.items():
            links.add_row(Text(name, "dim"), Text(url, f"link {url}" if url.startswith("http") else "cyan"))
        width = self.console.width
        lines = services(reading.services, width, whole=False)
        return Group("", title, table(reading, self._clock(), width), lines, links)

    def close(self, reading: Reading) -> None:
        """End the live table, which stays as it was; without a terminal print the last one."""
        if self._live is not None:
            self._live.stop()
            self._live = None
        elif reading.rows:
            self.console.print(table(reading, self._clock(), self.console.width))
            self.console.print(services(reading.services, self.console.width, whole=True))
