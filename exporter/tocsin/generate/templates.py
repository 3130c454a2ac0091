"""Text of annotations: templates as Prometheus expands them, in which names from a configuration stay inert.

What the templates use is there from Prometheus 2.42 on: ``query``, ``first``, ``value``, the ``humanize`` family,
``reReplaceAll``, and ``printf`` and ``urlquery`` of Go's text/template.
"""

import string
from urllib.parse import quote as percent_encoded

from tocsin import names
from tocsin.config.models import Signal

#: How a value of each unit reads: a function of the template language, and what follows the number.
_UNITS = {
    "ratio": ("humanizePercentage", ""),
    "seconds": ("humanizeDuration", ""),
    "bytes": ("humanize1024", "B"),
    "celsius": ("humanize", " °C"),
    "count": ("humanize", ""),
    "per_second": ("humanize", "/s"),
    "per_minute": ("humanize", "/min"),
    "none": ("humanize", ""),
}

_MATCHERS = ",".join(f"{label}=%q" for label in names.BASE_LABELS)
_VALUES = " ".join(f"$labels.{label}" for label in names.BASE_LABELS)
#: Matchers of the alert's resource; %q of Go writes what PromQL reads, so no label can end its string.
_OF = f"{{{{ $of := printf `{_MATCHERS}` {_VALUES} -}}}}"
_RESOURCE = f"{{{{ $labels.{names.RESOURCE} }}}}"
#: Query escaping writes a blank as +, which a path would take literally; %20 is right in both places.
_RESOURCE_IN_URL = f'{{{{ reReplaceAll "[+]" "%20" (urlquery $labels.{names.RESOURCE}) }}}}'

_ADVICE = {
    1: "Note it, and look again after the next cycle.",
    2: "Look at the forecast and prepare what you would do if it went on.",
    3: "Act on it now: check whether the change is real, and carry out what the runbook says.",
    4: "Act on it at once: this is far outside of what was ever normal. Carry out what the runbook says and escalate.",
}


def inert(text: str) -> str:
    """Text in which nothing is a template any more, whatever stands before or after it."""
    return text.replace("{", '{{ "{" }}')


def link(template: str, alert: str, service: str, signal: str, *, resource: bool = True) -> str:
    """A link of the configuration: {alert}, {service} and {signal} filled in, {resource} left to Prometheus.

    Of an alert that has no such label nothing is filled in for it.
    """
    known = {"alert": alert, "service": service, "signal": signal}
    filled = {name: percent_encoded(value, safe="") for name, value in known.items()}
    out = ""
    for text, placeholder, _, _ in string.Formatter().parse(template):
        out += inert(text)
        if placeholder is not None:
            out += filled.get(placeholder, _RESOURCE_IN_URL if resource else "")
    return out


def _query(short: str, more: str = "") -> str:
    """A query for a gauge of the alert's resource, which `_OF` names."""
    return f'query (print "{names.metric(short)}{{{more}" $of "}}")'


def number(pipeline: str, unit: str) -> str:
    """A number as people read it in this unit."""
    function, suffix = _UNITS[unit]
    return f"{{{{ {pipeline} | {function} }}}}{suffix}"


def summary(service: str, signal: str, tier: int) -> str:
    """One line: what, where, how bad."""
    label = names.TIER_LABELS[tier].lower()
    return f"{inert(signal)} of {_RESOURCE} ({inert(service)}) has reached tier {tier} ({label})"


def description(signal: Signal, tier: int) -> str:
    """What is known about the resource now, and what to do. While nothing is known it says that."""
    lines = [_OF, *_now(signal), *_since(tier), *_breach(signal)]
    # The name of the resource is not written as an argument: what is pasted into a shell must not come from a label.
    lines += [_ADVICE[tier], "`tocsin explain` with the name of the resource says why it has its tier."]
    if about := " ".join(signal.description.split()):
        lines.insert(0, inert(about))
    return "\n".join(lines)


def _now(signal: Signal) -> list[str]:
    found, zscore = number(". | first | value", signal.unit), '{{ . | first | value | printf "%.1f" }}'
    distance = f"{{{{- with {_query('zscore')} }}}}, {zscore} standard deviations from its baseline{{{{ end }}}}."
    if signal.detect.seasonal is not None:
        # The gauge is the distance from the baseline, which need not be what was graded; the band is the season's.
        distance = '{{- "." }}'
    return [
        f"{{{{ with {_query('value')} -}}}}",
        f"The value is {found}",
        "{{- else -}}",
        "There is no value at present: Tocsin or its source cannot see it, and until it can the alert stays as it was",
        "{{- end }}",
        f"{{{{- with {_query('expected_lower')} }}}}, expected {found}{{{{ end }}}}",
        f"{{{{- with {_query('expected_upper')} }}}} to {found}{{{{ end }}}}",
        distance,
    ]


def _since(tier: int) -> list[str]:
    if tier < 3:
        return []
    since = _query("tier_run_start_timestamp_seconds", f'tier=\\"{tier}\\",')
    when = "{{ . | first | value | humanizeTimestamp }}"
    return [f"{{{{- with {since} }}}}", f"At or above this tier since {when}.{{{{ end }}}}"]


def _breach(signal: Signal) -> list[str]:
    if signal.limit is None or signal.forecast is False:
        return []
    limit = number(repr(signal.limit), signal.unit)
    when = "{{ . | first | value | humanizeTimestamp }}"
    return [
        f"{{{{- with {_query('breach_timestamp_seconds')} }}}}",
        f"The forecast reaches the limit of {limit} at {when}.{{{{ end }}}}",
    ]
