"""Files on disk that follow generated text: what would change, and changing it.

The one module here that touches the disk. A file is replaced whole or not at all, so a Prometheus that reloads in
between never reads half of one; and none is replaced before all of them are written beside their places, so a fault
in between changes nothing. One text at a time is in memory.
"""

import contextlib
import errno
import os
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from tocsin.generate.dashboards.frame import MARK as JSON_MARK
from tocsin.generate.render import MARK

#: How the files begin that are ours.
_MARKS = (MARK, JSON_MARK)


class Difference(NamedTuple):
    """A file as it is and as it should be: `old` is None for a new one, `new` for one that is left over."""

    name: str
    old: str | None
    new: str | None


@dataclass(frozen=True, slots=True)
class Changes:
    """What was done, by relative path; `left` are the files left over, removed or not."""

    written: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    unchanged: list[str] = field(default_factory=list)


def compare(out: Path, texts: Iterable[tuple[str, str]], folders: Sequence[str]) -> Iterator[Difference]:
    """Compare texts by relative path with what is in `out`; OSError when that cannot be read.

    Generated files in `folders` that have no text any more are left over. Files without our mark never are, and one
    that stands where a text belongs is somebody's work: FileExistsError.
    """
    names = set()
    for name, text in texts:
        old = _read(out / name)
        if old and not old.startswith(_MARKS):
            raise FileExistsError(errno.EEXIST, "it is there and was not generated; move it away", str(out / name))
        names.add(name)
        yield Difference(name, old, text)
    for folder in folders:
        for file in sorted([*(out / folder).glob("*.yml"), *(out / folder).glob("*.json")]):
            name = f"{folder}/{file.name}"
            if name not in names and (old := _read(file)) is not None and old.startswith(_MARKS):
                yield Difference(name, old, None)


def _read(file: Path) -> str | None:
    with contextlib.suppress(FileNotFoundError):
        # What is no UTF-8 is not ours, and differs.
        return file.read_bytes().decode("utf-8", "replace")
    return None


def apply(out: Path, differences: Iterable[Difference], *, prune: bool) -> Changes:
    """Write, and remove what is left over with `prune`; OSError when it cannot."""
    changes = Changes()
    staged: list[tuple[Path, Path]] = []
    try:
        for name, old, new in differences:
            if new is None:
                changes.left.append(name)
            elif new == old:
                changes.unchanged.append(name)
            else:
                _stage(out / name, new, staged)
                changes.written.append(name)
        for temporary, file in staged:
            temporary.replace(file)
    finally:
        for temporary, _ in staged:
            temporary.unlink(missing_ok=True)
    for name in changes.left if prune else ():
        (out / name).unlink(missing_ok=True)
    return changes


def _stage(file: Path, text: str, staged: list[tuple[Path, Path]]) -> None:
    """Write a file beside its place, and note that."""
    file.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(prefix=f".{file.name}.", dir=file.parent)
    staged.append((Path(temporary), file))
    with os.fdopen(handle, "wb") as stream:
        stream.write(text.encode())
        # mkstemp makes files for its owner only, but Prometheus has a user of its own.
        os.fchmod(stream.fileno(), _mode(file))


def _mode(file: Path) -> int:
    with contextlib.suppress(FileNotFoundError):
        return file.stat().st_mode & 0o777
    return 0o644
