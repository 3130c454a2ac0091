"""Series for a wanted value of an expression, and for a comparison that is true or not."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import promql_parser as promql

from tocsin.generate.example import Selector, example
from tocsin.generate.feed import steady
from tocsin.generate.feed.values import Labels, Leaf, Line, Unsolved, Vector
from tocsin.generate.lint.interval import MIRRORED
from tocsin.generate.lint.tree import COMPARISONS, SETS, bare, is_scalar, selectors

#: Sizes of what is divided by, one after the other: some expressions leave out what is too small.
_SIZES = (1.0, 1000.0, 1e6)
#: How near to a bound the tests come where arithmetic is not exact, as a share of it; and to a bound of zero.
NEAR, NEAR_ZERO = 1e-6, 1e-3


@dataclass(frozen=True)
class Fed:
    """Series, and the labels of the one result that the expression has on them; None where it has none."""

    leaves: tuple[Leaf, ...]
    labels: Labels | None

    @property
    def settles(self) -> float:
        """Seconds until the expression has its value, after any change."""
        return max((leaf.settles for leaf in self.leaves), default=0.0)


def near(bound: float) -> float:
    """How far from a bound the tests stay."""
    return abs(bound) * NEAR or NEAR_ZERO


def exact(node: promql.Expr) -> bool:
    """Whether the expression gives the value of a series as it is, without arithmetic that could round it."""
    node = bare(node)
    if isinstance(node, promql.AggregateExpr):
        return str(node.op) in steady.CHOOSING and exact(node.expr)
    return isinstance(node, promql.VectorSelector)


def writable(value: float) -> bool:
    """Whether promtool reads exactly this number from a test."""
    return float(f"{value:.15g}") == value


def value(tree: promql.Expr, wanted: Line, labels: Mapping[str, str]) -> Fed:
    """Series on which the expression has this value, with these labels on them where it allows; raises Unsolved."""

    def agrees(found: Vector) -> bool:
        return len(found) == 1 and all(_same(line, wanted) for line in found.values())

    return _found(tree, lambda solver: solver.value(tree, wanted, dict(labels)), agrees)


def truth(tree: promql.Expr, true: bool, labels: Mapping[str, str]) -> Fed:
    """Series on which the expression has one result, or just none; raises Unsolved."""
    return _found(tree, lambda solver: solver.truth(tree, true, dict(labels)), lambda found: len(found) == int(true))


def _same(a: Line, b: Line) -> bool:
    return all(abs(x - y) <= 1e-9 * max(abs(x), abs(y)) for x, y in zip(a, b, strict=True))


def _found(tree: promql.Expr, fill: Callable[["_Solver"], None], agrees: Callable[[Vector], bool]) -> Fed:
    try:
        for size in _SIZES:
            solver = _Solver(size)
            try:
                fill(solver)
                found = steady.vector(tree, solver.leaves)
            except Unsolved as unsolved:
                reason = unsolved
                continue
            if agrees(found):
                return Fed(tuple(solver.leaves), next(iter(found), None))
            reason = Unsolved("another value came out")
    except RecursionError:
        reason = Unsolved("too deep an expression")
    raise reason


class _Solver:
    """Collects series; every method adds those that give the node what it should have."""

    def __init__(self, size: float) -> None:
        self.leaves: list[Leaf] = []
        self._used: list[Selector] = []
        self._size = size

    def value(self, node: promql.Expr, wanted: Line, labels: dict[str, str]) -> None:
        node = bare(node)
        if isinstance(node, promql.UnaryExpr):
            self.value(node.expr, -wanted, labels)
        elif isinstance(node, promql.VectorSelector):
            back = steady.offset(node)
            self._series(node, wanted.later(-back), labels, back)
        elif isinstance(node, promql.Call):
            self._call(node, wanted, labels)
        elif isinstance(node, promql.AggregateExpr):
            self._aggregate(node, wanted, labels)
        elif isinstance(node, promql.BinaryExpr):
            self._binary(node, wanted, labels)
        else:
            raise Unsolved(type(node).__name__)

    def truth(self, node: promql.Expr, true: bool, labels: dict[str, str]) -> None:
        node = bare(node)
        if isinstance(node, promql.BinaryExpr) and str(node.op) in SETS:
            self.truth(node.lhs, true, labels)
            if str(node.op) == "and":
                self.truth(node.rhs, True, labels)
        elif isinstance(node, promql.BinaryExpr) and str(node.op) in COMPARISONS:
            self._comparison(node, true, labels)
        elif isinstance(node, promql.Call) and node.func.name == "absent":
            if not true:
                self.value(node.args[0], Line(1), labels)
        elif true:
            self.value(node, Line(1), labels)

    def _comparison(self, node: promql.BinaryExpr, true: bool, labels: dict[str, str]) -> None:
        """Put one side just beyond the other, or at it where that is not enough."""
        if node.modifier is not None and node.modifier.return_bool:
            raise Unsolved("a comparison that is never left out")
        op, side, other = str(node.op), node.lhs, node.rhs
        if is_scalar(side):
            op, side, other = MIRRORED[op], other, side
        if is_scalar(other):
            bound = steady.steady(other, ())
            assert isinstance(bound, Line)
        else:
            bound = Line(self._size)
            self.value(other, bound, labels)
        near_by = beside(op, true, bound.constant, exact=exact(side))
        self.value(side, Line(near_by), labels)

    def _series(
        self,
        node: promql.VectorSelector,
        line: Line,
        labels: dict[str, str],
        settles: float,
        *,
        counter: bool = False,
    ) -> None:
        """A series that the selector finds, and another selector of the same metric does not."""
        selector = Selector.of_tree(node)
        if node.at is not None or node.matchers.or_matchers:
            raise Unsolved("a selector with @ or `or`")
        wanted = tuple((label, "=", text) for label, text in labels.items() if selector.accepts(label, text))
        others = (used for used in self._used if used.name == selector.name and used != selector)
        found = example(Selector(selector.name, selector.matchers + wanted), next(others, None))
        if found is None:
            raise Unsolved("a selector for which no series was thought of")
        leaf = Leaf(found.name, dict(found.labels), line, settles, counter)
        if any(leaf.key == other.key for other in self.leaves):
            raise Unsolved("a series that is there already")
        self._used.append(selector)
        self.leaves.append(leaf)

    def _call(self, node: promql.Call, wanted: Line, labels: dict[str, str]) -> None:
        name, args = node.func.name, node.args
        if name in steady.SLOPES | steady.CHANGES | steady.KEEPING:
            matrix = steady.ranged(args[0])
            seconds = matrix.range.total_seconds()
            settles = seconds + steady.offset(matrix.vector_selector)
            slope = wanted.constant / (seconds if name in steady.CHANGES else 1)
            if name in steady.COUNTERS and slope < 0:
                raise Unsolved("a counter that falls")
            line = Line(wanted.constant) if name in steady.KEEPING else Line(0, slope)
            self._series(matrix.vector_selector, line, labels, settles, counter=name not in steady.KEEPING)
        elif name == "histogram_quantile":
            self._quantile(args, wanted, labels)
        elif name in steady.SORTING | {"abs", "clamp_min", "clamp_max"}:
            self.value(args[0], wanted, labels)
        else:
            raise Unsolved(name)

    def _quantile(self, args: list[promql.Expr], wanted: Line, labels: dict[str, str]) -> None:
        """All observations are in one bucket, whose bound is such that interpolation ends at the wanted value."""
        q = steady.steady(args[0], ())
        if not isinstance(q, Line) or not 0 < q.constant < 1 or wanted.constant <= 0:
            raise Unsolved("a quantile that no bucket gives")
        for bound in (f"{wanted.constant / q.constant:.17g}", "+Inf"):
            self.value(args[1], Line(self._size), {**labels, "le": bound})

    def _aggregate(self, node: promql.AggregateExpr, wanted: Line, labels: dict[str, str]) -> None:
        if str(node.op) not in steady.CHOOSING:
            raise Unsolved(str(node.op))
        if str(node.op) == "sum":
            # What it finds already counts too: bad events are part of all events.
            there = steady.vector(node, self.leaves)
            group = frozenset(labels.items())
            for found, line in there.items():
                if found <= group:
                    wanted = wanted.plus(-line)
        self.value(node.expr, wanted, labels)

    def _known(self, node: promql.Expr) -> Line | None:
        """The value of a side that needs no more series."""
        try:
            found = steady.steady(node, self.leaves)
        except Unsolved:
            return None
        if isinstance(found, Line):
            return found
        return next(iter(found.values())) if len(found) == 1 and self._complete(node) else None

    def _complete(self, node: promql.Expr) -> bool:
        """Whether every selector of the expression has its series."""
        return all(Selector.of_tree(one) in self._used for one in selectors(node))

    def _binary(self, node: promql.BinaryExpr, wanted: Line, labels: dict[str, str]) -> None:
        op = str(node.op)
        left, right = (self._known(side) for side in (node.lhs, node.rhs))
        if op in ("or", "unless"):
            self.value(node.lhs, wanted, labels)
        elif op == "and":
            self.value(node.lhs, wanted, labels)
            self.truth(node.rhs, True, labels)
        elif op in COMPARISONS:
            # It gives its left side, or the one that is no number; whether it lets it pass is seen at the end.
            self._kept(node, wanted, labels)
        elif left is not None:
            self.value(node.rhs, _right(op, wanted, left), labels)
        elif right is not None:
            self.value(node.lhs, _left(op, wanted, right), labels)
        else:
            self._both(node, wanted, labels)

    def _kept(self, node: promql.BinaryExpr, wanted: Line, labels: dict[str, str]) -> None:
        if is_scalar(node.lhs) or is_scalar(node.rhs):
            self.value(node.rhs if is_scalar(node.lhs) else node.lhs, wanted, labels)
            return
        self.value(node.lhs, wanted, labels)
        below = str(node.op) in (">", ">=")
        same = str(node.op) == "=="
        self.value(node.rhs, wanted if same else wanted.plus(Line(-self._size if below else self._size)), labels)

    def _both(self, node: promql.BinaryExpr, wanted: Line, labels: dict[str, str]) -> None:
        """Two sides that are both open: the right one is chosen, and the left one follows."""
        op = str(node.op)
        right = Line(wanted.start / 2, wanted.slope / 2) if op == "+" else Line(self._size)
        self.value(node.lhs, _left(op, wanted, right), labels)
        if self._known(node.rhs) is None:
            self.value(node.rhs, right, labels)


def beside(op: str, true: bool, bound: float, *, exact: bool) -> float:
    """A value at which a comparison with a bound is just true, or just false; Unsolved when none is known."""
    distance = near(bound)
    sure = (exact and writable(bound)) or bound == 0
    if op in ("==", "!="):
        if not sure:
            raise Unsolved("an equality of what may be rounded")
        return bound if (op == "==") == true else bound + 1
    beyond = distance if op in (">", ">=") else -distance
    inclusive = op in (">=", "<=")
    if sure and inclusive == true:
        return bound
    return bound + beyond if true else bound - beyond


def _left(op: str, wanted: Line, right: Line) -> Line:
    """What the left side has to be."""
    if op == "+":
        return wanted.plus(-right)
    if op == "-":
        return wanted.plus(right)
    if op == "*":
        return wanted.over(right.constant)
    if op == "/":
        return wanted.times(right.constant)
    raise Unsolved(op)


def _right(op: str, wanted: Line, left: Line) -> Line:
    """What the right side has to be."""
    if op == "+":
        return wanted.plus(-left)
    if op == "-":
        return left.plus(-wanted)
    if op == "*":
        return wanted.over(left.constant)
    if op == "/":
        return Line(left.constant).over(wanted.constant)
    raise Unsolved(op)
