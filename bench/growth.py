"""Cost of a cycle and peak memory from a thousand to a million resources, as one plot."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from cycles import measure
from harness import Row, isolated, middle

PLOT = Path(__file__).with_name("growth.svg")
#: A short window, so that a million resources fit into the memory of a small machine; a cycle costs the same with 500.
WINDOW = 60
#: Grid times learnt before: a full window, a season that has started and forecasts that have been scored.
WARMUP = 170


@dataclass(frozen=True, slots=True)
class Point:
    """One size: resources, CPU seconds of a cycle, peak memory in bytes."""

    resources: int
    cpu: float
    memory: float


def points(sizes: Sequence[int], cycles: int) -> Iterator[Point]:
    """Measure each size in a process of its own."""
    for count in sizes:
        got = isolated(measure, count, WINDOW, cycles, WARMUP)
        yield Point(count, middle(got.cycle), got.peak)


def benchmark(sizes: Sequence[int], cycles: int, plot: Path | None) -> Iterator[Row]:
    """Each size; then draw `plot`."""
    seen = []
    for point in points(sizes, cycles):
        seen.append(point)
        yield Row(f"growth, {point.resources:,} resources, window {WINDOW}: CPU of a cycle", point.cpu)
        yield Row(f"growth, {point.resources:,} resources, window {WINDOW}: peak memory", point.memory, "B")
    if plot is not None:
        plot.write_text(draw(seen))


_WIDTH, _HEIGHT = 720, 420
_LEFT, _RIGHT, _TOP, _BOTTOM = 80, 640, 40, 350
_FONT = 'font-family="sans-serif" font-size="13"'
_CPU_COLOUR, _MEMORY_COLOUR = "#0b61a4", "#b3450b"


@dataclass(frozen=True, slots=True)
class _Axis:
    """Decades from `low` to `high` (exponents of ten) between two positions."""

    low: int
    high: int
    start: float
    end: float

    def at(self, value: float) -> float:
        share = (math.log10(value) - self.low) / (self.high - self.low)
        return self.start + share * (self.end - self.start)

    def ticks(self) -> list[int]:
        return [10**e for e in range(self.low, self.high + 1)]


def _axis(values: Sequence[float], start: float, end: float) -> _Axis:
    low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))
    return _Axis(low, max(high, low + 1), start, end)


def _text(x: float, y: float, text: str, anchor: str = "middle", colour: str = "#333") -> str:
    return f'<text x="{x:.0f}" y="{y:.0f}" text-anchor="{anchor}" fill="{colour}">{text}</text>'


def _line(x: float, y: float, to_x: float, to_y: float) -> str:
    return f'<line x1="{x:.1f}" y1="{y:.1f}" x2="{to_x:.1f}" y2="{to_y:.1f}" stroke="#ddd"/>'


def _curve(places: Sequence[tuple[float, float]], colour: str) -> list[str]:
    joined = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    dots = [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="{colour}"/>' for x, y in places]
    return [f'<polyline points="{joined}" fill="none" stroke="{colour}" stroke-width="2"/>', *dots]


def draw(seen: Sequence[Point]) -> str:
    """An SVG, logarithmic both ways: CPU milliseconds on the left axis, megabytes on the right one."""
    across = _axis([p.resources for p in seen], _LEFT, _RIGHT)
    cpu = _axis([p.cpu * 1e3 for p in seen], _BOTTOM, _TOP)
    memory = _axis([p.memory / 1e6 for p in seen], _BOTTOM, _TOP)
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" {_FONT}>',
        "<title>CPU of a cycle and peak memory by number of resources</title>",
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="#fff"/>',
    ]
    for tick in across.ticks():
        x = across.at(tick)
        out += [_line(x, _TOP, x, _BOTTOM), _text(x, _BOTTOM + 20, f"{tick:,}")]
    for tick in cpu.ticks():
        y = cpu.at(tick)
        out += [_line(_LEFT, y, _RIGHT, y), _text(_LEFT - 8, y + 4, f"{tick:,}", "end", _CPU_COLOUR)]
    out += [_text(_RIGHT + 8, memory.at(t) + 4, f"{t:,}", "start", _MEMORY_COLOUR) for t in memory.ticks()]
    out += _curve([(across.at(p.resources), cpu.at(p.cpu * 1e3)) for p in seen], _CPU_COLOUR)
    out += _curve([(across.at(p.resources), memory.at(p.memory / 1e6)) for p in seen], _MEMORY_COLOUR)
    out += [
        _text(_LEFT, _TOP - 16, "CPU of a cycle, ms", "middle", _CPU_COLOUR),
        _text(_RIGHT, _TOP - 16, "peak memory, MB", "middle", _MEMORY_COLOUR),
        _text((_LEFT + _RIGHT) / 2, _BOTTOM + 46, f"resources (window {WINDOW}, season 48, all detectors and models)"),
        "</svg>",
    ]
    return "\n".join(out) + "\n"
