"""`tocsin import`: what other tools know, as files of ours."""

from pathlib import Path
from typing import Any

import click

from tocsin.cli.failure import Failed
from tocsin.config import sloth
from tocsin.config.faults import ConfigError
from tocsin.config.slo import Period
from tocsin.config.yaml import MAX_BYTES
from tocsin.generate import render

_STDOUT = Path("-")


@click.group("import")
def import_() -> None:
    """Turn the files of other tools into service files."""


@import_.command("sloth")
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=_STDOUT,
    show_default=True,
    help="File to write; a folder, which gets a file for each service; or - for standard output.",
)
@click.option(
    "--period",
    type=click.Choice(["7d", "28d", "30d", "90d"]),
    default="30d",
    show_default=True,
    help="Time over which the objectives hold, which Sloth has on its command line.",
)
@click.option("--force", is_flag=True, help="Replace files that are there already.")
def sloth_command(file: Path, out: Path, period: Period, force: bool) -> None:
    """Turn the Sloth specs in FILE into service files that pass `tocsin check config`.

    What cannot be carried over is named on standard error, with its place in FILE. Exit status 1, and nothing written,
    when an SLO cannot be carried over at all.
    """
    try:
        with file.open("rb") as stream:
            found = sloth.read(stream.read(MAX_BYTES + 1), str(file), period)
    except OSError as error:
        raise Failed(f"cannot read {file}: {error.strerror or error}") from None
    except ConfigError as error:
        raise Failed(f"{file} cannot be imported:\n{error}") from None
    for note in found.notes:
        click.echo(f"warning: {note}", err=True)
    texts = {name: _text(file, service) for name, service in found.services.items()}
    if out == _STDOUT and len(texts) == 1:
        click.echo(next(iter(texts.values())), nl=False)
        return
    slos = sum(len(service["slos"]) for service in found.services.values())
    written = _write(_paths(out, list(texts)), texts, force=force)
    click.echo(f"SUCCESS: {', '.join(map(str, written))}: {slos} SLOs, {len(found.notes)} warnings")


def _text(file: Path, service: dict[str, Any]) -> str:
    # No name of a file can end the comment.
    source = "".join(sign if sign.isprintable() else "?" for sign in file.name)
    return f"# Imported from {source} by `tocsin import sloth`.\n{render.to_yaml(service)}"


def _paths(out: Path, services: list[str]) -> dict[str, Path]:
    """Where each service goes: a file, or files of their names in a folder."""
    if out.is_dir() or (len(services) > 1 and out != _STDOUT and not out.suffix):
        return {name: out / f"{name}.yml" for name in services}
    if len(services) > 1:
        raise Failed(f"found {len(services)} services ({', '.join(services)}); expected a folder after --out")
    return {services[0]: out}


def _write(paths: dict[str, Path], texts: dict[str, str], *, force: bool) -> list[Path]:
    present = [str(path) for path in paths.values() if path.exists()]
    if present and not force:
        raise Failed(f"{', '.join(present)} would be overwritten; use --out for another place, or --force")
    try:
        for name, path in paths.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(texts[name], encoding="utf-8")
    except OSError as error:
        raise Failed(f"cannot write {error.filename or paths}: {error.strerror or error}") from None
    return list(paths.values())
