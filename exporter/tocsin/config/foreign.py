"""Documents of other tools: what is read of them is remembered, so that the rest can be named and nothing is lost."""

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

from tocsin.config.faults import Fault, Path, show_path
from tocsin.config.types import describe
from tocsin.config.yaml import Document


class Place(NamedTuple):
    """Where something is said: file, line and column from 1, and path in the document."""

    file: str
    line: int
    column: int
    path: str

    def fault(self, message: str) -> Fault:
        """Say something about it."""
        return Fault(*self, message)


class Foreign:
    """A document, or the part of one at `root`, as another tool's format has it.

    A value that is not of the kind that is asked for is a fault, and None.
    """

    def __init__(self, file: str, document: Document, root: Path = ()) -> None:
        self.file, self.document, self.root = file, document, root
        self.faults: list[Fault] = []
        self._taken: set[Path] = set()
        self._around: set[Path] = set()

    def take(self, *path: str | int) -> Any:  # noqa: ANN401  plain data of any shape
        """The value at the path, None where there is none; it counts as read, wholly."""
        self._taken.add(path)
        self._around.update(path[:i] for i in range(len(path)))
        return self.look(*path)

    def look(self, *path: str | int) -> Any:  # noqa: ANN401  as above
        """The value at the path, None where there is none."""
        value: Any = self.document.data
        for key in (*self.root, *path):
            here = key in value if isinstance(value, dict) else isinstance(value, list) and key in range(len(value))
            if not here:
                return None
            value = value[key]
        return value

    def place(self, *path: str | int, key: bool = False) -> Place:
        """Position of a value, or of its key; of what is not there, that of the nearest thing around it."""
        whole = (*self.root, *path)
        return Place(self.file, *self.document.where(whole, key=key), show_path(whole))

    def fault(self, message: str, *path: str | int) -> None:
        """Note what is wrong with the value at the path."""
        self.faults.append(self.place(*path).fault(message))

    def text(self, *path: str | int, need: bool = False) -> str | None:
        """A text that is not empty; with `need` it must be there."""
        value = self.take(*path)
        if (isinstance(value, str) and value.strip()) or (value is None and not need):
            return value
        self.fault(f"found {describe(value)}, expected some text", *path)
        return None

    def number(self, *path: str | int) -> float | None:
        """A finite number; it must be there."""
        value = self.take(*path)
        if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
            return value
        self.fault(f"found {describe(value)}, expected a number", *path)
        return None

    def flag(self, *path: str | int) -> bool | None:
        """True or false."""
        value = self.take(*path)
        if value is None or isinstance(value, bool):
            return value
        self.fault(f"found {describe(value)}, expected true or false", *path)
        return None

    def count(self, *path: str | int) -> int:
        """Entries of the list at the path; a list that is not empty must be there."""
        value = self.look(*path)
        if isinstance(value, list) and value:
            return len(value)
        self.take(*path)
        found = "an empty list" if value == [] else describe(value)
        self.fault(f"found {found}, expected a list of at least one", *path)
        return 0

    def touched(self, *path: str | int) -> bool:
        """Whether anything at or below the path has been read."""
        return path in self._taken or path in self._around

    def rest(self) -> Iterator[Path]:
        """Paths of what nobody has read, each as far up as that is true; what is empty is nothing."""
        yield from self._rest(self.look(), ())

    def _rest(self, value: object, path: Path) -> Iterator[Path]:
        if path in self._taken or value is None or value in ({}, []):
            return
        if path not in self._around:
            yield path
            return
        inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
        for key, inner in inside:
            yield from self._rest(inner, (*path, key))
