"""One function for each kind of panel, and for a query: Grafana's classic model as plain data."""

from collections.abc import Mapping, Sequence
from typing import Any

from tocsin.generate.dashboards import look
from tocsin.generate.dashboards.grid import Panel

#: The variable of the datasource; nothing names another one.
DATASOURCE: Mapping[str, str] = {"type": "prometheus", "uid": "${datasource}"}

Query = dict[str, Any]
Override = dict[str, Any]


def query(expr: str, legend: str = "", ref: str = "A", *, every: str | None = None) -> Query:
    """A query over the time range; `every` is its shortest step, which is then Grafana's `$__interval`."""
    found = _query(expr, ref) | {"legendFormat": legend or "__auto", "range": True, "instant": False}
    return found | ({} if every is None else {"interval": every})


def instant(expr: str, legend: str = "", ref: str = "A") -> Query:
    """A query at the end of the time range."""
    return _query(expr, ref) | {"legendFormat": legend or "__auto", "range": False, "instant": True}


def rows(expr: str, ref: str = "A") -> Query:
    """A query at the end of the time range, for a table: one row per series, labels as columns."""
    return instant(expr, ref=ref) | {"format": "table"}


def _query(expr: str, ref: str) -> Query:
    return {"datasource": dict(DATASOURCE), "editorMode": "code", "expr": expr, "format": "time_series", "refId": ref}


def named(name: str, **properties: Any) -> Override:  # noqa: ANN401  any property
    """What is different about the series with this name."""
    return _override("byName", name, properties)


def from_query(ref: str, **properties: Any) -> Override:  # noqa: ANN401  any property
    """What is different about the series of one query."""
    return _override("byFrameRefID", ref, properties)


def _override(matcher: str, options: str, properties: Mapping[str, Any]) -> Override:
    # Names of properties have dots in them, which Python's names have not.
    found = [{"id": key.replace("__", "."), "value": value} for key, value in properties.items()]
    return {"matcher": {"id": matcher, "options": options}, "properties": found}


DASHED = {"fill": "dash", "dash": [10, 10]}
#: Drawn, and left out where series are listed.
UNLISTED = {"legend": True, "tooltip": True, "viz": False}
#: Series of one name have one colour, whichever query they are from.
BY_NAME = "palette-classic-by-name"
#: Most points of a line that is straight.
_STRAIGHT = 300


def fixed(colour: str) -> dict[str, str]:
    """A colour of its own."""
    return {"mode": "fixed", "fixedColor": colour}


def link(title: str, url: str, *, new: bool = True) -> dict[str, Any]:
    """A link of a value; `new` opens a tab."""
    return {"title": title, "url": url, "targetBlank": new}


def _panel(kind: str, title: str, description: str, queries: Sequence[Query]) -> Panel:
    head = {"type": kind, "title": title, "description": description, "datasource": dict(DATASOURCE)}
    return head | {"targets": list(queries)}


def _config(defaults: Mapping[str, Any], overrides: Sequence[Override] = ()) -> dict[str, Any]:
    return {"defaults": dict(defaults), "overrides": list(overrides)}


_LEGEND = {"calcs": ["lastNotNull"], "displayMode": "table", "placement": "bottom", "showLegend": True}
_TOOLTIP = {"mode": "multi", "sort": "desc"}
_LINES = {
    "axisPlacement": "auto",
    "drawStyle": "line",
    "fillOpacity": 0,
    "lineInterpolation": "linear",
    "lineWidth": 1,
    "pointSize": 4,
    "showPoints": "auto",
    "spanNulls": False,
    "stacking": {"group": "A", "mode": "none"},
}


def timeseries(
    title: str,
    description: str,
    queries: Sequence[Query],
    unit: str,
    *,
    bounds: Sequence[tuple[float, str]] = (),
    overrides: Sequence[Override] = (),
    links: Sequence[Mapping[str, Any]] = (),
    legend: bool = True,
    palette: str = "palette-classic",
    **custom: Any,  # noqa: ANN401  any property of lines
) -> Panel:
    """Lines over time; `bounds` are lines across, each with its colour, and the axis reaches to all of them."""
    more: dict[str, Any] = {"thresholdsStyle": {"mode": "dashed" if bounds else "off"}, **custom}
    if bounds:
        more |= {"axisSoftMin": min(bound for bound, _ in bounds), "axisSoftMax": max(bound for bound, _ in bounds)}
    defaults = {
        "color": {"mode": palette},
        "custom": _LINES | more,
        "links": [dict(link) for link in links],
        "thresholds": look.steps("transparent", bounds),
        "unit": unit,
    }
    options = {"legend": _LEGEND if legend else {**_LEGEND, "showLegend": False}, "tooltip": _TOOLTIP}
    return _panel("timeseries", title, description, queries) | {
        "fieldConfig": _config(defaults, overrides),
        "options": options,
    }


def band(lower: str, upper: str, colour: str) -> list[Override]:
    """The area between two series with these names."""
    edge = {"custom__lineWidth": 0, "custom__showPoints": "never", "color": fixed(colour)}
    return [
        named(lower, **edge),
        named(upper, **edge, custom__fillBelowTo=lower, custom__fillOpacity=18),
    ]


def ahead(panel: Panel, length: str) -> Panel:
    """The panel over the time from now on, whatever the dashboard shows; an absolute range holds as it is."""
    return panel | {"timeFrom": f"+{length}", "maxDataPoints": _STRAIGHT}


def stat(
    title: str,
    description: str,
    expr: str,
    unit: str,
    thresholds: Mapping[str, Any],
    mappings: Sequence[Mapping[str, Any]] = (),
) -> Panel:
    """One number, on its colour; without one it is unknown and grey, not the colour below the first threshold."""
    defaults = {
        "color": {"mode": "thresholds"},
        "mappings": [*(dict(mapping) for mapping in mappings), look.missing("unknown")],
        "noValue": "unknown",
        "thresholds": dict(thresholds),
        "unit": unit,
    }
    options = {
        "colorMode": "background",
        "graphMode": "none",
        "justifyMode": "auto",
        "orientation": "auto",
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
        "textMode": "value",
    }
    return _panel("stat", title, description, [instant(expr)]) | {"fieldConfig": _config(defaults), "options": options}


def table(
    title: str,
    description: str,
    queries: Sequence[Query],
    columns: Mapping[str, str],
    overrides: Sequence[Override] = (),
    *,
    sort: tuple[str, bool] | None = None,
) -> Panel:
    """One row per series; `columns` are the labels and values to show, in this order, with their headings."""
    organize = {
        "excludeByName": {},
        "indexByName": {column: i for i, column in enumerate(columns)},
        "renameByName": dict(columns),
    }
    defaults = {
        "color": {"mode": "thresholds"},
        "custom": {"align": "auto", "cellOptions": {"type": "auto"}, "filterable": True},
        "thresholds": look.steps("text"),
        "unit": "short",
    }
    order = [{"displayName": sort[0], "desc": sort[1]}] if sort else []
    return _panel("table", title, description, queries) | {
        "fieldConfig": _config(defaults, overrides),
        "options": {"cellHeight": "sm", "showHeader": True, "sortBy": order},
        "transformations": [
            {"id": "merge", "options": {}},
            {"id": "filterFieldsByName", "options": {"include": {"names": list(columns)}}},
            {"id": "organize", "options": organize},
        ],
    }


def coloured(column: str, **properties: Any) -> Override:  # noqa: ANN401  any property
    """A column of tiers, as words on their colours."""
    cell = {"type": "color-background", "mode": "basic"}
    return named(
        column,
        mappings=look.tier_mappings(),
        thresholds=look.tier_steps(),
        custom__cellOptions=cell,
        **properties,
    )


def timeline(
    title: str, description: str, queries: Sequence[Query], *, links: Sequence[Mapping[str, Any]] = ()
) -> Panel:
    """Tiers over time, one bar for each series."""
    defaults = {
        "color": {"mode": "thresholds"},
        "custom": {"fillOpacity": 80, "lineWidth": 0},
        "links": [dict(link) for link in links],
        "mappings": look.tier_mappings(),
        "thresholds": look.tier_steps(),
        "unit": "short",
    }
    options = {
        "alignValue": "left",
        "legend": {"calcs": [], "displayMode": "list", "placement": "bottom", "showLegend": True},
        "mergeValues": True,
        "perPage": 20,
        "rowHeight": 0.85,
        "showValue": "auto",
        "tooltip": {"mode": "single", "sort": "none"},
    }
    return _panel("state-timeline", title, description, queries) | {
        "fieldConfig": _config(defaults),
        "options": options,
    }


def words(title: str, description: str, content: str) -> Panel:
    """Text in Markdown."""
    return {
        "type": "text",
        "title": title,
        "description": description,
        "options": {
            "code": {"language": "plaintext", "showLineNumbers": False, "showMiniMap": False},
            "content": content,
            "mode": "markdown",
        },
    }


def repeated(panel: Panel, variable: str, most: int = 3) -> Panel:
    """The panel once for each value of a variable, side by side; alone in its line."""
    return panel | {"repeat": variable, "repeatDirection": "h", "maxPerRow": most}
