"""The dashboard of all objectives: what is left of each budget, how fast it burns, and when it ends."""

from collections.abc import Sequence
from typing import Any

from tocsin import names
from tocsin.config.models import Service
from tocsin.config.types import format_duration
from tocsin.core import slo as core
from tocsin.generate.dashboards import frame, grid, panel, query, slo_panels
from tocsin.generate.dashboards.frame import Dashboard, Places

UID = "tocsin-slos"

_METRIC = names.slo_metric("slo_objective_ratio")
_HELP = """\
An **objective** says which share of events has to be good, over a period. What may be bad is the **error budget**.

- A burn rate of **1** spends it exactly over the period; 14.4 spends 2 % of a budget of 30 days in an hour.
- An alert looks at two windows: the long one says that it matters, the short one that it goes on.
- A **page** is for what would eat the budget within days, a **ticket** for what would within weeks.
"""


def dashboard(services: Sequence[Service], places: Places) -> Dashboard:
    """The dashboard; without an objective it says so."""
    where = query.matchers({}, {names.SERVICE: "service", names.SLO: names.SLO})
    periods = slo_panels.all_periods(services)
    return Dashboard(
        uid=UID,
        title="Error budgets (Tocsin)",
        about="What is left of each error budget, how fast it is spent, and when nothing will be left.",
        sections=[
            grid.Section("Budgets", _budgets(where)),
            grid.Section("Burn rates", _burn_rates(where, periods)),
            grid.Section("Bad events", _bad_events(services)),
        ],
        variables=_variables(),
        annotations=[frame.alerts(query.matchers({}, {names.SERVICE: "service"}) + f', {names.SLO}=~"${names.SLO}"')],
        links=[frame.link("Rules", places.rules, "The rules as Prometheus evaluates them")],
        since="now-7d",
    )


def _variables() -> list[dict[str, Any]]:
    chosen = query.matchers({}, {names.SERVICE: "service"})
    return [
        frame.variable("service", "Service", _METRIC, names.SERVICE),
        frame.variable(names.SLO, "Objective", _METRIC, names.SLO, chosen),
    ]


def _bad_events(services: Sequence[Service]) -> list[list[grid.Panel]]:
    found = [slo_panels.error_ratio(one.service, slo) for one in services for slo in one.slos]
    return grid.spread(found, 8, most=3) if found else []


def _budgets(where: str) -> list[list[grid.Panel]]:
    help_ = panel.words("How to read this", "What an error budget and a burn rate are.", _HELP)
    return [
        grid.line(8, (slo_panels.budgets(where), 16), (help_, 8)),
        grid.line(8, (slo_panels.remaining(where), 16), (slo_panels.held_back(where), 8)),
    ]


def _burn_rates(where: str, periods: Sequence[int]) -> list[list[grid.Panel]]:
    """Long windows in one line, the short one of each below it."""
    long = [format_duration(window.long) for window in core.WINDOWS]
    short = [format_duration(window.short) for window in core.WINDOWS]
    # A window may be the short one of one alert and the long one of another: it is shown once.
    once = list(dict.fromkeys(long + short))
    return grid.spread([slo_panels.burning(where, window, periods) for window in once], 7)
