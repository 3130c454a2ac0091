"""`tocsin audit`: who did or was refused what, and whether somebody has changed that since."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import click
import orjson
from sqlalchemy import Connection

from tocsin.cli.failure import Failed
from tocsin.cli.stored import failed, open_store
from tocsin.core.readable import iso, printable
from tocsin.guard import audit as chain
from tocsin.guard.asked import MOST, USUAL, Misasked, number_of, page
from tocsin.store import StoreError
from tocsin.store.head import audit_head

F = TypeVar("F", bound=Callable[..., Any])

#: Option -> parameter of :mod:`tocsin.guard.asked`, and what it is.
_FILTERS = {
    "operation-type": ("operationType", "The operation, or the kind of a record without one."),
    "kind": ("kind", "What was done, such as KILL_SWITCH_DISABLE or action.ok."),
    "operation": ("operation", "The operation, such as http."),
    "principal": ("principal", "Who did it."),
    "service": ("service", "The service."),
    "resource": ("resource", "The resource."),
    "result": ("result", "How it ended."),
    "since": ("since", "A date, a time in ISO 8601 (UTC unless it says), or Unix seconds; inclusive."),
    "until": ("until", "Likewise; the whole day of a date."),
    "limit": ("limit", f"Most records, up to {MOST}; {USUAL} unless given."),
    "before": ("before", "Only records before this number: the next page."),
}


def _filters(command: F) -> F:
    for name, (parameter, text) in reversed(_FILTERS.items()):
        command = click.option(f"--{name}", parameter, help=text)(command)
    return command


def _where(command: F) -> F:
    output = click.option("-o", "--output", type=click.Choice(["text", "json"]), default="text", show_default=True)
    config = click.option(
        "--config.file",
        "path",
        type=click.Path(path_type=Path),
        default="tocsin.yml",
        show_default=True,
        help="The process file, which names the store.",
    )
    return config(output(command))


@click.group()
def audit() -> None:
    """See who did or was refused what, and verify that nobody has changed it."""


@audit.command("list")
@_filters
@_where
def list_(path: Path, output: str, **given: str | None) -> None:
    """List records, newest first."""
    try:
        asked = page({name: text for name, text in given.items() if text is not None})
    except Misasked as error:
        option = next(name for name, (parameter, _) in _FILTERS.items() if parameter == error.parameter)
        raise click.BadParameter(str(error), param_hint=f"'--{option}'") from None
    with _reading(path) as connection:
        found = chain.entries(connection, asked.wanted, limit=asked.limit + 1, before=asked.before)
    shown, more = found[: asked.limit], len(found) > asked.limit
    if output == "json":
        _json({"records": [entry.data() for entry in shown], "next": shown[-1].seq if more else None})
        return
    for entry in shown:
        click.echo(_line(entry))
    if more:
        click.echo(f"There are more: --before {shown[-1].seq}", err=True)


@audit.command()
@click.argument("record", metavar="NUMBER | ID")
@_where
def show(record: str, path: Path, output: str) -> None:
    """Show one record, by its number or its whole id."""
    asked = number_of(record)
    if asked is None:
        message = f"found {record!r}, expected a number such as 12, or an id such as KILL_SWITCH_DISABLE#12"
        raise click.BadParameter(message, param_hint="'NUMBER | ID'")
    kind, seq = asked
    with _reading(path) as connection:
        entry = chain.entry(connection, seq)
    if entry is None or kind not in (None, entry.record.kind):
        raise Failed(printable(f"there is no audit record {record}"))
    if output == "json":
        _json(entry.data())
        return
    for name, value in entry.data().items():
        if value not in (None, {}):
            click.echo(printable(f"{name}: {value if isinstance(value, str) else orjson.dumps(value).decode()}"))


@audit.command()
@_where
def verify(path: Path, output: str) -> None:
    """Work out every hash again: exit status 1, and the first record that does not hold, if there is one.

    Who can write to the store can write the whole chain anew: compare the last hash with `tocsin_audit_head_info` as
    your Prometheus knows it.
    """
    with _reading(path) as connection:
        broken, head = chain.verify(connection), audit_head(connection)
    if output == "json":
        _json(
            {
                "holds": broken is None,
                "seq": head.seq,
                "hash": head.hash,
                "broken": None if broken is None else {"seq": broken.seq, "why": broken.why},
            }
        )
    if broken is not None:
        raise Failed(f"the audit does not hold at record {broken.seq}: {broken.why}")
    if output == "text":
        last = f", the last one's hash is {head.hash}" if head.seq else ""
        click.echo(f"SUCCESS: {head.seq} audit records hold{last}")


@contextmanager
def _reading(path: Path) -> Iterator[Connection]:
    """One moment of the store."""
    with open_store(path, time.time(), migrate=False) as store:
        try:
            with store.read() as connection:
                yield connection
        except StoreError as error:
            raise failed(error) from error


def _line(entry: chain.Entry) -> str:
    record = entry.record
    about = "/".join(one for one in (record.service, record.resource) if one)
    words = (record.kind, record.operation, record.result, f"by {record.principal}", about, record.reason)
    return printable("  ".join([str(entry.seq), iso(record.at), *(word for word in words if word)]))


def _json(data: object) -> None:
    click.echo(orjson.dumps(data, option=orjson.OPT_INDENT_2).decode())
