"""An alert as its kind makes it: the rule, and what its tests have to show."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import promql_parser

from tocsin.config.models import Alert as Model
from tocsin.config.models import ProcessModel, Service
from tocsin.config.types import format_duration
from tocsin.generate import rule
from tocsin.generate.feed.solve import Fed

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

    def data(self, value: str | None = None) -> dict[str, Any]:
        """The rule as Prometheus reads it, on its own value or on one that stands for it."""
        expr = self.make(self.value if value is None else value)
        return rule.alert(self.name, expr, self.labels, self.annotations, wait=self.wait, keep=self.keep)


def annotations(
    service: Service, name: str, subject: str, model: Model, summary: str, description: str, *, resource: bool
) -> dict[str, str]:
    """Texts of an alert, those of the configuration first, and its links."""
    texts = {"summary": model.summary or summary, "description": model.description or description}
    return texts | rule.links(service, name, subject, model.runbook, resource=resource)


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
