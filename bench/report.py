"""Rows as a table: on the terminal, and in Markdown between two markers of README.md."""

import platform
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from harness import Row
from rich.console import Console
from rich.table import Table

BEGIN, END = "<!-- begin: table -->", "<!-- end: table -->"
HEAD = ("what", "cost", "peer", "its cost", "ratio", "aim", "met")
#: Load above which the note says that somebody else was using the machine; one benchmark alone makes 1.
_BUSY = 1.5


@dataclass(frozen=True, slots=True)
class About:
    """Where and how the rows were measured: processor, load before and after each benchmark, seconds in all."""

    processor: str
    loads: tuple[float, ...]
    seconds: float
    quick: bool

    def text(self) -> str:
        """One paragraph."""
        busy = max(self.loads) > _BUSY
        load = f"load average {self.loads[0]:.1f} at the start, {max(self.loads):.1f} at most"
        shared = "; other programs were using the machine, so times are upper bounds and ratios rough" if busy else ""
        size = " Small sizes (--quick): these numbers say only that everything runs." if self.quick else ""
        python = f"Python {platform.python_version()}, numpy {np.__version__}"
        return f"{self.processor}; {python}; {load}{shared}; {self.seconds / 60:.1f} minutes in all.{size}"


def amount(value: float, unit: str) -> str:
    """Seconds and bytes in the unit that reads best."""
    if unit == "B":
        return f"{value / 1e6:,.0f} MB"
    for size, name in ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs")):
        if value >= size:
            return f"{value / size:.3g} {name}"
    return f"{value / 1e-9:.3g} ns"


def times(ratio: float) -> str:
    """A ratio, with no more digits than it deserves."""
    return f"{ratio:,.0f}x" if ratio >= 10 else f"{ratio:.1f}x"


def cells(row: Row) -> tuple[str, ...]:
    """The texts of one row, in the order of HEAD."""
    aim = f"at most {amount(row.at_most, row.unit)}" if row.at_most is not None else ""
    if row.at_least is not None:
        aim = f"at least {row.at_least:,.0f}x"
    met = {True: "yes", False: "no", None: ""}[row.met]
    theirs = "" if row.peer_cost is None else amount(row.peer_cost, row.unit)
    ratio = "" if row.ratio is None else times(row.ratio)
    return row.what, amount(row.cost, row.unit), row.peer, theirs, ratio, aim, met


def show(rows: Sequence[Row], about: About, console: Console) -> None:
    """Print the table."""
    table = Table(caption=about.text(), caption_justify="left")
    for name in HEAD:
        table.add_column(name, overflow="fold", justify="left" if name in ("what", "peer") else "right")
    for row in rows:
        colour = {True: "green", False: "red", None: None}[row.met]
        table.add_row(*cells(row), style=colour)
    console.print(table)


def markdown(rows: Sequence[Row], about: About) -> str:
    """The table and where it was measured."""
    lines = [HEAD, ("---", "---:", "---", "---:", "---:", "---:", "---"), *(cells(row) for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + f"\n\n{about.text()}"


def write(rows: Sequence[Row], about: About, path: Path) -> None:
    """Put the table between the markers of a file; ValueError where it has none."""
    text = path.read_text(encoding="utf-8")
    head, begin, rest = text.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{path.name} has no {BEGIN} ... {END} to write between")
    path.write_text(f"{head}{BEGIN}\n{markdown(rows, about)}\n{END}{tail}", encoding="utf-8")
