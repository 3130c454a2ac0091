"""What the checks of one file need to know of the others."""

from collections.abc import Collection
from dataclasses import dataclass

from tocsin.config.faults import Path
from tocsin.config.models import SourceKind, Target


@dataclass(frozen=True)
class Finding:
    """What does not fit together: a message at a path, and the other paths that it is about."""

    path: Path
    message: str
    reads: tuple[Path, ...] = ()
    warning: bool = False


@dataclass(frozen=True)
class Known:
    """What a process file says to its service files; None for what it does not say because of a fault."""

    calendars: Collection[str] | None = None
    receivers: Collection[str] | None = None
    kind: SourceKind = "prometheus"
    target: Target | None = None
