"""A value on the wrong side of a fixed bound, for a warning, a critical alert or both."""

from collections.abc import Iterator, Mapping
from functools import partial

import promql_parser

from tocsin import names
from tocsin.config.alert_checks import threshold_names
from tocsin.config.models import Threshold
from tocsin.generate import rule
from tocsin.generate.alerts import text
from tocsin.generate.alerts.alert import VALUE, Alert, Context, Trial, annotations
from tocsin.generate.alerts.observed import Observation, observation
from tocsin.generate.alerts.value import Grouping, number
from tocsin.generate.feed import solve
from tocsin.generate.feed.values import Line
from tocsin.generate.scales import SCALES
from tocsin.generate.templates import inert

WAIT = 300


def alerts(context: Context) -> Iterator[Alert]:
    """The alerts of all thresholds, a group for each."""
    for key, model in context.service.thresholds.items():
        for level in threshold_names(context.service.service, key, model):
            yield _alert(context, key, level)


def _alert(context: Context, key: str, level: str) -> Alert:
    service, model = context.service, context.service.thresholds[key]
    name = threshold_names(service.service, key, model)[level]
    seen = observation(context, model)
    labels = rule.labels(
        service,
        model.severity or getattr(SCALES[service.severity], level),
        dimension=seen.dimension,
        page=model.page,
    ) | {names.SERVICE: service.service, names.SIGNAL: model.signal or key}
    grouping = Grouping(seen.by, context.ignored, seen.expr)
    labels |= {names.RESOURCE: labels[names.SIGNAL]} if grouping.whole else {}
    wait = WAIT if model.for_ is None else model.for_
    bound = getattr(model, level)
    return Alert(
        name=name,
        group=names.rule_group(service.service, "threshold", key),
        labels=labels,
        annotations=annotations(
            service,
            name,
            labels[names.SIGNAL],
            model,
            *_texts(context, key, model, bound, wait, seen, grouping),
            resource=grouping.named,
        )
        | VALUE
        | {"threshold": number(bound)},
        wait=wait,
        keep=model.keep_firing_for or 0,
        value=seen.expr,
        make=partial(_expr, model, bound, grouping),
        identity=grouping.identity,
        by=seen.by or (),
        trials=_trials(_op(model), bound),
    )


def _op(model: Threshold) -> str:
    return ">" if model.direction == "up" else "<"


def _expr(model: Threshold, bound: float, grouping: Grouping, value: str) -> str:
    worst = grouping.aggregate("max" if model.direction == "up" else "min", value)
    return f"{grouping.labelled(worst)} {_op(model)} {number(bound)}"


def _texts(
    context: Context, key: str, model: Threshold, bound: float, wait: float, seen: Observation, grouping: Grouping
) -> tuple[str, str]:
    side, now = ("above" if model.direction == "up" else "below"), text.value(seen.unit)
    allowed = text.constant(bound, seen.unit)
    place = text.where(context.service.service, resource=grouping.named)
    aim = "" if model.target is None else f"The aim is {text.constant(model.target, seen.unit)}."
    found = f"The value is {now}; it has been {side} {allowed}{text.lasting(wait)}."
    return (
        f"{inert(key)}{place} is {side} {allowed}: {now}",
        text.paragraphs(found, aim, about=seen.about, labels=grouping.by is None),
    )


def _trials(op: str, bound: float) -> tuple[Trial, ...]:
    def feed(true: bool, tree: promql_parser.Expr, labels: Mapping[str, str]) -> tuple[solve.Fed]:
        near = solve.beside(op, true, bound, exact=solve.exact(tree))
        return (solve.value(tree, Line(near), labels),)

    return (
        Trial("fires beyond its bound", True, partial(feed, True)),
        Trial("does not fire at its bound", False, partial(feed, False)),
    )
