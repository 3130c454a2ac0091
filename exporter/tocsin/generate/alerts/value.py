"""PromQL around the value of an alert: which labels are left, and the label that names the resource."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from tocsin import names
from tocsin.core.resources import exported_name
from tocsin.generate.promql import quote

#: Labels that an alert sets itself.
_OURS = frozenset(
    {names.ALERTNAME, names.SERVICE, names.SIGNAL, names.SEVERITY, names.TEAM, names.DIMENSION, names.PAGE}
)


def number(value: float) -> str:
    """A number as PromQL reads it, exactly."""
    return f"{value:.17g}" if float(f"{value:.15g}") != value else f"{value:.15g}"


def embedded(expr: str) -> str:
    """An expression in parentheses; on lines of its own where a comment could swallow what follows."""
    return f"(\n{expr.strip()}\n)" if "#" in expr or "\n" in expr.strip() else f"({expr.strip()})"


@dataclass(frozen=True)
class Grouping:
    """Which labels of a value tell its resources apart.

    `by` names them, None takes all but `ignored` and those that the alert sets itself (`own`), because two series that
    differ in these alone would be one alert, which Prometheus refuses.
    """

    by: tuple[str, ...] | None
    ignored: tuple[str, ...]
    own: Collection[str]

    @property
    def without(self) -> list[str]:
        """Labels that are dropped where `by` is not given."""
        return list(dict.fromkeys((*self.ignored, *self.own)))

    @property
    def named(self) -> bool:
        """Whether the alert has the label `resource`."""
        return bool(self.by)

    def aggregate(self, op: str, expr: str) -> str:
        """The value by resource; of several series in one, that which the operator chooses."""
        if self.by is None:
            return f"{op} without ({names.joined(self.without)}) {embedded(expr)}"
        return f"{op} by ({names.joined(self.by)}) {embedded(expr)}" if self.by else f"{op}{embedded(expr)}"

    def labelled(self, expr: str) -> str:
        """The same with the label `resource`, and copies of labels that the alert would overwrite."""
        for label in self.by or ():
            if label in _OURS:
                expr = f'label_join({expr}, "{exported_name(label, alone=False)}", "", "{label}")'
        if self.by and self.by != (names.RESOURCE,):
            sources = ", ".join(quote(label) for label in self.by)
            expr = f'label_join({expr}, "{names.RESOURCE}", "/", {sources})'
        return expr

    def identity(self, labels: Mapping[str, str]) -> dict[str, str]:
        """Labels of the result for a value with these labels."""
        if self.by is None:
            return {name: text for name, text in labels.items() if name not in self.without}
        kept = {name: labels[name] for name in self.by if labels.get(name)}
        kept |= {exported_name(name, alone=False): text for name, text in kept.items() if name in _OURS}
        if self.by:
            kept[names.RESOURCE] = "/".join(labels.get(name, "") for name in self.by)
        return {name: text for name, text in kept.items() if text}
