"""Plain recording rules of a service, and promtool tests of those whose expressions it is known how to feed."""

from collections.abc import Iterator
from typing import Any

import promql_parser

from tocsin import names
from tocsin.config import expr
from tocsin.config.models import ProcessModel, Service
from tocsin.config.types import format_duration
from tocsin.generate import promtool, rule
from tocsin.generate.feed import solve
from tocsin.generate.feed.values import Line, Unsolved
from tocsin.generate.lint.tree import walk

#: Labels of the scrape, which all series of a test have.
_SCRAPED = {"job": "a job", "instance": "192.0.2.1:9100"}
#: Value that a test asks for, and how near to it arithmetic has to come.
_VALUE, _NEAR = 60.0, 1e-6


def groups(service: Service, process: ProcessModel) -> Iterator[dict[str, Any]]:
    """One group; what is recorded carries no label but those of its expression."""
    if service.records:
        rules = [{"record": name, "expr": text} for name, text in service.records.items()]
        yield rule.group(names.rule_group(service.service, "records"), process.target.evaluation_interval, rules)


def cases(service: Service, process: ProcessModel) -> Iterator[dict[str, Any]]:
    """A test of each rule: a known value comes out of the metrics that it reads."""
    for name, text in service.records.items():
        try:
            tree = expr.parse(text)
            fed = solve.value(tree, Line(_VALUE), _SCRAPED)
        except (Unsolved, ValueError):
            continue
        yield _case(name, tree, fed, process)


def _case(name: str, tree: promql_parser.Expr, fed: solve.Fed, process: ProcessModel) -> dict[str, Any]:
    ranges = [n.range.total_seconds() for n in walk(tree) if isinstance(n, promql_parser.MatrixSelector)]
    every = min([process.target.scrape_interval, *(seconds / 2 for seconds in ranges)])
    samples = 2 * round(max([*ranges, 4 * every]) / every)
    series = [
        promtool.Input(leaf.metric, leaf.labels, [promtool.Run(leaf.line.start, samples, leaf.line.slope * every)])
        for leaf in fed.leaves
    ]
    found = {
        "expr": f"sum(abs({name} - {_VALUE:g}) < bool {_NEAR:g}) / count({name})",
        "eval_time": format_duration(round((samples - 1) * every)),
        "exp_samples": [{"labels": "{}", "value": 1}],
    }
    return promtool.case(f"{name} records its expression", every, series, []) | {"promql_expr_test": [found]}
