"""`tocsin generate alertmanager --merge` and `--unmerge`: our part in an Alertmanager file that somebody has."""

import contextlib
import difflib
import glob
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import click

from tocsin.cli import written
from tocsin.cli.failure import Failed
from tocsin.generate.alertmanager.merge import has_part, merge, unmerge
from tocsin.generate.alertmanager.places import MergeError

_AMTOOL = "amtool"
_LINE = re.compile(r".*\n|.+")


def merge_command(
    existing: Path, out: Path, fragment: Mapping[str, Any], beside: Iterable[tuple[str, str]] = ()
) -> None:
    """Write the file with our part to `out`, print what that changes; Failed, and nothing written, where it cannot.

    `fragment` is as :func:`tocsin.generate.alertmanager.merge.merge` takes it, `beside` are generated files that it
    needs, by their path from the folder of `out`.
    """
    before = _read(existing)
    after = _done(existing, lambda: merge(before, fragment))
    amtool = shutil.which(_AMTOOL)
    if amtool is not None and (said := _refused(amtool, existing)):
        raise Failed(f"amtool refuses {existing} as it is, which has to be right first; nothing is written:\n{said}")
    _show(existing, out, before, after)
    how = _write(existing, out, after, amtool, ours=True)
    written.bring(out.resolve().parent, beside, (), check=False, prune=False, command="alertmanager --merge")
    for name in fragment.get("templates", ()):
        # Alertmanager takes a name that leads to no file, and then cannot write a single message.
        if not glob.glob(name, root_dir=out.resolve().parent):  # noqa: PTH207  pathlib takes no absolute pattern
            click.echo(f"warning: {out} wants {name}, which is not there: put the generated one in its place", err=True)
    checked = "amtool accepts it" if amtool else "amtool is not on PATH: the result was not checked with it"
    click.echo(f"SUCCESS: {out} {how}; {checked}")


def unmerge_command(merged: Path, out: Path) -> None:
    """Write the file without our part to `out`, print what that changes; Failed as :func:`merge_command`."""
    before = _read(merged)
    after = _done(merged, lambda: unmerge(before))
    _show(merged, out, before, after)
    how = _write(merged, out, after, None, ours=False)
    nothing = "" if before != after else f"; {merged} has no part of Tocsin"
    click.echo(f"SUCCESS: {out} {how}{nothing}")


def _read(file: Path) -> str:
    try:
        content = file.read_bytes()
    except OSError as error:
        raise Failed(f"cannot read {file}: {error.strerror or error}") from None
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise Failed(f"{file}:{line}: found bytes that are not UTF-8, expected UTF-8") from None


def _done(file: Path, change: Callable[[], str]) -> str:
    try:
        return change()
    except MergeError as error:
        raise Failed(f"{file}:{error}") from None


def _show(source: Path, target: Path, before: str, after: str) -> None:
    """What changes, as `patch` takes it."""
    # Not splitlines: what a text may have for a line break within a string is none to `patch`.
    old, new = (_LINE.findall(text) for text in (before, after))
    for line in difflib.unified_diff(old, new, str(source), str(target)):
        click.echo(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n", nl=False)


def _write(source: Path, out: Path, text: str, amtool: str | None, *, ours: bool) -> str:
    """Replace `out` whole, once amtool took it; says whether that was needed."""
    try:
        # A link stays one, and what it leads to is replaced.
        target = out.resolve()
        old = target.read_bytes().decode("utf-8", "replace") if target.exists() else None
        if old == text:
            return "is as it should be: nothing changes"
        if old is not None and not target.samefile(source) and not (ours and _has_part(old)):
            raise Failed(f"{out} would be overwritten, and has no part of Tocsin; expected another place after --out")
        with _staged(target, text, (target if old is not None else source).stat().st_mode & 0o7777) as staged:
            if amtool is not None and (said := _refused(amtool, staged)):
                raise Failed(f"amtool refuses the result; {out} is not written:\n{said}")
            staged.replace(target)
    except OSError as error:
        raise Failed(f"cannot write {error.filename or out}: {error.strerror or error}") from None
    return "is written"


def _has_part(text: str) -> bool:
    try:
        return has_part(text)
    except MergeError:
        return False


@contextlib.contextmanager
def _staged(target: Path, text: str, mode: int) -> Iterator[Path]:
    """The text in a file beside its place, where relative paths in it lead to the same; gone afterwards."""
    handle, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    staged = Path(name)
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(text.encode())
            os.fchmod(stream.fileno(), mode)
        yield staged
    finally:
        staged.unlink(missing_ok=True)


def _refused(amtool: str, file: Path) -> str:
    """What amtool says against a file; empty when it takes it."""
    done = subprocess.run(  # noqa: S603  the program was found on PATH by its name
        [amtool, "check-config", str(file)], capture_output=True, text=True, check=False, timeout=60
    )
    return f"{done.stdout}{done.stderr}".strip() if done.returncode else ""
