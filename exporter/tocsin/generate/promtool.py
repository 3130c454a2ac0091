"""promtool unit tests as plain data.

The format: https://prometheus.io/docs/prometheus/latest/configuration/unit_testing_rules/
What fires is asked of ALERTS, which promtool keeps as a Prometheus does: its labels are the alert's whole identity, and
an annotation that somebody rewords breaks no test.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from tocsin import names
from tocsin.config.types import format_duration
from tocsin.generate.promql import selector

Labels = Mapping[str, str]

#: What ends a series, as a scrape does that fails or no longer has it.
ENDS = "stale"
#: No sample, before the first one or after the end.
ABSENT = "_"


class Run(NamedTuple):
    """So many samples, each `step` above the one before; :data:`ENDS` ends the series, :data:`ABSENT` is none."""

    value: float | str
    samples: int = 1
    step: float = 0

    def text(self) -> str:
        """As promtool reads it."""
        if self.value == ABSENT:
            return f"{ABSENT}x{self.samples}"
        if isinstance(self.value, str):
            return self.value
        if self.samples == 1:
            return f"{self.value:.15g}"
        # Adding zero makes it no negative one.
        return f"{self.value:.15g}{self.step + 0.0:+.15g}x{self.samples - 1}"


Runs = Sequence[Run]


@dataclass(frozen=True, slots=True)
class Input:
    """A series: runs of samples, one after the other."""

    metric: str
    labels: Labels
    runs: Runs

    def data(self) -> dict[str, str]:
        """As promtool reads it."""
        values = [run.text() for run in self.runs if run.samples > 0]
        return {"series": selector(self.metric, self.labels), "values": " ".join(values)}


@dataclass(frozen=True, slots=True)
class Fires:
    """Which instances of an alert fire at a time, or are in another state, each by its labels; none by default."""

    alert: str
    at: float
    instances: Sequence[Labels] = field(default=())
    state: Literal["firing", "pending"] = "firing"

    def data(self) -> dict[str, Any]:
        """As promtool reads it."""
        state = {names.ALERTSTATE: self.state}
        name = {names.ALERTNAME: self.alert}
        samples = [{"labels": selector(names.ALERTS, {**name, **one, **state}), "value": 1} for one in self.instances]
        expr = selector(names.ALERTS, {**name, **state})
        return {"expr": expr, "eval_time": format_duration(self.at), "exp_samples": samples}


def case(name: str, scrape: float, series: Sequence[Input], expected: Sequence[Fires]) -> dict[str, Any]:
    """One test; `scrape` is the time between the samples of its series."""
    return {
        "name": name,
        "interval": format_duration(scrape),
        "input_series": [one.data() for one in series],
        "promql_expr_test": [one.data() for one in expected],
    }


def document(rules: Sequence[str], evaluation: float, cases: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """A file of tests; `rules` are the tested files as seen from there."""
    return {"rule_files": list(rules), "evaluation_interval": format_duration(evaluation), "tests": list(cases)}
