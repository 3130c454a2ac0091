"""An alert's expression without recorded series: what records them is written in their place."""

from collections.abc import Callable

import promql_parser as promql

from tocsin.config import expr as text
from tocsin.config.types import format_duration
from tocsin.generate.lint.book import Book, Rule
from tocsin.generate.lint.bounds import matches
from tocsin.generate.lint.tree import children, fold, metric
from tocsin.generate.promql import quote

#: Whether the source has what is selected.
There = Callable[[promql.VectorSelector], bool]


class Cannot(Exception):
    """A recorded series cannot be replaced by what records it; says why."""


def inlined(tree: promql.Expr, book: Book, every: float, there: There) -> str:
    """The expression with each recorded series that is not `there` replaced; raises Cannot.

    `every` are the seconds between evaluations, the steps in which a range of a recorded series is worked out.
    """
    result = _Writer(book, every, there).write(tree, frozenset())
    if text.tokens(result) > text.MAX_TOKENS:
        raise Cannot("it would be too long with its recordings written out")
    return result


class _Writer:
    def __init__(self, book: Book, every: float, there: There) -> None:
        self._book, self._every, self._there = book, every, there

    def write(self, tree: promql.Expr, inside: frozenset[str | None]) -> str:
        """The text of a tree; `inside` are the recordings that it is a part of."""

        def visit(node: promql.Expr, below: list[str | None]) -> str | None:
            """The text of a node in which something is replaced, else None."""
            if isinstance(node, promql.VectorSelector):
                return f"({self._recorded(node, inside)})" if self._gone(node) else None
            if isinstance(node, promql.MatrixSelector):
                span = format_duration(node.range.total_seconds())
                return None if below[0] is None else f"{below[0]}[{span}:{format_duration(self._every)}]"
            if all(one is None for one in below):
                return None
            # The parser takes trees of its own apart and does not put them together: in depth that takes minutes.
            parts = zip(children(node), below, strict=True)
            return _composed(node, [child.prettify() if one is None else one for child, one in parts])

        return fold(tree, visit) or tree.prettify()

    def _gone(self, selector: promql.VectorSelector) -> bool:
        return metric(selector) in self._book.records and not self._there(selector)

    def _recorded(self, selector: promql.VectorSelector, inside: frozenset[str | None]) -> str:
        name = metric(selector)
        if name in inside:
            raise Cannot(f"{name} is recorded from itself")
        if selector.offset is not None or selector.at is not None:
            raise Cannot(f"{name} is recorded, not in the source, and asked for at another time")
        chosen = [(rule, rule.tree) for rule in _chosen(selector, self._book)]
        arms = [_labelled(rule, self.write(tree, inside | {name})) for rule, tree in chosen if tree]
        if not arms:
            raise Cannot(f"{name} is recorded by no rule that can be read")
        return " or ".join(f"({arm})" for arm in arms)


def _composed(node: promql.Expr, parts: list[str]) -> str:
    """A node's text around that of its parts."""
    if isinstance(node, promql.ParenExpr):
        return f"({parts[0]})"
    if isinstance(node, promql.UnaryExpr):
        return f"-{parts[0]}"
    if isinstance(node, promql.BinaryExpr):
        return f"{parts[0]} {node.op} {'' if node.modifier is None else node.modifier} {parts[1]}"
    if isinstance(node, promql.Call):
        return f"{node.func.name}({', '.join(parts)})"
    if isinstance(node, promql.AggregateExpr):
        return _aggregation(node, parts)
    assert isinstance(node, promql.SubqueryExpr)
    if node.offset is not None or node.at is not None or node.range is None:
        raise Cannot("a recording that is not in the source is asked for at another time")
    step = "" if node.step is None else format_duration(node.step.total_seconds())
    return f"{parts[0]}[{format_duration(node.range.total_seconds())}:{step}]"


def _aggregation(node: promql.AggregateExpr, parts: list[str]) -> str:
    by = ""
    if node.modifier is not None:
        word = "by" if node.modifier.type == promql.AggModifierType.By else "without"
        by = f" {word} ({', '.join(node.modifier.labels)})"
    return f"{node.op}{by} ({', '.join([*parts[1:], parts[0]])})"


def _chosen(selector: promql.VectorSelector, book: Book) -> list[Rule]:
    """The recordings that the selector means, told by the labels that they add."""
    chosen = []
    for rule in book.recorded(selector):
        asked = [m for m in selector.matchers.matchers if m.name != "__name__"]
        if unknown := [m.name for m in asked if m.name not in rule.labels]:
            raise Cannot(f"{rule.name} is recorded, not in the source, and asked for by its label {unknown[0]}")
        if all(matches(m, rule.labels[m.name]) for m in asked):
            chosen.append(rule)
    return chosen


def _labelled(rule: Rule, expr: str) -> str:
    """The expression with the labels that the recording adds."""
    for label, value in rule.labels.items():
        # In a replacement a dollar sign begins the name of a group.
        expr = f'label_replace({expr}, {quote(label)}, {quote(value.replace("$", "$$"))}, "", "")'
    return expr
