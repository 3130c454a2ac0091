"""`tocsin generate alertmanager`: routes, receivers, inhibitions and time intervals."""

from pathlib import Path

import click

from tocsin import __version__, names
from tocsin.cli import written
from tocsin.cli.written import Made
from tocsin.config.load import Config
from tocsin.generate import render
from tocsin.generate.alertmanager import build, table
from tocsin.generate.alertmanager.site import Site
from tocsin.generate.rules import GenerateError

_FOLDERS = (names.ALERTMANAGER, names.ALERTMANAGER_TESTS)


@click.command("alertmanager")
@written.config_file
@click.option("--out", type=click.Path(path_type=Path), help="Folder that gets alertmanager/.")
@written.check_option
@written.prune_option
@click.option("--fragment", is_flag=True, help="Print what goes into a configuration that you have, and write nothing.")
def alertmanager_command(path: Path, out: Path | None, check: bool, prune: bool, fragment: bool) -> None:
    """Write Alertmanager's configuration, and the table of who is told of what.

    With --fragment it prints routes to put first under the root that you have, and the receivers, time intervals and
    rules of inhibition that they need; the name of each begins with `tocsin-`, and none concerns alerts of others.
    """
    if fragment == (out is not None):
        raise click.UsageError("Expected exactly one of --out and --fragment.")
    if fragment and (check or prune):
        raise click.UsageError("--check and --prune are for --out.")
    config = written.config(path)
    try:
        if out is None:
            _print(config)
        else:
            written.write([made(config)], out, check=check, prune=prune, command="alertmanager")
    except GenerateError as error:
        raise written.refused(error) from None


def _print(config: Config) -> None:
    found = build.parts(Site(config.process, config.services))
    _warn(found.notes)
    text = _document(found.data(), config, found.notes)
    click.echo(text, nl=False)


def made(config: Config) -> Made:
    """The files about routes; GenerateError when this Alertmanager cannot have them."""
    site = Site(config.process, config.services)
    whole, found = build.whole(site)
    rows = table.rows(site)
    _warn([*found.notes, *table.warnings(site, rows)])
    if faults := list(table.faults(site, found.node, rows)):
        raise GenerateError("\n".join(faults))
    texts = {
        f"{names.ALERTMANAGER}/alertmanager.yml": _document(whole, config, found.notes),
        f"{names.ALERTMANAGER_TESTS}/routes.yml": _document({"tests": [row.data() for row in rows]}, config),
    }
    return Made(texts.items(), _FOLDERS, lambda: f"{len(found.receivers)} receivers for {len(rows)} label sets")


def _document(data: dict[str, object], config: Config, notes: list[str] | None = None) -> str:
    """The file, with what may surprise as comments at its top; a comment is one line, whatever a name has in it."""
    head, _, rest = render.document(data, __version__, config.hash).partition("again.\n")
    said = "".join(f"# {' '.join(note.split())}\n" for note in notes or ())
    return f"{head}again.\n{said}{rest}"


def _warn(notes: list[str]) -> None:
    for note in notes:
        click.echo(f"warning: {note}", err=True)
