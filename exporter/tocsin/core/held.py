"""Runs of samples that a detector refused to learn: an incident must not become its own baseline.

After `length` refused samples in a row the level has moved, and the run is what the detector learns anew from
(docs/numbers.md, section 3). Gaps and excluded times neither count nor end a run.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from tocsin.core.columns import Bools, Columns, Floats, Index, blank


@dataclass(slots=True)
class Held(Columns):
    """`run` (C,) samples held in a row, `values` and `ks` (length, C) what they were and when."""

    run: NDArray[np.intp]
    values: Floats
    ks: NDArray[np.int64]

    fills: ClassVar[dict[str, float]] = {}

    @classmethod
    def empty(cls, length: int, columns: int) -> "Held":
        """No runs; `length` is after how many samples a run is complete."""
        return cls(
            run=blank(columns, dtype=np.intp),
            values=blank(length, columns),
            ks=blank(length, columns, dtype=np.int64),
        )

    def update(self, held: Bools, learnt: Bools, values: Floats, k: int) -> Index:
        """Extend the runs of `held`, end those of `learnt`; return the columns whose run is complete."""
        if self.run.any():
            self.run[learnt] = 0
        if not held.any():
            return np.empty(0, np.intp)
        columns = np.flatnonzero(held)
        at = self.run[columns]
        self.values[at, columns] = values[columns]
        self.ks[at, columns] = k
        self.run[columns] = at + 1
        return np.compress(at + 1 == len(self.values), columns)

    def take(self, columns: Index) -> tuple[Floats, NDArray[np.int64]]:
        """The complete runs of these columns, oldest first, shape (length, len(columns)); the runs start again."""
        self.run[columns] = 0
        return self.values[:, columns], self.ks[:, columns]

    def scale(self, columns: Index, factor: Floats) -> None:
        """Multiply the held samples of these columns."""
        self.values[:, columns] *= factor
