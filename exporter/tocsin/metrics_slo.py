"""Error budgets -> exposition: a few lines for each SLO."""

from collections.abc import Iterator, Sequence

from tocsin import names
from tocsin.core.budget import SloView
from tocsin.core.explain_slo import length

#: One line: family, its own label values, value.
Row = tuple[str, tuple[str, ...], float]


def rows(view: SloView) -> Iterator[Row]:
    """Everything that is known of one SLO; what is not known has no row."""
    readings = view.readings
    yield "slo_objective_ratio", (), view.terms.objective
    for window, burn in sorted(view.burn.items()):
        yield "slo_burn_rate", (length(window),), burn
    lower, upper = view.interval or (None, None)
    for short, value in (
        ("slo_error_budget_remaining_ratio", readings.remaining),
        ("slo_error_budget_exhaustion_timestamp_seconds", view.exhausted_at),
        ("slo_history_ratio", readings.history),
        ("slo_error_ratio_lower", lower),
        ("slo_error_ratio_upper", upper),
    ):
        if value is not None:
            yield short, (), value
    for reason in sorted(set(view.held_back.values())):
        yield "slo_held_back", (reason,), 1.0


def page(views: Sequence[SloView]) -> Iterator[bytes]:
    """Families of all SLOs, in the order of the contract."""
    families: dict[str, list[str]] = {}
    for view in views:
        for short, own, value in rows(view):
            family = names.SLO_FAMILIES[short]
            labels = zip(family.labels, (view.terms.service, view.terms.slo, *own), strict=True)
            text = ",".join(f'{name}="{escape(label)}"' for name, label in labels)
            families.setdefault(short, []).append(f"{family.name}{{{text}}} {value!r}\n")
    for short, family in names.SLO_FAMILIES.items():
        if lines := families.get(short):
            head = f"# HELP {family.name} {family.help}\n# TYPE {family.name} gauge\n"
            yield (head + "".join(lines)).encode()


def escape(value: str) -> str:
    """A label value inside quotes."""
    return value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")
