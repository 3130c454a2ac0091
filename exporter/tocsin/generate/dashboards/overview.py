"""The overview over all services: health of the infrastructure, and of the business that stands on it."""

import re
from collections.abc import Sequence
from typing import Any

from tocsin import names
from tocsin.config.models import Service
from tocsin.config.types import format_duration
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
_LEVEL = query.LEVEL
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
    stats = [of(where) for of in (service.worst, service.unusual, service.unknown, service.firing, service.earliest)]
    by = names.joined((names.SERVICE,))
    resources = query.largest(_LEVEL, where, names.BASE_LABELS)
    tiers = panel.timeline(
        "Worst tier of each service",
        "The worst tier of all resources of a service over time, from 0 Normal to 4 Critical; -1 Unknown while nothing "
        "is unusual, but of a resource there is too little or too old data. Open the service's own dashboard for its "
        "resources.",
        [panel.query(f"max by ({by}) ({resources}) > 0\nor min by ({by}) ({resources})", f"{{{{{names.SERVICE}}}}}")],
        links=[_open(f"${{__field.labels.{names.SERVICE}}}")] if _named_as_they_are(services) else (),
    )
    return [
        grid.share(stats, 4),
        grid.line(8, (service.alerts_now(where), 14), (_worst(where, services), 10)),
        grid.line(max(7, min(14, 4 + len(services))), (tiers, 24)),
        grid.line(8, (service.distances(_distances(where)), 24)),
    ]


def _distances(where: str) -> list[panel.Query]:
    """The highest and the lowest resource of each signal: what falls is as unusual as what rises."""
    by = (names.SERVICE, names.SIGNAL)
    legend = " ".join(f"{{{{{label}}}}}" for label in by)
    ends = (("max", "highest", "A"), ("min", "lowest", "B"))
    return [
        panel.query(
            query.worst(f"{of} by ({names.joined(by)}) ({names.metric('zscore')}{{{where}}})", where, by),
            f"{legend}, {word}",
            ref,
        )
        for of, word, ref in ends
    ]


def _worst(where: str, services: Sequence[Service]) -> grid.Panel:
    columns = {names.SERVICE: "Service", names.SIGNAL: "Signal", names.RESOURCE: "Resource"}
    # A table has labels as columns, so its values are all that a link can name.
    opens = [panel.named("Service", links=[_open("${__value.text}")])] if _named_as_they_are(services) else []
    return service.worst_resources(where, columns, opens)


def _named_as_they_are(services: Sequence[Service]) -> bool:
    """Whether each dashboard is where its service's name says: a label can be put into a link, and not its hash."""
    return all(frame.uid(one.service) == one.service for one in services)


def _open(of: str) -> dict[str, Any]:
    """A link to the dashboard of a service, with the time range and the data source of this one."""
    return panel.link("Open the service", f"/d/{of}?${{__url_time_range}}&${{datasource:queryparam}}", new=False)


# ------------------------------------------------------------------------------------------------ capacity


def _capacities(found: Sequence[View]) -> list[list[grid.Panel]]:
    panels = []
    for word, title in _CAPACITIES.items():
        of = [view for view in limited(found) if view.signal.unit == "ratio" and word in _words(view.name)]
        # One panel looks as far as all its lines: a line of hours would be a dot in a panel of days.
        for i, horizon in enumerate(sorted({view.signal.horizon or 0 for view in of}, reverse=True)):
            alike = [view for view in of if view.signal.horizon == horizon]
            name = f"Capacity Forecast ({title})" + (f", {format_duration(horizon)} ahead" if i else "")
            panels.append(forecast_of(alike, name, {names.SERVICE: "service"}))
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
    lower, upper = "Expected at least", "Expected at most"
    lines = [query.largest(names.metric(short), where, by) for short in ("value", "expected_lower", "expected_upper")]
    if view.several:
        lower, upper = f"{legend}, at least", f"{legend}, at most"
        lines = [query.worst(line, where, by) for line in lines]
    legends = (legend, lower, upper)
    queries = [panel.query(line, text, ref) for line, text, ref in zip(lines, legends, "ABC", strict=True)]
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
