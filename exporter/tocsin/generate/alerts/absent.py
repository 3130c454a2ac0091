"""A value that is not there, or is zero."""

from collections.abc import Iterator, Mapping
from functools import partial

import promql_parser

from tocsin import names
from tocsin.config.models import Absent
from tocsin.generate import rule
from tocsin.generate.alerts import text
from tocsin.generate.alerts.alert import Alert, Context, Trial, annotations
from tocsin.generate.alerts.value import embedded
from tocsin.generate.feed import solve
from tocsin.generate.feed.values import Line, Unsolved
from tocsin.generate.scales import SCALES
from tocsin.generate.templates import inert

WAIT = 300


def alerts(context: Context) -> Iterator[Alert]:
    """All alerts on absence, in one group."""
    for model in context.service.absent:
        yield _alert(context, model)


def _alert(context: Context, model: Absent) -> Alert:
    service = context.service
    severity = model.severity or getattr(SCALES[service.severity], model.level)
    wait = WAIT if model.for_ is None else model.for_
    summary = f"{model.name}{text.where(service.service, resource=False)}: there is nothing"
    found = f"There has been no result{' other than zero' if model.zero else ''}{text.lasting(wait)}."
    description = text.paragraphs(found, f"Expression: {inert(model.expr.strip())}")
    return Alert(
        name=model.name,
        group=names.rule_group(service.service, "absent"),
        labels=rule.labels(service, severity, dimension=model.dimension, page=model.page)
        | {names.SERVICE: service.service},
        annotations=annotations(service, model.name, model.name, model, summary, description, resource=False),
        wait=wait,
        keep=model.keep_firing_for or 0,
        value=model.expr,
        make=partial(_expr, model.zero),
        identity=lambda _: {},
        trials=tuple(_trials(model.zero)),
    )


def _expr(zero: bool, value: str) -> str:
    """Without labels, so that absence and zero are one alert; nothing is zero while one of several series is not."""
    gone = f"max(absent{embedded(value)})"
    return f"{gone}\nor max(abs{embedded(value)}) == 0" if zero else gone


def _trials(zero: bool) -> Iterator[Trial]:
    yield Trial("fires while there is nothing", True, _nothing, resolves=False)
    yield Trial("does not fire while there is a value", False, partial(_there, 1))
    yield Trial("fires at zero" if zero else "does not fire at zero", zero, partial(_there, 0), resolves=False)


def _there(value: float, tree: promql_parser.Expr, labels: Mapping[str, str]) -> tuple[solve.Fed]:
    return (solve.value(tree, Line(value), labels),)


def _nothing(tree: promql_parser.Expr, labels: Mapping[str, str]) -> tuple[solve.Fed]:
    fed = solve.truth(tree, False, labels)
    if fed.leaves:
        raise Unsolved("an expression that needs something to have no result")
    return (fed,)
