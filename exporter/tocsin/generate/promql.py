"""PromQL text: quoting, selectors, and the expressions that the rules are made of.

Everything that comes from a configuration passes through :func:`quote`, so that no name can end the string it is in.
"""

from collections.abc import Mapping

from tocsin import names

#: How long an alert is held while Tocsin is down, as the third arm of a tier rule says.
HOLD_WHILE_DOWN = 3600

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


def tier(alert: str, severity: str, signal: Mapping[str, str], least: int) -> str:
    """The expression of a tier alert: at or above a tier, held while unknown, held for an hour while Tocsin is down.

    `signal` are the labels that name the signal. The three arms: the plain gauge; an alert that fires stays as it was
    while the tier is -1; it stays for at most an hour while there is no Tocsin at all. None of the last two starts an
    alert, because both need it to fire already.
    """
    level = f"max by ({_IDENTITY}) ({selector(names.metric('severity_level'), signal)})"
    held = firing(alert, {names.SEVERITY: severity, **signal})
    build = names.own("build_info")
    return (
        f"{level} >= {least}\n"
        f"or ({level} == -1\n"
        f"    and on ({_IDENTITY}) {held})\n"
        f"or (max by ({_IDENTITY}) ({held})\n"
        f"    and on () (absent({build}) and on () count(last_over_time({build}[{HOLD_WHILE_DOWN // 3600}h]))))"
    )
