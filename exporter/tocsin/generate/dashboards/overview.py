"""The overview over all services: health of the infrastructure, and of the business that stands on it."""

import re
from collections.abc import Sequence

from tocsin import names
from tocsin.config.models import Service
from tocsin.generate.dashboards import frame, grid, look, panel, query, service, slo_panels
from tocsin.generate.dashboards.capacity import forecast_of
from tocsin.generate.dashboards.frame import Dashboard, Places
from tocsin.generate.dashboards.signal import View, limited, views
from tocsin.generate.dashboards.text import link, placeholders, plain

UID = "tocsin-overview"
#: The title by which runbooks call it.
TITLE = "Infrastructure Monitoring & Business Observability"

#: What every system can run out of: the word in the name of a signal, and how it is written.
_CAPACITIES = {"cpu": "CPU", "memory": "Memory", "disk": "Disk"}
#: The side of the business that has panels of its own, above.
_CAPACITY = "capacity"
_LEVEL = names.metric("severity_level")
_WORDS = re.compile(r"[a-z0-9]+")


def dashboard(services: Sequence[Service], places: Places) -> Dashboard:
    """The dashboard."""
    where = query.matchers({}, {names.SERVICE: "service"})
    found = [view for one in services for view in views(one, places)]
    sections = [
        grid.Section("Now", _now(where, services)),
        grid.Section("Capacity", _capacities(found)),
        *_business(found),
        grid.Section("Error budgets", _budgets(where, services)),
        grid.Section("Alerts", [grid.line(9, (service.alerts_now(where), 24))]),
    ]
    links = [frame.link("Rules", places.rules, "The rules as Prometheus evaluates them")]
    given = [(one.service, one.links) for one in services]
    for name, templates in given:
        of = (("logs", templates.logs), ("traces", templates.traces), ("recent deploys", templates.deploys))
        for title, template in of:
            if template is not None and not placeholders(template) - {"service"}:
                links.append(frame.link(f"{plain(name)}: {title}", link(template, {"service": name}), ""))
    return Dashboard(
        uid=UID,
        title=TITLE,
        about="All services at a glance: what is unusual, what runs out, what the business sees, and what fires.",
        sections=sections,
        variables=[frame.variable("service", "Service", _LEVEL, names.SERVICE)],
        annotations=[frame.alerts(where)],
        links=links,
    )


def _now(where: str, services: Sequence[Service]) -> list[list[grid.Panel]]:
    stats = [service.worst(where), service.unusual(where), service.firing(where), service.earliest(where)]
    tiers = panel.timeline(
        "Worst tier of each service",
        "The worst tier of all resources of a service over time, from 0 Normal to 4 Critical; -1 Unknown is too little "
        "or too old data. Open the service's own dashboard for its resources.",
        [panel.query(query.largest(_LEVEL, where, (names.SERVICE,)), f"{{{{{names.SERVICE}}}}}")],
        links=[_OPEN] if _named_as_they_are(services) else (),
    )
    return [
        *grid.spread(stats, 4),
        grid.line(max(7, min(14, 4 + len(services))), (tiers, 24)),
        grid.line(8, (service.distances(where, (names.SERVICE, names.SIGNAL)), 14), (_worst(where, services), 10)),
    ]


def _worst(where: str, services: Sequence[Service]) -> grid.Panel:
    worst = f"topk(20, {query.largest(_LEVEL, where, names.BASE_LABELS)})"
    columns = {names.SERVICE: "Service", names.SIGNAL: "Signal", names.RESOURCE: "Resource", "Value": "Tier"}
    opens = [panel.named("Service", links=[_OPEN])] if _named_as_they_are(services) else []
    return panel.table(
        "Worst resources now",
        "The 20 resources with the worst tiers; those that are unusual come first.",
        [panel.rows(worst)],
        columns,
        [panel.coloured("Tier"), *opens],
        sort=("Tier", True),
    )


def _named_as_they_are(services: Sequence[Service]) -> bool:
    """Whether each dashboard is where its service's name says: a label can be put into a link, and not its hash."""
    return all(frame.uid(one.service) == one.service for one in services)


_OPEN = {"title": "Open the service", "url": f"/d/${{__field.labels.{names.SERVICE}}}", "targetBlank": False}


# ------------------------------------------------------------------------------------------------ capacity


def _capacities(found: Sequence[View]) -> list[list[grid.Panel]]:
    panels = []
    for word, title in _CAPACITIES.items():
        views_ = [view for view in limited(found) if view.signal.unit == "ratio" and word in _words(view.name)]
        if views_:
            panels.append(forecast_of(views_, f"Capacity Forecast ({title})", {names.SERVICE: "service"}))
    return grid.spread(panels, 9, most=2) if panels else []


def _words(name: str) -> list[str]:
    return _WORDS.findall(name.lower())


# ------------------------------------------------------------------------------------------------ business


def _business(found: Sequence[View]) -> list[grid.Section]:
    """A section for each side of the business, with the signals that are about it."""
    sides: dict[str, list[View]] = {}
    for view in found:
        if view.signal.dimension not in (None, _CAPACITY):
            sides.setdefault(str(view.signal.dimension), []).append(view)
    return [
        grid.Section(f"Business: {plain(side)}", grid.spread([_value(view) for view in views_], 8, most=3))
        for side, views_ in sides.items()
    ]


def _value(view: View) -> grid.Panel:
    """The values of a signal, and of one with a single resource where they were expected."""
    where = query.matchers(view.identity, {names.SERVICE: "service"})
    by = (names.RESOURCE,)
    legend = f"{{{{{names.RESOURCE}}}}}"
    queries = [panel.query(query.largest(names.metric("value"), where, by), legend, "A")]
    lower, upper = "Expected at least", "Expected at most"
    edges = [query.largest(names.metric(short), where, by) for short in ("expected_lower", "expected_upper")]
    if view.several:
        lower, upper = f"{legend}, at least", f"{legend}, at most"
    queries += [panel.query(edges[0], lower, "B"), panel.query(edges[1], upper, "C")]
    faint = [panel.from_query(ref, custom__lineStyle=panel.DASHED, color=panel.fixed(look.DIM)) for ref in "BC"]
    return panel.timeseries(
        f"{plain(view.service.service)}: {view.title}",
        f"{plain(view.signal.description)} Dashed lines, or the area between them, are where it was expected.",
        queries,
        view.unit,
        bounds=view.bounds,
        overrides=faint if view.several else panel.band(lower, upper, look.GOOD),
        links=view.links(),
    )


def _budgets(where: str, services: Sequence[Service]) -> list[list[grid.Panel]]:
    periods = slo_panels.all_periods(services)
    if not periods:
        return []
    return [grid.line(8, (slo_panels.remaining(where), 12), (slo_panels.burning(where, "1h", periods), 12))]
