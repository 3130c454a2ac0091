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

    def data(self) -> dict[str, Any]:
        """The rule as Prometheus reads it."""
        return {
            "alert": self.name,
            "expr": self.expr,
            **({"for": format_duration(self.wait)} if self.wait else {}),
            "labels": {names.SEVERITY: self.severity},
            "annotations": {
                "summary": self.summary,
                "description": self.description,
                "runbook_url": f"{RUNBOOKS}#{self.name.lower()}",
            },
        }
