"""The first minutes with somebody's own Prometheus: `tocsin try` and `tocsin init`."""

import asyncio
import tempfile
import time
from pathlib import Path
from typing import Any

import click
import yaml
from pydantic import ValidationError
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from tocsin.cli.credentials import credentials, typed
from tocsin.cli.explain import evaluate, words
from tocsin.cli.failure import Failed
from tocsin.cli.logs import configure
from tocsin.cli.progress import Progress
from tocsin.config.faults import ConfigError
from tocsin.config.load import Config, load
from tocsin.config.models import Auth, Signal, SourceModel
from tocsin.config.types import format_duration
from tocsin.core.explain import Explanation, show
from tocsin.core.explain import explain as explain_column
from tocsin.core.readable import printable
from tocsin.core.resources import NATIVE_HISTOGRAM, REFUSALS
from tocsin.core.snapshot import Snapshot
from tocsin.generate.starter import Known, process_file, recognised, service_file
from tocsin.names import TIER_LABELS
from tocsin.source.client import Source
from tocsin.source.errors import SourceError
from tocsin.specs import specs_of
from tocsin.telemetry import Telemetry

_ROWS = 15
_KINDS = click.Choice(["prometheus", "thanos", "mimir", "victoriametrics"])
_COLOURS = {-1: "dim", 0: "green", 1: "blue", 2: "yellow", 3: "orange1", 4: "bold red"}
#: Keys of a configuration that have another name on the command line.
_TYPED = {"url": "URL", "expr": "EXPR", "interval": "--step"}
#: Samples that any baseline needs.
_LEAST = 3
#: Series of one signal from which on somebody should think before watching them all.
_MANY = 5000


def _write(folder: Path, process: dict[str, Any], services: dict[str, dict[str, Any]]) -> Path:
    """Write a configuration; return the process file."""
    (folder / "services").mkdir(parents=True, exist_ok=True)
    path = folder / "tocsin.yml"
    path.write_text(_yaml(process), encoding="utf-8")
    for name, service in services.items():
        (folder / "services" / f"{name}.yml").write_text(_yaml(service), encoding="utf-8")
    return path


def _yaml(data: dict[str, Any]) -> str:
    return yaml.safe_dump(data, sort_keys=False, allow_unicode=True, width=110)


def _process(url: str, kind: str, auth: Auth) -> dict[str, Any]:
    """The process file, with what was given to prove who asks."""
    process = process_file(url, kind)
    if given := auth.model_dump(mode="json", exclude_defaults=True):
        process["source"]["auth"] = given
    return process


def _trial(url: str, kind: str, auth: Auth, signal: dict[str, Any]) -> Config:
    """A configuration with this one signal, through the same checks as every other."""
    with tempfile.TemporaryDirectory(prefix="tocsin-") as folder:
        service = {"service": "trial", "signals": {"trial": signal}}
        path = _write(Path(folder), _process(url, kind, auth), {"trial": service})
        try:
            return load(path)
        except ConfigError as error:
            # There is no other file than what was typed.
            reasons = [f"Invalid value for '{_option(fault.path)}': {fault.message}" for fault in error.faults]
            raise click.UsageError("; ".join(reasons)) from None


def _option(path: str) -> str:
    """What the user typed for a key of the trial's configuration."""
    key = path.removeprefix("signals.trial.").removeprefix("source.").partition("[")[0]
    return _TYPED.get(key) or f"--{key.rpartition('.')[2]}"


async def _reach(model: SourceModel, expr: str) -> int:
    """How many series the expression has now. Raises Failed with what to do about it."""
    try:
        async with Source(model, Telemetry()) as source:
            return len((await source.instant(expr, time.time() - source.query_delay)).metrics)
    except SourceError as error:
        raise Failed(typed(error)) from None


@click.command("try")
@click.argument("url")
@click.argument("expr")
@click.option("--by", help="Identity labels, separated by commas; all of them unless given.")
@click.option("--step", default="1m", show_default=True, help="Grid on which the history is learnt.")
@click.option("--window", default=60, show_default=True, help="Samples that make the baseline.")
@click.option("--season", help="Length of the season, such as 1d; adds the seasonal detector.")
@click.option("--unit", default="none", show_default=True, help="Unit, such as ratio or seconds.")
@click.option("--limit", type=float, help="Value at which capacity runs out; adds a breach date.")
@click.option("--horizon", help="How far to forecast; as far as the window looks back unless given.")
@click.option("--direction", type=click.Choice(["both", "up", "down"]), default="both", show_default=True)
@click.option("--kind", type=_KINDS, default="prometheus", show_default=True, help="What answers at URL.")
@credentials
def try_(url: str, expr: str, by: str | None, kind: str, auth: Auth, **more: Any) -> None:  # noqa: ANN401  click hands options over by name
    """Grade the series of EXPR once, from the Prometheus at URL, and explain the worst one. Writes nothing."""
    configure("error")
    signal = _signal(expr, by, **more)
    config, telemetry, started = _trial(url, kind, auth, signal), Telemetry(), time.monotonic()
    if not asyncio.run(_reach(config.process.source, expr)):
        raise Failed(f"the expression has no series now. Open {url.rstrip('/')}/graph and look at it there first")
    source = Source(config.process.source, telemetry)
    snapshot = asyncio.run(evaluate(specs_of(config), source, telemetry, Progress()))
    if not snapshot.signals:
        raise Failed(f"{url} did not answer the range query; run again with a longer --step")
    if not snapshot.worst(1):
        raise Failed(_why_nothing(telemetry, by))
    _report(snapshot, time.monotonic() - started, config)


def _signal(expr: str, by: str | None, season: str | None, horizon: str | None, **more: Any) -> dict[str, Any]:  # noqa: ANN401  as above
    """The signal as a service file would have it."""
    signal: dict[str, Any] = {
        "expr": expr,
        "interval": more["step"],
        "alert": {},
        **{key: more[key] for key in ("window", "unit", "direction")},
    }
    # Whoever asks for a small window wants a grade from it.
    signal["min_samples"] = min(Signal.model_fields["min_samples"].default, max(more["window"], _LEAST))
    if more["limit"] is not None:
        signal["limit"] = more["limit"]
    if by:
        signal["by"] = [label.strip() for label in by.split(",")]
    if season:
        signal["detect"] = {"zscore": {}, "seasonal": {"season": season}}
    if horizon:
        signal["forecast"] = {"horizon": horizon}
    return signal


def _why_nothing(telemetry: Telemetry, by: str | None) -> str:
    """Why not one series could be graded."""
    dropped = {r: telemetry.value("series_dropped_total", "trial", "trial", r) for r in (*REFUSALS, NATIVE_HISTOGRAM)}
    reasons = ", ".join(f"{reason} {count:.0f}" for reason, count in dropped.items() if count)
    what = f" (--by {by})" if by else ""
    return f"no series could be graded{what}: {reasons or 'they have gone since'}"


def _report(snapshot: Snapshot, seconds: float, config: Config) -> None:
    view = snapshot.signals[0]
    worst = [explain_column(view, column) for view, column in snapshot.worst(_ROWS)]
    resources, settings = int(view.live.sum()), view.settings
    history = format_duration(settings.warmup_steps * settings.step)
    click.echo(f"Graded {resources} {_plural(resources)} against up to {history} of history in {seconds:.1f} s.\n")
    console = Console()
    # Without a terminal there is no width to respect, and a folded table is hard to read.
    (console if console.is_terminal else Console(width=140)).print(_table(worst, view.unit))
    if resources > len(worst):
        click.echo(f"... and {resources - len(worst)} more.\n")
    click.echo(words(worst[0].as_dict()))
    for warning in config.warnings:
        click.echo(f"\nNote: {warning.message}")
    samples, needed = int(view.grades.n[view.live].max()), settings.min_samples
    if samples < needed:
        step = format_duration(settings.step)
        click.echo(f"\nNote: only {samples} of {needed} samples at a step of {step}; try a shorter --step, or wait")
    click.echo("\nNext: tocsin init --prometheus URL writes a configuration to start from.")


def _table(rows: list[Explanation], unit: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("resource", "value", "expected", "z", "tier", "forecast", "breach"):
        table.add_column(title, justify="right" if title in ("value", "z", "forecast") else "left", overflow="fold")
    for row in rows:
        forecast = row.forecast or {}
        band = "too few samples"
        if row.expected_lower is not None:
            band = f"{show(row.expected_lower, unit)} to {show(row.expected_upper, unit)}"
        table.add_row(
            escape(printable(row.resource)),
            show(row.value, unit),
            band,
            "" if row.zscore is None else f"{row.zscore:.2f}",
            f"[{_COLOURS[row.tier]}]{TIER_LABELS[row.tier]}",
            show(forecast.get("value"), unit) if forecast else "",
            forecast.get("breach") or str(forecast.get("no_breach", "")).replace("_", " "),
        )
    return table


@click.command()
@click.option("--prometheus", "url", required=True, metavar="URL", help="The Prometheus to begin with.")
@click.option("--kind", type=_KINDS, default="prometheus", show_default=True, help="What answers at URL.")
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), default=Path(), help="Folder to write to.")
@click.option("--force", is_flag=True, help="Replace files that are there already.")
@credentials
def init(url: str, kind: str, out: Path, force: bool, auth: Auth) -> None:
    """Write a starter configuration from what a Prometheus has: node, HTTP, Kubernetes and probe metrics it knows."""
    configure("error")
    found = asyncio.run(_survey(_prometheus(url, kind, auth)))
    if not found:
        raise Failed(f"{url} answers, but has none of the metrics that init recognises; start with tocsin try")
    services: dict[str, dict[str, Any]] = {}
    for service in dict.fromkeys(known.service for known, _ in found):
        services[service] = service_file(service, [known for known, _ in found if known.service == service])
    _refuse_to_overwrite(out, list(services), force=force)
    try:
        path = _write(out, _process(url, kind, auth), services)
    except OSError as error:
        raise Failed(f"cannot write to {out}: {error.strerror or error}") from None
    try:
        load(path)
    except ConfigError as error:
        raise Failed(f"what was written does not pass check, please report it:\n{error}") from None
    click.echo(f"SUCCESS: {path} and {len(services)} service files, {len(found)} signals; nothing pages.")
    for known, series in found:
        many = "  (many: think of max_series or a narrower expr)" if series > _MANY else ""
        click.echo(f"  {known.service}/{known.signal}: {series} {_plural(series)} now. {known.about}{many}")
    click.echo(f"\nNext: tocsin check config {path} && tocsin serve --config.file {path}")


def _plural(count: int) -> str:
    return "resource" if count == 1 else "resources"


def _refuse_to_overwrite(out: Path, services: list[str], *, force: bool) -> None:
    paths = [out / "tocsin.yml", *(out / "services" / f"{name}.yml" for name in services)]
    present = [str(path) for path in paths if path.exists()]
    if present and not force:
        raise Failed(f"{', '.join(present)} would be overwritten; use --out for another folder, or --force")


def _prometheus(url: str, kind: str, auth: Auth) -> Source:
    """The source at an address as it was typed."""
    try:
        return Source(SourceModel.model_validate({"url": url, "kind": kind, "auth": auth}), Telemetry())
    except ValidationError:
        message = f"found {url!r}, expected a URL such as http://127.0.0.1:9090"
    except SourceError as error:
        message = typed(error)
    raise click.BadParameter(message, param_hint="'--prometheus'")


async def _survey(source: Source) -> list[tuple[Known, int]]:
    """The signals of the catalogue that have series there now, with how many. Raises Failed."""
    try:
        async with source:
            candidates = recognised(set(await source.label_values("__name__")))
            now = time.time() - source.query_delay
            answers = await asyncio.gather(*(source.instant(f"count({known.expr})", now) for known in candidates))
    except SourceError as error:
        raise Failed(typed(error)) from None
    counts = [int(answer.values[0]) if len(answer.values) else 0 for answer in answers]
    return [(known, count) for known, count in zip(candidates, counts, strict=True) if count]
