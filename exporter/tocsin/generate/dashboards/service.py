"""The dashboard of one service: what is unusual now, every signal, its objectives and fixed bounds, what to do."""

from collections.abc import Mapping, Sequence
from typing import Any

from tocsin import names
from tocsin.config.models import Service, Threshold
from tocsin.generate.dashboards import frame, grid, look, panel, query, slo_panels
from tocsin.generate.dashboards.frame import Dashboard, Places
from tocsin.generate.dashboards.signal import View, limited, views
from tocsin.generate.dashboards.text import link, markdown, of_rule, placeholders, plain

_LEVEL = query.LEVEL
#: What stands for "no breach is predicted" and "nothing can be predicted" among seconds until a breach: more than any
#: forecast reaches.
_NEVER, _NO_FORECAST = 1e10, 2e10
#: Most bars of a state timeline: one page of it.
_BARS = 20
_BY = (names.SIGNAL, names.RESOURCE)


def dashboard(service: Service, alerts: Sequence[Mapping[str, Any]], places: Places) -> Dashboard:
    """The dashboard; `alerts` are the rules of the service that tell somebody."""
    found, name = views(service, places), service.service
    fixed = {names.SERVICE: name}
    sections = [
        grid.Section("Now", _now(service, found, alerts)),
        *(grid.Section(_heading(view), view.lines()) for view in found),
        grid.Section("Objectives", slo_panels.of_service(service)),
        grid.Section("Fixed bounds", _bounds(service)),
        grid.Section("Alerts", _alerts(alerts)),
    ]
    shown = frame.variable(names.RESOURCE, "Resource", _LEVEL, names.RESOURCE, query.matchers(fixed))
    variables = [shown, *(v for view in found for v in view.variables())] if found else []
    where = query.matchers(fixed)
    marks = [frame.alerts(where)]
    if found:
        # An alert without a resource is about all of them.
        marks = [
            frame.alerts(f'{where}, {names.RESOURCE}=~"${names.RESOURCE}|"'),
            frame.informational(query.matchers(fixed, {names.RESOURCE: names.RESOURCE})),
        ]
    about = (
        f"Everything that Tocsin watches of {plain(name)}: the tier of each resource, values inside the band in which "
        "they are expected, and what is forecast. Choose resources at the top; of many the worst are shown."
    )
    return Dashboard(
        uid=frame.uid(name),
        title=f"{plain(name)} (Tocsin)",
        about=about,
        sections=sections,
        variables=variables,
        annotations=marks,
        links=_links(service, places),
        tags=[name, *([service.team] if service.team else [])],
    )


def _heading(view: View) -> str:
    about = plain(view.signal.description)
    return f"{view.title}: {about}" if about else view.title


# ------------------------------------------------------------------------------------------------ now


def _now(service: Service, found: Sequence[View], alerts: Sequence[Mapping[str, Any]]) -> list[list[grid.Panel]]:
    fixed = query.matchers({names.SERVICE: service.service})
    if not found:
        return [grid.line(8, (firing(fixed), 6), (alerts_now(fixed), 18))] if alerts else []
    chosen = query.matchers({names.SERVICE: service.service}, {names.RESOURCE: names.RESOURCE})
    stats = [worst(chosen), unusual(chosen), unknown(chosen), firing(fixed)]
    if limited(found):
        stats.append(earliest(chosen))
    columns = {names.SIGNAL: "Signal", names.RESOURCE: "Resource"}
    distance = query.worst(query.largest(names.metric("zscore"), chosen, _BY), chosen, _BY)
    return [
        grid.share(stats, 4),
        grid.line(8, (alerts_now(fixed), 14), (worst_resources(chosen, columns), 10)),
        grid.line(max(8, min(18, 4 + 2 * len(found))), (_tiers(chosen, found[0].places), 24)),
        grid.line(8, (distances([panel.query(distance, _legend(_BY))]), 24)),
    ]


def _tiers(where: str, places: Places) -> grid.Panel:
    labels = {"service": names.SERVICE, "signal": names.SIGNAL, "resource": names.RESOURCE}
    explain = places.explain(**{key: f"${{__field.labels.{of}:percentencode}}" for key, of in labels.items()})
    tiers = query.worst(query.largest(_LEVEL, where, names.BASE_LABELS), where, names.BASE_LABELS, _BARS)
    return panel.timeline(
        "Tiers",
        "How unusual each resource was: 0 Normal, 1 Informational, 2 Watch, 3 Action, 4 Critical, the worst of its "
        f"detectors. -1 Unknown is too little or too old data, and never normal. Of many the {_BARS} that were worst.",
        [panel.query(tiers, _legend(_BY))],
        links=[panel.link("Why: Tocsin explains the grade", explain)],
    )


def _legend(by: Sequence[str]) -> str:
    return " ".join(f"{{{{{label}}}}}" for label in by)


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
        # Of what nothing is known of, nobody can say that it is not unusual.
        f"count({_resources(where)} >= 2)\nor 0 * count({_resources(where)} >= 0)",
        "short",
        look.steps(look.GOOD, [(1, look.WARNING), (5, look.ACTION)]),
    )


def unknown(where: str) -> grid.Panel:
    """Of how many resources nothing is known."""
    return panel.stat(
        "Unknown",
        "How many resources have no grade, because there is too little or too old data: nobody watches them now.",
        f"count({_resources(where)} == -1)\nor 0 * count({_resources(where)})",
        "short",
        look.steps(look.GOOD, [(1, look.DIM)]),
    )


def _resources(where: str) -> str:
    return query.largest(_LEVEL, where, names.BASE_LABELS)


def worst_resources(where: str, columns: Mapping[str, str], overrides: Sequence[panel.Override] = ()) -> grid.Panel:
    """A table of the worst tiers; `columns` are the labels that tell resources apart, with their headings."""
    return panel.table(
        "Worst resources now",
        "The 20 resources with the worst tiers; those that are unusual come first.",
        [panel.rows(f"topk(20, {_resources(where)})")],
        {**columns, "Value": "Tier"},
        [panel.coloured("Tier"), *overrides],
        sort=("Tier", True),
    )


def firing(where: str) -> grid.Panel:
    """How many alerts fire."""
    return panel.stat(
        "Alerts that fire",
        "How many alerts fire now, one that Tocsin is down among them. The table below names them, the marks on the "
        "graphs say when they fired. Unknown: Prometheus has not loaded the rules, so none can fire.",
        f"count({query.alerts(where, 'firing')})\n"
        f"or 0 * count({names.ALERTS}{{{names.ALERTNAME}={query.quote(names.ALERT_WATCHDOG)}}})",
        "short",
        look.steps(look.GOOD, [(1, look.CRITICAL)]),
    )


def earliest(where: str) -> grid.Panel:
    """When the first capacity ends."""
    return panel.stat(
        "Next predicted breach",
        "How long until the first resource reaches its limit, as far as the forecast tells. `none` is good news: no "
        "forecast reaches one. `no forecast`: none can be made that is better than a guess.",
        f"min(clamp_min({names.metric('breach_timestamp_seconds')}{{{where}}} - time(), 0)\n"
        f"  or 0 * {_no_breach(where, 'already_breached')})\n"
        f"or 0 * max({_no_breach(where, 'no_breach')}) + {_NEVER:.0f}\n"
        f"or 0 * max({names.metric('no_breach')}{{{where}}}) + {_NO_FORECAST:.0f}",
        "s",
        look.steps(look.CRITICAL, [(3600, look.ACTION), (86400, look.WARNING), (7 * 86400, look.GOOD)]),
        [
            *look.values({0: ("reached", look.CRITICAL)}),
            look.between(_NEVER, _NO_FORECAST - 1, "none", look.GOOD),
            look.between(_NO_FORECAST, None, "no forecast", look.DIM),
        ],
    )


def _no_breach(where: str, reason: str) -> str:
    return f"{names.metric('no_breach')}{{{where}, reason={query.quote(reason)}}}"


def distances(queries: Sequence[panel.Query]) -> grid.Panel:
    """How far all values are from what is usual, in one unit for all of them."""
    return panel.timeseries(
        "Distance from usual",
        "How many standard deviations each value is from its baseline mean. All signals share this unit, so what rises "
        f"or falls together is seen together. Of many the {query.MOST} with the worst tiers. Lines across: where the "
        "tiers begin by default.",
        queries,
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


#: Instead of the severity of an alert that goes to Tocsin alone.
_ACTS = "an operation runs first"


def _alerts(alerts: Sequence[Mapping[str, Any]]) -> list[list[grid.Panel]]:
    if not alerts:
        return []
    lines = ["| alert | severity | what to do |", "|---|---|---|"]
    for alert in alerts:
        runbook = alert["annotations"].get("runbook_url")
        # The alert names its resource, this table has all of them.
        do = f"[runbook]({of_rule(runbook, '')})" if runbook else ""
        lines.append(f"| {markdown(alert['alert'])} | {markdown(alert['labels'].get(names.SEVERITY, _ACTS))} | {do} |")
    about = "Every alert that the generated rules have for this service, and where its runbook is."
    return [grid.line(10, (panel.words("What can fire, and what to do", about, "\n".join(lines)), 24))]


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
        "Alerts that fire, and those that wait for their time (pending). Empty is good. That Tocsin is down is among "
        "them: then no alert about a tier can fire.",
        [panel.rows(query.alerts(where))],
        columns,
        sort=("State", False),
    )


def told(made: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The alerts of a file of rules."""
    return [one for group in made["groups"] for one in group["rules"] if "alert" in one]


# ------------------------------------------------------------------------------------------------ links


def _links(service: Service, places: Places) -> list[dict[str, Any]]:
    given = service.links
    known = {"service": plain(service.service)}
    found = [frame.link("Rules", places.rules, "The rules as Prometheus evaluates them")]
    for title, template, tooltip in (
        ("Runbook", given.runbook, "What to do; the table of alerts has a link for each"),
        ("Logs", given.logs, "Logs of the service"),
        ("Traces", given.traces, "Traces of the service"),
        ("Recent deploys", given.deploys, "What was deployed lately"),
    ):
        # What stands for one alert is in the table; for one signal or resource it is on the signal's panels.
        if template is not None and placeholders(template) <= known.keys():
            found.append(frame.link(title, link(template, known), tooltip))
    return found
