"""The panels of one signal: its value in the band that is expected, and what is forecast."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from urllib.parse import quote as url_quoted

from tocsin import names
from tocsin.config.models import Service, Signal
from tocsin.config.types import format_duration
from tocsin.generate.dashboards import grid, look, panel, query
from tocsin.generate.dashboards.frame import Places, worst
from tocsin.generate.dashboards.text import link, plain
from tocsin.generate.lint.book import Book, Rule
from tocsin.generate.lint.labels import LabelsOf

VALUE, LOWER, UPPER = "Value", "Expected at least", "Expected at most"
AHEAD, AHEAD_LOWER, AHEAD_UPPER = "To the forecast", "At least", "At most"
BREACH = "To the predicted breach"

_RESOURCE = f"${{__field.labels.{names.RESOURCE}:percentencode}}"
_BY = (names.RESOURCE,)


@dataclass(frozen=True)
class View:
    """A signal as a dashboard shows it; `number` is its place in the service."""

    service: Service
    name: str
    number: int
    places: Places

    @property
    def signal(self) -> Signal:
        """The signal as the configuration has it."""
        return self.service.signals[self.name]

    @property
    def title(self) -> str:
        """Its name, for people."""
        return plain(self.name)

    @property
    def unit(self) -> str:
        """Grafana's unit of its value."""
        return look.UNITS[self.signal.unit]

    @property
    def down(self) -> bool:
        """Whether what falls is what is bad, so that the limit is below."""
        return self.signal.direction == "down"

    @cached_property
    def several(self) -> bool:
        """Whether it can have more than one resource: its expression, or `by`, leaves labels that tell them apart."""
        if self.signal.by is not None:
            return self.signal.by != ()
        records = [Rule("", "", {"record": name, "expr": expr}) for name, expr in self.service.records.items()]
        labels = LabelsOf(Book(records)).result(Rule("", "", {"expr": self.signal.expr}))
        return labels is None or labels != frozenset()

    @property
    def variable(self) -> str:
        """The variable with those of its resources that are chosen."""
        return f"{names.RESOURCE}_{self.number}"

    @property
    def identity(self) -> dict[str, str]:
        """Labels of all its series."""
        return {names.SERVICE: self.service.service, names.SIGNAL: self.name}

    @cached_property
    def where(self) -> str:
        """Matchers of the resources that a panel shows."""
        return query.matchers(self.identity, {names.RESOURCE: self.variable} if self.several else None)

    def variables(self) -> list[dict[str, Any]]:
        """Its own variable, the worst of what people have chosen; none for a signal with one resource."""
        if not self.several:
            return []
        where = query.matchers(self.identity, {names.RESOURCE: names.RESOURCE})
        return [worst(self.variable, self.title, names.RESOURCE, where)]

    # ------------------------------------------------------------------------------------------------ panels

    def lines(self) -> list[list[grid.Panel]]:
        """Its panels, line by line: side by side for one resource, else a line for each, one panel per resource."""
        value, forecast = self.value(), self.forecast()
        if not self.several:
            return [grid.line(8, (value, 14), (forecast, 10))] if forecast else [grid.line(8, (value, 24))]
        both = [value, forecast] if forecast else [value]
        return [grid.line(8, (panel.repeated(one, self.variable), 24)) for one in both]

    def value(self, name: str | None = None) -> grid.Panel:
        """The value, and the band in which it was expected."""
        queries = [
            panel.query(self._largest("value"), VALUE, "A"),
            panel.query(self._largest("expected_lower"), LOWER, "B"),
            panel.query(self._largest("expected_upper"), UPPER, "C"),
        ]
        about = (
            f"{plain(self.signal.description)} The line is the value, the area is where it was expected "
            f"(95 % prediction interval): outside of it the tier rises. {self._bounds_in_words()}"
        )
        overrides = [
            named_value(look.NOTE, 2),
            *panel.band(LOWER, UPPER, look.GOOD),
        ]
        return panel.timeseries(
            self._titled(name or self.title),
            about.strip(),
            queries,
            self.unit,
            bounds=self.bounds,
            overrides=overrides,
            links=self.links(),
        )

    def forecast(self) -> grid.Panel | None:
        """What is forecast from now on, with its interval, and the way to the predicted breach."""
        horizon = self.signal.horizon
        if horizon is None:
            return None
        ahead = query.Ahead(self.where, _BY, horizon, down=self.down)
        queries = [
            panel.query(ahead.forecast, AHEAD, "A"),
            panel.query(ahead.lower, AHEAD_LOWER, "B"),
            panel.query(ahead.upper, AHEAD_UPPER, "C"),
        ]
        overrides = [
            panel.named(AHEAD, color=panel.fixed(look.NOTE), custom__lineStyle=panel.DASHED, custom__lineWidth=2),
            *panel.band(AHEAD_LOWER, AHEAD_UPPER, look.NOTE),
        ]
        about = (
            f"What Tocsin forecasts from now on, {format_duration(horizon)} ahead: the dashed line goes straight from "
            "the value now to the value that is forecast, the area to the bounds of its 95 % interval. Only the right "
            "end is a forecast; between now and then it says nothing."
        )
        bounds: list[tuple[float, str]] = []
        if self.signal.limit is not None:
            queries.append(panel.query(ahead.breach(self.signal.limit), BREACH, "D"))
            overrides.append(panel.named(BREACH, color=panel.fixed(look.CRITICAL), custom__lineWidth=3))
            bounds = [(self.signal.limit, look.CRITICAL)]
            about += (
                f" The red line ends where and when the limit ({self.signal.limit:g}) is predicted to be reached; "
                "without one, no breach is predicted, and the table of breaches on the capacity dashboard says why."
            )
        title = self._titled(f"{self.title}, ahead")
        lines = panel.timeseries(
            title, about, queries, self.unit, bounds=bounds, overrides=overrides, links=self.links(), showPoints="never"
        )
        return panel.ahead(lines, relative(horizon))

    def _largest(self, short: str) -> str:
        return query.largest(names.metric(short), self.where, _BY)

    def _titled(self, title: str) -> str:
        return f"{title}: ${self.variable}" if self.several else title

    @property
    def _limit(self) -> list[tuple[float, str]]:
        return [] if self.signal.limit is None else [(self.signal.limit, look.CRITICAL)]

    @property
    def bounds(self) -> list[tuple[float, str]]:
        """Lines across: the normal range, the bounds of thresholds, the limit."""
        found = [(bound, look.GOOD) for bound in self.signal.normal or () if bound is not None]
        for threshold in self.service.thresholds.values():
            if threshold.signal == self.name:
                pairs = ((threshold.target, look.GOOD), (threshold.warning, look.WARNING))
                found += [(bound, colour) for bound, colour in pairs if bound is not None]
                found += [] if threshold.critical is None else [(threshold.critical, look.CRITICAL)]
        return found + self._limit

    def _bounds_in_words(self) -> str:
        if not self.bounds:
            return ""
        return "Lines across: green is normal or aimed at, yellow where a warning begins, red is critical or the limit."

    def links(self) -> list[dict[str, Any]]:
        """Links of a value: why it has its tier, its logs and traces."""
        given = self.service.links
        known = {
            "service": url_quoted(self.service.service, safe=""),
            "signal": url_quoted(self.name, safe=""),
            "resource": _RESOURCE,
        }
        explain = self.places.explain(**known)
        found = [panel.link("Why: Tocsin explains the grade", explain)]
        for title, template in (("Logs", given.logs), ("Traces", given.traces), ("Recent deploys", given.deploys)):
            if template is not None:
                found.append(panel.link(title, link(template, known)))
        return found


def named_value(colour: str, width: int) -> dict[str, Any]:
    """How the value is drawn."""
    return panel.named(VALUE, color=panel.fixed(colour), custom__lineWidth=width)


def views(service: Service, places: Places) -> list[View]:
    """All signals of a service."""
    return [View(service, name, number, places) for number, name in enumerate(service.signals, 1)]


def limited(found: Sequence[View]) -> list[View]:
    """Those whose capacity ends somewhere, and for which that is forecast."""
    return [view for view in found if view.signal.limit is not None and view.signal.horizon is not None]


def relative(seconds: int) -> str:
    """A length as Grafana's time overrides take it: a number and one unit."""
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds % size == 0:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"
