"""PromQL of the panels. Grafana replaces its variables before Prometheus reads it, inside of strings too."""

import re
from collections.abc import Iterable, Mapping

from tocsin import names
from tocsin.config import expr
from tocsin.generate import promql

#: Start of the panel's time range, where a panel about the future finds what is known now.
AT_START = "@ start()"
#: How many resources a panel draws: more lines than that nobody can tell apart.
MOST = 10
LEVEL = names.metric("severity_level")

_STRING = re.compile(r'"(?:[^"\\\n]|\\.)*"|\'(?:[^\'\\\n]|\\.)*\'|`[^`]*`')


def quote(text: str) -> str:
    """A string literal in which Grafana finds no variable."""
    return _hidden(promql.quote(text))


def _hidden(literal: str) -> str:
    return literal.replace("$", "\\x24").replace("[[", "\\x5b\\x5b")


def expression(text: str) -> str:
    """An expression of the configuration, without comments, in whose strings Grafana finds no variable."""

    def literal(match: re.Match[str]) -> str:
        # Between backquotes nothing is escaped.
        return quote(match[0][1:-1]) if match[0].startswith("`") else _hidden(match[0])

    return _STRING.sub(literal, expr.uncommented(text))


def matchers(fixed: Mapping[str, str], variables: Mapping[str, str] | None = None) -> str:
    """Labels with a value, and labels that match a dashboard variable with several values."""
    texts = [f"{label}={quote(value)}" for label, value in fixed.items()]
    texts += [f'{label}=~"${variable}"' for label, variable in (variables or {}).items()]
    return ", ".join(texts)


def largest(metric: str, where: str, by: Iterable[str], at: str = "") -> str:
    """One series for each resource, whatever replicas and scrapes add."""
    return f"max by ({names.joined(by)}) ({metric}{{{where}}}{' ' + at if at else ''})"


def worst(expr: str, where: str, by: Iterable[str], most: int = MOST) -> str:
    """Those series of an expression whose resources had the worst tiers in the time range."""
    by = names.joined(by)
    tiers = f"max by ({by}) (max_over_time({LEVEL}{{{where}}}[$__range] @ end()))"
    return f"{expr}\nand on ({by}) topk({most}, {tiers})"


def nearest(expr: str, *, down: bool) -> str:
    """The series that are nearest to their limit: the highest ones, or the lowest where that is `down`."""
    return f"{'bottomk' if down else 'topk'}({MOST}, {expr})"


def alerts(where: str, state: str | None = None) -> str:
    """Alerts, in this state if one is given, and that Tocsin is down: then none of them can fire any more.

    Without the watchdog, which always fires and tells nobody.
    """
    fixed = "" if state is None else f"{names.ALERTSTATE}={quote(state)}, "
    told = f'{where}, {names.SEVERITY}!="none"'
    return f"{names.ALERTS}{{{fixed}{told}}}\nor {names.ALERTS}{{{fixed}{names.ALERTNAME}={quote(names.ALERT_DOWN)}}}"


class Ahead:
    """Lines from the value at the start of the panel's range to what is forecast from there.

    A gauge has no samples in the future, so each is looked up once, at the start of the range, and time moves the
    point along the line. `where` selects the signal, `by` are the labels by which lines differ, `horizon` in seconds.
    Of many resources those are drawn whose forecasts are the highest, or the lowest for a limit `down` there.
    """

    def __init__(self, where: str, by: Iterable[str], horizon: int, *, down: bool = False) -> None:
        by = tuple(by)

        def now(short: str) -> str:
            return largest(names.metric(short), where, by, AT_START)

        self._value, self._forecast, self._upper = now("value"), now("forecast_value"), now("forecast_upper")
        self._breach = now("breach_timestamp_seconds")
        stamp = f"timestamp({names.metric('value')}{{{where}}} {AT_START})"
        self._since = f"max by ({names.joined(by)}) ({stamp})"
        self._horizon = horizon
        self._shown = f"and {nearest(self._forecast, down=down)}"

    def _to(self, end: str) -> str:
        return (
            f"({self._value}\n"
            f"  + ({end} - {self._value}) * (time() - {self._since}) / {self._horizon})\n"
            f"and {self._since} >= time() - {self._horizon}\n"
            f"{self._shown}"
        )

    @property
    def forecast(self) -> str:
        """Straight to the forecast at the horizon."""
        return self._to(self._forecast)

    @property
    def upper(self) -> str:
        """Straight to the upper bound of the forecast."""
        return self._to(self._upper)

    @property
    def lower(self) -> str:
        """Straight to the lower bound, which is as far below the forecast as the upper one is above."""
        return self._to(f"(2 * {self._forecast} - {self._upper})")

    def breach(self, limit: float) -> str:
        """Straight to the limit at the time of the predicted breach; nothing where none is predicted."""
        return (
            f"({self._value}\n"
            f"  + ({limit!r} - {self._value}) * (time() - {self._since}) / ({self._breach} - {self._since}))\n"
            f"and {self._breach} >= time()\n"
            f"{self._shown}"
        )
