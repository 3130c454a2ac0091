"""The dashboard of capacity: what runs out and when, how that is known, and whether forecasts were right."""

from collections.abc import Sequence

from tocsin import names
from tocsin.config.models import ProcessModel, Service
from tocsin.config.types import format_duration
from tocsin.generate.dashboards import frame, grid, look, panel, query
from tocsin.generate.dashboards.frame import Dashboard, Places
from tocsin.generate.dashboards.signal import View, limited, relative, views
from tocsin.generate.dashboards.text import plain

UID = "tocsin-capacity"
_LEVEL = query.LEVEL
_BREACH = names.metric("breach_timestamp_seconds")
_BY = names.BASE_LABELS
#: The variable by which services are chosen.
_CHOSEN = {names.SERVICE: "service"}
_DOTTED = {"fill": "dot", "dash": [2, 8]}
_NAMED = f"{{{{{names.RESOURCE}}}}}"


def dashboard(services: Sequence[Service], process: ProcessModel, places: Places) -> Dashboard:
    """The dashboard; a row for each service that has a signal with a limit and a forecast."""
    where = query.matchers({}, _CHOSEN)
    found = [(service, limited(views(service, places))) for service in services]
    sections = [grid.Section("What runs out, and when", _tables(where, process))]
    variables = [frame.variable("service", "Service", _LEVEL, names.SERVICE)]
    for service, signals in found:
        lines = [line for view in signals for line in _lines(view)]
        sections.append(grid.Section(f"Capacity of {plain(service.service)}", lines))
    return Dashboard(
        uid=UID,
        title="Capacity (Tocsin)",
        about="What runs out of capacity and when, the line to each predicted breach, and how right forecasts were.",
        sections=sections,
        variables=variables,
        annotations=[frame.alerts(where)],
        links=[frame.link("Rules", places.rules, "The rules as Prometheus evaluates them")],
        since="now-7d",
    )


def _lines(view: View) -> list[list[grid.Panel]]:
    return [grid.line(8, (against_forecast(view), 12), (forecast_of([view], view.title, _CHOSEN), 12))]


def against_forecast(view: View) -> grid.Panel:
    """What was forecast for each time, a horizon before, beside what came."""
    horizon = view.signal.horizon or 0
    where, length, by = query.matchers(view.identity, _CHOSEN), format_duration(horizon), (names.RESOURCE,)
    nearest = query.nearest(query.largest(names.metric("value"), where, by, "@ end()"), down=view.down)
    value = query.largest(names.metric("value"), where, by)
    earlier = query.largest(names.metric("forecast_value"), where, by, f"offset {length}")
    return panel.timeseries(
        f"{view.title}: forecast and what came",
        f"{plain(view.signal.description)} Thick lines are values; a dashed line is what was forecast for that time "
        f"{length} before. Dashed lines begin when Tocsin has run for that long; how far they are from the thick ones "
        f"is how wrong the forecast was. Of many resources the {query.MOST} that are nearest to the limit.",
        [
            panel.query(f"{value}\nand {nearest}", _NAMED, "A"),
            panel.query(f"{earlier}\nand {nearest}", _NAMED, "B"),
        ],
        view.unit,
        bounds=[(view.signal.limit or 0, look.CRITICAL)],
        overrides=[
            panel.from_query("A", custom__lineWidth=2),
            panel.from_query("B", custom__lineStyle=panel.DASHED, custom__hideFrom=panel.UNLISTED),
        ],
        links=view.links(),
        palette=panel.BY_NAME,
    )


def forecast_of(found: Sequence[View], title: str, where: dict[str, str] | None = None) -> grid.Panel:
    """Every resource of these signals from now on: to its forecast, and to its predicted breach."""
    queries: list[panel.Query] = []
    overrides: list[panel.Override] = []
    bounds: list[tuple[float, str]] = []
    for number, view in enumerate(found):
        horizon, limit = view.signal.horizon or 0, view.signal.limit or 0.0
        ahead = query.Ahead(query.matchers(view.identity, where), _BY, horizon, down=view.down)
        resource = f"{{{{{names.SERVICE}}}}} {_NAMED}" if len(found) > 1 else _NAMED
        refs = [f"{kind}{number}" for kind in ("forecast", "least", "most", "breach")]
        texts = [resource, resource, resource, f"{resource}, to the breach"]
        ways = [ahead.forecast, ahead.lower, ahead.upper, ahead.breach(limit)]
        queries += [panel.query(expr, text, ref) for expr, text, ref in zip(ways, texts, refs, strict=True)]
        overrides.append(panel.from_query(refs[0], custom__lineStyle=panel.DASHED, custom__lineWidth=2))
        bound = {"custom__lineStyle": _DOTTED, "custom__hideFrom": panel.UNLISTED}
        overrides += [panel.from_query(ref, **bound) for ref in refs[1:3]]
        overrides.append(panel.from_query(refs[3], color=panel.fixed(look.CRITICAL), custom__lineWidth=3))
        bounds.append((limit, look.CRITICAL))
    lines = panel.timeseries(
        title,
        "From now on: a dashed line goes straight from the value now to the value that is forecast at the horizon, the "
        "dotted lines to the bounds of its 95 % interval. A thick red line ends where and when the limit (red, dashed) "
        "is predicted to be reached, which a daily wave may do although the dashed line stays below; without one no "
        f"breach is predicted. Of the resources of a signal the {query.MOST} whose forecasts are nearest to it.",
        queries,
        found[0].unit,
        bounds=bounds,
        overrides=overrides,
        links=found[0].links() if len(found) == 1 else (),
        palette=panel.BY_NAME,
        showPoints="never",
    )
    return panel.ahead(lines, relative(max(view.signal.horizon or 0 for view in found)))


def _tables(where: str, process: ProcessModel) -> list[list[grid.Panel]]:
    return [grid.line(9, (breaches(where, process), 14), (_reasons(where), 10))]


def breaches(where: str, process: ProcessModel) -> grid.Panel:
    """A table of what is predicted to reach its limit."""
    shorts = {"breach_timestamp_seconds": "Reaches its limit at"}
    if process.publish == "full":
        shorts["breach_earliest_timestamp_seconds"] = "At the earliest"
        shorts["breach_latest_timestamp_seconds"] = "At the latest"
    refs = dict(zip("ABC", shorts.items(), strict=False))
    queries = [
        panel.rows(f"{query.largest(names.metric(short), where, _BY)} * 1000", ref) for ref, (short, _) in refs.items()
    ]
    left = f"{query.largest(_BREACH, where, _BY)} - time()"
    columns = {names.SERVICE: "Service", names.SIGNAL: "Signal", names.RESOURCE: "Resource"}
    columns |= {f"Value #{ref}": title for ref, (_, title) in refs.items()} | {"Value #D": "Left"}
    overrides = [panel.named(title, unit="dateTimeAsIso") for title in shorts.values()]
    soon = look.steps(look.CRITICAL, [(3600, look.ACTION), (86400, look.WARNING), (7 * 86400, look.GOOD)])
    cell = {"type": "color-background", "mode": "basic"}
    overrides.append(panel.named("Left", unit="s", thresholds=soon, custom__cellOptions=cell))
    return panel.table(
        "Predicted breaches",
        "What is predicted to reach its limit within the horizon of its forecast, soonest first. Empty is good; why "
        "there is no breach time stands beside it.",
        [*queries, panel.rows(left, "D")],
        columns,
        overrides,
        sort=("Left", False),
    )


def _reasons(where: str) -> grid.Panel:
    reason = "reason"
    each = query.largest(names.metric("no_breach"), where, (*_BY, reason))
    return panel.table(
        "Why there is no breach time",
        "no_breach: the forecast stays below the limit. already_breached: it is there. no_limit: the signal has none. "
        "insufficient_data, poor_fit, stale: nobody can tell.",
        [panel.rows(f"count by ({names.SERVICE}, {names.SIGNAL}, {reason}) ({each})")],
        {names.SERVICE: "Service", names.SIGNAL: "Signal", reason: "Reason", "Value": "Resources"},
        sort=("Service", False),
    )
