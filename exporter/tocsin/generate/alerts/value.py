"""PromQL around the value of an alert: which labels are left, and the label that names the resource."""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import promql_parser

from tocsin import names
from tocsin.config import expr as text
from tocsin.core.resources import exported_name
from tocsin.generate.lint.tree import fold, walk
from tocsin.generate.promql import quote

#: What is between the values while they are joined, and the mark behind those characters that are escaped.
_BETWEEN, _DONE = "\x1f", "\x1e"
#: Operators whose results have the labels of their series, or a new one; functions that give labels.
_KEEP_LABELS = ("topk", "bottomk", "limitk", "limit_ratio", "count_values")
_GIVE_LABELS = ("absent", "absent_over_time", "label_join", "label_replace", "info")
#: How many characters each step escapes: any number up to their sum is the sum of some of them.
_STEPS = (8, 4, 2, 1)


def number(value: float) -> str:
    """A number as PromQL reads it, exactly."""
    return f"{value:.17g}" if float(f"{value:.15g}") != value else f"{value:.15g}"


def embedded(expr: str) -> str:
    """An expression in parentheses; on lines of its own where a comment could swallow what follows."""
    return f"(\n{expr.strip()}\n)" if "#" in expr or "\n" in expr.strip() else f"({expr.strip()})"


@dataclass(frozen=True)
class Grouping:
    """Which labels of a value tell its resources apart.

    `by` names them. None takes all but `ignored` and those of :data:`names.ALERT_LABELS` by which the expression does
    not group itself: two series that differ in these alone would be one alert, which Prometheus refuses. A label that
    is taken and has one of these names gets another one, as it has in the gauges.
    """

    by: tuple[str, ...] | None
    ignored: tuple[str, ...]
    #: The expression of the value.
    expr: str

    @cached_property
    def renamed(self) -> dict[str, str]:
        """New names of the labels that would pass for ours, those first whose old name is the new one of another."""
        taken = self.by if self.by is not None else _grouped_by(self.expr) - set(self.ignored)
        ours = names.ALERT_LABELS | ({names.RESOURCE} if self.several else set())
        found = [label for label in taken if _passes(label, ours)]
        return {label: exported_name(label, alone=False) for label in sorted(found, key=lambda one: (-len(one), one))}

    @property
    def without(self) -> list[str]:
        """Labels that are dropped where `by` is not given; a new name that somebody has already is free then."""
        ours = sorted({*names.ALERT_LABELS, *self.renamed.values()} - set(self.renamed))
        return list(dict.fromkeys((*self.ignored, *ours)))

    @property
    def named(self) -> bool:
        """Whether the alert has the label `resource`."""
        return bool(self.by)

    @property
    def several(self) -> bool:
        """Whether that label joins several."""
        return len(self.by or ()) > 1

    @cached_property
    def whole(self) -> bool:
        """Whether the value has no labels: the gauges of such a signal are called as the signal is."""
        return self.by == () or (self.by is None and _without_labels(self.expr))

    def aggregate(self, op: str, expr: str) -> str:
        """The value by resource; of several series in one, that which the operator chooses."""
        if self.by is None:
            return f"{op} without ({names.joined(self.without)}) {embedded(expr)}"
        return f"{op} by ({names.joined(self.by)}) {embedded(expr)}" if self.by else f"{op}{embedded(expr)}"

    def labelled(self, expr: str) -> str:
        """The same with its labels renamed, and with the label `resource`."""
        for old, new in self.renamed.items():
            expr = f'label_join({expr}, "{new}", "", "{old}")'
        if gone := sorted(self.renamed.keys() - self.renamed.values()):
            expr = f"max without ({names.joined(gone)}) ({expr})"
        if self.by and self.by != (names.RESOURCE,):
            expr = _joined(expr, [self.renamed.get(label, label) for label in self.by])
        return expr

    def identity(self, labels: Mapping[str, str]) -> dict[str, str]:
        """Labels of the alert for a value with these labels."""
        taken = [label for label in labels if label not in self.without] if self.by is None else self.by
        kept = {self.renamed.get(label, label): labels.get(label, "") for label in taken}
        if self.by:
            values = [labels.get(label, "") for label in self.by]
            kept[names.RESOURCE] = "/".join(map(_escaped, values)) if self.several else values[0]
        return {name: text for name, text in kept.items() if text}


def _joined(expr: str, labels: Sequence[str]) -> str:
    """The expression with the label `resource` from others, as the gauges have it.

    One label is taken as it is. Of several, each slash and backslash in a value gets a backslash. PromQL replaces a
    whole match and knows no loop, so this is done in steps: each escapes its number of them, where so many are left,
    and puts a mark behind the last. A template of the rule's label could do it without a bound, but after a restart
    Prometheus 2.53 to 3.10 does not remember how long an alert with such a label has lasted.
    """
    sources = ", ".join(map(quote, labels))
    if len(labels) == 1:
        return f'label_join({expr}, "{names.RESOURCE}", "/", {sources})'
    expr = f"label_join({expr}, {quote(names.RESOURCE)}, {quote(_BETWEEN)}, {sources})"
    for count in _STEPS:
        pattern = r"(?:([^\x1e]*)\x1e)?([^/\\\x1e]*)" + r"([/\\][^/\\\x1e]*)" * count + r"([^\x1e]*)"
        escaped = "".join(f"\\${i}" for i in range(3, count + 3))
        expr = _replaced(expr, pattern, f"$1$2{escaped}{_DONE}${count + 3}")
    expr = _replaced(expr, r"([^\x1e]*)\x1e([^\x1e]*)", "$1$2")
    parts = [f"${i}" for i in range(1, len(labels) + 1)]
    return _replaced(expr, r"\x1f".join([r"([^\x1f]*)"] * len(labels)), "/".join(parts))


def _replaced(expr: str, pattern: str, by: str) -> str:
    label = quote(names.RESOURCE)
    return f"label_replace({expr},\n  {label}, {quote(by)}, {label}, `{pattern}`)"


def _escaped(value: str) -> str:
    """A value as it is in a resource of several labels."""
    return re.sub(r"([/\\])", r"\\\1", value)


def _passes(label: str, ours: Collection[str]) -> bool:
    """Whether a label has one of our names, or that which another label gets that has one."""
    while label not in ours and label.startswith(names.PREFIX):
        label = label.removeprefix(names.PREFIX)
    return label in ours


def _tree(expr: str) -> promql_parser.Expr | None:
    """The tree of an expression; None where it cannot be read."""
    if text.tokens(expr) > text.MAX_TOKENS:
        return None
    try:
        return text.parse(expr)
    except ValueError:
        return None


def _grouped_by(expr: str) -> frozenset[str]:
    """Labels by which an expression groups itself; none that anybody knows where it cannot be read."""
    tree = _tree(expr)
    by = promql_parser.AggModifierType.By
    nodes = walk(tree) if tree is not None else ()
    modifiers = [node.modifier for node in nodes if isinstance(node, promql_parser.AggregateExpr)]
    return frozenset(label for one in modifiers if one is not None and one.type == by for label in one.labels)


def _without_labels(expr: str) -> bool:
    """Whether a result has no labels, whatever series there are; False where nobody knows."""
    tree = _tree(expr)
    return tree is not None and fold(tree, _loses_labels)


def _loses_labels(node: promql_parser.Expr, below: Sequence[bool]) -> bool:
    if isinstance(node, promql_parser.VectorSelector):
        return False
    if isinstance(node, promql_parser.AggregateExpr) and str(node.op) not in _KEEP_LABELS:
        by = promql_parser.AggModifierType.By
        if node.modifier is None or (node.modifier.type == by and not node.modifier.labels):
            return True
    elif isinstance(node, promql_parser.Call) and node.func.name in _GIVE_LABELS:
        return False
    return all(below)
