"""`tocsin generate`: the files for Prometheus that belong to a configuration."""

import difflib
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

import click

from tocsin import __version__, names
from tocsin.cli.failure import Failed
from tocsin.cli.serve import DEFAULT_ADDRESS
from tocsin.config.faults import ConfigError
from tocsin.config.load import Config, load
from tocsin.generate import kubernetes, render, rules
from tocsin.generate import prometheus as snippet
from tocsin.generate.lint.readable import unreadable
from tocsin.generate.rules import GenerateError
from tocsin.generate.write import Difference, apply, compare

#: Folders in which a file that nobody generates any more is left over.
_FOLDERS = (names.RULES, names.RULE_TESTS, names.RULE_STAND_INS, names.RULES_KUBERNETES)

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
    """Write rules, promtool tests of them under `rules/tests/`, and PrometheusRule objects under `rules/kubernetes/`.

    Generated files of services that this configuration does not have are named, and removed with --prune; they may
    belong to another configuration. Files that were not generated are never touched.
    """
    config = _load(path)
    for warning in rules.warnings(config.process, config.services):
        click.echo(f"warning: {warning}", err=True)
    count = Counter[str]()
    try:
        differences = compare(out, _texts(config, count), _FOLDERS)
        if check:
            _check(differences)
            return
        changes = apply(out, differences, prune=prune)
    except GenerateError as error:
        raise Failed(str(error)) from None
    except OSError as error:
        raise Failed(f"cannot write {error.filename or out}: {error.strerror or error}") from None
    for name in changes.written:
        click.echo(f"wrote {name}")
    for name in changes.left:
        click.echo(f"removed {name}" if prune else f"left {name}: not of this configuration; --prune removes it")
    rest = f"{len(changes.left)} {'removed' if prune else 'left over'}"
    done = f"{len(changes.written)} files written, {rest}, {len(changes.unchanged)} unchanged"
    recorded = f" and {count['record']} recordings" if count["record"] else ""
    click.echo(f"SUCCESS: {count['alert']} alerts{recorded} in {out}: {done}")


def _texts(config: Config, count: Counter[str]) -> Iterator[tuple[str, str]]:
    """Every file, one at a time: a large configuration's would not fit beside each other. Counts the rules.

    Raises GenerateError when a rule is not PromQL.
    """
    services = {service.service: service for service in config.services}
    for name, data in kubernetes.files(rules.each(config.process, config.services)):
        if found := list(unreadable(name, data, services.get(name.rpartition("/")[2].removesuffix(".yml")))):
            raise GenerateError("nothing is written, because Prometheus could not read it:\n" + "\n".join(found))
        text = render.document(data, __version__, config.hash)
        if name.rpartition("/")[0] == names.RULES:
            count.update(
                "alert" if "alert" in rule else "record" for group in data["groups"] for rule in group["rules"]
            )
        elif name.startswith(names.RULES_KUBERNETES) and len(text) > kubernetes.MAX_BYTES:
            click.echo(f"warning: {name} has {len(text)} bytes; the operator takes {kubernetes.MAX_BYTES}", err=True)
        yield name, text


def _check(differences: Iterable[Difference]) -> None:
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
            "run `tocsin generate rules` without --check, and with --prune for what is left over"
        )
    click.echo(f"SUCCESS: {same} files are what the configuration says")


def _diff(difference: Difference) -> Iterable[str]:
    name, old, new = difference
    before, after = (old or "").splitlines(keepends=True), (new or "").splitlines(keepends=True)
    source, target = (f"a/{name}" if old else "/dev/null"), (f"b/{name}" if new else "/dev/null")
    return difflib.unified_diff(before, after, source, target)


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
