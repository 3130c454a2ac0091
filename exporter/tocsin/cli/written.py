"""What the verbs of `tocsin generate` share: their options, and bringing files on disk to what they should be."""

import difflib
import itertools
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import click

from tocsin.cli.failure import Failed
from tocsin.config.faults import ConfigError
from tocsin.config.load import Config, load
from tocsin.generate.rules import GenerateError
from tocsin.generate.write import Difference, apply, compare

_Command = TypeVar("_Command", bound=Callable[..., Any])


class Made(NamedTuple):
    """Generated files: texts by relative path, folders in which others are left over, and in the end what it was."""

    texts: Iterable[tuple[str, str]]
    folders: Sequence[str]
    said: Callable[[], str]


config_file = click.option(
    "--config.file", "path", required=True, type=click.Path(path_type=Path), help="The process file."
)
check_option = click.option(
    "--check", is_flag=True, help="Write nothing; exit 1 with the difference when something would change."
)
prune_option = click.option(
    "--prune", is_flag=True, help="Remove generated files that this configuration does not have."
)


def options(folders: str) -> Callable[[_Command], _Command]:
    """The options of every verb that writes."""
    out = click.option("--out", required=True, type=click.Path(path_type=Path), help=f"Folder that gets {folders}.")

    def add(command: _Command) -> _Command:
        for option in (prune_option, check_option, out, config_file):
            command = option(command)
        return command

    return add


def config(path: Path) -> Config:
    """The configuration; Failed with every fault when it is not valid."""
    try:
        return load(path)
    except ConfigError as error:
        raise Failed(f"{path} is not a valid configuration:\n{error}") from None


def refused(error: GenerateError) -> Failed:
    """What is said of a configuration that cannot be turned into files."""
    return Failed(str(error))


def write(made: Sequence[Made], out: Path, *, check: bool, prune: bool, command: str) -> None:
    """Write all files or none, or only compare, and say what was done; Failed with the reason."""
    texts = itertools.chain.from_iterable(part.texts for part in made)
    folders = [folder for part in made for folder in part.folders]
    try:
        done = bring(out, texts, folders, check=check, prune=prune, command=command)
    except GenerateError as error:
        raise refused(error) from None
    if done is not None:
        click.echo(f"SUCCESS: {', '.join(part.said() for part in made)} in {out}: {done}")


def bring(
    out: Path, texts: Iterable[tuple[str, str]], folders: Sequence[str], *, check: bool, prune: bool, command: str
) -> str | None:
    """Write what differs and say so: how many files were written and left, None with `check`, which only compares.

    `command` is what would write them. Failed when something differs with `check`, and when something cannot be
    written; what `texts` raises goes through.
    """
    try:
        differences = compare(out, texts, folders)
        if check:
            _check(differences, command)
            return None
        changes = apply(out, differences, prune=prune)
    except OSError as error:
        raise Failed(f"cannot write {error.filename or out}: {error.strerror or error}") from None
    for name in changes.written:
        click.echo(f"wrote {name}")
    for name in changes.left:
        click.echo(f"removed {name}" if prune else f"left {name}: not of this configuration; --prune removes it")
    rest = f"{len(changes.left)} {'removed' if prune else 'left over'}"
    return f"{len(changes.written)} files written, {rest}, {len(changes.unchanged)} unchanged"


def _check(differences: Iterable[Difference], command: str) -> None:
    same = differ = left = 0
    for difference in differences:
        if difference.new == difference.old:
            same += 1
            continue
        left += difference.new is None
        differ += difference.new is not None
        sys.stdout.writelines(_diff(difference))
    if differ or left:
        raise Failed(
            f"{differ} files differ and {left} are left over: "
            f"run `tocsin generate {command}` without --check, and with --prune for what is left over"
        )
    click.echo(f"SUCCESS: {same} files are what the configuration says")


def _diff(difference: Difference) -> Iterable[str]:
    name, old, new = difference
    before, after = (old or "").splitlines(keepends=True), (new or "").splitlines(keepends=True)
    source, target = (f"a/{name}" if old else "/dev/null"), (f"b/{name}" if new else "/dev/null")
    return difflib.unified_diff(before, after, source, target)
