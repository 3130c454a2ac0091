"""Telling a new sample from a repeated one.

Prometheus answers with the last sample for up to five minutes after it was taken. ``timestamp(selector)`` gives the
time of the sample itself, but only for a plain selector; of any other expression it is the evaluation time. So a
signal's expression is taken apart: when its value can only come from one sample of one selector, the engine asks for
that selector's timestamp too, and a time that did not move is a gap.

``timestamp()`` drops the metric name, as arithmetic does, and a bare selector keeps it: the two are matched by the
identity of their resource, of which the name is never a part.
"""

import promql_parser as promql


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
