"""What Grafana does with a dashboard, as far as tests need it: variables in queries, and the rules of its linter.

The rules are those of grafana/dashboard-linter (docs/rules there), by the same names. A finding is a tuple of rule,
title of the dashboard, title of the panel and index of the query; what a rule does not concern is None.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import promql_parser as promql
import yaml

Finding = tuple[str, str, str | None, int | None]
Json = Mapping[str, Any]

#: Grafana's own variables, as they are for a dashboard of a day.
GLOBALS = {"__rate_interval": "1m", "__interval": "1m", "__range": "24h"}
#: The panels that the linter looks at.
CHECKED = ("stat", "table", "timeseries", "gauge")
UNITS = {
    "none",
    "string",
    "short",
    "percent",
    "percentunit",
    "bytes",
    "decbytes",
    "s",
    "ms",
    "celsius",
    "cps",
    "cpm",
} | {"ops", "reqps", "dateTimeAsIso", "dateTimeFromNow", "bool_yes_no"}
_VARIABLE = re.compile(r"\$(\w+)|\[\[(\w+)(?::\w+)?\]\]|\$\{(\w+)(?:\.[^:^}]+)?(?::[^}]+)?\}")
_SPECIAL = re.compile(r"[$^*{}\[\]'+?.()|]")


def filled(expr: str, values: Mapping[str, str | Sequence[str]]) -> str:
    """The query as Grafana sends it: lists are several chosen values, a string is what stands for all."""

    def value(match: re.Match[str]) -> str:
        name = match[1] or match[2] or match[3]
        known = values.get(name, GLOBALS.get(name))
        if known is None:
            return match[0]
        if isinstance(known, str):
            return known
        escaped = [_SPECIAL.sub(r"\\\\\g<0>", one.replace("\\", "\\\\\\\\")) for one in known]
        return escaped[0] if len(escaped) == 1 else f"({'|'.join(escaped)})"

    return _VARIABLE.sub(value, expr)


def everything(dashboard: Json) -> dict[str, str | Sequence[str]]:
    """The values of all variables while `All` is chosen."""
    found: dict[str, str | Sequence[str]] = {}
    for variable in dashboard["templating"]["list"]:
        found[variable["name"]] = variable["allValue"] if variable["type"] == "query" else "tocsin-prometheus"
    return found


def asked(variable: Json) -> tuple[str, str]:
    """What a variable asks for: label_values() or query_result(), and the query inside."""
    match = re.fullmatch(r"(\w+)\((.+)\)", variable["query"]["query"])
    assert match is not None, variable["query"]
    assert variable["query"]["qryType"] == {"label_values": 1, "query_result": 3}[match[1]]
    return match[1], match[2] if match[1] == "query_result" else match[2].rpartition(", ")[0]


def options(variable: Json, answer: Sequence[Json]) -> list[str]:
    """The values of a variable, from the series of the answer to what it asks for."""
    if asked(variable)[0] == "label_values":
        label = variable["query"]["query"][:-1].rpartition(", ")[2]
        return sorted({one["metric"][label] for one in answer})
    pattern = variable["regex"].removeprefix("/").removesuffix("/")
    found = []
    for one in answer:
        labels = ",".join(f'{name}="{value}"' for name, value in one["metric"].items())
        text = f"{{{labels}}} {one['value'][1]} {one['value'][0] * 1000}"
        if match := re.match(pattern, text):
            found.append(match[1])
    return sorted(found) if variable["sort"] else found


def panels(dashboard: Json) -> list[Json]:
    """Panels that are no headings."""
    return [panel for panel in dashboard["panels"] if panel["type"] != "row"]


def queries(dashboard: Json) -> Iterator[tuple[Json, int, Json]]:
    """Every query with its panel and its place there."""
    for panel in panels(dashboard):
        for index, target in enumerate(panel.get("targets", ())):
            yield panel, index, target


def walk(node: promql.Expr, parents: tuple[promql.Expr, ...] = ()) -> Iterator[tuple[Any, tuple[Any, ...]]]:
    """Every part of an expression with the parts that it is in, the innermost last."""
    yield node, parents
    below = [getattr(node, name, None) for name in ("expr", "lhs", "rhs", "param", "vector_selector")]
    for part in [*below, *(getattr(node, "args", None) or ())]:
        if part is not None and not isinstance(part, str | bool):
            yield from walk(part, (*parents, node))


# ------------------------------------------------------------------------------------------------ rules


def _tree(dashboard: Json, target: Json) -> promql.Expr | None:
    try:
        return promql.parse(filled(target["expr"], everything(dashboard)))
    except ValueError:
        return None


def _variables(dashboard: Json, kind: str) -> list[Json]:
    return [variable for variable in dashboard["templating"]["list"] if variable["type"] == kind]


def _datasource(dashboard: Json) -> Iterator[tuple[str | None, int | None]]:
    found = _variables(dashboard, "datasource")
    if [(v["name"], v["label"]) for v in found] != [("datasource", "Data source")]:
        yield None, None


def _has(label: str) -> Callable[[Json], Iterator[tuple[str | None, int | None]]]:
    def rule(dashboard: Json) -> Iterator[tuple[str | None, int | None]]:
        if label not in [variable["name"] for variable in dashboard["templating"]["list"]]:
            yield None, None

    return rule


def _matched(label: str) -> Callable[[Json], Iterator[tuple[str | None, int | None]]]:
    def rule(dashboard: Json) -> Iterator[tuple[str | None, int | None]]:
        for panel, index, target in queries(dashboard):
            if f'{label}=~"${label}"' not in target["expr"]:
                yield panel["title"], index

    return rule


def _label_values(dashboard: Json) -> Iterator[tuple[str | None, int | None]]:
    for variable in _variables(dashboard, "query"):
        try:
            promql.parse(filled(asked(variable)[1], everything(dashboard)))
        except ValueError:
            yield None, None


def _reloads(dashboard: Json) -> Iterator[tuple[str | None, int | None]]:
    if any(variable["refresh"] != 2 for variable in _variables(dashboard, "query")):
        yield None, None


def _of_panels(wrong: Callable[[Json], bool]) -> Callable[[Json], Iterator[tuple[str | None, int | None]]]:
    def rule(dashboard: Json) -> Iterator[tuple[str | None, int | None]]:
        for panel in panels(dashboard):
            if panel["type"] in CHECKED and wrong(panel):
                yield panel["title"], None

    return rule


def _units(panel: Json) -> bool:
    overridden = [
        one["value"] for o in panel["fieldConfig"]["overrides"] for one in o["properties"] if one["id"] == "unit"
    ]
    return not {panel["fieldConfig"]["defaults"].get("unit", ""), *overridden} <= UNITS


def _of_queries(
    wrong: Callable[[Any, tuple[Any, ...]], bool],
) -> Callable[[Json], Iterator[tuple[str | None, int | None]]]:
    def rule(dashboard: Json) -> Iterator[tuple[str | None, int | None]]:
        for panel, index, target in queries(dashboard):
            tree = _tree(dashboard, target)
            if tree is not None and any(wrong(node, parents) for node, parents in walk(tree)):
                yield panel["title"], index

    return rule


def _called(parents: tuple[Any, ...]) -> str:
    return str(parents[-1].func.name) if parents and isinstance(parents[-1], promql.Call) else ""


def _no_rate_interval(node: Any, parents: tuple[Any, ...]) -> bool:
    if not isinstance(node, promql.MatrixSelector) or _called(parents) not in ("rate", "irate"):
        return False
    return node.range.total_seconds() != 60


def _raw_counter(node: Any, parents: tuple[Any, ...]) -> bool:
    if not isinstance(node, promql.VectorSelector) or not str(node.name or "").endswith("_total"):
        return False
    inside = len(parents) > 1 and isinstance(parents[-1], promql.MatrixSelector)
    return not inside or _called(parents[:-1]) not in ("rate", "irate", "increase")


def _unreadable(dashboard: Json) -> Iterator[tuple[str | None, int | None]]:
    for panel, index, target in queries(dashboard):
        if _tree(dashboard, target) is None:
            yield panel["title"], index


def _editable(dashboard: Json) -> Iterator[tuple[str | None, int | None]]:
    if dashboard["editable"]:
        yield None, None


RULES: Mapping[str, Callable[[Json], Iterator[tuple[str | None, int | None]]]] = {
    "template-datasource-rule": _datasource,
    "template-job-rule": _has("job"),
    "template-instance-rule": _has("instance"),
    "template-label-promql-rule": _label_values,
    "template-on-time-change-reload-rule": _reloads,
    "panel-datasource-rule": _of_panels(lambda panel: panel["datasource"]["uid"] != "${datasource}"),
    "panel-title-description-rule": _of_panels(lambda panel: not panel["title"] or not panel["description"]),
    "panel-units-rule": _of_panels(_units),
    "panel-no-targets-rule": _of_panels(lambda panel: not panel["targets"]),
    "target-promql-rule": _unreadable,
    "target-rate-interval-rule": _of_queries(_no_rate_interval),
    "target-job-rule": _matched("job"),
    "target-instance-rule": _matched("instance"),
    "target-counter-agg-rule": _of_queries(_raw_counter),
    "uneditable-dashboard": _editable,
}


def lint(dashboard: Json) -> list[Finding]:
    """Everything that the linter would say about a dashboard, exclusions aside."""
    return [(name, dashboard["title"], *where) for name, rule in RULES.items() for where in rule(dashboard)]


class Exclusions:
    """A `.lint` file, and which of its lines were needed."""

    def __init__(self, file: Path) -> None:
        data = yaml.safe_load(file.read_text())
        assert data.keys() == {"exclusions"}
        self.rules: Mapping[str, Json] = data["exclusions"]
        self.used: set[tuple[str, int | None]] = set()

    def has(self, finding: Finding) -> bool:
        """Whether a finding is excluded: by its rule as a whole, or by an entry."""
        rule, dashboard, panel, _ = finding
        if rule not in self.rules:
            return False
        entries = self.rules[rule].get("entries")
        if entries is None:
            self.used.add((rule, None))
            return True
        for index, entry in enumerate(entries):
            if entry.get("dashboard", dashboard) == dashboard and entry.get("panel", panel) == panel:
                self.used.add((rule, index))
                return True
        return False

    def unused(self) -> set[tuple[str, int | None]]:
        """Lines that exclude nothing."""
        every: set[tuple[str, int | None]] = set()
        for rule, data in self.rules.items():
            entries = data.get("entries")
            every |= {(rule, None)} if entries is None else {(rule, index) for index in range(len(entries))}
        return every - self.used
