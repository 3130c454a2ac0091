"""What the alerts of an SLO say: how fast the budget burns, over which windows, and what is left of it."""

from collections.abc import Sequence

from tocsin import names
from tocsin.config.models import Slo
from tocsin.config.types import format_duration
from tocsin.core import slo as core
from tocsin.generate.templates import inert

_MATCHERS = ",".join(f"{label}=%q" for label in names.SLO_LABELS)
_VALUES = " ".join(f"$labels.{label}" for label in names.SLO_LABELS)
#: Matchers of the alert's SLO; %q of Go writes what PromQL reads, so no name can end its string.
_OF = f"{{{{ $of := printf `{_MATCHERS}` {_VALUES} -}}}}"

_KIND = {"page": "so fast that somebody has to act now", "ticket": "faster than it should"}


def _query(record: str, after: str = "") -> str:
    return f'query (print "{record}{{" $of "}}{after}")'


def _number(query: str, format_: str, before: str, behind: str) -> str:
    """A phrase with the number that a query gives; nothing where it gives none."""
    return f"{{{{- with {query} }}}}{before}{{{{ . | first | value | {format_} }}}}{behind}{{{{ end }}}}"


def summary(service: str, name: str, kind: core.Kind) -> str:
    """One line: what, where, how bad."""
    return f"{inert(name)} ({inert(service)}) spends its error budget {_KIND[kind]}"


def description(slo: Slo, pairs: Sequence[core.Pair]) -> str:
    """What was bad, how fast the budget burns over each window, and what is left of it."""
    allowed = f"{1 - slo.objective:.12g}"
    windows = sorted({window for pair in pairs for window in (pair.window.short, pair.window.long)})
    burns = "".join(
        _number(
            _query(f"{names.RECORD_ERROR_OVER}{format_duration(window)}", f" / {allowed}"),
            'printf "%.3g"',
            f" {format_duration(window)} ",
            ",",
        )
        for window in windows
    )
    limits = " and ".join(f"{pair.factor:.3g} over {format_duration(pair.window.long)}" for pair in pairs)
    left = _number(
        _query(names.RECORD_REMAINING), "humanizePercentage", "\nOf the budget of " + slo.period + ", ", " is left."
    )
    lines = [
        _OF,
        f"{{{{ $value | humanizePercentage }}}} were bad, where {100 * (1 - slo.objective):.6g}% is allowed.",
        f"Burn rate by window:{burns} where {limits} is too fast.{left}",
        "`tocsin explain slo` with the name of the SLO says what that means.",
    ]
    if about := " ".join(slo.description.split()):
        lines.insert(0, inert(about))
    return "\n".join(lines)
