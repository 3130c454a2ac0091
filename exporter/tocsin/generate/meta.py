"""Alerts about Tocsin itself: rules/tocsin.yml.

Each expression keeps no label of the scrape, so that an alert is the same one after a restart under another address.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from tocsin import names
from tocsin.config.models import Service, Signal, Target
from tocsin.config.types import format_duration
from tocsin.core.resources import exported_name
from tocsin.generate import meta_guard, meta_slo
from tocsin.generate.meta_alert import Meta

#: A signal without a successful evaluation for so many of the longest intervals is stale, whatever Tocsin says.
MISSED = 5
#: Seconds for which a signal may have no series at all, beyond those in which its resources are remembered.
EMPTY = 1800
#: Seconds by which the source's clock may differ from ours: two scrapes of most, and far below Prometheus' lookback.
SKEW = 30

_PER_SIGNAL = names.joined((names.SERVICE, names.SIGNAL))
_WHERE = f"{{{{ $labels.{names.SIGNAL} }}}} of {{{{ $labels.{names.SERVICE} }}}}"


def group(services: Sequence[Service], target: Target) -> dict[str, Any]:
    """The one group of these alerts."""
    return {
        "name": names.META_GROUP,
        "interval": format_duration(target.evaluation_interval),
        "rules": [alert.data() for alert in alerts(services, target)],
    }


def alerts(services: Sequence[Service], target: Target) -> Iterator[Meta]:
    """All alerts about Tocsin, for these services."""
    yield _down(target)
    yield _stale(stale_after(services, target))
    yield _reload_failed()
    yield _series_dropped(drop_range(services, target))
    yield _no_series()
    yield _clock_skew()
    yield from meta_guard.alerts()
    yield from meta_slo.alerts(services)
    yield _honor_labels(services)
    yield _watchdog()


def _signals(services: Sequence[Service]) -> list[Signal]:
    return [signal for service in services for signal in service.signals.values()]


def _longest(services: Sequence[Service]) -> int:
    return max((signal.interval for signal in _signals(services)), default=60)


def stale_after(services: Sequence[Service], target: Target) -> int:
    """Seconds after which the last successful evaluation, as Prometheus knows of it, is too long ago."""
    return MISSED * max(_longest(services), target.scrape_interval)


def drop_range(services: Sequence[Service], target: Target) -> int:
    """Seconds over which dropped series are counted: at least two cycles of every signal are in it."""
    return max(900, 3 * _longest(services), 4 * target.scrape_interval)


def _down(target: Target) -> Meta:
    return Meta(
        names.ALERT_DOWN,
        f"absent({names.own('build_info')})",
        max(180, 4 * target.scrape_interval),
        "critical",
        "Tocsin is down, or Prometheus no longer scrapes it",
        "No metric of Tocsin has arrived. Tier alerts that fire are held for an hour and then resolve; new ones cannot "
        "fire.\nLook whether the process runs and whether its target is up on the Targets page of Prometheus.",
        process=True,
    )


def _stale(after: int) -> Meta:
    stale, success = names.own("stale"), names.own("evaluation_last_success_timestamp_seconds")
    return Meta(
        names.ALERT_STALE,
        f"max by ({_PER_SIGNAL}) ({stale}) == 1\nor (time() - max by ({_PER_SIGNAL}) ({success}) > {after})",
        120,
        "warning",
        f"{_WHERE} is no longer evaluated",
        f"Tocsin has no current answer for {_WHERE}. Its alerts that fire stay as they were for about an hour; new "
        "ones cannot fire.\n"
        "Look whether the source answers the signal's expression, and what Tocsin logs about it.",
    )


def _reload_failed() -> Meta:
    return Meta(
        names.ALERT_RELOAD_FAILED,
        f"min({names.own('config_last_reload_successful')}) == 0",
        300,
        "warning",
        "Tocsin could not load its configuration",
        "The last attempt to load the configuration failed, and Tocsin goes on with the one before: changes since then "
        "are without effect, and a restart would fail.\n`tocsin check config` names every fault with its place.",
        process=True,
    )


def _series_dropped(over: int) -> Meta:
    dropped = names.own("series_dropped_total")
    return Meta(
        names.ALERT_SERIES_DROPPED,
        f"sum by ({_PER_SIGNAL}, reason) (increase({dropped}[{format_duration(over)}])) > 0",
        300,
        "warning",
        f"{_WHERE} leaves series out: {{{{ $labels.reason }}}}",
        f'{_WHERE} refused {{{{ $value | printf "%.0f" }}}} series in the last {format_duration(over)}, each once per '
        "cycle, because of {{ $labels.reason }}. Nobody watches what these series say.\n"
        "identity_collision and missing_label: correct `by`; label_too_long: shorten the label; max_series: raise the "
        "limit, or let the expression have fewer series.",
    )


def _no_series() -> Meta:
    return Meta(
        names.ALERT_NO_SERIES,
        f"max by ({_PER_SIGNAL}) ({names.own('series')}) == 0",
        EMPTY,
        "warning",
        f"{_WHERE} has no series",
        f"The source answers the expression of {_WHERE}, and answers that there is nothing: no alert of this signal "
        "can fire. Probably a metric or a label has another name now, or what exposes it is no longer scraped.\n"
        "Run the expression in Prometheus. A signal that may well be empty is silenced as the runbook says.",
    )


def _clock_skew() -> Meta:
    return Meta(
        names.ALERT_CLOCK_SKEW,
        f"max(abs({names.own('source_clock_skew_seconds')})) > {SKEW}",
        300,
        "warning",
        "The clocks of Tocsin and its source differ",
        'The clocks differ by {{ $value | printf "%.0f" }} s. Tocsin asks for values at its own time: where that is '
        "ahead it gets old ones, where it is behind it grades the past.\n"
        "Synchronize the clocks of both machines.",
        process=True,
    )


def clashes(services: Sequence[Service]) -> list[tuple[str, str]]:
    """Labels that a target can have too, each with a metric that carries it.

    Every label of ours may be a target label of somebody's; job and instance are not ours. A label that names
    resources is known where `by` names it.
    """
    level = names.metric("severity_level")
    found = dict.fromkeys(names.BASE_LABELS, level)
    for signal in _signals(services):
        by = signal.by or ()
        found |= {exported_name(label, alone=len(by) == 1): level for label in by}
    for family in (*names.FAMILIES.values(), *names.SLO_FAMILIES.values(), *names.OWN.values()):
        # What is named as a runbook has it may be somebody else's too.
        for label in family.labels if family.prefix == names.PREFIX else ():
            found.setdefault(label, family.name)
    return list(found.items())


def _honor_labels(services: Sequence[Service]) -> Meta:
    arms = [f'count({metric}{{{names.EXPORTED}{label}!=""}}) > 0' for label, metric in clashes(services)]
    return Meta(
        names.ALERT_HONOR_LABELS,
        "\nor ".join(arms),
        300,
        "critical",
        "Prometheus renames labels of Tocsin",
        f"A label of Tocsin's metrics arrives with the prefix {names.EXPORTED}, because the target has a label of the "
        "same name. Rules and dashboards do not find these series, so alerts may not fire.\n"
        "Set `honor_labels: true` for this scrape job, as `tocsin generate prometheus` prints it.",
        process=True,
    )


def _watchdog() -> Meta:
    return Meta(
        names.ALERT_WATCHDOG,
        "vector(1)",
        0,
        "none",
        "This alert always fires",
        "It shows that alerts travel from Prometheus to the end of the line. Send it to something that calls you when "
        "it stops arriving.",
        process=True,
    )
