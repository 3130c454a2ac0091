"""Telling a new sample from a repeated one.

Prometheus answers with the last sample for up to five minutes after it was taken. ``timestamp(selector)`` gives the
time of the sample itself, but only for a plain selector; of any other expression it is the evaluation time. So a
signal's expression is taken apart: when its value can only come from one sample of one selector, the engine asks for
that selector's timestamp too, and a time that did not move is a gap.

``timestamp()`` drops the metric name, as arithmetic does, and a bare selector keeps it: the two are matched by the
identity of their resource, of which the name is never a part.
"""

from collections.abc import Iterator
from typing import Literal

import promql_parser as promql

#: Why no sample time can be asked for: the expression is not understood, looks over a range, at a fixed time, at
#: several selectors, aggregates, may find several names, computes with its selector, or has none.
Unstamped = Literal["unknown", "range", "fixed", "many", "aggregate", "names", "computed", "nothing"]


def timestamp_expr(expr: str) -> str | None:
    """``timestamp(<selector>)`` for an expression that is one sample of one instant selector, else None.

    Understood are a selector with one fixed metric name, in parentheses, negated, with an offset, multiplied or
    divided by constants. None for a selector with ``@`` (it repeats on purpose), for one that may match several
    metric names (their timestamps would collide), and for what the parser does not know.
    """
    try:
        selector = _selector(promql.parse(expr))
    except (ValueError, RecursionError):
        return None
    return None if selector is None else f"timestamp({selector.prettify()})"


def why_unstamped(expr: str) -> Unstamped | None:
    """Why :func:`timestamp_expr` has no answer for an expression; None where it has one."""
    if timestamp_expr(expr) is not None:
        return None
    try:
        nodes = list(_nodes(promql.parse(expr)))
    except (ValueError, RecursionError):
        return "unknown"
    selectors = [node for node in nodes if isinstance(node, promql.VectorSelector)]
    # The first that holds: a range decides for how long old samples count, whatever is done with them later.
    reasons: tuple[tuple[Unstamped, bool], ...] = (
        ("range", any(isinstance(node, promql.MatrixSelector | promql.SubqueryExpr) for node in nodes)),
        ("nothing", not selectors),
        ("many", len(selectors) > 1),
        ("fixed", any(node.at is not None for node in selectors)),
        ("aggregate", any(isinstance(node, promql.AggregateExpr) for node in nodes)),
        ("names", not all(map(_one_name, selectors))),
    )
    return next((reason for reason, holds in reasons if holds), "computed")


def _nodes(node: promql.Expr) -> Iterator[promql.Expr]:
    """The node and everything inside it."""
    stack = [node]
    while stack:
        yield (node := stack.pop())
        if isinstance(node, promql.BinaryExpr):
            stack += [node.lhs, node.rhs]
        elif isinstance(node, promql.Call):
            stack += node.args
        elif isinstance(node, promql.AggregateExpr):
            stack += [inner for inner in (node.expr, node.param) if inner is not None]
        elif isinstance(node, promql.ParenExpr | promql.UnaryExpr | promql.SubqueryExpr):
            stack.append(node.expr)


def _selector(node: promql.Expr) -> promql.VectorSelector | None:
    while True:
        if isinstance(node, promql.ParenExpr | promql.UnaryExpr):
            node = node.expr
        elif isinstance(node, promql.BinaryExpr) and str(node.op) == "*" and _constant(node.lhs):
            node = node.rhs
        elif isinstance(node, promql.BinaryExpr) and str(node.op) in ("*", "/") and _constant(node.rhs):
            node = node.lhs
        elif isinstance(node, promql.VectorSelector) and node.at is None and _one_name(node):
            return node
        else:
            return None


def _constant(node: promql.Expr) -> bool:
    if isinstance(node, promql.ParenExpr | promql.UnaryExpr):
        return _constant(node.expr)
    if isinstance(node, promql.BinaryExpr):
        return str(node.op) in ("+", "-", "*", "/", "^") and _constant(node.lhs) and _constant(node.rhs)
    return isinstance(node, promql.NumberLiteral)


def _one_name(selector: promql.VectorSelector) -> bool:
    if selector.name is not None:
        return True
    equal = any(m.name == "__name__" and m.op == promql.MatchOp.Equal for m in selector.matchers.matchers)
    return equal and not selector.matchers.or_matchers
