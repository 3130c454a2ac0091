"""Queries as other SLO formats have them -> what our SLIs are made of.

Those formats ask for events per second, ours for their number: where an expression does nothing but add up `rate()`
over the window, `increase()` in its place gives the number, and the share of bad ones stays what it was.
"""

import re
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import promql_parser

from tocsin.config import expr
from tocsin.config.window import WINDOW, has_window, over

#: Stands for the window while an expression is parsed: nobody writes this one.
_STAND_IN, _SECONDS = "2h11m59s", 7919

#: Step of a subquery that names none: what it is by default in Prometheus, whose rules are evaluated every minute.
_STEP = "1m"
#: Words and signs: an expression is walked by recursion, and Python's has a bound.
_MOST = 300

_TEMPLATE = re.compile(r"\{\{-?\s*\.window\s*-?\}\}")
_RANGE = re.compile(r"\[([^\]]*)\]")
_NO_STEP = re.compile(r"\[\$window\s*:\s*\]")
_RATE = re.compile(r"\brate(?=\s*\()")

#: Range functions that count events, per second or in all.
_COUNTING = ("rate", "increase")
#: Comparisons with 0 that leave what is there as it is.
_ABOVE_NOTHING = (">", ">=", "!=")
#: Aggregations that give several series even without labels to group by.
_MANY = ("topk", "bottomk", "limitk", "limit_ratio", "count_values")

Kind = Literal["bad", "good"]


@dataclass(frozen=True)
class Asked:
    """An SLI as the service file has it, and in which ways it is not what the other format says."""

    sli: dict[str, str]
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True)
class Query:
    """A valid expression with ``$window`` where the window stands."""

    text: str

    @cached_property
    def tree(self) -> promql_parser.Expr:
        """What it says."""
        return expr.parse(over(self.text, _STAND_IN))

    @cached_property
    def counts(self) -> frozenset[str]:
        """The range functions of an expression in proportion to the events in the window; none of any other."""
        return _counts(self.tree) or frozenset()

    @cached_property
    def several(self) -> bool:
        """Whether the result may have more than one series."""
        return _several(self.tree)

    @cached_property
    def selector(self) -> str | None:
        """The selector, where the expression is one, its rate over the window, or the sum of either."""
        node = _inside(self.tree)
        if isinstance(node, promql_parser.AggregateExpr) and str(node.op) == "sum":
            node = _inside(node.expr)
        if isinstance(node, promql_parser.Call) and _counts(node):
            node = node.args[0].vector_selector
        if isinstance(node, promql_parser.VectorSelector) and node.offset is None and node.at is None:
            return self._written(node)
        return None

    def _written(self, node: promql_parser.VectorSelector) -> str | None:
        """A selector as the text has it where that is easily seen, else as the parser writes it."""
        plain = str(node.prettify())
        if _STAND_IN in plain:
            return None
        code = expr.masked(self.text)
        end = code.find("[") if "[" in code else len(code)
        start = code.rfind("(", 0, end) + 1
        text = self.text[start:end].strip()
        return text if expr.fault(text) is None and expr.parse(text).prettify() == plain else plain

    @property
    def number(self) -> str:
        """The number of events over the window, of an expression that :attr:`counts`."""
        return self.selector or expr.outside_strings(_RATE, "increase", self.text)

    @property
    def one(self) -> str:
        """The expression as a single series: the sum where it may be several."""
        return f"sum({self.text})" if self.several else f"({self.text})"


def parse(text: str, *, fixed: bool = False) -> Query:
    """Read a query with ``{{.window}}``, or ``$window``, for the window; ValueError with what was found and expected.

    With `fixed` a query without one is about whatever window it is asked for: its range, one and the same wherever
    there is one, stands for it.
    """
    text = expr.uncommented(_TEMPLATE.sub(WINDOW, text))
    if match := re.search(r"\{\{.*?(?:\}\}|$)", text, re.DOTALL):
        raise ValueError(f"found {match[0]}, expected no other placeholder than {{{{.window}}}}")
    if fixed and not has_window(text):
        text = _unfixed(text)
    # Where rules are evaluated often, a subquery over days would be too large by itself.
    text = expr.outside_strings(_NO_STEP, f"[{WINDOW}:{_STEP}]", text)
    if (count := expr.tokens(text)) > _MOST:
        raise ValueError(f"found {count} words and signs, expected at most {_MOST}: record parts of it by a rule")
    if message := expr.fault(over(text, _STAND_IN)):
        raise ValueError(message.replace(_STAND_IN, WINDOW))
    return Query(text)


def events(kind: Kind, some: Query, total: Query) -> Asked:
    """An SLI from two queries for events per second."""
    remarks = []
    if some.several or total.several:
        remarks.append("found a query that may give several series, expected one: it is one SLO over all of them here")
    if some.counts and len(some.counts | total.counts) == 1 and total.counts:
        return Asked({kind: some.number, "total": total.number}, tuple(remarks))
    remarks.append(
        f"found a query that is more than sums of rate() over the window: the SLI is the ratio of {kind} and total, so "
        "that nothing is held back when there is little traffic"
    )
    share = f"{some.one} / ({total.one} > 0)"
    return Asked({"ratio": share if kind == "bad" else f"1 - {share}"}, tuple(remarks))


def ratio(kind: Kind, query: Query) -> Asked:
    """An SLI from a query for a share."""
    share = query.text if kind == "bad" else f"1 - ({query.text})"
    if not has_window(query.text):
        return Asked({"ratio": share})
    # Nothing divided by nothing is NaN, which would be part of every average over the period.
    share = f"({share}) >= -Inf"
    if not query.several:
        return Asked({"ratio": share})
    remark = "found a query that may give several series, expected one: the worst of them counts here"
    return Asked({"ratio": f"max({share})"}, (remark,))


def _unfixed(text: str) -> str:
    """The text with the window in place of its one range."""
    code = expr.masked(text)
    ranges = {match[1].strip() for match in _RANGE.finditer(code)}
    if any(":" in found for found in ranges):
        raise ValueError("found a subquery, expected {{.window}} where the window stands")
    if len(ranges) > 1:
        found = " and ".join(sorted(ranges))
        raise ValueError(f"found ranges of {found}, expected one and the same, or {{{{.window}}}} for the window")
    return expr.outside_strings(_RANGE, f"[{WINDOW}]", text)


def _inside(node: promql_parser.Expr) -> promql_parser.Expr:
    while isinstance(node, promql_parser.ParenExpr):
        node = node.expr
    return node


def _is_number(node: promql_parser.Expr, value: float | None = None) -> bool:
    node = _inside(node)
    return isinstance(node, promql_parser.NumberLiteral) and value in (None, node.val)


def _counts(node: promql_parser.Expr) -> frozenset[str] | None:
    """The counting functions of an expression that is a sum of them; none of 0, None of anything else."""
    node = _inside(node)
    if isinstance(node, promql_parser.AggregateExpr):
        return _counts(node.expr) if str(node.op) == "sum" else None
    if isinstance(node, promql_parser.Call):
        return _counts_call(node)
    return _counts_binary(node) if isinstance(node, promql_parser.BinaryExpr) else None


def _counts_call(node: promql_parser.Call) -> frozenset[str] | None:
    if node.func.name == "vector" and _is_number(node.args[0], 0):
        return frozenset()
    whole = (
        node.func.name in _COUNTING
        and isinstance(node.args[0], promql_parser.MatrixSelector)
        and node.args[0].range.total_seconds() == _SECONDS
    )
    return frozenset({str(node.func.name)}) if whole else None


def _counts_binary(node: promql_parser.BinaryExpr) -> frozenset[str] | None:
    op, left, right = str(node.op), _counts(node.lhs), _counts(node.rhs)
    if op in ("+", "-", "or"):
        return None if left is None or right is None else left | right
    if op in ("*", "/") and _is_number(node.rhs):
        return left
    if op == "*" and _is_number(node.lhs):
        return right
    if op in ("and", "unless") and not _has_range(node.rhs):
        return left
    if op in _ABOVE_NOTHING and _is_number(node.rhs, 0) and not (node.modifier and node.modifier.return_bool):
        return left
    return None


def _has_range(node: promql_parser.Expr) -> bool:
    ranges = (promql_parser.MatrixSelector, promql_parser.SubqueryExpr)
    # The walk ends, and says False, at the first one.
    return not promql_parser.walk(node, lambda found: not isinstance(found, ranges))


def _several(node: promql_parser.Expr) -> bool:
    node = _inside(node)
    if isinstance(node, promql_parser.AggregateExpr):
        grouped = node.modifier is not None and not (
            node.modifier.type == promql_parser.AggModifierType.By and not node.modifier.labels
        )
        return grouped or str(node.op) in _MANY
    if isinstance(node, promql_parser.BinaryExpr):
        left = _several(node.lhs)
        return left if str(node.op) in ("and", "unless") else left or _several(node.rhs)
    if isinstance(node, promql_parser.UnaryExpr | promql_parser.SubqueryExpr):
        return _several(node.expr)
    if isinstance(node, promql_parser.Call) and node.func.name != "absent":
        return any(_several(argument) for argument in node.args) and node.func.name != "scalar"
    literals = (promql_parser.Call, promql_parser.NumberLiteral, promql_parser.StringLiteral)
    return not isinstance(node, literals)
