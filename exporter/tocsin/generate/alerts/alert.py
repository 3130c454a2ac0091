"""An alert as its kind makes it: the rule, and what its tests have to show."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import promql_parser

from tocsin.config.models import Alert as Model
from tocsin.config.models import ProcessModel, Service
from tocsin.config.types import format_duration
from tocsin.generate import rule
from tocsin.generate.feed.solve import Fed
from tocsin.generate.paging import Page, quiet

#: Makes the series of a test from the tree of the alert's value and the labels that they should have: what is there in
#: the end, and before it what was there first; raises Unsolved.
Feed = Callable[[promql_parser.Expr, Mapping[str, str]], tuple[Fed, ...]]


@dataclass(frozen=True, slots=True)
class Trial:
    """One test: what the alert's value is, and whether that fires it.

    What was there first lasts for `past` seconds at least; `resolves` when its series end.
    """

    what: str
    fires: bool
    feed: Feed
    past: float = 0
    resolves: bool = True


@dataclass(frozen=True, slots=True)
class Alert:
    """An alerting rule on a value.

    `value` is the expression of the value, `make` turns it (or another one that stands for it) into that of the rule.
    `identity` gives, from the labels of the value, those that the alert has beside `labels`; `by` are the labels that
    name a resource, as far as they are known.
    """

    name: str
    group: str
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    wait: float
    keep: float
    value: str
    make: Callable[[str], str]
    identity: Callable[[Mapping[str, str]], dict[str, str]]
    by: tuple[str, ...] = ()
    trials: tuple[Trial, ...] = field(default=())
    #: What this alert pages for; it comes after the same alert without it.
    page: Page | None = None

    def data(self, value: str | None = None) -> dict[str, Any]:
        """The rule as Prometheus reads it, on its own value or on one that stands for it."""
        expr = self.make(self.value if value is None else value)
        made = rule.alert(self.base, expr, self.labels, self.annotations, wait=self.wait, keep=self.keep)
        return made if self.page is None else self.page.rule(made, self.labels)

    @property
    def base(self) -> str:
        """Name of the alert whose value is looked at: its own, or that which it pages for."""
        return self.name if self.page is None else self.page.alert

    def split(self, page: Page | None) -> Iterator["Alert"]:
        """Itself; or, where something is done about it first, the alert that goes to Tocsin and the one that pages."""
        if page is None:
            yield self
            return
        yield replace(self, labels=quiet(self.labels))
        yield replace(self, name=page.name, page=page)


def annotations(
    service: Service, name: str, subject: str, model: Model, summary: str, description: str, *, resource: bool
) -> dict[str, str]:
    """Texts of an alert, those of the configuration first, and its links."""
    texts = {"summary": model.summary or summary, "description": model.description or description}
    return texts | rule.links(service, name, subject, model.runbook, resource=resource)


#: The value for machines: /api/alerts shows it.
VALUE = {"value": "{{ $value }}"}


@dataclass(frozen=True, slots=True)
class Context:
    """A service and what it is generated for."""

    service: Service
    process: ProcessModel

    @property
    def ignored(self) -> tuple[str, ...]:
        """Labels that no alert keeps."""
        return ("job", *self.process.source.replica_labels)

    @property
    def step(self) -> str:
        """How often rules are evaluated."""
        return format_duration(self.process.target.evaluation_interval)
