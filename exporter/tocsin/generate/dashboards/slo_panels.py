"""Panels about error budgets: of one service, and of all that are chosen."""

from collections.abc import Sequence

from tocsin import names
from tocsin.config.models import Service
from tocsin.config.types import format_duration, parse_whole_seconds
from tocsin.core import slo as core
from tocsin.generate.dashboards import grid, look, panel, query
from tocsin.generate.dashboards.text import plain

_BY = names.SLO_LABELS
_LEGEND = f"{{{{{names.SERVICE}}}}} {{{{{names.SLO}}}}}"


def of_service(service: Service) -> list[list[grid.Panel]]:
    """The budgets of a service."""
    if not service.slos:
        return []
    where = query.matchers({names.SERVICE: service.service})
    periods = sorted({parse_whole_seconds(slo.period) for slo in service.slos.values()})
    return [
        grid.line(8, (remaining(where), 12), (burning(where, "1h", periods), 12)),
    ]


def remaining(where: str) -> grid.Panel:
    """What is left of each budget."""
    return panel.timeseries(
        "Error budget left",
        "What is left of the failures that the objective allows over its period: 100 % is untouched, at 0 the "
        "objective is missed, below that overspent.",
        [panel.query(_largest("slo_error_budget_remaining_ratio", where), _LEGEND)],
        "percentunit",
        bounds=[(0, look.CRITICAL), (0.25, look.WARNING)],
    )


def burning(where: str, window: str, periods: Sequence[int]) -> grid.Panel:
    """How fast budgets burn over one window, with the rates at which its alerts fire."""
    factors = factors_of(window, periods)
    return panel.timeseries(
        f"Burn rate over {window}",
        "How many times faster than the objective allows the budget is spent: at 1 it lasts exactly for the period. "
        f"{told(window, periods)}",
        [panel.query(_largest("slo_burn_rate", f'{where}, window="{window}"'), _LEGEND)],
        "short",
        bounds=[(factor, look.CRITICAL if kind == "page" else look.WARNING) for kind, factor in factors],
    )


def factors_of(window: str, periods: Sequence[int]) -> list[tuple[core.Kind, float]]:
    """The burn rates at which something fires that looks at this window, one for each period."""
    found = {
        (pair.window.kind, pair.factor)
        for period in periods
        for pair in core.pairs(0.99, period)
        if window in (format_duration(pair.window.long), format_duration(pair.window.short))
    }
    return sorted(found)


def told(window: str, periods: Sequence[int]) -> str:
    """The same in words."""
    texts = []
    for period in periods:
        for pair in core.pairs(0.99, period):
            long, short = format_duration(pair.window.long), format_duration(pair.window.short)
            if window in (long, short):
                texts.append(
                    f"An objective over {format_duration(period)} tells a {pair.window.kind} when it is at least "
                    f"{pair.factor:g} over {long} and over {short}."
                )
    return " ".join(texts)


def _largest(short: str, where: str) -> str:
    return query.largest(names.slo_metric(short), where, _BY)


def budgets(where: str) -> grid.Panel:
    """A table of all objectives."""
    shorts = {
        "A": ("slo_objective_ratio", "Objective"),
        "B": ("slo_error_budget_remaining_ratio", "Budget left"),
        "C": ("slo_history_ratio", "Period seen"),
    }
    queries = [panel.rows(_largest(short, where), ref) for ref, (short, _) in shorts.items()]
    queries.append(panel.rows(_largest("slo_burn_rate", f'{where}, window="1d"'), "D"))
    exhausted = _largest("slo_error_budget_exhaustion_timestamp_seconds", where)
    queries.append(panel.rows(f"{exhausted} * 1000", "E"))
    columns = {names.SERVICE: "Service", names.SLO: "SLO"}
    columns |= {f"Value #{ref}": title for ref, (_, title) in shorts.items()}
    columns |= {"Value #D": "Burn rate over 1d", "Value #E": "Exhausted at"}
    overrides = [
        panel.named("Objective", unit="percentunit", decimals=2),
        panel.named(
            "Budget left",
            unit="percentunit",
            thresholds=look.steps(look.CRITICAL, [(0, look.ACTION), (0.25, look.WARNING), (0.5, look.GOOD)]),
            custom__cellOptions={"type": "color-background", "mode": "basic"},
        ),
        panel.named("Period seen", unit="percentunit"),
        panel.named("Exhausted at", unit="dateTimeAsIso"),
    ]
    return panel.table(
        "All objectives",
        "Each objective, what is left of its budget, and when nothing will be left at the burn rate of the last day "
        "(empty: nothing burns, or nothing is left). While less than 99 % of the period was seen, the budget is that "
        "of a partial history.",
        queries,
        columns,
        overrides,
        sort=("Budget left", False),
    )


def held_back(where: str) -> grid.Panel:
    """Which burn rates are at their threshold while little traffic holds the alert back."""
    reason = "reason"
    return panel.table(
        "Held back",
        "Objectives whose burn rate is at its threshold while no alert fires, because there is too little traffic to "
        "tell: few_bad_events, or not_significant. Usually empty.",
        [panel.rows(query.largest(names.slo_metric("slo_held_back"), where, (*_BY, reason)))],
        {names.SERVICE: "Service", names.SLO: "SLO", reason: "Reason"},
    )


def error_ratio(service: str, slo: str) -> grid.Panel:
    """The share of bad events of an objective with its exact interval; empty while another one is chosen."""
    where = query.matchers({names.SERVICE: service, names.SLO: slo}, {names.SERVICE: "service", names.SLO: names.SLO})
    share, least, most, allowed = "Bad over a day", "At least", "At most", "Allowed"
    day = names.RECORD_ERROR_OVER + format_duration(core.RECENT)
    queries = [
        panel.query(query.largest(day, where, _BY), share, "A"),
        panel.query(_largest("slo_error_ratio_lower", where), least, "B"),
        panel.query(_largest("slo_error_ratio_upper", where), most, "C"),
        panel.query(f"1 - {_largest('slo_objective_ratio', where)}", allowed, "D"),
    ]
    overrides = [
        panel.named(share, color=panel.fixed(look.NOTE), custom__lineWidth=2),
        *panel.band(least, most, look.NOTE),
        panel.named(allowed, color=panel.fixed(look.CRITICAL), custom__lineStyle=panel.DASHED),
    ]
    about = (
        "The share of bad events over a day. The area is its exact 95 % interval (Clopper and Pearson): the fewer "
        "events, the wider. The dashed line is what the objective allows."
    )
    title = f"Bad events: {plain(service)} {plain(slo)}"
    return panel.timeseries(title, about, queries, "percentunit", overrides=overrides)


def all_periods(services: Sequence[Service]) -> list[int]:
    """Lengths of the periods that objectives have, in seconds."""
    return sorted({parse_whole_seconds(slo.period) for service in services for slo in service.slos.values()})


def summary(services: Sequence[Service]) -> str:
    """What the objectives are about, as Markdown list items."""
    lines = [
        f"- **{plain(service.service)} {plain(name)}**: {slo.objective * 100:.12g} % over {slo.period}. "
        f"{plain(slo.description)}"
        for service in services
        for name, slo in service.slos.items()
    ]
    return "\n".join(lines)
