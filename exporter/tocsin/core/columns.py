"""Arrays with one column per resource: how they are made, grown and wiped.

A part of the state is a dataclass whose arrays have the resources on their last axis. Big ones are made by
:func:`numpy.zeros`, which the operating system commits page by page on first write: what is never written costs
nothing, so growing copies only the rows that hold something.
"""

import math
from dataclasses import dataclass, fields
from typing import Any, ClassVar, TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float64]
Bools: TypeAlias = NDArray[np.bool_]
Index: TypeAlias = NDArray[np.intp]
#: Columns to work on: all of them without a copy, or the listed ones.
Select: TypeAlias = Index | slice

ALL = slice(None)


def select(mask: Bools) -> Select:
    """The columns of a mask; a slice when that is every column, which numpy serves without copying."""
    return ALL if mask.all() else np.flatnonzero(mask)


def blank(*shape: int, fill: float = 0.0, dtype: Any = np.float64) -> NDArray[Any]:  # noqa: ANN401  numpy's dtype-like
    """A new array; filled with zeros it occupies no memory until it is written."""
    return np.zeros(shape, dtype) if fill == 0 else np.full(shape, fill, dtype)


def _rows(array: NDArray[Any]) -> NDArray[Any]:
    """A view with two axes, the last one kept; reshape(-1, 0) would be ambiguous."""
    return array.reshape(math.prod(array.shape[:-1]), array.shape[-1])


@dataclass(slots=True)
class Columns:
    """Base of the parts: names in `fills` start at that value, all other arrays at zero."""

    fills: ClassVar[dict[str, float]] = {}

    def arrays(self) -> dict[str, NDArray[Any]]:
        """The arrays of this part by name."""
        found = {f.name: getattr(self, f.name) for f in fields(self)}
        return {name: value for name, value in found.items() if isinstance(value, np.ndarray)}

    def parts(self) -> list["Columns"]:
        """The parts inside this part."""
        return [value for f in fields(self) if isinstance(value := getattr(self, f.name), Columns)]

    def grow(self, columns: int) -> None:
        """Make room for more columns; the old ones keep their place."""
        for name, old in self.arrays().items():
            new = blank(*old.shape[:-1], columns, fill=self.fills.get(name, 0.0), dtype=old.dtype)
            if old.ndim == 1:
                new[: len(old)] = old
            else:
                target = _rows(new)
                for i, row in enumerate(_rows(old)):
                    if row.any():
                        target[i, : len(row)] = row
            setattr(self, name, new)
        for part in self.parts():
            part.grow(columns)

    def wipe(self, columns: Index) -> None:
        """Forget all that is known of these columns."""
        for name, array in self.arrays().items():
            fill = self.fills.get(name, 0.0)
            for row in _rows(array):
                if fill != 0 or row[columns].any():
                    row[columns] = fill
        for part in self.parts():
            part.wipe(columns)
