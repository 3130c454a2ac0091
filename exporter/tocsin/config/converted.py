"""Services that other formats say: data of our own, checked as such, with faults shown where the others say it."""

from dataclasses import dataclass, field
from typing import Any

from tocsin.config.faults import Fault, Path
from tocsin.config.foreign import Place
from tocsin.config.models import Service
from tocsin.config.shape import Shaped, fill
from tocsin.config.types import parse_ratio, parse_whole_seconds
from tocsin.config.yaml import Document
from tocsin.core import slo as core

_WHY_NO_PAGE = "even if everything fails the budget does not burn fast enough for a page: there is none"


@dataclass
class Converted(Shaped[Service]):
    """A service, and the places in other documents of what its data says."""

    places: dict[Path, Place] = field(default_factory=dict)

    def fault(self, path: Path, message: str, *, at_key: bool = False) -> Fault:  # noqa: ARG002  a place is either
        """Place a message where the value, or what is around it, comes from."""
        while path and path not in self.places:
            path = path[:-1]
        return self.places[path].fault(message)


@dataclass
class Draft:
    """A service while documents are read; `places` has one for the service itself, at ()."""

    data: dict[str, Any]
    places: dict[Path, Place]

    def add(self, name: str, slo: dict[str, Any], places: dict[Path, Place]) -> str | None:
        """Add an SLO; what is wrong when its name is taken."""
        slos = self.data["slos"]
        if name in slos:
            first = self.places["slos", name]
            where = f"{first.file}:{first.line}:{first.column}"
            return f"found the SLO {name!r} again, expected a name of its own ({where} has it already)"
        slos[name] = slo
        self.places.update({("slos", name, *path): place for path, place in places.items()})
        return None

    def shaped(self) -> Converted:
        """The service as a model, with what is wrong with its values."""
        service = Converted(self.places[()].file, b"", places=self.places)
        fill(service, Document(self.data, {}, {}), Service)
        if not self.data["slos"]:
            # Each of them has a fault: that there is none left is not another one.
            service.doubtful.append(("slos",))
        return service


def draft(name: str, place: Place) -> Draft:
    """A service without SLOs yet. Of severities these formats know page and ticket, if any."""
    data = {"service": name, "severity": "page-ticket", "slos": {}}
    return Draft(data, {(): place, ("service",): place})


def no_page(objective: str, period: str) -> str | None:
    """Why an SLO can have no page; None when it can, and of an objective that is none."""
    share = parse_ratio(objective)
    if not 0 < share < 1:
        return None
    if any(pair.can_fire for pair in core.pairs(share, parse_whole_seconds(period)) if pair.window.kind == "page"):
        return None
    return f"found an objective of {objective} over {period}: {_WHY_NO_PAGE}"
