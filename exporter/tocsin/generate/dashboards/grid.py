"""Places for panels: sections of lines that are 24 wide, with no hole and no overlap by construction."""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

WIDTH = 24
_MOST = 4

#: A panel without its place: `w` and `h` of gridPos are known.
Panel = dict[str, Any]
Line = Sequence[Panel]


@dataclass(frozen=True)
class Section:
    """Lines of panels below a heading; without a title there is no heading."""

    title: str | None
    lines: Sequence[Line]


def sized(panel: Panel, w: int, h: int) -> Panel:
    """The panel in this size."""
    return {**panel, "gridPos": {"h": h, "w": w}}


def line(h: int, *panels: tuple[Panel, int]) -> list[Panel]:
    """A line of panels, each with its width."""
    return [sized(panel, w, h) for panel, w in panels]


def spread(panels: Sequence[Panel], h: int, most: int = _MOST) -> list[list[Panel]]:
    """Lines of panels that share each line evenly; `most` divides 24, as each number up to 4 does."""
    count = -(-len(panels) // most)
    sizes = [len(panels) // count + (i < len(panels) % count) for i in range(count)]
    rest = iter(panels)
    return [[sized(p, WIDTH // n, h) for p in itertools.islice(rest, n)] for n in sizes]


def share(panels: Sequence[Panel], h: int) -> list[Panel]:
    """One line that all of them share, the first ones wider where it does not come out even."""
    width, wider = divmod(WIDTH, len(panels))
    return [sized(panel, width + (i < wider), h) for i, panel in enumerate(panels)]


def place(sections: Sequence[Section]) -> list[Panel]:
    """All panels with ids and places; ValueError for a line that is not exactly as wide as the grid, or ragged."""
    out: list[Panel] = []
    y = 0
    for section in sections:
        if not section.lines:
            continue
        if section.title is not None:
            out.append(_heading(section.title, len(out) + 1, y))
            y += 1
        for panels in section.lines:
            out += _line(panels, len(out) + 1, y)
            y += panels[0]["gridPos"]["h"]
    return out


def _heading(title: str, number: int, y: int) -> Panel:
    at = {"h": 1, "w": WIDTH, "x": 0, "y": y}
    return {"id": number, "type": "row", "title": title, "collapsed": False, "gridPos": at, "panels": []}


def _line(panels: Line, number: int, y: int) -> Iterator[Panel]:
    sizes = [(panel["gridPos"]["w"], panel["gridPos"]["h"]) for panel in panels]
    if sum(w for w, _ in sizes) != WIDTH or len({h for _, h in sizes}) != 1:
        raise ValueError(f"a line of panels has the sizes {sizes}")
    x = 0
    for i, (panel, (w, h)) in enumerate(zip(panels, sizes, strict=True)):
        yield {"id": number + i, **panel, "gridPos": {"h": h, "w": w, "x": x, "y": y}}
        x += w


def drawn(panels: Sequence[Panel]) -> str:
    """The layout as text: a sign per cell, the same one for all cells of a panel, `.` for a hole and `!` for two."""
    height = max((p["gridPos"]["y"] + p["gridPos"]["h"] for p in panels), default=0)
    cells = [["."] * WIDTH for _ in range(height)]
    signs = itertools.cycle("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
    for panel, sign in zip(panels, signs, strict=False):
        at = panel["gridPos"]
        for y, x in itertools.product(range(at["y"], at["y"] + at["h"]), range(at["x"], at["x"] + at["w"])):
            cells[y][x] = sign if cells[y][x] == "." else "!"
    return "\n".join("".join(row) for row in cells)
