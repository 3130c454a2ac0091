"""PromQL text: quoting, selectors, and the expressions that the rules are made of.

Everything that comes from a configuration passes through :func:`quote`, so that no name can end the string it is in.
"""

from collections.abc import Mapping

from tocsin import names

#: How long an alert is held while nobody can tell the tier, as the third arm of a tier rule says.
HOLD = 3600

_IDENTITY = names.joined(names.BASE_LABELS)
_ESCAPES = {"\\": "\\\\", '"': '\\"', "\n": "\\n"} | {chr(c): f"\\x{c:02x}" for c in (*range(32), 127) if c != 10}


def quote(text: str) -> str:
    """A string literal; PromQL reads the escapes of Go."""
    return '"' + "".join(_ESCAPES.get(c, c) for c in text) + '"'


def selector(metric: str, matchers: Mapping[str, str]) -> str:
    """A vector selector with equality matchers; also how a series is written."""
    return f"{metric}{{{', '.join(f'{label}={quote(value)}' for label, value in matchers.items())}}}"


def firing(alert: str, labels: Mapping[str, str]) -> str:
    """The series that Prometheus keeps while this alert fires."""
    return selector(names.ALERTS, {names.ALERTNAME: alert, **labels, names.ALERTSTATE: "firing"})


def tier(alert: str, own: Mapping[str, str], signal: Mapping[str, str], least: int) -> str:
    """The expression of a tier alert: at or above a tier, held while unknown, held for an hour while nobody can tell.

    `signal` are the labels that name the signal, `own` one that the rule adds. The three arms: the plain gauge; an
    alert that fires stays as it was while the tier is -1; it stays while there is no Tocsin at all, or none that sees
    the signal (one that was started while the source is away has no tiers to show), until an hour after the last time
    that one saw it. That time is not moved by a restart, so no number of them holds an alert for ever. None of the last
    two starts an alert, because both need it to fire already. The value is the tier, or -1.
    """
    level = f"max by ({_IDENTITY}) ({selector(names.metric('severity_level'), signal)})"
    held = firing(alert, {**own, **signal})
    stale = selector(names.own("stale"), signal)
    return (
        f"{level} >= {least}\n"
        f"or ({level} == -1\n"
        f"    and on ({_IDENTITY}) {held})\n"
        f"or (-max by ({_IDENTITY}) ({held})\n"
        f"    and on () (absent({names.own('build_info')}) or min({stale}) == 1)\n"
        f"    and on () min(min_over_time({stale}[{HOLD // 3600}h])) == 0)"
    )
