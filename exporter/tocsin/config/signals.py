"""Checks between the values of one signal."""

import math
from collections.abc import Collection, Iterator

from tocsin import names
from tocsin.config import expr
from tocsin.config.faults import Path
from tocsin.config.known import Finding
from tocsin.config.models import Signal, SourceKind, TierAlert
from tocsin.config.types import describe, format_duration

MAX_SLOTS = 2016
#: Steps after which a level that is held is learnt, where neither the signal nor its alerts ask for another number.
RELEARN_AFTER = 60
#: The most steps that it may be, as the model says too.
MAX_RELEARN_AFTER = 2016


def check_signal(signal: Signal, at: Path, calendars: Collection[str] | None, kind: SourceKind) -> Iterator[Finding]:
    """All findings of a signal at this path of its file. `calendars` are the names that there are; None: not known."""
    yield from _expr(signal, at, kind)
    yield from _grid(signal, at)
    yield from _baseline(signal, at)
    yield from _detect(signal, at)
    yield from _forecast(signal, at)
    yield from _waits(signal, at)
    if signal.calendar is not None and calendars is not None and signal.calendar not in calendars:
        known = ", ".join(sorted(calendars)) or "none is defined"
        message = f"found {describe(signal.calendar)}, expected a calendar of the process file ({known})"
        yield Finding((*at, "calendar"), message)


def _expr(signal: Signal, at: Path, kind: SourceKind) -> Iterator[Finding]:
    message = None
    for key, text in (("capacity", signal.capacity), ("expr", signal.expr)):
        if text is not None and (message := expr.fault(text)):
            # MetricsQL is larger than PromQL: what the parser does not know may well be right there.
            yield Finding((*at, key), message, warning=kind == "victoriametrics")
    if message is None and (name := expr.raw_counter(signal.expr)):
        message = f"found the counter {name} by itself, expected its rate: rate({name}[5m])"
        yield Finding((*at, "expr"), message, warning=True)
    for label in sorted({label for label in signal.by or () if (signal.by or ()).count(label) > 1}):
        yield Finding((*at, "by"), f"found {describe(label)} more than once, expected each label once")


def _grid(signal: Signal, at: Path) -> Iterator[Finding]:
    every = format_duration(signal.interval)
    if signal.grid % signal.interval:
        message = f"found {format_duration(signal.grid)}, expected a multiple of interval ({every})"
        yield Finding((*at, "step"), message, ((*at, "interval"),))
    if signal.forget_after is not None and signal.forget_after < 3 * signal.grid:
        least = format_duration(3 * signal.grid)
        message = f"found {format_duration(signal.forget_after)}, expected at least 3 steps ({least})"
        yield Finding((*at, "forget_after"), message, _grid_of(signal, at))


def _baseline(signal: Signal, at: Path) -> Iterator[Finding]:
    if signal.min_samples > signal.window:
        default = "" if "min_samples" in signal.model_fields_set else " (the default)"
        message = f"found {signal.min_samples}{default}, expected at most window ({signal.window})"
        yield Finding((*at, "min_samples"), message, ((*at, "window"),))
    if signal.normal is not None:
        low, high = signal.normal
        if low is None and high is None:
            yield Finding((*at, "normal"), "found no bound, expected [low, high] with at most one of them null")
        elif low is not None and high is not None and low > high:
            yield Finding((*at, "normal"), f"found {low:g} above {high:g}, expected [low, high] with low <= high")


def _detect(signal: Signal, at: Path) -> Iterator[Finding]:
    path, seasonal = (*at, "detect"), signal.detect.seasonal
    if signal.detect.zscore is None and seasonal is None:
        yield Finding(path, "found no detector, expected zscore, seasonal or both (zscore: {} has good defaults)")
    if seasonal is None:
        return
    where = (*path, "seasonal", "season")
    if isinstance(seasonal.season, str) and (signal.season_seconds or 0) % signal.grid:
        message = f"found {describe(seasonal.season)}, expected a multiple of step ({format_duration(signal.grid)})"
        yield Finding(where, message, _grid_of(signal, at))
    elif not 2 <= (slots := signal.season_slots or 0) <= MAX_SLOTS:
        step = format_duration(signal.grid)
        yield Finding(where, f"found {slots} steps of {step}, expected 2 to {MAX_SLOTS}", _grid_of(signal, at))
    if seasonal.delta_threshold is not None and signal.unit != "ratio" and signal.scale is None:
        message = (
            f"found {seasonal.delta_threshold:g} for a signal with unit: {signal.unit}, expected unit: ratio or a"
            " scale: a delta means something only as a share of a known size"
        )
        yield Finding((*path, "seasonal", "delta_threshold"), message, ((*at, "unit"), (*at, "scale")))


def _forecast(signal: Signal, at: Path) -> Iterator[Finding]:
    if signal.forecast is False:
        return
    path, horizon = (*at, "forecast"), signal.forecast.horizon
    if horizon is not None and horizon % signal.grid:
        message = f"found {format_duration(horizon)}, expected a multiple of step ({format_duration(signal.grid)})"
        yield Finding((*path, "horizon"), message, _grid_of(signal, at))
    if signal.forecast.model == "holt_winters" and signal.detect.seasonal is None:
        message = "found 'holt_winters' without a season, expected detect.seasonal beside it"
        yield Finding((*path, "model"), message, ((*at, "detect"),))


def wait(alert: TierAlert, interval: int) -> float:
    """Seconds that a tier lasts before the alert fires."""
    return alert.for_ if alert.for_ is not None else (alert.grades - 1) * interval


def relearn_after(signal: Signal, escalated: int = 0) -> int:
    """Held samples in a row after which a new level is learnt.

    As given; else twice what the slowest alert waits, and the seconds for which it is `escalated` behind that, so that
    all of it fires well before the level counts as normal however late scrapes and evaluations see it: at least
    RELEARN_AFTER, and no more than MAX_RELEARN_AFTER.
    """
    if signal.relearn_after is not None:
        return signal.relearn_after
    longest = max((wait(alert, signal.interval) for alert in signal.alert.values()), default=0) + escalated
    return min(max(RELEARN_AFTER, math.ceil(2 * longest / signal.grid)), MAX_RELEARN_AFTER)


def _waits(signal: Signal, at: Path) -> Iterator[Finding]:
    for level, alert in signal.alert.items():
        if alert.for_ is not None and "grades" in alert.model_fields_set:
            yield Finding((*at, "alert", level, "grades"), "found grades and for, expected one of them")
    if not signal.alert:
        return
    level = max(signal.alert, key=lambda name: wait(signal.alert[name], signal.interval))
    longest, steps = wait(signal.alert[level], signal.interval), relearn_after(signal)
    held, why = steps * signal.grid, "the new level would be normal before it fires"
    if held > longest:
        return
    if signal.relearn_after is not None:
        message = (
            f"found {steps} steps ({format_duration(held)}), expected more than the alert {level!r}"
            f" waits ({format_duration(longest)}): {why}"
        )
        yield Finding((*at, "relearn_after"), message, (*_grid_of(signal, at), (*at, "alert")))
        return
    message = f"found {format_duration(longest)}, expected less than {steps} steps ({format_duration(held)}): {why}"
    yield Finding((*at, "alert", level, "for"), message, (*_grid_of(signal, at), (*at, "relearn_after")))


def _grid_of(signal: Signal, at: Path) -> tuple[Path, ...]:
    """What the grid was read from; a step that had to be taken out left the interval."""
    return ((*at, "step"),) if signal.step is not None else ((*at, "interval"), (*at, "step"))


def alert_names(service: str, signal: str, alerts: dict[str, TierAlert]) -> dict[str, str]:
    """Name of each tier alert, by level."""
    return {level: alert.name or names.alert_name(service, signal, level) for level, alert in alerts.items()}
