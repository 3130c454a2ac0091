"""Any expression with a comparison: each series of its result is one alert."""

from collections.abc import Iterator, Mapping
from functools import partial

import promql_parser

from tocsin import names
from tocsin.config.models import Expression
from tocsin.generate import rule
from tocsin.generate.alerts import text
from tocsin.generate.alerts.alert import VALUE, Alert, Context, Trial, annotations
from tocsin.generate.alerts.value import Grouping
from tocsin.generate.feed import solve
from tocsin.generate.scales import SCALES
from tocsin.generate.templates import inert


def alerts(context: Context) -> Iterator[Alert]:
    """All alerts on expressions, in one group."""
    for model in context.service.alerts:
        yield _alert(context, model)


def _alert(context: Context, model: Expression) -> Alert:
    service = context.service
    severity = model.severity or getattr(SCALES[service.severity], model.level)
    labels = rule.labels(service, severity, dimension=model.dimension, page=model.page)
    labels |= {names.SERVICE: service.service}
    grouping = Grouping(model.by, context.ignored, model.expr)
    wait, now = model.for_ or 0, text.value(model.unit)
    place = text.where(service.service, resource=grouping.named)
    holds = f"Its condition holds{text.lasting(wait)}; the value is {now}."
    return Alert(
        name=model.name,
        group=names.rule_group(service.service, "expression"),
        labels=labels,
        annotations=annotations(
            service,
            model.name,
            model.name,
            model,
            f"{model.name}{place}: {now}",
            text.paragraphs(holds, f"Expression: {inert(model.expr.strip())}", labels=grouping.by is None),
            resource=grouping.named,
        )
        | VALUE,
        wait=wait,
        keep=model.keep_firing_for or 0,
        value=model.expr,
        make=partial(_expr, grouping),
        identity=grouping.identity,
        by=model.by or (),
        trials=(
            Trial("fires while its condition holds", True, partial(_feed, True)),
            Trial("does not fire while it does not", False, partial(_feed, False)),
        ),
    )


def _expr(grouping: Grouping, value: str) -> str:
    return grouping.labelled(grouping.aggregate("max", value))


def _feed(true: bool, tree: promql_parser.Expr, labels: Mapping[str, str]) -> tuple[solve.Fed]:
    return (solve.truth(tree, true, labels),)
