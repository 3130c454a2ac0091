"""What is wrong with a configuration, and where."""

from collections.abc import Iterable
from dataclasses import dataclass

Path = tuple[str | int, ...]


def show_path(path: Path) -> str:
    """A path as people write it: ``maintenance[0].hours``; ``(file)`` for the file as a whole."""
    out = ""
    for key in path:
        if isinstance(key, int):
            out += f"[{key}]"
        elif key and not set(key) & set(" .[]:\n\r\t\"'"):
            out += f".{key}" if out else key
        else:
            out += f"[{key!r}]"
    return out or "(file)"


@dataclass(frozen=True, order=True)
class Fault:
    """One thing that is wrong (or, among warnings, doubtful). Line and column count from 1."""

    file: str
    line: int
    column: int
    path: str
    message: str

    def __str__(self) -> str:
        """``FILE:LINE:COLUMN: PATH: what was found, what is expected``."""
        return f"{self.file}:{self.line}:{self.column}: {self.path}: {self.message}"


class ConfigError(Exception):
    """A configuration that cannot be used, with every fault found; trying again without a change is useless."""

    def __init__(self, faults: Iterable[Fault]) -> None:
        self.faults = tuple(sorted(set(faults)))
        super().__init__("\n".join(map(str, self.faults)))
