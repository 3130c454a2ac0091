"""Trees of PromQL: walking, folding, and what a selector selects.

Nothing here recurses: an expression of a thousand words may be nested deeper than Python likes.
"""

from collections.abc import Callable, Iterator
from typing import TypeVar

import promql_parser as promql

T = TypeVar("T")

#: Operators that compare, and those that combine sets of series.
COMPARISONS = frozenset({"==", "!=", ">", "<", ">=", "<="})
SETS = frozenset({"and", "or", "unless"})


def children(node: promql.Expr) -> list[promql.Expr]:
    """The expressions right below a node, in the order in which they are written."""
    if isinstance(node, promql.BinaryExpr):
        return [node.lhs, node.rhs]
    if isinstance(node, promql.AggregateExpr):
        return [node.expr, *([node.param] if isinstance(node.param, promql.Expr) else [])]
    if isinstance(node, promql.Call):
        return list(node.args)
    if isinstance(node, promql.MatrixSelector):
        return [node.vector_selector]
    if isinstance(node, promql.ParenExpr | promql.UnaryExpr | promql.SubqueryExpr):
        return [node.expr]
    return []


def walk(tree: promql.Expr) -> Iterator[promql.Expr]:
    """Every node, each before what is below it."""
    stack = [tree]
    while stack:
        node = stack.pop()
        yield node
        stack += reversed(children(node))


def fold(tree: promql.Expr, visit: Callable[[promql.Expr, list[T]], T]) -> T:
    """The result for the root; `visit` gets each node with the results of its children."""
    results: list[T] = []
    stack: list[tuple[promql.Expr, int]] = [(tree, -1)]
    while stack:
        node, below = stack.pop()
        if below < 0:
            parts = children(node)
            stack.append((node, len(parts)))
            stack += [(part, -1) for part in reversed(parts)]
        else:
            cut = len(results) - below
            results[cut:] = [visit(node, results[cut:])]
    return results[0]


def selectors(tree: promql.Expr) -> Iterator[promql.VectorSelector]:
    """Every selector, those inside ranges too."""
    for node in walk(tree):
        if isinstance(node, promql.VectorSelector):
            yield node


def metric(selector: promql.VectorSelector) -> str | None:
    """The one metric that it selects; None when several names may match."""
    return selector.name or equalities(selector).get("__name__")


def equalities(selector: promql.VectorSelector) -> dict[str, str]:
    """Labels that every selected series has, with their values."""
    return {m.name: m.value for m in selector.matchers.matchers if m.op == promql.MatchOp.Equal}


def is_scalar(tree: promql.Expr) -> bool:
    """Whether an expression is a number and no series: of an operator, when both sides are."""
    stack = [tree]
    while stack:
        node = stack.pop()
        if isinstance(node, promql.BinaryExpr | promql.ParenExpr | promql.UnaryExpr):
            stack += children(node)
        elif isinstance(node, promql.Call):
            if node.func.return_type != promql.ValueType.Scalar:
                return False
        elif not isinstance(node, promql.NumberLiteral):
            return False
    return True


def bare(node: promql.Expr) -> promql.Expr:
    """The expression without the parentheses around it."""
    while isinstance(node, promql.ParenExpr):
        node = node.expr
    return node
