"""`tocsin generate`: the files for Prometheus that belong to a configuration."""

import difflib
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

import click

from tocsin import __version__, names
from tocsin.cli.failure import Failed
from tocsin.cli.serve import DEFAULT_ADDRESS
from tocsin.config.faults import ConfigError
from tocsin.config.load import Config, load
from tocsin.generate import prometheus as snippet
from tocsin.generate import render, rules
from tocsin.generate.rules import GenerateError
from tocsin.generate.write import Changes, apply, compare

_config_file = click.option(
    "--config.file", "path", required=True, type=click.Path(path_type=Path), help="The process file."
)


@click.group()
def generate() -> None:
    """Write what Prometheus needs beside Tocsin, from the same configuration."""


@generate.command("rules")
@_config_file
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Folder that gets `rules/`.")
@click.option("--check", is_flag=True, help="Write nothing; exit 1 with the difference when something would change.")
@click.option("--prune", is_flag=True, help="Remove generated files that this configuration does not have.")
def rules_command(path: Path, out: Path, check: bool, prune: bool) -> None:
    """Write alerting rules, and promtool tests of them under `rules/tests/`.

    Generated files of services that this configuration does not have are named, and removed with --prune; they may
    belong to another configuration. Files that were not generated are never touched.
    """
    config = _load(path)
    try:
        data = rules.files(config.process, config.services)
    except GenerateError as error:
        raise Failed(str(error)) from None
    texts = {name: render.document(one, __version__, config.hash) for name, one in data.items()}
    for warning in rules.warnings(config.process, config.services):
        click.echo(f"warning: {warning}", err=True)
    try:
        changes = compare(out, texts, (names.RULES, names.RULE_TESTS))
        if check:
            _checked(changes)
            return
        apply(out, changes, prune=prune)
    except OSError as error:
        raise Failed(f"cannot write {error.filename or out}: {error.strerror or error}") from None
    for name in changes.written:
        click.echo(f"wrote {name}")
    for name in changes.removed:
        click.echo(f"removed {name}" if prune else f"left {name}: not of this configuration; --prune removes it")
    left = f"{len(changes.removed)} {'removed' if prune else 'left over'}"
    done = f"{len(changes.written)} files written, {left}, {len(changes.unchanged)} unchanged"
    click.echo(f"SUCCESS: {_alerts(data)} alerts in {out}: {done}")


def _checked(changes: Changes) -> None:
    sys.stdout.writelines(_diff(changes))
    if changes.written or changes.removed:
        raise Failed(
            f"{len(changes.written)} files differ and {len(changes.removed)} are left over: "
            "run `tocsin generate rules` without --check, and with --prune for what is left over"
        )
    click.echo(f"SUCCESS: {len(changes.unchanged)} files are what the configuration says")


def _diff(changes: Changes) -> Iterable[str]:
    for name, (old, new) in {**changes.written, **{name: (old, "") for name, old in changes.removed.items()}}.items():
        before, after = old.splitlines(keepends=True), new.splitlines(keepends=True)
        source, target = (f"a/{name}" if old else "/dev/null"), (f"b/{name}" if new else "/dev/null")
        yield from difflib.unified_diff(before, after, source, target)


def _alerts(data: Mapping[str, Mapping[str, list[Mapping[str, list[object]]]]]) -> int:
    return sum(len(group["rules"]) for one in data.values() for group in one.get("groups", []))


@generate.command("prometheus")
@_config_file
@click.option(
    "--target",
    default=f"127.0.0.1:{DEFAULT_ADDRESS.rpartition(':')[2]}",
    show_default=True,
    help="HOST:PORT where Prometheus reaches Tocsin.",
)
@click.option(
    "--rules", "folder", default=names.RULES, show_default=True, help="Folder of the rules, as Prometheus sees it."
)
def prometheus_command(path: Path, target: str, folder: str) -> None:
    """Print the part of prometheus.yml that scrapes Tocsin and loads its rules."""
    click.echo(snippet.text(_load(path).process, target, folder), nl=False)


def _load(path: Path) -> Config:
    try:
        return load(path)
    except ConfigError as error:
        raise Failed(f"{path} is not a valid configuration:\n{error}") from None
