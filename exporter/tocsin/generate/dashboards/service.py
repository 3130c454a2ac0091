"""The dashboard of one service: what is unusual now, every signal, its objectives and fixed bounds, what to do."""

from collections.abc import Mapping, Sequence
from typing import Any

from tocsin import names
from tocsin.config.models import Service, Threshold
from tocsin.generate.dashboards import frame, grid, look, panel, query, slo_panels
from tocsin.generate.dashboards.frame import Dashboard, Places
from tocsin.generate.dashboards.signal import View, limited, views
from tocsin.generate.dashboards.text import link, markdown, of_rule, placeholders, plain

_RESOURCE = f"${{{names.RESOURCE}:percentencode}}"
_LEVEL = names.metric("severity_level")
_BY = (names.SIGNAL, names.RESOURCE)


def dashboard(service: Service, alerts: Sequence[Mapping[str, Any]], places: Places) -> Dashboard:
    """The dashboard; `alerts` are the rules of the service that tell somebody."""
    found, name = views(service, places), service.service
    fixed = {names.SERVICE: name}
    sections = [
        grid.Section("Now", _now(service, found)) if found else grid.Section(None, []),
        *(grid.Section(_heading(view), view.lines()) for view in found),
        grid.Section("Objectives", slo_panels.of_service(service)),
        grid.Section("Fixed bounds", _bounds(service)),
        grid.Section("Alerts", _alerts(service, alerts)),
    ]
    shown = frame.variable(names.RESOURCE, "Resource", _LEVEL, names.RESOURCE, query.matchers(fixed))
    variables = [shown, *(v for view in found for v in view.variables())] if found else []
    about = (
        f"Everything that Tocsin watches of {plain(name)}: the tier of each resource, values inside the band in which "
        "they are expected, and what is forecast. Choose resources at the top."
    )
    return Dashboard(
        uid=frame.uid(name),
        title=f"{plain(name)} (Tocsin)",
        about=about,
        sections=sections,
        variables=variables,
        annotations=[frame.alerts(query.matchers(fixed)), frame.informational(query.matchers(fixed))],
        links=_links(service, places),
        tags=[name, *([service.team] if service.team else [])],
    )


def _heading(view: View) -> str:
    about = plain(view.signal.description)
    return f"{view.title}: {about}" if about else view.title


# ------------------------------------------------------------------------------------------------ now


def _now(service: Service, found: Sequence[View]) -> list[list[grid.Panel]]:
    fixed = query.matchers({names.SERVICE: service.service})
    chosen = query.matchers({names.SERVICE: service.service}, {names.RESOURCE: names.RESOURCE})
    stats = [worst(chosen), unusual(chosen), firing(fixed)]
    if limited(found):
        stats.append(earliest(chosen))
    signals = len(found)
    explain = found[0].places.explain(
        service=f"${{__field.labels.{names.SERVICE}}}", resource=f"${{__field.labels.{names.RESOURCE}:percentencode}}"
    )
    tiers = panel.timeline(
        "Tiers",
        "How unusual each resource was: 0 Normal, 1 Informational, 2 Watch, 3 Action, 4 Critical, the worst of its "
        "detectors. -1 Unknown is too little or too old data, and never normal.",
        [
            panel.query(
                query.largest(_LEVEL, chosen, names.BASE_LABELS), f"{{{{{names.SIGNAL}}}}} {{{{{names.RESOURCE}}}}}"
            )
        ],
        links=[panel.link("Why: Tocsin explains the grade", explain)],
    )
    return [
        *grid.spread(stats, 4),
        grid.line(max(8, min(18, 4 + 2 * signals)), (tiers, 24)),
        grid.line(8, (distances(chosen, _BY), 24)),
    ]


def worst(where: str) -> grid.Panel:
    """The worst tier of all resources."""
    return panel.stat(
        "Worst tier now",
        "The worst tier of all resources that are chosen, from -1 Unknown to 4 Critical.",
        f"max({_LEVEL}{{{where}}})",
        "short",
        look.tier_steps(),
        look.tier_mappings(),
    )


def unusual(where: str) -> grid.Panel:
    """How many resources are at tier 2 or above."""
    return panel.stat(
        "At tier 2 or above",
        "How many resources are unusual enough to watch: tier 2, 3 or 4.",
        f"count({query.largest(_LEVEL, where, names.BASE_LABELS)} >= 2) or vector(0)",
        "short",
        look.steps(look.GOOD, [(1, look.WARNING), (5, look.ACTION)]),
    )


def firing(where: str) -> grid.Panel:
    """How many alerts fire."""
    return panel.stat(
        "Alerts that fire",
        "How many alerts fire now. The marks on the graphs say which, and when they did; the table below what to do.",
        f'count({names.ALERTS}{{{names.ALERTSTATE}="firing", {where}}}) or vector(0)',
        "short",
        look.steps(look.GOOD, [(1, look.CRITICAL)]),
    )


def earliest(where: str) -> grid.Panel:
    """When the first capacity ends."""
    return panel.stat(
        "Next predicted breach",
        "How long until the first resource reaches its limit, as far as the forecast tells. `none` is good news.",
        f"min({names.metric('breach_timestamp_seconds')}{{{where}}}) - time()",
        "s",
        look.steps(look.CRITICAL, [(3600, look.ACTION), (86400, look.WARNING), (7 * 86400, look.GOOD)]),
    )


def distances(where: str, by: Sequence[str]) -> grid.Panel:
    """How far all values are from what is usual, in one unit for all of them."""
    legend = " ".join(f"{{{{{label}}}}}" for label in by)
    return panel.timeseries(
        "Distance from usual",
        "How many standard deviations each value is from its baseline mean. All signals share this unit, so what rises "
        "or falls together is seen together. Lines across: where the tiers begin by default.",
        [panel.query(query.largest(names.metric("zscore"), where, by), legend)],
        "short",
        bounds=[
            (sign * bound, colour)
            for bound, colour in ((1.8, look.NOTE), (2.5, look.WARNING), (3.5, look.ACTION), (5.0, look.CRITICAL))
            for sign in (-1, 1)
        ],
    )


# ------------------------------------------------------------------------------------------------ bounds


def _bounds(service: Service) -> list[list[grid.Panel]]:
    """Thresholds that are about no signal: a panel for each expression."""
    found: dict[str, list[tuple[str, Threshold]]] = {}
    for name, threshold in service.thresholds.items():
        if threshold.expr is not None:
            found.setdefault(query.expression(threshold.expr), []).append((name, threshold))
    panels = [_bound(expr, thresholds) for expr, thresholds in found.items()]
    return grid.spread(panels, 8, most=3) if panels else []


def _bound(expr: str, thresholds: Sequence[tuple[str, Threshold]]) -> grid.Panel:
    bounds: list[tuple[float, str]] = []
    for _, threshold in thresholds:
        pairs = ((threshold.target, look.GOOD), (threshold.warning, look.WARNING), (threshold.critical, look.CRITICAL))
        bounds += [(bound, colour) for bound, colour in pairs if bound is not None]
    side = "above" if thresholds[0][1].direction == "up" else "below"
    return panel.timeseries(
        plain(", ".join(name for name, _ in thresholds)),
        f"A value with fixed bounds, straight from Prometheus. {side.capitalize()} the yellow line a warning fires, "
        f"{side} the red one a critical alert.",
        [panel.query(expr)],
        look.UNITS[thresholds[0][1].unit or "none"],
        bounds=bounds,
    )


# ------------------------------------------------------------------------------------------------ alerts


def _alerts(service: Service, alerts: Sequence[Mapping[str, Any]]) -> list[list[grid.Panel]]:
    if not alerts:
        return []
    now = alerts_now(query.matchers({names.SERVICE: service.service}))
    lines = ["| alert | severity | what to do |", "|---|---|---|"]
    for alert in alerts:
        runbook = alert["annotations"].get("runbook_url")
        do = f"[runbook]({of_rule(runbook, _RESOURCE)})" if runbook else ""
        lines.append(f"| {markdown(alert['alert'])} | {markdown(alert['labels'][names.SEVERITY])} | {do} |")
    about = "Every alert that the generated rules have for this service, and where its runbook is."
    return [grid.line(10, (now, 12), (panel.words("What can fire, and what to do", about, "\n".join(lines)), 12))]


def alerts_now(where: str) -> grid.Panel:
    """A table of alerts that fire or are pending."""
    columns = {
        names.ALERTNAME: "Alert",
        names.ALERTSTATE: "State",
        names.SEVERITY: "Severity",
        names.SERVICE: "Service",
        names.SIGNAL: "Signal",
        names.RESOURCE: "Resource",
        names.SLO: "Objective",
    }
    return panel.table(
        "Alerts now",
        "Alerts that fire, and those that wait for their time (pending). Empty is good.",
        [panel.rows(f"{names.ALERTS}{{{where}}}")],
        columns,
        sort=("State", False),
    )


def told(made: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The alerts of a file of rules."""
    return [one for group in made["groups"] for one in group["rules"] if "alert" in one]


# ------------------------------------------------------------------------------------------------ links


def _links(service: Service, places: Places) -> list[dict[str, Any]]:
    given = service.links
    known = {"service": plain(service.service), "resource": _RESOURCE}
    found = [frame.link("Rules", places.rules, "The rules as Prometheus evaluates them")]
    for title, template, tooltip in (
        ("Runbook", given.runbook, "What to do; the table of alerts has a link for each"),
        ("Logs", given.logs, "Logs of the resources that are chosen"),
        ("Traces", given.traces, "Traces of the resources that are chosen"),
        ("Recent deploys", given.deploys, "What was deployed lately"),
    ):
        # What stands for one alert or one signal is in the table, or on the signal's panel.
        if template is not None and placeholders(template) <= known.keys():
            found.append(frame.link(title, link(template, known), tooltip))
    return found
