"""The window of learnt samples of every resource: a ring, its running sums, and exact times of its two ends.

Values are kept as float32 of their distance from a reference per resource; sums are float64 of what the ring holds. A
second pair of sums starts from zero whenever the ring's write position wraps: at the next wrap it is a sum over exactly
the ring without a single subtraction, and replaces the running one, so rounding errors never grow older than one lap.
"""

from dataclasses import dataclass
from typing import Any, ClassVar, cast

import numpy as np
from numpy.typing import NDArray

from tocsin.core.columns import ALL, Columns, Floats, Index, Select, blank

#: A mean further than this many standard deviations from the reference costs digits: the reference moves there.
_FAR = 100.0
#: A square that leaves the sum takes digits with it; from this many times the rest on too many.
_HIDES = 1e6
_LONGEST_GAP = np.iinfo(np.uint16).max


@dataclass(frozen=True, slots=True)
class _Rows:
    """One row of a matrix (length, C) for each selected column.

    Nearly all columns are at the same row, which is read and written as a whole; `odd` are the others' positions in
    the selection, `columns` and `others` their columns and rows.
    """

    where: Select
    row: int
    odd: Index
    columns: Index
    others: Index

    @classmethod
    def of(cls, rows: Index, where: Select) -> "_Rows":
        """Row of each selected column."""
        row = int(rows[0]) if (rows == rows[0]).all() else int(np.bincount(rows).argmax())
        odd = np.flatnonzero(rows != row)
        return cls(where, row, odd, odd if isinstance(where, slice) else where[odd], rows[odd])

    def read(self, matrix: NDArray[Any]) -> NDArray[Any]:
        """A copy of what stands there."""
        out = matrix[self.row].copy() if isinstance(self.where, slice) else matrix[self.row, self.where]
        out[self.odd] = matrix[self.others, self.columns]
        return cast("NDArray[Any]", out)

    def write(self, matrix: NDArray[Any], values: NDArray[Any]) -> None:
        """Put these there."""
        kept = matrix[self.row, self.columns]
        matrix[self.row, self.where] = values
        matrix[self.row, self.columns] = kept
        matrix[self.others, self.columns] = values[self.odd]


@dataclass(slots=True)
class Window(Columns):
    """Arrays over resources: `ring` (length, C) float32, `ref`, counts, sums, and grid indices of the two ends."""

    ring: NDArray[np.float32]
    ref: Floats
    n: NDArray[np.intp]
    at: NDArray[np.intp]
    s1: Floats
    s2: Floats
    t1: Floats
    t2: Floats
    #: Grid times between a sample and the one learnt before it (65,535 for more), where the times are of interest.
    skipped: NDArray[np.uint16] | None
    oldest_k: NDArray[np.int64]
    newest_k: NDArray[np.int64]
    newest: Floats
    #: The first two samples as they came, until the third decides about the reference.
    early: Floats

    fills: ClassVar[dict[str, float]] = {"newest": np.nan}

    @classmethod
    def empty(cls, length: int, columns: int, *, timed: bool = True) -> "Window":
        """A window of `length` samples for `columns` resources, nothing learnt; `timed` for one that has a drift."""
        return cls(
            ring=blank(length, columns, dtype=np.float32),
            ref=blank(columns),
            n=blank(columns, dtype=np.intp),
            at=blank(columns, dtype=np.intp),
            s1=blank(columns),
            s2=blank(columns),
            t1=blank(columns),
            t2=blank(columns),
            skipped=blank(length, columns, dtype=np.uint16) if timed else None,
            oldest_k=blank(columns, dtype=np.int64),
            newest_k=blank(columns, dtype=np.int64),
            newest=blank(columns, fill=np.nan),
            early=blank(2, columns),
        )

    def push(self, where: Select, values: Floats, k: int) -> None:
        """Learn `values` (one per selected column, finite) at grid index k."""
        if not values.size:
            return
        n = self.n[where].copy()  # of all columns it would be a view, and change below
        self.ref[where] = np.where(n == 0, values, self.ref[where])
        new = (values - self.ref[where]).astype(np.float32)
        self._date(where, n, k)
        old = self._swap(where, new)
        new64, old64 = new.astype(np.float64), old.astype(np.float64)
        squares = new64 * new64
        self.s1[where] += new64 - old64
        self.s2[where] += squares - old64 * old64
        self.t1[where] += new64
        self.t2[where] += squares
        self.newest[where] = self.ref[where] + new64
        length = len(self.ring)
        self.n[where] = np.minimum(n + 1, length)
        self._resum(where, old64)
        self._settle(where, values, n)
        at = self.at[where] + 1
        self.at[where] = at
        if (at == length).any():
            self._wrap(np.flatnonzero(self.at == length))

    def _swap(self, where: Select, new: NDArray[np.float32]) -> NDArray[np.float32]:
        """Write at each column's position; return what stood there."""
        rows = _Rows.of(self.at[where], where)
        old = rows.read(self.ring)
        rows.write(self.ring, new)
        return cast("NDArray[np.float32]", old)

    def _date(self, where: Select, n: NDArray[np.intp], k: int) -> None:
        """Keep the grid indices of both ends; n samples were there before."""
        if self.skipped is not None:
            at, length = self.at[where], len(self.ring)
            first, full = n == 0, n == length
            gap = np.where(first, 0, np.minimum(k - self.newest_k[where] - 1, _LONGEST_GAP)).astype(np.uint16)
            after = _Rows.of((at + 1) % length, where).read(self.skipped).astype(np.int64)
            self.oldest_k[where] = np.where(first, k, self.oldest_k[where] + full * (1 + after))
            # In steady state there is nothing to write, and what is never written takes no memory.
            changed = np.flatnonzero(gap != _Rows.of(at, where).read(self.skipped))
            if changed.size:
                self.skipped[at[changed], changed if isinstance(where, slice) else where[changed]] = gap[changed]
        self.newest_k[where] = k

    def _settle(self, where: Select, values: Floats, n: NDArray[np.intp]) -> None:
        """Take the middle one of a window's first three samples for its reference.

        The first may be an outlier, and every later sample would lose its digits to the distance from it.
        """
        if len(self.ring) < 3 or not (n < 3).any():
            return
        columns = np.arange(self.n.size)[where]
        for i in (0, 1):
            self.early[i, columns[n == i]] = values[n == i]
        columns, third = columns[n == 2], values[n == 2]
        if columns.size:
            samples = np.vstack([self.early[:, columns], third])
            self.ref[columns] = np.sort(samples, axis=0)[1]
            self.ring[:3, columns] = samples - self.ref[columns]
            exact = self.ring[:3, columns].astype(np.float64)
            self.newest[columns] = self.ref[columns] + exact[2]
            self.s1[columns] = self.t1[columns] = exact.sum(axis=0)
            self.s2[columns] = self.t2[columns] = (exact * exact).sum(axis=0)

    def _resum(self, where: Select, gone: Floats) -> None:
        """Sum anew where the sample that left was so large that its square hid the others'."""
        hid = gone * gone > _HIDES * self.s2[where]
        if hid.any():
            columns = np.flatnonzero(hid) if isinstance(where, slice) else where[hid]
            exact = self.ring[:, columns].astype(np.float64)
            self.s1[columns], self.s2[columns] = exact.sum(axis=0), (exact * exact).sum(axis=0)

    def _move(self, columns: Index, shift: Floats) -> None:
        """Move the reference of these columns; their rings follow."""
        for used in np.unique(self.n[columns]).tolist():
            same = self.n[columns] == used
            some = columns[same]
            self._set(some, self.ring[:used, some].astype(np.float64) - shift[same])
        self.ref[columns] += shift

    def _wrap(self, columns: Index) -> None:
        """The write position of these columns is back at the start: take over the fresh sums."""
        self.at[columns] = 0
        s1, s2 = self.t1[columns], self.t2[columns]
        self.s1[columns], self.s2[columns] = s1, s2
        self.t1[columns] = self.t2[columns] = 0.0
        mean = s1 / len(self.ring)
        variance = np.maximum(s2 / len(self.ring) - mean * mean, 0.0)
        far = columns[mean * mean > _FAR * _FAR * variance]
        if far.size:
            # The newest sample as reference: a flat window then holds exact zeros.
            self._move(far, self.ring[-1, far].astype(np.float64))

    def _set(self, columns: Index, shifted: Floats) -> None:
        """Replace the ring of these columns by `shifted` (length used, len(columns)), already relative to `ref`."""
        used, length = len(shifted), len(self.ring)
        ring = shifted.astype(np.float32)
        self.ring[:used, columns] = ring
        self.ring[used:, columns] = 0
        exact = ring.astype(np.float64)
        self.n[columns] = used
        self.at[columns] = used % length
        self.s1[columns] = exact.sum(axis=0)
        self.s2[columns] = (exact * exact).sum(axis=0)
        self.t1[columns] = self.s1[columns] if used < length else 0.0
        self.t2[columns] = self.s2[columns] if used < length else 0.0

    def replace(self, columns: Index, values: Floats, ks: NDArray[np.int64]) -> None:
        """Take the last samples of a run (run length, len(columns)), oldest first, for the window."""
        length = len(self.ring)
        values, ks = values[-length:], ks[-length:]
        self.ref[columns] = values[-1]
        self._set(columns, values - values[-1])
        self.newest[columns] = values[-1]
        self.oldest_k[columns], self.newest_k[columns] = ks[0], ks[-1]
        if self.skipped is not None:
            gaps = np.minimum(np.diff(ks, axis=0) - 1, _LONGEST_GAP)
            # Only where there is or was something: see _date.
            for i in range(length):
                new = gaps[i - 1] if 0 < i < len(ks) else np.zeros(columns.size, np.int64)
                if new.any() or self.skipped[i, columns].any():
                    self.skipped[i, columns] = new

    def scale(self, columns: Index, factor: Floats) -> None:
        """Multiply every sample of these columns."""
        self.ring[:, columns] = self.ring[:, columns].astype(np.float64) * factor
        # Sums follow what the ring now holds, to the last digit.
        exact = self.ring[:, columns].astype(np.float64)
        lap = np.arange(len(self.ring))[:, None] < self.at[columns]
        self.ref[columns] *= factor
        self.newest[columns] *= factor
        self.early[:, columns] *= factor
        self.s1[columns], self.s2[columns] = exact.sum(axis=0), (exact * exact).sum(axis=0)
        exact = np.where(lap, exact, 0.0)
        self.t1[columns], self.t2[columns] = exact.sum(axis=0), (exact * exact).sum(axis=0)

    def moments(self) -> tuple[Floats, Floats]:
        """Mean and sample standard deviation (n - 1) of each window; NaN below one and two samples."""
        n = self.n.astype(np.float64)
        with np.errstate(divide="ignore", invalid="ignore"):
            shifted = self.s1 / n
            variance = (self.s2 - self.s1 * shifted) / (n - 1)
        mean = self.ref + shifted
        # 0/0 above is NaN for an empty window; one sample gives 0/0 too.
        return mean, np.sqrt(np.maximum(variance, 0.0))

    def max_abs(self, columns: Index) -> Floats:
        """Largest absolute value in the window of each of these columns; reads the whole ring, so ask for few."""
        values = np.abs(self.ref[columns] + self.ring[:, columns].astype(np.float64))
        used = np.arange(len(self.ring))[:, None] < self.n[columns]
        return cast("Floats", np.where(used, values, 0.0).max(axis=0))

    def drift(self, columns: Select = ALL) -> Floats:
        """Slope per grid step between the oldest and the newest sample; NaN below two samples."""
        n = self.n[columns]
        first = np.where(n == len(self.ring), self.at[columns], 0)
        oldest = _Rows.of(first, columns).read(self.ring) if first.size else np.empty(0, np.float32)
        span = (self.newest_k[columns] - self.oldest_k[columns]).astype(np.float64)
        with np.errstate(divide="ignore", invalid="ignore"):
            slope = (self.newest[columns] - (self.ref[columns] + oldest.astype(np.float64))) / span
        return np.where(n >= 2, slope, np.nan)
