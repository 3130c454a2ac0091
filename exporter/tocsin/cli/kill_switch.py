"""`tocsin kill-switch`: stop all automated operations, or let them go on, at the store itself or from afar."""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp
import click
import orjson

from tocsin.cli.credentials import credentials, no_secret_in, typed
from tocsin.cli.failure import Failed
from tocsin.cli.stored import failed, local_user, open_store
from tocsin.config.models import Auth
from tocsin.core.readable import printable
from tocsin.guard import switch
from tocsin.source.auth import Credentials, tls_context
from tocsin.source.errors import SourceError
from tocsin.store import StoreError
from tocsin.web.admin import flipped, status

_ROUTE = "/learning/kill-switch/"


def _where(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options of every verb: which store, or which Tocsin."""
    command = credentials(command)
    for option in (
        click.option("-o", "--output", type=click.Choice(["text", "json"]), default="text", show_default=True),
        click.option("--url", help="Ask the running Tocsin there instead of using the store."),
        click.option(
            "--config.file",
            "path",
            type=click.Path(path_type=Path),
            default="tocsin.yml",
            show_default=True,
            help="The process file, which names the store.",
        ),
    ):
        command = option(command)
    return command


@click.group("kill-switch")
def kill_switch() -> None:
    """Stop all automated operations, on every replica, or let them go on.

    It is a row of the store. Without --url that is flipped itself, whether a Tocsin runs or not, by whoever may write
    there; the audit says `local:` and the user. With --url a principal with the scope `emergency` does it, whose
    credentials the other flags are for.
    """


@kill_switch.command("disable")
@click.option("--reason", required=True, metavar="TEXT", help="Why: the audit and the status show it.")
@_where
def disable(reason: str, path: Path, url: str | None, output: str, auth: Auth) -> None:
    """Switch off: no operation begins, and those that run are ended."""
    try:
        reason = switch.clean_reason(reason)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="'--reason'") from None
    _flip(path, url, output, auth, reason=reason, enabled=False)


@kill_switch.command("enable")
@_where
def enable(path: Path, url: str | None, output: str, auth: Auth) -> None:
    """Switch on again: operations may run."""
    _flip(path, url, output, auth, reason=None, enabled=True)


@kill_switch.command("status")
@_where
def show(path: Path, url: str | None, output: str, auth: Auth) -> None:
    """Say whether operations may run, and if not since when, by whom and why."""
    found = _stored(path) if url is None else asyncio.run(_ask("GET", url, "status", auth))
    if output == "json":
        click.echo(orjson.dumps(found, option=orjson.OPT_INDENT_2).decode())
    elif found["enabled"]:
        click.echo("operations may run")
    else:
        by = (found.get("disabledBy") or {}).get("identifier")
        click.echo(printable(f"operations are blocked since {found['disabledAt']}, by {by}: {found['reason']}"))


def _flip(path: Path, url: str | None, output: str, auth: Auth, *, reason: str | None, enabled: bool) -> None:
    if url is None:
        done = _flip_stored(path, reason, enabled=enabled)
    else:
        body = None if reason is None else {"reason": reason}
        done = asyncio.run(_ask("POST", url, "enable" if enabled else "disable", auth, body))
    if output == "json":
        click.echo(orjson.dumps(done, option=orjson.OPT_INDENT_2).decode())
    else:
        click.echo(printable(f"SUCCESS: {done['message']} ({done['auditId']})"))


def _flip_stored(path: Path, reason: str | None, *, enabled: bool) -> dict[str, str]:
    now = time.time()
    with open_store(path, now, migrate=False) as store:
        try:
            with store.write() as connection:
                entry = switch.flip(connection, enabled=enabled, principal=local_user(), reason=reason, now=now)
        except StoreError as error:
            raise failed(error) from error
    return flipped(entry.id, enabled=enabled)


def _stored(path: Path) -> dict[str, Any]:
    with open_store(path, time.time(), migrate=False) as store:
        try:
            with store.read() as connection:
                return status(switch.read(connection))
        except StoreError as error:
            raise failed(error) from error


async def _ask(method: str, url: str, verb: str, auth: Auth, body: dict[str, str] | None = None) -> dict[str, Any]:
    """The running Tocsin's answer. Raises Failed with what it says instead."""
    no_secret_in(url, "--url")
    timeout = aiohttp.ClientTimeout(total=30, connect=5)
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout, headers=Credentials(auth).headers()) as session,
            session.request(
                method,
                url.rstrip("/") + _ROUTE + verb,
                json=body,
                allow_redirects=False,
                ssl=True if auth.tls is None else tls_context(auth.tls),
            ) as response,
        ):
            code, text = response.status, await response.read()
    except aiohttp.InvalidURL:
        raise click.BadParameter(f"{url} is no address such as http://127.0.0.1:9889", param_hint="'--url'") from None
    except SourceError as error:
        error.where = url
        raise Failed(typed(error)) from None
    except (aiohttp.ClientError, OSError, TimeoutError) as error:
        raise Failed(f"{url} did not answer: {error or 'no answer in time'}") from None
    return _answer(url, code, text)


def _answer(url: str, code: int, text: bytes) -> dict[str, Any]:
    try:
        found = orjson.loads(text)
    except orjson.JSONDecodeError:
        found = None
    if not isinstance(found, dict):
        raise Failed(f"{url} answered {code} with something else than the kill switch: is that a Tocsin?")
    if code != 200:
        raise Failed(printable(f"{url} answered {code}: {found.get('message') or found.get('error')}"))
    return found
