"""`tocsin generate alertmanager`: routes, receivers, inhibitions and time intervals."""

from pathlib import Path

import click

from tocsin import __version__, names
from tocsin.cli import written
from tocsin.cli.merge import merge_command, unmerge_command
from tocsin.cli.written import Made
from tocsin.config.load import Config
from tocsin.generate import render
from tocsin.generate.alertmanager import build, messages, operator, table
from tocsin.generate.alertmanager.site import Site
from tocsin.generate.rules import GenerateError

_FOLDERS = (names.ALERTMANAGER, names.ALERTMANAGER_TESTS, names.ALERTMANAGER_KUBERNETES)

_PATH = click.Path(path_type=Path)


@click.command("alertmanager")
@click.option("--config.file", "path", type=_PATH, help="The process file; not for --unmerge.")
@click.option("--out", type=_PATH, help="Folder that gets alertmanager/; the file to write of --merge and --unmerge.")
@written.check_option
@written.prune_option
@click.option("--fragment", is_flag=True, help="Print what goes into a configuration that you have, and write nothing.")
@click.option("--merge", "existing", type=_PATH, help="A file that you have: write it with that part in it.")
@click.option("--unmerge", "merged", type=_PATH, help="A file with that part in it: write it without.")
def alertmanager_command(
    path: Path | None,
    out: Path | None,
    check: bool,
    prune: bool,
    fragment: bool,
    existing: Path | None,
    merged: Path | None,
) -> None:
    """Write Alertmanager's configuration, and the table of who is told of what.

    With --fragment it prints routes to put first under the root that you have, and the receivers, time intervals and
    rules of inhibition that they need; the name of each begins with `tocsin-`, and none concerns alerts of others.
    --merge puts the same into the file that you have, and changes nothing else of it; --unmerge takes it out again.
    """
    if sum((fragment, existing is not None, merged is not None)) > 1:
        raise click.UsageError("Expected one of --fragment, --merge and --unmerge.")
    if fragment == (out is not None):
        raise click.UsageError("Expected exactly one of --out and --fragment.")
    if (fragment or existing or merged) and (check or prune):
        raise click.UsageError("--check and --prune are for --out.")
    if merged is not None and out is not None:
        unmerge_command(merged, out)
        return
    if path is None:
        raise click.UsageError("Missing option '--config.file'.")
    config = written.config(path)
    try:
        if out is None:
            _print(config)
        elif existing is not None:
            found = build.parts(Site(config.process, config.services))
            _warn(found.notes)
            # Where the file is elsewhere, the configuration says so.
            words = [] if config.process.alertmanager.templates else [(messages.FILE, _messages(config))]
            merge_command(existing, out, found.data(), words)
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
        f"{names.ALERTMANAGER}/{messages.FILE}": _messages(config),
        f"{names.ALERTMANAGER_TESTS}/routes.yml": _document({"tests": [row.data() for row in rows]}, config),
        **_object(site, config),
    }
    return Made(texts.items(), _FOLDERS, lambda: f"{len(found.receivers)} receivers for {len(rows)} label sets")


def _messages(config: Config) -> str:
    pages = Site(config.process, config.services).pages
    return messages.file(config.services, __version__, config.hash, pages)


def _object(site: Site, config: Config) -> dict[str, str]:
    """The object for the Prometheus operator, if the configuration asks for it."""
    found = operator.made(site, build.parts(site))
    if found is None:
        return {}
    data, notes = found
    _warn([f"{operator.FILE}: {note}" for note in notes])
    return {operator.FILE: _document(data, config, notes)}


def _document(data: dict[str, object], config: Config, notes: list[str] | None = None) -> str:
    """The file, with what may surprise as comments at its top; a comment is one line, whatever a name has in it."""
    head, _, rest = render.document(data, __version__, config.hash).partition("again.\n")
    said = "".join(f"# {' '.join(note.split())}\n" for note in notes or ())
    return f"{head}again.\n{said}{rest}"


def _warn(notes: list[str]) -> None:
    for note in notes:
        click.echo(f"warning: {note}", err=True)
