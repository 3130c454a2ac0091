"""A forecast that reaches the limit of its signal within a time, or has reached it."""

from collections.abc import Iterator, Mapping
from functools import partial

import promql_parser

from tocsin import names
from tocsin.config.models import ForecastBreach
from tocsin.config.types import format_duration
from tocsin.generate import promql, rule
from tocsin.generate.alerts import text
from tocsin.generate.alerts.alert import Alert, Context, Trial, annotations
from tocsin.generate.alerts.value import number
from tocsin.generate.feed.solve import Fed
from tocsin.generate.feed.values import Leaf, Line
from tocsin.generate.scales import SCALES
from tocsin.generate.templates import inert

#: A forecast changes with each sample, so one that reaches the limit has to last; and the alert outlasts a gap.
WAIT, KEEP = 900, 900

_IDENTITY = names.joined(names.BASE_LABELS)
_BREACH, _REASON = names.metric("breach_timestamp_seconds"), names.metric("no_breach")


def alerts(context: Context) -> Iterator[Alert]:
    """All alerts on forecasts, in one group."""
    for model in context.service.forecast_breach:
        yield _alert(context, model)


def _alert(context: Context, model: ForecastBreach) -> Alert:
    service, signal = context.service, context.service.signals[model.signal]
    severity = model.severity or getattr(SCALES[service.severity], model.level)
    matchers = {names.SERVICE: service.service, names.SIGNAL: model.signal}
    wait = WAIT if model.for_ is None else model.for_
    place, within = text.where(service.service, resource=True), format_duration(model.within)
    limit = text.constant(signal.limit or 0.0, signal.unit)
    left = "{{ if gt $value 0.0 }}in {{ $value | humanizeDuration }}{{ else }}now{{ end }}"
    found = f"The forecast reaches the limit of {limit} {left}. It has been within {within}{text.lasting(wait)}."
    return Alert(
        name=model.name,
        group=names.rule_group(service.service, "breach"),
        labels=rule.labels(service, severity, dimension=model.dimension or signal.dimension, page=model.page)
        | matchers,
        annotations=annotations(
            service,
            model.name,
            model.signal,
            model,
            f"{inert(model.signal)}{place} reaches its limit of {limit} {left}",
            text.paragraphs(
                found, "`tocsin explain` with the name of the resource says why.", about=signal.description
            ),
            resource=True,
        ),
        wait=wait,
        keep=max(model.keep_firing_for or 0, KEEP),
        value=_expr(model, matchers),
        make=lambda value: value,
        identity=dict,
        trials=tuple(_trials(model, matchers)),
    )


def _expr(model: ForecastBreach, matchers: Mapping[str, str]) -> str:
    """Seconds that are left; 0 where the limit is passed, because then there is no breach time any more."""
    breach = promql.selector(_BREACH, matchers)
    passed = promql.selector(_REASON, {**matchers, "reason": "already_breached"})
    return f"min by ({_IDENTITY}) ({breach}) - time() <= {number(model.within)}\nor 0 * max by ({_IDENTITY}) ({passed})"


def _trials(model: ForecastBreach, matchers: Mapping[str, str]) -> Iterator[Trial]:
    within = float(model.within)
    yield Trial("fires when the limit is near", True, partial(_forecast, matchers, within))
    yield Trial("does not fire when it is farther away", False, partial(_forecast, matchers, within + 1))
    for reason, fires in (("already_breached", True), ("no_breach", False)):
        title = "fires when the limit is passed" if fires else "does not fire when it is not reached"
        yield Trial(title, fires, partial(_reason, matchers, reason))


def _forecast(
    matchers: Mapping[str, str], seconds: float, _: promql_parser.Expr, labels: Mapping[str, str]
) -> tuple[Fed]:
    """The limit is always so far away."""
    return (_fed(Leaf(_BREACH, {**labels, **matchers}, Line(seconds, 1), 0), matchers, labels),)


def _reason(matchers: Mapping[str, str], reason: str, _: promql_parser.Expr, labels: Mapping[str, str]) -> tuple[Fed]:
    return (_fed(Leaf(_REASON, {**labels, **matchers, "reason": reason}, Line(1), 0), matchers, labels),)


def _fed(leaf: Leaf, matchers: Mapping[str, str], labels: Mapping[str, str]) -> Fed:
    identity = {**matchers, names.RESOURCE: labels[names.RESOURCE]}
    return Fed((leaf,), frozenset(identity.items()))
