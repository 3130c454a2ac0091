"""What burn alerts would have done over a stretch of the past, from the source's own metrics alone.

Asking for a burn rate over three days at every evaluation reads each sample hundreds of times. Events add up, so they
are asked for in slots of five minutes, each sample once, a day of slots in one query; the windows are put together
here, and the alerts' own expressions are worked out on them.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import promql_parser as promql
from numpy.lib.stride_tricks import sliding_window_view

from tocsin import names
from tocsin.config.types import format_duration
from tocsin.core import slo as core
from tocsin.core.columns import Bools, Floats
from tocsin.generate.lint.inline import Cannot
from tocsin.generate.lint.tree import equalities, fold, metric
from tocsin.generate.slo import Objective
from tocsin.replay import Alarm, Past, Told, Waits
from tocsin.source.client import Source

#: Seconds of a slot, and between two looks at an alert: the shortest window of an alert, and a part of all others.
SLOT = 300
#: Seconds that one query is about.
_PART = core.DAY
#: Steps in which a window is asked for where what is in it cannot be added up.
_STEPS = 48
#: Seconds of the window before the first time that is looked at.
_BEFORE = core.ALL[-1]

_CALLS: Mapping[str, Callable[..., Floats]] = {
    "abs": np.abs,
    "clamp_max": np.minimum,
    "clamp_min": np.maximum,
    "sqrt": np.sqrt,
}
_ARITHMETIC: Mapping[str, Callable[[Floats, Floats], Floats]] = {
    "+": np.add,
    "-": np.subtract,
    "*": np.multiply,
    "/": np.divide,
}
_COMPARISONS: Mapping[str, Callable[[Floats, Floats], Bools]] = {
    "==": np.equal,
    "!=": np.not_equal,
    ">": np.greater,
    "<": np.less,
    ">=": np.greater_equal,
    "<=": np.less_equal,
}


@dataclass(frozen=True, slots=True)
class Recordings:
    """What the rules of an SLO would have recorded: `series[name]` (T,) at `times` (T,), NaN where there is nothing.

    `known` (T,) tells when the SLI had a result; `seen` is False when no bad event was ever there to be counted.
    """

    identity: Mapping[str, str]
    times: Floats
    series: Mapping[str, Floats]
    known: Bools
    seen: bool = True

    @property
    def since(self) -> float | None:
        """When the SLI had its first result; None if it never had one."""
        there = np.flatnonzero(self.known)
        return float(self.times[there[0]]) if there.size else None

    @property
    def share(self) -> float:
        """How much of the time since then it had one."""
        return float(np.mean(self.known[np.argmax(self.known) :]))

    def past(self, tree: promql.Expr, waits: Waits, start: float, end: float) -> Past:
        """What an alert on these recordings would have done; Cannot when its expression needs more than them."""
        machine = Alarm(waits, SLOT)
        active = ~np.isnan(self._value(tree))
        for t, on in zip(self.times.tolist(), active[:, None], strict=True):
            machine.see(t, on)
        return machine.past(start, end)

    def _value(self, tree: promql.Expr) -> Floats:
        with np.errstate(all="ignore"):
            return fold(tree, self._node)

    def _node(self, node: promql.Expr, below: list[Floats]) -> Floats:
        if isinstance(node, promql.VectorSelector):
            return self._selected(node)
        if isinstance(node, promql.NumberLiteral):
            return np.full(len(self.times), node.val)
        if isinstance(node, promql.ParenExpr):
            return below[0]
        if isinstance(node, promql.BinaryExpr):
            return _binary(node, *below)
        if isinstance(node, promql.Call) and node.func.name in _CALLS:
            return _CALLS[node.func.name](*below)
        raise Cannot(f"its expression is not one that is worked out here: {node.prettify()}")

    def _selected(self, node: promql.VectorSelector) -> Floats:
        found = self.series.get(metric(node) or "")
        wanted = {label: value for label, value in equalities(node).items() if label != "__name__"}
        if found is None or wanted != self.identity or node.offset is not None or node.at is not None:
            raise Cannot(f"its expression needs {node.prettify()} in the source")
        return found


def _binary(node: promql.BinaryExpr, left: Floats, right: Floats) -> Floats:
    """The operator on one series on each side, both with the same labels, so that they always match."""
    op = str(node.op)
    if op == "and":
        return np.where(np.isnan(right), np.nan, left)
    if op == "unless":
        return np.where(np.isnan(right), left, np.nan)
    if op == "or":
        return np.where(np.isnan(left), right, left)
    if op in _ARITHMETIC:
        return _ARITHMETIC[op](left, right)
    if op in _COMPARISONS and not (node.modifier is not None and node.modifier.return_bool):
        return np.where(_COMPARISONS[op](left, right), left, np.nan)
    raise Cannot(f"its expression is not one that is worked out here: {node.prettify()}")


async def recordings(slo: Objective, source: Source, start: float, end: float, told: Told) -> Recordings:
    """What the rules of an SLO would have recorded from start to end, in steps of SLOT. Raises SourceError, Cannot."""
    first, last = -(-start // SLOT) * SLOT, end // SLOT * SLOT
    asked = _Asked(source, told)
    if slo.measure.counted:
        found = await _counted(slo, asked, first - _BEFORE, last)
    elif slo.measure.now is not None:
        found = await _averaged(slo, asked, first - _BEFORE, last)
    else:
        found = await _by_window(slo, asked, first, last)
    series, known, seen = found
    times = np.arange(first, last + SLOT / 2, SLOT)
    cut = {name: values[-len(times) :] for name, values in series.items()}
    return Recordings(slo.identity, times, cut, known[-len(times) :], seen)


#: Series by name, when there was a result, and whether a bad event was ever there to be counted.
_Found = tuple[dict[str, Floats], Bools, bool]


async def _counted(slo: Objective, asked: "_Asked", first: float, last: float) -> _Found:
    measure, text = slo.measure, format_duration(SLOT)
    which = measure.good_over(text) if measure.bad is None else measure.bad(text)
    total, part = await asked.columns([measure.total_over(text), which], first, last, SLOT)
    series = {}
    for window in core.ALL:
        events, some = _sums(total, window // SLOT)[0], _sums(part, window // SLOT)[0]
        if measure.lazy:
            some = np.where(np.isnan(some), 0 * events, some)
        share = some / np.where(events > 0, events, np.nan)
        name = format_duration(window)
        series[names.RECORD_ERROR_OVER + name] = 1 - share if measure.bad is None else share
        series[names.RECORD_EVENTS_OVER + name] = events
    return series, ~np.isnan(total), measure.bad is None or not np.isnan(part).all()


async def _averaged(slo: Objective, asked: "_Asked", first: float, last: float) -> _Found:
    expr = f"avg_over_time(({slo.measure.now})[{format_duration(SLOT)}:1m])"
    [now] = await asked.columns([expr], first, last, SLOT)
    series = {}
    for window in core.ALL:
        total, count = _sums(now, window // SLOT)
        series[names.RECORD_ERROR_OVER + format_duration(window)] = total / np.where(count > 0, count, np.nan)
    return series, ~np.isnan(now), True


async def _by_window(slo: Objective, asked: "_Asked", first: float, last: float) -> _Found:
    """Each window asked for by itself: a long one changes slowly, and is asked for as often as that needs."""
    series, length = {}, round((last - first) / SLOT) + 1
    for window in core.ALL:
        every = max(1, window // SLOT // _STEPS)
        text = format_duration(window)
        [values] = await asked.columns([slo.measure.share(text)], first, last, every * SLOT)
        series[names.RECORD_ERROR_OVER + text] = np.repeat(values, every)[:length]
    return series, ~np.isnan(series[names.RECORD_ERROR_OVER + format_duration(core.HOUR)]), True


class _Asked:
    """A source that is asked for one series each."""

    def __init__(self, source: Source, told: Told) -> None:
        self._source, self._told = source, told

    async def columns(self, exprs: Sequence[str], first: float, last: float, step: float) -> list[Floats]:
        """Values of each expression from first to last; NaN where there is none."""
        size = int((last - first) / step + 1e-9) + 1
        out = [np.full(size, np.nan) for _ in exprs]
        part = int(_PART / step)
        for i in range(0, size, part):
            start, end = first + i * step, first + (min(i + part, size) - 1) * step
            for expr, values in zip(exprs, out, strict=True):
                async for matrix in self._source.range(expr, start, end, step):
                    if matrix.metrics:
                        at = round((float(matrix.times[0]) - first) / step)
                        values[at : at + len(matrix.times)] = matrix.values[:, 0]
            self._told(min(i + part, size), size)
        return out


def _sums(values: Floats, slots: int) -> tuple[Floats, Floats]:
    """Sum of the last so many values at each (T,), NaN where there is none of them, and how many there were (T,)."""
    there = ~np.isnan(values)
    before = np.zeros(slots - 1)
    sums = sliding_window_view(np.concatenate([before, np.where(there, values, 0.0)]), slots).sum(axis=1)
    count = sliding_window_view(np.concatenate([before, there.astype(np.float64)]), slots).sum(axis=1)
    return np.where(count > 0, sums, np.nan), count
