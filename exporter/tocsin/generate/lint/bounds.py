"""Between which bounds the values of an expression lie, and when it has a result at all."""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import IntEnum

import promql_parser as promql

from tocsin import names
from tocsin.generate.lint.book import ALERT_SERIES, Book, Rule
from tocsin.generate.lint.interval import (
    ANY,
    COUNT,
    MIRRORED,
    ONE,
    POSITIVE,
    Interval,
    arithmetic,
    certain,
    hull,
    kept,
    meet,
    possible,
)
from tocsin.generate.lint.tree import COMPARISONS, SETS, bare, fold, is_scalar, metric

#: Unix times that `time()` can give: from 2020 on, for a few thousand years.
_NOW = Interval(1.5e9, 1e11)
#: Series that exist while something is so, and not while it is not: their presence says something.
_SPARSE = ALERT_SERIES | {
    names.metric("breach_timestamp_seconds"),
    names.metric("breach_earliest_timestamp_seconds"),
    names.metric("breach_latest_timestamp_seconds"),
    names.metric("no_breach"),
    names.metric("tier_run_start_timestamp_seconds"),
    names.slo_metric("slo_error_budget_exhaustion_timestamp_seconds"),
    names.slo_metric("slo_held_back"),
    names.ACKNOWLEDGED,
}
_NAMED = {
    "up": Interval(0, 1),
    names.ALERTS: ONE,
    names.metric("severity_level"): Interval(-1, max(names.TIER_LABELS)),
    names.own("stale"): Interval(0, 1),
    names.own("config_last_reload_successful"): Interval(0, 1),
    names.own("build_info"): ONE,
}
#: Endings by which counters and the parts of histograms are named; none of them can be negative.
_COUNTERS = ("_total", "_count", "_bucket")


class Presence(IntEnum):
    """When an expression has a result."""

    NEVER = 0
    SOMETIMES = 1
    """When a condition of it holds."""
    WITH_SERIES = 2
    """As soon as there is a series, whatever its value."""
    ALWAYS = 3


@dataclass(frozen=True, slots=True)
class Values:
    """What is known of a result: bounds of its values, and when there is one. `of` is what comparisons left whole."""

    interval: Interval
    presence: Presence
    of: str | None = None


_NUMBER = Values(ANY, Presence.ALWAYS)


class BoundsOf:
    """Values of the rules of a book, each worked out once."""

    def __init__(self, book: Book) -> None:
        self._book = book
        self._known: dict[Rule, Values] = {}

    def result(self, rule: Rule) -> Values:
        """What is known of the rule's expression."""
        if rule.tree is None:
            return Values(ANY, Presence.SOMETIMES)
        if rule not in self._known:
            # Until it is known, and for a recording that stands on itself.
            self._known[rule] = Values(ANY, Presence.SOMETIMES)
            self._known[rule] = fold(rule.tree, self._visit)
        return self._known[rule]

    def _visit(self, node: promql.Expr, below: list[Values]) -> Values:
        if isinstance(node, promql.VectorSelector):
            return self._selected(node)
        if isinstance(node, promql.NumberLiteral):
            return Values(Interval(node.val, node.val) if node.val == node.val else ANY, Presence.ALWAYS)
        if isinstance(node, promql.UnaryExpr):
            return replace(below[0], interval=-below[0].interval, of=None)
        if isinstance(node, promql.BinaryExpr):
            return _binary(node, below[0], below[1])
        if isinstance(node, promql.AggregateExpr):
            return _aggregated(node, below[0])
        if isinstance(node, promql.Call):
            return _called(node, below)
        return below[0] if below else _NUMBER

    def _selected(self, selector: promql.VectorSelector) -> Values:
        if contradiction(selector) is not None:
            return Values(ANY, Presence.NEVER)
        name = metric(selector) or ""
        if name in self._book.records:
            found = [self.result(rule) for rule in self._book.recorded(selector)]
            presence = max((one.presence for one in found), default=Presence.NEVER)
            interval = found[0].interval if found else ANY
            for one in found[1:]:
                interval = hull(interval, one.interval)
            return Values(interval, presence)
        presence = Presence.SOMETIMES if name in _SPARSE or _asks_for_a_label(selector) else Presence.WITH_SERIES
        return Values(_NAMED.get(name, POSITIVE if name.endswith(_COUNTERS) else ANY), presence)


def _asks_for_a_label(selector: promql.VectorSelector) -> bool:
    """Whether it is about series that have some label at all, which is a condition in itself."""
    return any(m.op == promql.MatchOp.NotEqual and not m.value for m in selector.matchers.matchers)


def contradiction(selector: promql.VectorSelector) -> str | None:
    """Two matchers that no series satisfies together, as they are written; None when there are no such."""
    matchers = selector.matchers.matchers
    values = {m.name: m for m in matchers if m.op == promql.MatchOp.Equal}
    for one in matchers:
        fixed = values.get(one.name)
        if fixed is not None and not matches(one, fixed.value):
            return f"{fixed} and {one}"
    return None


def matches(matcher: promql.Matcher, value: str) -> bool:
    """Whether a label of this value is matched."""
    op = promql.MatchOp
    if matcher.op in (op.Equal, op.NotEqual):
        return bool((matcher.value == value) == (matcher.op == op.Equal))
    try:
        found = re.fullmatch(matcher.value, value, re.DOTALL) is not None
    except re.error:
        # Prometheus reads another dialect: what cannot be tried here may match.
        return True
    return bool(found == (matcher.op == op.Re))


def _binary(node: promql.BinaryExpr, left: Values, right: Values) -> Values:
    op = str(node.op)
    if op in SETS:
        return _set(node, left, right)
    presence = min(left.presence, right.presence)
    if op not in COMPARISONS:
        return Values(arithmetic(op, left.interval, right.interval), presence)
    a, b = left.interval, right.interval
    may, must = possible(op, a, b), certain(op, a, b)
    if node.modifier is not None and node.modifier.return_bool:
        return Values(Interval(float(must), float(may)), presence)
    if not may:
        return Values(ANY, Presence.NEVER)
    numbers = (is_scalar(node.lhs), is_scalar(node.rhs))
    side, interval = (left, kept(op, a, b)) if not numbers[0] else (right, kept(MIRRORED[op], b, a))
    of = None
    if any(numbers):
        of = side.of or bare(node.rhs if numbers[0] else node.lhs).prettify()
    return Values(interval, presence if must else min(presence, Presence.SOMETIMES), of)


def _set(node: promql.BinaryExpr, left: Values, right: Values) -> Values:
    op = str(node.op)
    if op == "or":
        if Presence.NEVER in (left.presence, right.presence):
            return right if left.presence == Presence.NEVER else left
        return Values(hull(left.interval, right.interval), max(left.presence, right.presence))
    if op == "unless":
        return left if right.presence == Presence.NEVER else _at_most_sometimes(left)
    if Presence.NEVER in (left.presence, right.presence):
        return Values(ANY, Presence.NEVER)
    whole = node.modifier is None or node.modifier.matching is None
    if whole and left.of is not None and left.of == right.of:
        both = meet(left.interval, right.interval)
        return Values(both, Presence.NEVER if both.empty else Presence.SOMETIMES, left.of)
    return _at_most_sometimes(left)


def _at_most_sometimes(values: Values) -> Values:
    return replace(values, presence=min(values.presence, Presence.SOMETIMES))


def _total(inner: Interval) -> Interval:
    """Of a sum of one number or more."""
    if inner.low >= 0:
        return Interval(inner.low, math.inf)
    return Interval(-math.inf, inner.high) if inner.high <= 0 else ANY


_AGGREGATED: Mapping[str, Callable[[Interval], Interval]] = {
    "sum": _total,
    "count": lambda _: COUNT,
    "count_values": lambda _: COUNT,
    "group": lambda _: ONE,
    "stddev": lambda _: POSITIVE,
    "stdvar": lambda _: POSITIVE,
}


def _aggregated(node: promql.AggregateExpr, inner: Values) -> Values:
    op = str(node.op)
    if op == "quantile":
        share = node.param.val if isinstance(node.param, promql.NumberLiteral) else -1.0
        return Values(inner.interval if 0 <= share <= 1 else ANY, inner.presence)
    bounds = _AGGREGATED.get(op)
    return Values(inner.interval if bounds is None else bounds(inner.interval), inner.presence)


def _rounded(function: Callable[[float], float]) -> Callable[[Sequence[Interval]], Interval]:
    return lambda args: Interval(*(end if math.isinf(end) else float(function(end)) for end in args[0]))


def _magnitude(args: Sequence[Interval]) -> Interval:
    one = args[0]
    ends = (abs(one.low), abs(one.high))
    return Interval(0.0 if one.low <= 0 <= one.high else min(ends), max(ends))


def _clamped(args: Sequence[Interval]) -> Interval:
    one, low, high = args
    return Interval(min(max(one.low, low.low), high.high), min(max(one.high, low.high), high.high))


def _fixed(low: float, high: float) -> Callable[[Sequence[Interval]], Interval]:
    return lambda _: Interval(low, high)


def _same(args: Sequence[Interval]) -> Interval:
    return args[0] if args else ANY


_POSITIVE = _fixed(*POSITIVE)
_SIGN = _fixed(-1, 1)
#: Bounds of each function's result from those of its arguments; of what is not here nothing is known.
_FUNCTIONS: Mapping[str, Callable[[Sequence[Interval]], Interval]] = {
    **dict.fromkeys(
        ("rate", "irate", "increase", "changes", "resets", "stddev_over_time", "stdvar_over_time"), _POSITIVE
    ),
    **dict.fromkeys(("exp", "sqrt", "histogram_count", "timestamp", "mad_over_time"), _POSITIVE),
    **dict.fromkeys(("avg_over_time", "min_over_time", "max_over_time", "last_over_time", "first_over_time"), _same),
    **dict.fromkeys(("label_replace", "label_join", "sort", "sort_desc", "sort_by_label", "sort_by_label_desc"), _same),
    **dict.fromkeys(("vector", "scalar", "info"), _same),
    **dict.fromkeys(("sgn", "sin", "cos"), _SIGN),
    "count_over_time": _fixed(*COUNT),
    "present_over_time": _fixed(1, 1),
    "sum_over_time": lambda args: _total(args[0]),
    "histogram_fraction": _fixed(0, 1),
    "abs": _magnitude,
    "clamp": _clamped,
    "clamp_min": lambda args: Interval(max(args[0].low, args[1].low), max(args[0].high, args[1].high)),
    "clamp_max": lambda args: Interval(min(args[0].low, args[1].low), min(args[0].high, args[1].high)),
    "quantile_over_time": lambda args: args[1] if args[0].low >= 0 and args[0].high <= 1 else ANY,
    "ceil": _rounded(math.ceil),
    "floor": _rounded(math.floor),
    "time": _fixed(*_NOW),
    "minute": _fixed(0, 59),
    "hour": _fixed(0, 23),
    "day_of_week": _fixed(0, 6),
    "day_of_month": _fixed(1, 31),
    "day_of_year": _fixed(1, 366),
    "days_in_month": _fixed(28, 31),
    "month": _fixed(1, 12),
}


def _points(node: promql.Expr) -> float | None:
    """Most points that a subquery has; None of what has no step of its own."""
    if isinstance(node, promql.SubqueryExpr) and node.step and node.range:
        return float(node.range // node.step + 1)
    return None


def _called(node: promql.Call, below: list[Values]) -> Values:
    name = node.func.name
    if name in ("absent", "absent_over_time"):
        opposite = {Presence.NEVER: Presence.ALWAYS, Presence.ALWAYS: Presence.NEVER}
        return Values(ONE, opposite.get(below[0].presence, Presence.SOMETIMES))
    if name == "scalar":
        # Of no series, or of several, it is NaN.
        return Values(below[0].interval, Presence.ALWAYS)
    presence = min((one.presence for one in below), default=Presence.ALWAYS)
    if name == "count_over_time" and (points := _points(node.args[0])) is not None:
        return Values(Interval(1, points), presence)
    bounds = _FUNCTIONS.get(name)
    return Values(ANY if bounds is None else bounds([one.interval for one in below]), presence)
