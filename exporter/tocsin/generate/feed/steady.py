"""The value of an expression when its series have been as they are for long enough.

This is a part of PromQL: what dashboards and alerts are mostly made of. Everything else raises Unsolved.
"""

import math
import operator
from collections.abc import Callable, Iterator, Sequence

import promql_parser as promql

from tocsin.generate.example import Selector, Series
from tocsin.generate.feed.values import Labels, Leaf, Line, Unsolved, Vector

#: Functions of a range that give the slope of a series, and those that give it times the range.
SLOPES = frozenset({"rate", "irate", "deriv"})
CHANGES = frozenset({"increase", "delta"})
#: Those of them that read a counter, which never falls.
COUNTERS = frozenset({"rate", "irate", "increase"})
#: Functions of a range that give what was there all the time.
KEEPING = frozenset({"avg_over_time", "min_over_time", "max_over_time", "last_over_time", "predict_linear"})
#: Functions that change the order alone.
SORTING = frozenset({"sort", "sort_desc"})
#: Aggregations that give the one series that they get as it is.
CHOOSING = frozenset({"sum", "avg", "min", "max", "topk", "bottomk"})

_COMPARE: dict[str, Callable[[float, float], bool]] = {
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
    "==": operator.eq,
    "!=": operator.ne,
}


def holds(op: str, left: Line, right: Line) -> bool:
    """Whether a comparison is true at every time; Unsolved when that depends on the time."""
    if left.slope != right.slope:
        raise Unsolved("a comparison that changes")
    return _COMPARE[op](left.start, right.start)


def steady(node: promql.Expr, leaves: Sequence[Leaf]) -> Vector | Line:
    """The expression on these series; raises Unsolved."""
    if isinstance(node, promql.ParenExpr):
        return steady(node.expr, leaves)
    if isinstance(node, promql.NumberLiteral):
        return Line(node.val)
    if isinstance(node, promql.UnaryExpr):
        return _each(steady(node.expr, leaves), lambda line: -line)
    if isinstance(node, promql.VectorSelector):
        return {_labels(leaf): leaf.line.later(offset(node)) for leaf in selected(node, leaves)}
    if isinstance(node, promql.Call):
        return _call(node, leaves)
    if isinstance(node, promql.AggregateExpr):
        return _aggregate(node, vector(node.expr, leaves))
    if isinstance(node, promql.BinaryExpr):
        return _binary(node, leaves)
    raise Unsolved(type(node).__name__)


def vector(node: promql.Expr, leaves: Sequence[Leaf]) -> Vector:
    """The expression on these series where it is no number; raises Unsolved."""
    found = steady(node, leaves)
    if isinstance(found, Line):
        raise Unsolved("a number")
    return found


def selected(node: promql.VectorSelector, leaves: Sequence[Leaf]) -> Iterator[Leaf]:
    """The series that a selector finds."""
    if node.at is not None or node.matchers.or_matchers:
        raise Unsolved("a selector with @ or `or`")
    selector = Selector.of_tree(node)
    if not selector.name:
        raise Unsolved("a selector without a metric")
    for leaf in leaves:
        if selector.finds(Series(leaf.metric, tuple(leaf.labels.items()))):
            yield leaf


def offset(node: promql.VectorSelector) -> float:
    """Seconds by which a selector looks back; Unsolved when it looks ahead."""
    seconds = 0.0 if node.offset is None else float(node.offset.total_seconds())
    if seconds < 0:
        raise Unsolved("a negative offset")
    return seconds


def ranged(node: promql.Expr) -> promql.MatrixSelector:
    """The range selector of a function; Unsolved for a subquery."""
    if not isinstance(node, promql.MatrixSelector):
        raise Unsolved("a subquery")
    return node


def _labels(leaf: Leaf) -> Labels:
    return frozenset(leaf.labels.items())


def _each(found: Vector | Line, change: Callable[[Line], Line]) -> Vector | Line:
    if isinstance(found, Line):
        return change(found)
    return {labels: change(line) for labels, line in found.items()}


def _call(node: promql.Call, leaves: Sequence[Leaf]) -> Vector | Line:
    name, args = node.func.name, node.args
    if name == "time":
        return Line(0, 1)
    if name in SLOPES | CHANGES | KEEPING:
        matrix = ranged(args[0])
        seconds = matrix.range.total_seconds()
        series = vector(matrix.vector_selector, leaves)
        if name in KEEPING:
            return _each(series, lambda line: Line(line.constant))
        return _each(series, lambda line: Line(line.slope * (seconds if name in CHANGES else 1)))
    if name in SORTING:
        return steady(args[0], leaves)
    if name == "vector":
        return {frozenset(): _number(args[0], leaves)}
    if name == "abs":
        return _each(steady(args[0], leaves), lambda line: Line(abs(line.constant)))
    if name in ("clamp_min", "clamp_max"):
        bound, choose = _number(args[1], leaves).constant, max if name == "clamp_min" else min
        return _each(steady(args[0], leaves), lambda line: Line(choose(line.constant, bound)))
    if name == "histogram_quantile":
        return _quantile(_number(args[0], leaves).constant, vector(args[1], leaves))
    if name == "absent":
        return {} if vector(args[0], leaves) else {frozenset(_told(args[0])): Line(1)}
    raise Unsolved(name)


def _number(node: promql.Expr, leaves: Sequence[Leaf]) -> Line:
    found = steady(node, leaves)
    if not isinstance(found, Line):
        raise Unsolved("a vector")
    return found


def _told(node: promql.Expr) -> Iterator[tuple[str, str]]:
    """Labels that `absent` gives: those that a selector names once, as equal."""
    while isinstance(node, promql.ParenExpr):
        node = node.expr
    if isinstance(node, promql.VectorSelector):
        matchers = [m for m in node.matchers.matchers if m.name != "__name__"]
        named = [m.name for m in matchers]
        for m in matchers:
            if m.op == promql.MatchOp.Equal and named.count(m.name) == 1 and m.value:
                yield m.name, m.value


def _quantile(q: float, buckets: Vector) -> Vector:
    """Linear interpolation in the bucket, as Prometheus does it for bounds above zero."""
    series: dict[Labels, dict[float, float]] = {}
    for labels, line in buckets.items():
        bound = dict(labels).get("le")
        if bound is None:
            raise Unsolved("a histogram without buckets")
        series.setdefault(frozenset(x for x in labels if x[0] != "le"), {})[float(bound)] = line.constant
    out: Vector = {}
    for labels, counts in series.items():
        bounds = sorted(counts)
        if bounds[-1] != math.inf or bounds[0] <= 0 or counts[math.inf] <= 0:
            raise Unsolved("a histogram that cannot be read")
        rank = q * counts[math.inf]
        i = next(i for i, bound in enumerate(bounds) if counts[bound] >= rank)
        low, before = (0.0, 0.0) if i == 0 else (bounds[i - 1], counts[bounds[i - 1]])
        if bounds[i] == math.inf:
            raise Unsolved("a quantile in the last bucket")
        out[labels] = Line(low + (bounds[i] - low) * (rank - before) / (counts[bounds[i]] - before))
    return out


def _aggregate(node: promql.AggregateExpr, series: Vector) -> Vector:
    op = str(node.op)
    groups: dict[Labels, list[tuple[Labels, Line]]] = {}
    for labels, line in series.items():
        groups.setdefault(grouped(node, labels), []).append((labels, line))
    if op in ("topk", "bottomk"):
        if any(len(lines) > 1 for lines in groups.values()):
            raise Unsolved(op)
        return dict(series)
    return {labels: _one(op, [line for _, line in lines]) for labels, lines in groups.items()}


def _one(op: str, lines: Sequence[Line]) -> Line:
    """What an aggregation makes of a group."""
    if op in ("sum", "avg"):
        total = Line(0)
        for line in lines:
            total = total.plus(line)
        return total if op == "sum" else total.over(len(lines))
    if op in ("min", "max") and (len(lines) == 1 or all(line.slope == 0 for line in lines)):
        return min(lines) if op == "min" else max(lines)
    if op == "count":
        return Line(len(lines))
    if op == "group":
        return Line(1)
    raise Unsolved(op)


def grouped(node: promql.AggregateExpr, labels: Labels) -> Labels:
    """Labels of the group that a series is in."""
    if node.modifier is None:
        return frozenset()
    named = set(node.modifier.labels)
    by = node.modifier.type == promql.AggModifierType.By
    return frozenset(x for x in labels if (x[0] in named) == by)


def _binary(node: promql.BinaryExpr, leaves: Sequence[Leaf]) -> Vector | Line:
    left, right = steady(node.lhs, leaves), steady(node.rhs, leaves)
    op, told = str(node.op), node.modifier is not None and node.modifier.return_bool
    if isinstance(left, Line) and isinstance(right, Line):
        return Line(float(holds(op, left, right))) if op in _COMPARE else _arithmetic(op, left, right)
    if isinstance(left, Line) or isinstance(right, Line):
        out: Vector = {}
        series = right if isinstance(left, Line) else left
        assert not isinstance(series, Line)
        for labels, line in series.items():
            a, b = left if isinstance(left, Line) else line, right if isinstance(right, Line) else line
            if op not in _COMPARE:
                out[labels] = _arithmetic(op, a, b)
            elif told:
                out[labels] = Line(float(holds(op, a, b)))
            elif holds(op, a, b):
                out[labels] = line
        return out
    return _matched(node, left, right)


def _arithmetic(op: str, a: Line, b: Line) -> Line:
    if op == "+":
        return a.plus(b)
    if op == "-":
        return a.plus(-b)
    if op == "*":
        return b.times(a.start) if a.slope == 0 else a.times(b.constant)
    if op == "/":
        return a.over(b.constant)
    raise Unsolved(op)


def _matched(node: promql.BinaryExpr, left: Vector, right: Vector) -> Vector:
    """An operator between two vectors, with the pairs that its modifier makes."""
    op, modifier = str(node.op), node.modifier
    key = _key(modifier)
    keys = {key(labels) for labels in right}
    if op in ("and", "unless"):
        return {labels: line for labels, line in left.items() if (key(labels) in keys) == (op == "and")}
    if op == "or":
        mine = {key(labels) for labels in left}
        return {**{labels: line for labels, line in right.items() if key(labels) not in mine}, **left}
    out: Vector = {}
    if len({key(labels) for labels in left}) < len(left) or len(keys) < len(right):
        # One of several on a side: the tests have no use for more than one.
        raise Unsolved("a match of several series")
    for a, first in left.items():
        for b, second in right.items():
            if key(a) == key(b) and (line := _pair(op, modifier, first, second)) is not None:
                out[_joined(modifier, a, b)] = line
    return out


def _pair(op: str, modifier: promql.BinModifier | None, a: Line, b: Line) -> Line | None:
    if op not in _COMPARE:
        return _arithmetic(op, a, b)
    if modifier is not None and modifier.return_bool:
        return Line(float(holds(op, a, b)))
    return a if holds(op, a, b) else None


def _key(modifier: promql.BinModifier | None) -> Callable[[Labels], Labels]:
    if modifier is None or modifier.matching is None:
        return lambda labels: labels
    named = set(modifier.matching.labels)
    on = modifier.matching.type == promql.LabelModifierType.Include
    return lambda labels: frozenset(x for x in labels if (x[0] in named) == on)


def _joined(modifier: promql.BinModifier | None, a: Labels, b: Labels) -> Labels:
    """Labels of the result of a pair."""
    if modifier is None or modifier.card == promql.VectorMatchCardinality.OneToOne:
        return _key(modifier)(a)
    many, one = (a, b) if modifier.card == promql.VectorMatchCardinality.ManyToOne else (b, a)
    more = set(modifier.group_labels or ())
    return frozenset(x for x in many if x[0] not in more) | frozenset(x for x in one if x[0] in more)
