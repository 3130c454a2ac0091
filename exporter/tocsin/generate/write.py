"""Files on disk that follow generated text: what would change, and changing it.

The one module here that touches the disk. A file is replaced whole or not at all, so a Prometheus that reloads in
between never reads half of one.
"""

import contextlib
import errno
import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tocsin.generate.render import MARK


@dataclass(frozen=True, slots=True)
class Changes:
    """What to do: `written` has the old text ("" for a new file) and the new one, `removed` the old text."""

    written: dict[str, tuple[str, str]] = field(default_factory=dict)
    removed: dict[str, str] = field(default_factory=dict)
    unchanged: list[str] = field(default_factory=list)


def compare(out: Path, texts: Mapping[str, str], folders: Sequence[str]) -> Changes:
    """Compare texts by relative path with what is in `out`; OSError when that cannot be read.

    Generated files in `folders` that have no text any more are left over. Files without our mark never are, and one
    that stands where a text belongs is somebody's work: FileExistsError.
    """
    changes = Changes()
    for name, text in texts.items():
        old = _read(out / name)
        if old and not old.startswith(MARK):
            raise FileExistsError(errno.EEXIST, "it is there and was not generated; move it away", str(out / name))
        if old == text:
            changes.unchanged.append(name)
        else:
            changes.written[name] = (old or "", text)
    for folder in folders:
        for file in sorted((out / folder).glob("*.yml")):
            name = f"{folder}/{file.name}"
            if name not in texts and (old := _read(file)) is not None and old.startswith(MARK):
                changes.removed[name] = old
    return changes


def _read(file: Path) -> str | None:
    with contextlib.suppress(FileNotFoundError):
        # What is no UTF-8 is not ours, and differs.
        return file.read_bytes().decode("utf-8", "replace")
    return None


def apply(out: Path, changes: Changes, *, prune: bool) -> None:
    """Write, and remove what is left over with `prune`; OSError when it cannot, with the files before it done."""
    for name, (_, text) in changes.written.items():
        _replace(out / name, text)
    for name in changes.removed if prune else ():
        (out / name).unlink(missing_ok=True)


def _replace(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(prefix=f".{file.name}.", dir=file.parent)
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(text.encode())
            # mkstemp makes files for its owner only, but Prometheus has a user of its own.
            os.fchmod(stream.fileno(), _mode(file))
        Path(temporary).replace(file)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def _mode(file: Path) -> int:
    with contextlib.suppress(FileNotFoundError):
        return file.stat().st_mode & 0o777
    return 0o644
