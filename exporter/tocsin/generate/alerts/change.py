"""A value that has risen or fallen by too large a share of what it was."""

from collections.abc import Iterator, Mapping
from functools import partial

import promql_parser

from tocsin import names
from tocsin.config.alert_checks import change_wait
from tocsin.config.models import RateOfChange
from tocsin.config.types import format_duration
from tocsin.generate import rule
from tocsin.generate.alerts import text
from tocsin.generate.alerts.alert import Alert, Context, Trial, annotations
from tocsin.generate.alerts.observed import observation
from tocsin.generate.alerts.value import Grouping, number
from tocsin.generate.feed import solve
from tocsin.generate.feed.values import Line, Unsolved
from tocsin.generate.scales import SCALES
from tocsin.generate.templates import inert

#: What the value was in the tests, each tried in turn: not every expression can be 100.
_PAST = (100.0, 0.25, 0.01)


def alerts(context: Context) -> Iterator[Alert]:
    """All alerts on change, in one group."""
    for model in context.service.rate_of_change:
        yield _alert(context, model)


def _alert(context: Context, model: RateOfChange) -> Alert:
    service, seen = context.service, observation(context, model)
    severity = model.severity or getattr(SCALES[service.severity], model.level)
    labels = rule.labels(service, severity, dimension=seen.dimension, page=model.page)
    labels |= {names.SERVICE: service.service} | ({names.SIGNAL: model.signal} if model.signal else {})
    grouping = Grouping(seen.by, context.ignored, seen.expr)
    labels |= {names.RESOURCE: model.signal} if model.signal and grouping.whole else {}
    wait = change_wait(model)
    place = text.where(service.service, resource=grouping.named)
    bounds = " or ".join(
        f"{'a rise' if up else 'a fall'} of {text.constant(share, 'ratio')}" for up, share in _bounds(model)
    )
    over, change = format_duration(model.over), text.value("ratio")
    found = f"It has changed by {change} in {over}{text.lasting(wait)}; too much is {bounds}."
    return Alert(
        name=model.name,
        group=names.rule_group(service.service, "change"),
        labels=labels,
        annotations=annotations(
            service,
            model.name,
            model.signal or model.name,
            model,
            f"{inert(model.signal or model.name)}{place} has changed by {change} in {over}",
            text.paragraphs(found, about=seen.about, labels=grouping.by is None),
            resource=grouping.named,
        ),
        wait=wait,
        keep=model.keep_firing_for or 0,
        value=seen.expr,
        make=partial(_expr, model, grouping, context.step),
        identity=grouping.identity,
        by=seen.by or (),
        trials=tuple(_trials(model)),
    )


def _bounds(model: RateOfChange) -> list[tuple[bool, float]]:
    """Whether it is a rise, and its share."""
    given = ((True, model.rise), (False, model.fall))
    return [(up, share) for up, share in given if share is not None]


def _expr(model: RateOfChange, grouping: Grouping, step: str, value: str) -> str:
    """The change as a share of the past; a past of zero, or none at all, has no share.

    The past is asked for by a subquery of one evaluation, because an offset belongs to a selector and not to an
    expression.
    """
    now = grouping.aggregate("min" if model.rise is None else "max", value)
    past = f"last_over_time(({now})[{step}:{step}] offset {format_duration(model.over)})"
    change = grouping.labelled(f"({now} - {past})\n/ (abs({past}) > 0)")
    sides = [f"{change} {'>=' if up else '<='} {number(share if up else -share)}" for up, share in _bounds(model)]
    return "\nor ".join(sides)


def _trials(model: RateOfChange) -> Iterator[Trial]:
    for up, share in _bounds(model):
        what = "rise" if up else "fall"
        for fires in (True, False):
            near = share + (solve.near(share) if fires else -solve.near(share))
            # Nothing that is above zero can fall by more than all of it.
            factor = 1 + near if up else max(1 - near, 0.0)
            title = f"fires after a {what} beyond its bound" if fires else f"does not fire after a {what} short of it"
            yield Trial(title, fires, partial(_step, factor), model.over)
    yield Trial("does not fire without a past", False, partial(_step, None))


def _step(factor: float | None, tree: promql_parser.Expr, labels: Mapping[str, str]) -> tuple[solve.Fed, ...]:
    """What it was and what it is, the first times the factor; without one there is no past."""
    for past in _PAST:
        values = [past] if factor is None else [past, past * factor]
        try:
            return tuple(solve.value(tree, Line(value), labels) for value in values)
        except Unsolved as unsolved:
            reason = unsolved
    raise reason
