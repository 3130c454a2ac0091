"""Text of escalation levels: what has lasted, how often it came back, and who is told of it."""

from dataclasses import dataclass

from tocsin import names
from tocsin.config.escalation import Step, When, parse_times
from tocsin.config.types import format_duration
from tocsin.generate.templates import inert

#: Matchers of the alert's resource in a query, which is a Go string; `$of` has them.
HERE = '{" $of "}'
_MATCHERS = ",".join(f"{label}=%q" for label in names.BASE_LABELS)
_VALUES = " ".join(f"$labels.{label}" for label in names.BASE_LABELS)
_OF = f"{{{{ $of := printf `{_MATCHERS}` {_VALUES} -}}}}"
_RESOURCE = f"$labels.{names.RESOURCE}"


@dataclass(frozen=True, slots=True)
class Told:
    """What a level says; `repeats` is the expression of how often a tier came back, with :data:`HERE` in it."""

    service: str
    policy: str
    when: When
    step: Step
    repeats: str | None = None


def _how(told: Told) -> str:
    """The conditions as they read after "at tier 4 or above"."""
    step, found = told.step, []
    if step.after is not None:
        found.append(f"for {format_duration(step.after)}")
    if step.or_ is not None:
        found.append(step.or_)
    return " or ".join(found)


def summary(told: Told) -> str:
    """One line: what, where, for how long or how often, and who is told."""
    service, to = inert(told.service), inert(told.step.to)
    if told.step.if_ is not None:
        what = (
            f"{{{{ $value | humanizePercentage }}}} of the resources of {service} are at tier {told.when.tier} or above"
        )
    elif told.when.tier is not None:
        where = f"{{{{ $labels.{names.SIGNAL} }}}} of {{{{ {_RESOURCE} }}}} ({service})"
        what = f"{where} has been at tier {told.when.tier} or above {_how(told)}"
    else:
        where = f"{{{{ with {_RESOURCE} }}}} of {{{{ . }}}}{{{{ end }}}} ({service})"
        what = f"{{{{ $labels.{names.ESCALATED} }}}}{where} has fired {_how(told)}"
    return f"{what}: escalated to {to}"


def description(told: Told) -> str:
    """What is known now, why this level is told, and what ends it."""
    lines = []
    if told.step.if_ is None and told.when.tier is not None:
        lines += _tiers(told)
    elif told.when.severity is not None and told.step.or_ is not None:
        times = parse_times(told.step.or_)
        lines.append(f"It is told when the alert fires {times.count} times in {format_duration(times.within)}.")
    lines.append(
        f"This is a level of the escalation policy {inert(told.policy)}. Look at what the alerts before it say, and "
        "who works on them. An acknowledgement ends it."
    )
    return "\n".join(lines)


def _tiers(told: Told) -> list[str]:
    lines = [_OF]
    level = f'query (print "{names.metric("severity_level")}{HERE} >= 0")'
    lines.append(
        f'{{{{ with {level} -}}}}\nThe tier is {{{{ . | first | value | printf "%.0f" }}}} now.\n{{{{- end }}}}'
    )
    if (told.when.tier or 0) >= 3:
        gauge = names.metric("tier_run_start_timestamp_seconds")
        since = f'query (print "{gauge}{{tier=\\"{told.when.tier}\\"," $of "}}")'
        when = "{{ . | first | value | humanizeTimestamp }}"
        lines.append(f"{{{{- with {since} }}}}\nAt tier {told.when.tier} or above since {when}.\n{{{{- end }}}}")
    if told.repeats is not None and told.step.or_ is not None:
        within = format_duration(parse_times(told.step.or_).within)
        times = '{{ . | first | value | printf "%.0f" }}'
        repeats = f'{{{{- with query (print "{told.repeats}") }}}}'
        lines.append(f"{repeats}\nIt was reached {times} times within {within}.\n{{{{- end }}}}")
    return lines
