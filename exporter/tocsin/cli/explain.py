"""`tocsin explain`: why a resource has its tier, from the running Tocsin or from the configuration."""

import asyncio
import os
import shlex
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import aiohttp
import click
import orjson

from tocsin.cli.failure import Failed
from tocsin.cli.logs import configure
from tocsin.cli.progress import Progress
from tocsin.config.faults import ConfigError
from tocsin.config.load import load
from tocsin.core import explain as core
from tocsin.core.snapshot import Snapshot
from tocsin.engine import Engine, aligned
from tocsin.names import TIER_LABELS
from tocsin.source.client import Source
from tocsin.source.errors import SourceError
from tocsin.spec import Spec
from tocsin.specs import specs_of
from tocsin.telemetry import Telemetry

DEFAULT_URL = "http://127.0.0.1:9889"


class Unanswered(Exception):
    """Nobody answered at the address of the running Tocsin."""


async def ask(url: str, query: dict[str, str]) -> tuple[int, Any]:
    """Status and answer of the running Tocsin; raises Unanswered."""
    timeout = aiohttp.ClientTimeout(total=30, connect=3)
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            session.get(url.rstrip("/") + "/api/v1/explain", params=query, allow_redirects=False) as response,
        ):
            status, body = response.status, await response.read()
    except aiohttp.InvalidURL:
        raise Failed(f"{url} is not an address such as {DEFAULT_URL}") from None
    except (aiohttp.ClientError, OSError, TimeoutError) as error:
        raise Unanswered(_why(error)) from None
    try:
        answer = orjson.loads(body)
    except orjson.JSONDecodeError:
        answer = None
    if not (isinstance(answer, list) if status == 200 else isinstance(answer, dict)):
        raise Failed(f"{url} answered {status} with something else than explanations: is that a Tocsin?")
    return status, answer


def _why(error: Exception) -> str:
    cause = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error
    if isinstance(cause, OSError) and (cause.errno or 0) > 0:
        return os.strerror(cause.errno or 0)
    return str(cause) or "no answer in time"


async def evaluate(specs: Sequence[Spec], source: Source, telemetry: Telemetry, progress: Progress) -> Snapshot:
    """Warm-start and evaluate each signal once, now."""
    delay = source.query_delay
    engine = Engine(specs, source, telemetry, query_delay=delay, progress=progress)
    async with source:
        now = time.time() - delay
        for evaluation in engine.evaluations:
            await engine.cycle(evaluation, aligned(now, evaluation.spec.settings.interval))
    return engine.snapshot


def words(explanation: dict[str, Any]) -> str:
    """An explanation as text."""
    title = printable(f"{explanation['resource']} ({explanation['service']}/{explanation['signal']})")
    head = f"{click.style(title, bold=True)}: {tier_word(explanation['tier'])} at {explanation['evaluated_at']}"
    return "\n".join([head, *(f"  - {printable(sentence)}" for sentence in explanation["sentences"])])


def printable(text: str) -> str:
    """Text with what a terminal would obey made visible: it may come from somebody else's labels."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def tier_word(tier: int) -> str:
    """A tier's number and label in its colour."""
    colour = {-1: "white", 0: "green", 1: "blue", 2: "yellow", 3: "bright_yellow", 4: "red"}[tier]
    return click.style(f"tier {tier}, {TIER_LABELS[tier]}" if tier >= 0 else "unknown", fg=colour, bold=tier >= 3)


def from_config(path: Path, query: dict[str, str]) -> tuple[int, Any]:
    """The same answer as the running Tocsin's, worked out here. Raises ConfigError."""
    config, telemetry = load(path), Telemetry()
    wanted = [
        spec
        for spec in specs_of(config)
        if query.get("service", spec.service) == spec.service and query.get("signal", spec.signal) == spec.signal
    ]
    if not wanted:
        raise Failed(f"{path} has no signal of that service and name")
    snapshot = asyncio.run(evaluate(wanted, Source(config.process.source, telemetry), telemetry, Progress()))
    if not snapshot.signals:
        raise Failed(f"{config.process.source.url} did not answer")
    found = snapshot.find(query["resource"])
    if not found:
        return 404, {"error": f"no resource {query['resource']!r}", "near": snapshot.near(query["resource"])}
    return 200, [core.explain(view, column).as_dict() for view, column in found]


@click.command()
@click.argument("resource")
@click.option("--service", help="Only this service.")
@click.option("--signal", help="Only this signal.")
@click.option("--url", default=DEFAULT_URL, show_default=True, help="The running Tocsin.")
@click.option(
    "--config.file",
    "path",
    type=click.Path(path_type=Path),
    default="tocsin.yml",
    show_default=True,
    help="Evaluate from this configuration when nothing answers at --url.",
)
@click.option("-o", "--output", type=click.Choice(["text", "json"]), default="text", show_default=True)
def explain(resource: str, service: str | None, signal: str | None, url: str, path: Path, output: str) -> None:
    """Say in plain words why RESOURCE has its tier."""
    configure("warn")
    named = {"resource": resource, "service": service, "signal": signal}
    query = {key: value for key, value in named.items() if value is not None}
    origin = ""
    try:
        status, answer = asyncio.run(ask(url, query))
    except Unanswered as error:
        if not path.exists():
            raise Failed(f"nothing answers at {url} ({error}), and there is no {path} to evaluate from") from None
        try:
            status, answer = from_config(path, query)
            origin = f"Nothing answers at {url}: evaluated from {path}."
        except ConfigError as faults:
            raise Failed(f"{path} is not a valid configuration:\n{faults}") from None
        except SourceError as failure:
            raise Failed(str(failure)) from None
    if status != 200:
        near = answer.get("near") or []
        hint = f"; did you mean {', '.join(map(shlex.quote, near))}?" if near else ""
        raise Failed(f"{answer.get('error', f'{url} answered {status}')}{hint}")
    if origin:
        click.echo(origin, err=True)
    if output == "json":
        click.echo(orjson.dumps(answer, option=orjson.OPT_INDENT_2).decode())
    else:
        click.echo("\n\n".join(words(explanation) for explanation in answer))
