"""Runs of samples that a detector refused to learn: an incident must not become its own baseline.

After `length` refused samples in a row the level has moved, and the run is what the detector learns anew from
(docs/numbers.md, section 3). Gaps and excluded times neither count nor end a run. Few resources are held at a time, so
their samples live in a table that has a row for those only.
"""

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from tocsin.core.columns import Bools, Columns, Floats, Index, blank


@dataclass(slots=True)
class _Table:
    """Rows of samples and their grid indices; a row that is let go is used again."""

    values: Floats
    ks: NDArray[np.int64]
    free: list[int] = field(default_factory=list)

    def take(self, count: int) -> Index:
        """Rows for `count` newcomers."""
        if len(self.free) < count:
            old, length = self.values.shape
            more = max(count - len(self.free), old)
            self.values = np.vstack([self.values, blank(more, length)])
            self.ks = np.vstack([self.ks, blank(more, length, dtype=np.int64)])
            self.free += range(old, old + more)
        rows, self.free = self.free[:count], self.free[count:]
        return np.array(rows, np.intp)


@dataclass(slots=True)
class Held(Columns):
    """`run` (C,) samples held in a row, `row` (C,) where the table has them (-1: nowhere)."""

    run: NDArray[np.intp]
    row: NDArray[np.intp]
    table: _Table

    fills: ClassVar[dict[str, float]] = {"row": -1}

    @classmethod
    def empty(cls, length: int, columns: int) -> "Held":
        """No runs; `length` is after how many samples a run is complete."""
        return cls(
            run=blank(columns, dtype=np.intp),
            row=blank(columns, fill=-1, dtype=np.intp),
            table=_Table(blank(0, length), blank(0, length, dtype=np.int64)),
        )

    @property
    def length(self) -> int:
        """Samples of a complete run."""
        return int(self.table.values.shape[1])

    def update(self, held: Bools, learnt: Bools, values: Floats, k: int) -> Index:
        """Extend the runs of `held`, end those of `learnt`; return the columns whose run is complete."""
        if self.run.any():
            self._end(np.flatnonzero(learnt & (self.run > 0)))
        if not held.any():
            return np.empty(0, np.intp)
        columns = np.flatnonzero(held)
        fresh = columns[self.row[columns] < 0]
        self.row[fresh] = self.table.take(fresh.size)
        rows, at = self.row[columns], self.run[columns]
        self.table.values[rows, at] = values[columns]
        self.table.ks[rows, at] = k
        self.run[columns] = at + 1
        return np.compress(at + 1 == self.length, columns)

    def _end(self, columns: Index) -> None:
        rows = self.row[columns]
        self.table.free += rows[rows >= 0].tolist()
        self.run[columns], self.row[columns] = 0, -1

    def take(self, columns: Index) -> tuple[Floats, NDArray[np.int64]]:
        """The complete runs of these columns, oldest first, shape (length, len(columns)); the runs start again."""
        rows = self.row[columns]
        values, ks = self.table.values[rows].T, self.table.ks[rows].T
        self._end(columns)
        return values, ks

    def wipe(self, columns: Index) -> None:
        """Forget all that is known of these columns."""
        self._end(columns)

    def scale(self, columns: Index, factor: Floats) -> None:
        """Multiply the held samples of these columns."""
        some = self.row[columns] >= 0
        self.table.values[self.row[columns[some]]] *= factor[some, None]
