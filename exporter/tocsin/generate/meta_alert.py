"""One alert about Tocsin itself."""

from dataclasses import dataclass
from typing import Any, Literal

from tocsin import names
from tocsin.config.types import format_duration

#: Where the runbooks of these alerts are, a heading for each; relative to the root of the generated files.
RUNBOOKS = "rules/README.md"


@dataclass(frozen=True, slots=True)
class Meta:
    """One alert about Tocsin. `wait` are the seconds of `for`."""

    name: str
    expr: str
    wait: int
    severity: Literal["none", "warning", "critical"]
    summary: str
    description: str
    #: Whether it is about the whole process; the others name the service of what they are about.
    process: bool = False

    @property
    def labels(self) -> dict[str, str]:
        """Labels that the rule adds. Every alert of ours has a service, so that one route finds all of them."""
        return {**({names.SERVICE: names.META} if self.process else {}), names.SEVERITY: self.severity}

    def data(self) -> dict[str, Any]:
        """The rule as Prometheus reads it."""
        return {
            "alert": self.name,
            "expr": self.expr,
            **({"for": format_duration(self.wait)} if self.wait else {}),
            "labels": self.labels,
            "annotations": {
                "summary": self.summary,
                "description": self.description,
                "runbook_url": f"{RUNBOOKS}#{self.name.lower()}",
            },
        }
