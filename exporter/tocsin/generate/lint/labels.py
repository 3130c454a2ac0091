"""Which labels the series of an expression can have."""

import promql_parser as promql

from tocsin import names
from tocsin.generate.lint.book import ALERT_SERIES, EXPOSED, OF_RESOURCES, TARGET_LABELS, Book, Rule
from tocsin.generate.lint.tree import SETS, equalities, fold, is_scalar, metric

#: Names of labels; None where nobody but the source knows them.
Labels = frozenset[str] | None

_NONE: frozenset[str] = frozenset()
#: Aggregations whose result is some of the series themselves.
_CHOOSING = frozenset({"topk", "bottomk", "limitk", "limit_ratio"})
_ABSENT = frozenset({"absent", "absent_over_time"})


class LabelsOf:
    """Labels of the rules of a book, each worked out once."""

    def __init__(self, book: Book) -> None:
        self._book = book
        self._known: dict[Rule, Labels] = {}

    def result(self, rule: Rule) -> Labels:
        """Labels of what the rule's expression gives, without the rule's own."""
        if rule.tree is None:
            return None
        if rule not in self._known:
            # Until it is known, and for a recording that stands on itself.
            self._known[rule] = None
            self._known[rule] = fold(rule.tree, self._visit)
        return self._known[rule]

    def _visit(self, node: promql.Expr, below: list[Labels]) -> Labels:
        if isinstance(node, promql.VectorSelector):
            return self._selected(node)
        if isinstance(node, promql.BinaryExpr):
            return _binary(node, below[0], below[1])
        if isinstance(node, promql.AggregateExpr):
            return _aggregated(node, below[0])
        if isinstance(node, promql.Call):
            return _called(node, below)
        return below[0] if below else _NONE

    def _selected(self, selector: promql.VectorSelector) -> Labels:
        name, wanted = metric(selector), equalities(selector)
        if name is None:
            return None
        if rules := self._book.recorded(selector):
            return _union([_union([self.result(rule), frozenset(rule.labels)]) for rule in rules])
        if name in ALERT_SERIES:
            rules = self._book.alerts.get(wanted.get(names.ALERTNAME, ""), [])
            own = frozenset({names.ALERTNAME, names.ALERTSTATE})
            added = [_union([self.result(rule), frozenset(rule.labels), own]) for rule in rules]
            return _union(added) if added else None
        return self._exposed(name, wanted)

    def _exposed(self, name: str, wanted: dict[str, str]) -> Labels:
        """Labels of what Tocsin exposes; any of what others do."""
        if name in OF_RESOURCES:
            own = frozenset({*names.BASE_LABELS, *OF_RESOURCES[name]})
            return _union([own, TARGET_LABELS, self._book.identity_labels(wanted)])
        return TARGET_LABELS | frozenset(EXPOSED[name]) if name in EXPOSED else None


def _union(found: list[Labels]) -> Labels:
    out: frozenset[str] = frozenset()
    for labels in found:
        if labels is None:
            return None
        out |= labels
    return out


def _aggregated(node: promql.AggregateExpr, inner: Labels) -> Labels:
    op = str(node.op)
    if op in _CHOOSING:
        return inner
    labels = _NONE
    if node.modifier is not None:
        named = frozenset(node.modifier.labels)
        if node.modifier.type == promql.AggModifierType.By:
            labels = named if inner is None else named & inner
        elif inner is None:
            return None
        else:
            labels = inner - named
    if op == "count_values":
        return labels | {_string(node.param)}
    return labels


def _called(node: promql.Call, below: list[Labels]) -> Labels:
    name = node.func.name
    if name in _ABSENT:
        arg = node.args[0]
        selector = arg.vector_selector if isinstance(arg, promql.MatrixSelector) else arg
        if isinstance(selector, promql.VectorSelector):
            return frozenset(equalities(selector)) - {"__name__"}
        return _NONE
    if name in ("scalar", "vector"):
        return _NONE
    if name == "info":
        return None
    labels = _union(below)
    if labels is None:
        return None
    if name in ("label_replace", "label_join"):
        return labels | {_string(node.args[1])}
    return labels - {"le"} if name == "histogram_quantile" else labels


def _string(node: object) -> str:
    return node.val if isinstance(node, promql.StringLiteral) else str(node).strip('"')


def _binary(node: promql.BinaryExpr, left: Labels, right: Labels) -> Labels:
    op, modifier = str(node.op), node.modifier
    if op in SETS:
        return _union([left, right]) if op == "or" else left
    card = promql.VectorMatchCardinality
    if modifier is not None and modifier.card in (card.ManyToOne, card.OneToMany):
        many = left if modifier.card == card.ManyToOne else right
        return None if many is None else many | frozenset(modifier.group_labels or ())
    if is_scalar(node.lhs) or is_scalar(node.rhs):
        # A scalar has no labels.
        return _union([left, right])
    matching = None if modifier is None else modifier.matching
    if matching is None:
        return _common(left, right)
    named = frozenset(matching.labels)
    if matching.type == promql.LabelModifierType.Include:
        return _common(named, _common(left, right))
    common = _common(left, right)
    return None if common is None else common - named


def _common(a: Labels, b: Labels) -> Labels:
    if a is None or b is None:
        return b if a is None else a
    return a & b
