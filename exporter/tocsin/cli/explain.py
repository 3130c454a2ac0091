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

from tocsin.budgets import Budgets
from tocsin.cli.credentials import credentials, no_secret_in, typed
from tocsin.cli.failure import Failed
from tocsin.cli.logs import configure
from tocsin.cli.progress import Progress
from tocsin.config.faults import ConfigError
from tocsin.config.load import Config, load
from tocsin.config.models import Auth
from tocsin.core import explain as core
from tocsin.core.budget import SloView
from tocsin.core.explain_slo import explain as explain_slo
from tocsin.core.readable import printable
from tocsin.core.snapshot import Snapshot
from tocsin.engine import Engine, aligned
from tocsin.names import TIER_LABELS
from tocsin.source.auth import Credentials, tls_context
from tocsin.source.client import Source
from tocsin.source.errors import SourceError
from tocsin.spec import Spec
from tocsin.specs import slo_specs_of, specs_of
from tocsin.telemetry import Telemetry

DEFAULT_URL = "http://127.0.0.1:9889"


class Unanswered(Exception):
    """Nobody answered at the address of the running Tocsin."""


async def ask(url: str, query: dict[str, str], auth: Auth = Auth()) -> tuple[int, Any]:  # noqa: B008  it is frozen
    """Status and answer of the running Tocsin; raises Unanswered."""
    no_secret_in(url, "--url")
    timeout = aiohttp.ClientTimeout(total=30, connect=3)
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout, headers=Credentials(auth).headers()) as session,
            session.get(
                url.rstrip("/") + "/api/v1/explain",
                params=query,
                allow_redirects=False,
                ssl=True if auth.tls is None else tls_context(auth.tls),
            ) as response,
        ):
            status, body = response.status, await response.read()
    except aiohttp.InvalidURL:
        raise click.BadParameter(f"{url} is not an address such as {DEFAULT_URL}", param_hint="'--url'") from None
    except SourceError as error:
        error.where = url
        raise Failed(typed(error)) from None
    except aiohttp.ClientSSLError as error:
        # Somebody answers there: to say what the configuration says would hide that.
        raise Failed(f"{url} failed the TLS handshake, check --ca-file: {error}") from None
    except (aiohttp.ClientError, OSError, TimeoutError) as error:
        raise Unanswered(_why(error)) from None
    if status in (401, 403):
        given = "the credentials are not accepted" if auth.basic or auth.bearer_file else "credentials are needed"
        raise Failed(f"{url} answered {status}, {given}: see --username, --password-file and --bearer-token-file")
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
    if "slo" in explanation:
        head = click.style(printable(f"{explanation['slo']} ({explanation['service']})"), bold=True)
        when = f" at {explanation['evaluated_at']}" if explanation["evaluated_at"] else ""
        head = f"{head}: {_state(explanation)}{when}"
        return "\n".join([head, *(f"  - {printable(sentence)}" for sentence in explanation["sentences"])])
    title = printable(f"{explanation['resource']} ({explanation['service']}/{explanation['signal']})")
    head = f"{click.style(title, bold=True)}: {tier_word(explanation['tier'])} at {explanation['evaluated_at']}"
    return "\n".join([head, *(f"  - {printable(sentence)}" for sentence in explanation["sentences"])])


def _state(explanation: dict[str, Any]) -> str:
    """What the alerts of an SLO do."""
    for key, word in (("firing", "fires"), ("would_fire", "would fire")):
        if explanation[key]:
            return click.style(word, fg="red", bold=True)
    unknown = {"unread", "blind", "absent", "unanswered"} & set(explanation["reasons"])
    return click.style("unknown", fg="white") if unknown else "does not fire"


def tier_word(tier: int) -> str:
    """A tier's number and label in its colour."""
    colour = {-1: "white", 0: "green", 1: "blue", 2: "yellow", 3: "bright_yellow", 4: "red"}[tier]
    return click.style(f"tier {tier}, {TIER_LABELS[tier]}" if tier >= 0 else "unknown", fg=colour, bold=tier >= 3)


def from_config(path: Path, query: dict[str, str]) -> tuple[int, Any]:
    """The same answer as the running Tocsin's, worked out here. Raises ConfigError."""
    config, telemetry = load(path), Telemetry()
    if "slo" in query:
        return _slo_from_config(config, query, Source(config.process.source, telemetry), telemetry)
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


def _slo_from_config(config: Config, query: dict[str, str], source: Source, telemetry: Telemetry) -> tuple[int, Any]:
    """The same for an SLO, read from the source once."""
    specs = slo_specs_of(config)
    wanted = [s for s in specs if s.terms.slo == query["slo"] and query.get("service") in (None, s.terms.service)]
    if not wanted:
        known = sorted({spec.terms.slo for spec in specs})
        return 404, {"error": f"no SLO {query['slo']!r}", "near": known[:5]}

    async def read() -> tuple[SloView, ...]:
        async with source:
            budgets = Budgets(wanted, source, telemetry, query_delay=source.query_delay)
            now = time.time() - source.query_delay
            await budgets.read(now)
            await budgets.ask(now)
            return budgets.as_of(now)

    views = asyncio.run(read())
    if not any(view.readings.known for view in views):
        raise Failed(f"{config.process.source.url} did not answer")
    return 200, [explain_slo(view).as_dict() for view in views]


def _named(words: tuple[str, ...]) -> dict[str, str]:
    """What the arguments name: a resource, or `slo` and an SLO."""
    if len(words) == 2 and words[0] == "slo":
        return {"slo": words[1]}
    if len(words) == 1:
        return {"resource": words[0]}
    raise click.UsageError(
        "found " + (" ".join(map(shlex.quote, words)) or "nothing") + ", expected RESOURCE or slo NAME"
    )


@click.command()
@click.argument("what", metavar="RESOURCE | slo NAME", nargs=-1)
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
@credentials
def explain(what: tuple[str, ...], url: str, path: Path, output: str, auth: Auth, **named: str | None) -> None:
    """Say in plain words why RESOURCE has its tier, or how the error budget of an SLO stands.

    The flags for credentials are for --url; what a configuration evaluates from has its own.
    """
    configure("warn")
    query = _named(what) | {key: value for key, value in named.items() if value is not None}
    origin = ""
    try:
        status, answer = asyncio.run(ask(url, query, auth))
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
        raise Failed(f"{answer.get('message') or answer.get('error', f'{url} answered {status}')}{hint}")
    if origin:
        click.echo(origin, err=True)
    if output == "json":
        click.echo(orjson.dumps(answer, option=orjson.OPT_INDENT_2).decode())
    else:
        click.echo("\n\n".join(words(explanation) for explanation in answer))
