"""Which series is which resource: identities, and the column of the state that each one has.

A series is known by the bytes of its label object as the source sends them, so a cycle in which nothing came or went
costs one comparison. Only a set of series that has changed is parsed.
"""

import re
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from itertools import count

import msgspec
import numpy as np
from numpy.typing import NDArray

from tocsin import names
from tocsin.core.columns import Floats, Index

#: Versions are never used twice: after a reload another registry must not pass for the one before it.
_VERSIONS = count(1)
#: A label value longer than this many characters is refused: it would be repeated on every line of the page.
LONGEST_LABEL = 4096

IDENTITY_COLLISION = "identity_collision"
LABEL_TOO_LONG = "label_too_long"
MISSING_LABEL = "missing_label"
MALFORMED_LABELS = "malformed_labels"
MAX_SERIES = "max_series"
NATIVE_HISTOGRAM = "native_histogram"
REFUSALS = (IDENTITY_COLLISION, LABEL_TOO_LONG, MISSING_LABEL, MALFORMED_LABELS, MAX_SERIES)

#: Bytes that a known series takes beside its label object, roughly; and bytes of series that may always be kept.
_ENTRY, _SPARE = 400, 400_000

_LEGACY_NAME = re.compile(r"[^a-zA-Z0-9_]")
#: Strict on purpose: what is not UTF-8 (some sources store it) could not be told apart on the page.
_LABELS = msgspec.json.Decoder(dict[str, str])


class Refused(Exception):
    """A series that is not taken; its argument is the reason, one of REFUSALS."""


@dataclass(frozen=True, slots=True)
class Identity:
    """A resource: its name, and the labels with which it is exported (beside service, signal and resource)."""

    resource: str
    labels: tuple[tuple[str, str], ...]


def exported_name(label: str, *, alone: bool) -> str:
    """Name under which an identity label is exported; `alone` when it is the only identity label."""
    name = _LEGACY_NAME.sub("_", label)
    if name[:1].isdigit():
        name = "_" + name
    reserved = name in names.RESERVED_LABELS or name.startswith((names.PREFIX, "__"))
    if reserved or not name or (name == names.RESOURCE and not alone):
        return names.PREFIX + name
    return name


def identify(series: dict[str, str], by: tuple[str, ...] | None, ignored: frozenset[str], signal: str) -> Identity:
    """The identity of a series; raises Refused.

    `by` names the identity labels; None takes every label but the metric name and `ignored`. A series without any is
    named after its signal.
    """
    if by is None:
        by = tuple(sorted(name for name in series if not name.startswith("__") and name not in ignored))
    elif not all(series.get(name) for name in by):
        raise Refused(MISSING_LABEL)
    values = [series[name] for name in by]
    if any(len(text) > LONGEST_LABEL for text in (*by, *values)):
        raise Refused(LABEL_TOO_LONG)
    exported = [(exported_name(name, alone=len(by) == 1), value) for name, value in zip(by, values, strict=True)]
    if len({name for name, _ in exported}) < len(exported):
        raise Refused(IDENTITY_COLLISION)
    # A single value is unambiguous as it is; mount points and URLs stay legible.
    resource = values[0] if len(values) == 1 else "/".join(map(_escaped, values))
    return Identity(resource or signal, tuple((n, v) for n, v in exported if n != names.RESOURCE))


def _escaped(value: str) -> str:
    """A value that can be joined with others by `/`."""
    return value.replace("\\", "\\\\").replace("/", "\\/")


@dataclass(frozen=True, slots=True)
class Placement:
    """Where a vector's series go: `columns` (n,) with -1 for refused ones, and how many were refused why."""

    columns: Index
    refused: dict[str, int]


def spread(columns: Index, values: Floats, width: int) -> Floats:
    """Values of a vector (n,) in their columns (width,), NaN elsewhere; a column of -1 drops its value."""
    if (columns < 0).any():
        columns, values = columns[columns >= 0], values[columns >= 0]
    out = np.full(width, np.nan)
    out[columns] = values
    return out


def spread_rows(columns: Index, values: Floats, width: int) -> Floats:
    """Values of a matrix (T, n) in their columns (T, width).

    Series that share a column follow each other; where two are there at once neither is taken, as in a vector.
    """
    out = np.full((len(values), width), np.nan)
    kept = np.flatnonzero(columns >= 0)
    taken, first = np.unique(columns[kept], return_index=True)
    out[:, taken] = values[:, kept[first]]
    twice = np.zeros_like(out, np.bool_) if taken.size < kept.size else None
    for i in np.delete(kept, first).tolist():
        there, column = ~np.isnan(values[:, i]), columns[i]
        assert twice is not None
        twice[:, column] |= there & ~np.isnan(out[:, column])
        out[there, column] = values[there, i]
    if twice is not None:
        out[twice] = np.nan
    return out


def last_seen(values: Floats, times: Floats) -> Floats:
    """Time of the last finite value of each column of (T, n); -inf where there is none."""
    seen = np.isfinite(values)
    return np.where(seen.any(axis=0), times[-1 - np.argmax(seen[::-1], axis=0)], -np.inf)


def _size(metrics: Collection[bytes]) -> int:
    """Rough size in bytes of the wire forms of these series."""
    return sum(map(len, metrics)) + _ENTRY * len(metrics)


class Registry:
    """Columns of one signal's resources. A column that is let go is used again by the next newcomer."""

    def __init__(
        self,
        signal: str,
        by: tuple[str, ...] | None,
        ignored: frozenset[str],
        room: Callable[[], int],
    ) -> None:
        """`room()` tells how many more resources may be taken."""
        self.resources: list[Identity | None] = []
        #: Changes whenever a column changes hands, so that what is derived from identities can be cached.
        self.version = 0
        self._signal, self._by, self._ignored, self._room = signal, by, ignored, room
        self._columns: dict[Identity, int] = {}
        self._wire: dict[bytes, Identity | str] = {}
        #: Rough size of the wire forms in bytes.
        self._wired = 0
        self._last: dict[str, tuple[bytes, int, Placement]] = {}
        #: The same of stretches of time: the next vector ends the history, and lets them go.
        self._shared: dict[str, tuple[bytes, int, Placement]] = {}
        self._free: list[int] = []

    def __len__(self) -> int:
        """How many resources there are."""
        return len(self._columns)

    def column(self, identity: Identity) -> int | None:
        """The column of a resource."""
        return self._columns.get(identity)

    def live(self) -> NDArray[np.bool_]:
        """Which columns belong to a resource, (C,)."""
        return np.array([identity is not None for identity in self.resources], np.bool_)

    def place(
        self,
        metrics: Sequence[bytes] | Callable[[], Sequence[bytes]],
        key: bytes,
        role: str = "value",
        *,
        admit: bool = True,
        shared: bool = False,
    ) -> Placement:
        """Columns of the series of a vector, whose joined label bytes are `key`.

        `role` tells apart the vectors of one cycle (values, timestamps, capacities), which have their own wire form.
        With `admit` newcomers get a column; otherwise they are ignored. With `shared` series of one identity get the
        same column: over a stretch of time they may follow each other, where in a vector they would collide.
        """
        if not shared:
            self._shared.clear()
        kept = self._shared if shared else self._last
        last = kept.get(role)
        if last is not None and last[0] == key and last[1] == self.version:
            return last[2]
        metrics = metrics() if callable(metrics) else metrics
        identities = [self._identity(metric) for metric in metrics]
        seen = Counter(identity for identity in identities if isinstance(identity, Identity))
        columns = np.full(len(metrics), -1, np.intp)
        refused: Counter[str] = Counter()
        # Asked once: it sums over all signals, and a fill admits thousands.
        room = self._room() if admit else 0
        for i, identity in enumerate(identities):
            if isinstance(identity, str):
                refused[identity] += 1
            elif seen[identity] > 1 and not shared:
                refused[IDENTITY_COLLISION] += 1
            elif (column := self._columns.get(identity)) is not None:
                columns[i] = column
            elif admit:
                if room <= 0:
                    refused[MAX_SERIES] += 1
                else:
                    columns[i] = self._admit(identity)
                    room -= 1
        placement = Placement(columns, dict(refused))
        if not refused.get(MAX_SERIES):
            kept[role] = (key, self.version, placement)
        self._forget_wire(metrics)
        return placement

    def _identity(self, metric: bytes) -> Identity | str:
        known = self._wire.get(metric)
        if known is None:
            try:
                known = identify(_LABELS.decode(metric), self._by, self._ignored, self._signal)
            except Refused as refusal:
                known = str(refusal)
            except (msgspec.DecodeError, UnicodeDecodeError):
                known = MALFORMED_LABELS
            self._wire[metric] = known
            self._wired += len(metric) + _ENTRY
        return known

    def _forget_wire(self, metrics: Sequence[bytes]) -> None:
        """Churning series must not fill the memory: keep wire forms of about what is there now, in bytes."""
        known = (len(key) + _ENTRY * placed.columns.size for key, _, placed in self._last.values())
        now = max(_size(metrics), _ENTRY * len(self), *known)
        if self._wired > 4 * now + _SPARE:
            self._wire = {metric: self._wire[metric] for metric in set(metrics)}
            self._wired = _size(self._wire)

    def _admit(self, identity: Identity) -> int:
        if self._free:
            column = self._free.pop()
            self.resources[column] = identity
        else:
            column = len(self.resources)
            self.resources.append(identity)
        self._columns[identity] = column
        self.version = next(_VERSIONS)
        return column

    def drop(self, columns: Index) -> None:
        """Let these resources go."""
        for column in columns.tolist():
            identity = self.resources[column]
            if identity is not None:
                del self._columns[identity]
                self.resources[column] = None
                self._free.append(column)
        self.version = next(_VERSIONS)
