"""SLOs: recording rules of burn rates and budget, and the two alerts that stand on them.

Each SLO has two groups: what alerts need, at every evaluation, and the budget over the whole period, which is long to
read and changes slowly. What is recorded carries the labels `tocsin_service` and `slo` alone.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

from tocsin import names
from tocsin.config.models import Service, Slo, SloAlert, Target
from tocsin.config.slo_checks import alert_name, pairs
from tocsin.config.types import format_duration, parse_whole_seconds
from tocsin.core import slo as core
from tocsin.generate import promql, rule, slo_text
from tocsin.generate.paging import Page, pages, quiet
from tocsin.generate.scales import SCALES
from tocsin.generate.sli import Measure, measure

#: Seconds between evaluations of the budget: below the five minutes after which Prometheus takes a series for gone.
BUDGET_INTERVAL = 120
#: Windows by which the period is added up; the longer one keeps long periods below 11,000 points.
SLOT, LONG_SLOT = 300, core.HOUR
_LONG = 31 * core.DAY

#: Windows over which events are counted: those that a gate or the budget needs.
COUNTED = (300, *(window.long for window in core.WINDOWS))

#: Least step, and most points, by which a value of the moment is averaged where nothing is recorded.
_STEP, _POINTS = 60, 500

KINDS: tuple[core.Kind, ...] = ("page", "ticket")


@dataclass(frozen=True)
class Objective:
    """An SLO of a service, with everything that its rules and their tests need."""

    service: Service
    name: str
    target: Target

    @property
    def model(self) -> Slo:
        """The SLO as the configuration has it."""
        return self.service.slos[self.name]

    @property
    def period(self) -> int:
        """Seconds over which the objective holds."""
        return parse_whole_seconds(self.model.period)

    @property
    def identity(self) -> dict[str, str]:
        """Labels of everything that is recorded."""
        return {names.SERVICE: self.service.service, names.SLO: self.name}

    @cached_property
    def measure(self) -> Measure:
        """How the SLI is asked for."""
        return measure(self.model, self.service)

    def pairs(self, kind: core.Kind) -> list[core.Pair]:
        """Windows of one of the two alerts."""
        return [pair for pair in pairs(self.model) if pair.window.kind == kind and pair.can_fire]

    def recorded(self, record: str, window: int | None = None) -> str:
        """Selector of a recorded series."""
        return promql.selector(record + (format_duration(window) if window else ""), self.identity)

    def alert_name(self, kind: core.Kind) -> str | None:
        """Name of one of the two alerts, None where there is none."""
        return alert_name(self.service, self.name, kind)

    def alert_model(self, kind: core.Kind) -> SloAlert:
        """One of the two alerts as the configuration has it."""
        model: SloAlert | Literal[False] = getattr(self.model.alert, kind)
        return SloAlert() if model is False else model

    def alert_labels(self, kind: core.Kind) -> dict[str, str]:
        """Labels that the rule adds."""
        told = self.told_labels(kind)
        return quiet(told) if self.page_of(kind) else told

    def told_labels(self, kind: core.Kind) -> dict[str, str]:
        """Labels of the alert that people are told of; a page is asked for by writing `alert.page` in the file."""
        words = SCALES[self.service.severity]
        severity = self.alert_model(kind).severity or (words.page if kind == "page" else words.ticket)
        asked = kind == "page" and kind in self.model.alert.model_fields_set
        return self.identity | rule.labels(self.service, severity, dimension=self.model.dimension, page=asked)

    def page_of(self, kind: core.Kind) -> Page | None:
        """What pages for one of the two alerts, if that goes to Tocsin alone."""
        return pages(self.service).get(self.alert_name(kind) or "")


def objectives(service: Service, target: Target) -> list[Objective]:
    """All SLOs of a service."""
    return [Objective(service, name, target) for name in service.slos]


def groups(service: Service, target: Target) -> Iterator[dict[str, Any]]:
    """Two groups for each SLO; all of them can be evaluated side by side."""
    for slo in objectives(service, target):
        rules = [*_windows(slo), *_alerts(slo)]
        name = names.rule_group(service.service, "slo", slo.name)
        yield rule.group(name, target.evaluation_interval, rules)
        yield rule.group(f"{name}-budget", BUDGET_INTERVAL, [*_budget(slo)])


# ------------------------------------------------------------------------------------------------ recorded


def _windows(slo: Objective) -> Iterator[dict[str, Any]]:
    for record, expr in window_exprs(slo).items():
        yield rule.record(record, expr, slo.identity)


def window_exprs(slo: Objective) -> dict[str, str]:
    """Expression of each series that is recorded at every evaluation, in an order in which each can use the last."""
    measure, out = slo.measure, {}
    if measure.now is not None:
        out[names.RECORD_ERROR] = measure.now
    if measure.counted:
        for window in COUNTED:
            text = format_duration(window)
            out[names.RECORD_EVENTS_OVER + text] = measure.total_over(text)
    for window in core.ALL:
        text = format_duration(window)
        if measure.now is not None:
            expr = f"avg_over_time({slo.recorded(names.RECORD_ERROR)}[{text}])"
        else:
            # A recorded series has labels that a sum has not.
            known = window in COUNTED and measure.counted and measure.shared
            expr = measure.share(text, f"sum({slo.recorded(names.RECORD_EVENTS_OVER, window)})" if known else None)
        out[names.RECORD_ERROR_OVER + text] = expr
    return out


def _budget(slo: Objective) -> Iterator[dict[str, Any]]:
    for record, expr in budget_exprs(slo).items():
        yield rule.record(record, expr, slo.identity)


def slot(period: int) -> int:
    """Seconds of the windows by which a period is added up."""
    return SLOT if period <= _LONG else LONG_SLOT


def budget_exprs(slo: Objective) -> dict[str, str]:
    """Expression of each series about the whole period, in an order in which each can use the last."""
    window = slot(slo.period)
    share, events = slo.recorded(names.RECORD_ERROR_OVER, window), slo.recorded(names.RECORD_EVENTS_OVER, window)
    history, bad = _seen(slo, share, events, window)
    none = _none_bad(slo, share, events, slo.recorded(names.RECORD_EVENTS_OVER, LONG_SLOT))
    return {
        names.RECORD_OBJECTIVE: f"vector({slo.model.objective:.12g})",
        names.RECORD_HISTORY: history,
        names.RECORD_REMAINING: _remaining(slo, slo.recorded(names.RECORD_HISTORY), bad, none),
    }


def inline_exprs(slo: Objective) -> dict[str, str]:
    """What the recorded series would be, from the source's own metrics alone; coarser, because it is much to read."""
    measure = slo.measure

    def share(window: int) -> str:
        if measure.now is None:
            return measure.share(format_duration(window))
        step = format_duration(max(_STEP, window // _POINTS))
        return f"avg_over_time(({measure.now})[{format_duration(window)}:{step}])"

    out = {names.RECORD_ERROR_OVER + format_duration(window): share(window) for window in core.ALL}
    counted = {window: measure.total_over(format_duration(window)) for window in COUNTED if measure.counted}
    out |= {names.RECORD_EVENTS_OVER + format_duration(window): total for window, total in counted.items()}
    bad_share, events = f"({share(LONG_SLOT)})", f"({counted.get(LONG_SLOT)})"
    history, bad = _seen(slo, bad_share, events, LONG_SLOT)
    remaining = _remaining(slo, history, bad, _none_bad(slo, bad_share, events, events))
    return out | {names.RECORD_HISTORY: history, names.RECORD_REMAINING: remaining}


def _seen(slo: Objective, share: str, events: str, window: int) -> tuple[str, str]:
    """Share of the period that was seen, and share of that which was bad, from those of a window."""
    over = f"[{format_duration(slo.period)}:{format_duration(window)}]"
    if slo.measure.counted:
        now, seen = events, f"count_over_time({events}{over})"
        bad = f"sum_over_time(({share} * {events}){over})\n  / (sum_over_time({events}{over}) > 0)"
    else:
        now, seen, bad = share, f"count_over_time({share}{over})", f"avg_over_time({share}{over})"
    # Before the first whole window has passed there is something to see already, and none of it is history.
    return f"clamp_max((sum({seen}) or 0 * sum({now})) * {window} / {slo.period}, 1)", bad


def _none_bad(slo: Objective, share: str, events: str, long_events: str) -> str:
    """0 where no share of the period is known because nothing happened in it, or because it has only begun.

    Nothing where there were events and no share of them: then a metric is missing, and no budget may seem whole.
    """
    if not slo.measure.counted:
        return f"0 * sum({share})"
    most = f"max_over_time({long_events}[{format_duration(slo.period)}:{format_duration(LONG_SLOT)}])"
    return f"0 * sum({most} == 0 or ({share} or {events} == 0) unless {most})"


def _remaining(slo: Objective, history: str, bad: str, none_bad: str) -> str:
    """Share of the budget that is left."""
    return f"1 - sum({history}) * (sum({bad})\n  or {none_bad}) / {1 - slo.model.objective:.12g}"


# ------------------------------------------------------------------------------------------------ alerts


def _alerts(slo: Objective) -> Iterator[dict[str, Any]]:
    for kind in KINDS:
        name = slo.alert_name(kind)
        if name is None:
            continue
        model = slo.alert_model(kind)
        texts = {
            "summary": model.summary or slo_text.summary(slo.service.service, slo.name, kind),
            "description": model.description or slo_text.description(slo.model, slo.pairs(kind)),
        }
        links = rule.links(slo.service, name, slo.name, model.runbook, resource=False)
        labels = slo.alert_labels(kind)
        made = rule.alert(name, expr(slo, kind), labels, texts | links, keep=model.keep_firing_for or 0)
        yield made
        if (page := slo.page_of(kind)) is not None:
            yield page.rule(made, slo.told_labels(kind))


def expr(slo: Objective, kind: core.Kind) -> str:
    """Whether one of the pairs burns too fast in both of its windows, and is no accident of little traffic."""
    return "\nor ".join(_pair(slo, pair) for pair in slo.pairs(kind))


def _pair(slo: Objective, pair: core.Pair) -> str:
    long, short = (slo.recorded(names.RECORD_ERROR_OVER, w) for w in (pair.window.long, pair.window.short))
    at = f"{pair.threshold:.12g}"
    burns = f"clamp_max({long}, 1) >= {at}\n  and {short} >= {at}"
    if not slo.measure.counted:
        return f"({burns})"
    events = slo.recorded(names.RECORD_EVENTS_OVER, pair.window.long)
    text = (
        f"({burns}\n"
        f"  and ({events} >= {core.ENOUGH / pair.threshold:.12g}\n"
        f"    or {long} * {events} >= {slo.model.min_bad}\n"
        f"      and ({long} - {at}) * sqrt({events}) >= {core.score(pair.threshold):.12g}))"
    )
    if pair.window.long == core.ALL[-1]:
        text += f"\nor (clamp_max({long}, 1) >= {core.EVERYTHING} and {events} > 0)"
    return text
