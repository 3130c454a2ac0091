"""`tocsin backup` and `tocsin restore`: the store as one file, and back."""

import time
from pathlib import Path

import click

from tocsin.cli.stored import failed, open_store
from tocsin.store import StoreError, audit_head
from tocsin.store.backup import backup as write_backup
from tocsin.store.backup import restore as read_backup

_CONFIG = click.option(
    "--config.file", "path", required=True, type=click.Path(path_type=Path), help="The process file."
)


@click.command()
@_CONFIG
@click.option(
    "--out",
    "folder",
    required=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder in which a file with the date in its name is written.",
)
def backup(path: Path, folder: Path) -> None:
    """Write a backup of the store, while Tocsin runs: one file, of one moment, with all that is stored.

    The file is an SQLite database, whichever database the store is. It has what the alerts said: keep it as safe as
    the store itself.
    """
    now = time.time()
    with open_store(path, now, migrate=False) as store:
        try:
            with store.read() as connection:
                head = audit_head(connection)
            file = write_backup(store, folder, now)
        except StoreError as error:
            raise failed(error) from error
    click.echo(f"SUCCESS: {file} has the store up to audit record {head.seq} at least")


@click.command()
@_CONFIG
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
def restore(path: Path, file: Path) -> None:
    """Put the backup FILE into the store of the configuration, which must be empty; all of it or nothing.

    What happened after the backup is not known then: actions are held until somebody says that they may go on.
    """
    now = time.time()
    with open_store(path, now) as store:
        try:
            head = read_backup(store, file, now)
        except StoreError as error:
            raise failed(error) from error
        click.echo(f"SUCCESS: {store.location} has what {file} had, up to audit record {head.seq}")
