"""`tocsin release`: a human says that actions may begin again where they are held."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
from sqlalchemy import Connection

from tocsin.cli.failure import Failed
from tocsin.cli.stored import failed, local_user, open_store
from tocsin.guard import release as guard
from tocsin.guard.audit import Entry
from tocsin.guard.switch import clean_reason
from tocsin.store import StoreError


def _options(command: Callable[..., Any]) -> Callable[..., Any]:
    for option in (
        click.option("--reason", required=True, metavar="TEXT", help="What was looked at: the audit shows it."),
        click.option("--config.file", "path", type=click.Path(path_type=Path), default="tocsin.yml", show_default=True),
    ):
        command = option(command)
    return command


@click.group()
def release() -> None:
    """Let actions begin again where only a human can say that they may. The audit says who did, and why."""


@release.command("resource")
@click.argument("service")
@click.argument("resource")
@_options
def resource_(service: str, resource: str, path: Path, reason: str) -> None:
    """Release a resource that is held because nobody knows how an action on it ended.

    `tocsin audit list --result unknown` says which action that was. Look first what it has done.
    """
    said = _released(
        path,
        reason,
        lambda c, who, why, now: guard.release_resource(c, service, resource, principal=who, reason=why, now=now),
    )
    click.echo(f"SUCCESS: actions on {resource} of {service} may begin again ({said.id})")


@release.command("store")
@_options
def store_(path: Path, reason: str) -> None:
    """Release a store that was restored, or is an older state of itself: what happened since is forgotten there."""
    said = _released(path, reason, lambda c, who, why, now: guard.release_store(c, principal=who, reason=why, now=now))
    click.echo(f"SUCCESS: actions may begin again on this store ({said.id})")


def _released(path: Path, reason: str, do: Callable[[Connection, str, str, float], Entry]) -> Entry:
    now = time.time()
    try:
        why = clean_reason(reason)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="'--reason'") from None
    try:
        with open_store(path, now, migrate=False) as store, store.write() as connection:
            return do(connection, local_user(), why, now)
    except guard.NotHeld as error:
        raise Failed(str(error)) from None
    except StoreError as error:
        raise failed(error) from None
