"""`tocsin serve` and `tocsin exporter`: the running program, from its configuration to its socket."""

import asyncio
import contextlib
import errno
import resource
import signal
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click
import structlog
import yaml
from aiohttp import web

from tocsin.cli.logs import configure, log_options
from tocsin.cli.progress import Progress
from tocsin.config.faults import ConfigError
from tocsin.config.load import Config, load
from tocsin.engine import Engine
from tocsin.metrics import Exposition
from tocsin.respond.intake import Intake
from tocsin.source.client import Source
from tocsin.source.errors import SourceError
from tocsin.specs import specs_of
from tocsin.telemetry import Telemetry
from tocsin.web.app import Program, create_app
from tocsin.web.auth import Caller, TokenUnreadable, callers

log = structlog.get_logger(__name__)

DEFAULT_ADDRESS = "0.0.0.0:9889"
#: Seconds that answers in progress get at shutdown.
_GRACE = 0.5


class Running:
    """One running Tocsin: owns the source, the engine and what a reload replaces."""

    def __init__(self, path: Path, config: Config, progress: Progress | None = None) -> None:
        self.telemetry = Telemetry()
        self._path, self._config = path, config
        self._callers = callers(config.process.principals)
        self._source = Source(config.process.source, self.telemetry)
        self._engine = self._new_engine(config, progress)
        self._exposition = Exposition(self.telemetry.registry, config.process.publish)
        self._cpu = (time.monotonic(), _cpu_seconds())
        self._reloading = asyncio.Lock()
        self.intake = Intake(self.telemetry)

    def _new_engine(self, config: Config, progress: Progress | None) -> Engine:
        return Engine(
            specs_of(config),
            self._source,
            self.telemetry,
            query_delay=self._source.query_delay,
            max_series=config.process.max_series,
            progress=progress,
        )

    def program(self) -> Program:
        """What the routes need."""
        return Program(
            snapshot=self._engine.view,
            page=self._page,
            ready=lambda: self._engine.ready,
            reload=self.reload,
            config_text=lambda: yaml.safe_dump(self._config.masked(), sort_keys=False, allow_unicode=True),
            callers=lambda: self._callers,
            telemetry=self.telemetry,
            intake=self.intake,
        )

    async def start(self) -> None:
        """Connect to the source and start evaluating."""
        await self._source.__aenter__()
        self._note_load(ok=True)
        self._announce()
        self._engine.start()

    async def stop(self) -> None:
        """End every task and connection."""
        await self._engine.stop()
        await self._source.__aexit__(None, None, None)

    async def reload(self) -> Sequence[str]:
        """Load the configuration again; its faults, or none when it is in force. A bad file changes nothing."""
        async with self._reloading:
            try:
                config = await asyncio.to_thread(load, self._path)
                known = callers(config.process.principals)
                source = await self._changed_source(config)
            except (ConfigError, TokenUnreadable, SourceError) as error:
                self._note_load(ok=False)
                faults = [str(fault) for fault in error.faults] if isinstance(error, ConfigError) else [str(error)]
                # The faults say it all; a traceback of the loader would bury them.
                log.error("configuration not loaded, the old one stays", faults=faults)  # noqa: TRY400  as above
                return faults
            await self._apply(config, known, source)
            self._note_load(ok=True)
            self._announce()
            return ()

    async def _changed_source(self, config: Config) -> Source | None:
        if config.process.source == self._config.process.source:
            return None
        source = Source(config.process.source, self.telemetry)
        await source.__aenter__()
        return source

    async def _apply(self, config: Config, known: tuple[Caller, ...], source: Source | None) -> None:
        old, self._source = self._source, source or self._source
        await self._engine.reconfigure(
            specs_of(config),
            source,
            query_delay=self._source.query_delay,
            max_series=config.process.max_series,
        )
        if source is not None:
            await old.__aexit__(None, None, None)
        if config.process.publish != self._config.process.publish:
            self._exposition = Exposition(self.telemetry.registry, config.process.publish)
        self._config, self._callers = config, known

    def _note_load(self, *, ok: bool) -> None:
        self.telemetry.set("config_last_reload_successful", ok)
        if ok:
            self.telemetry.set("config_last_reload_success_timestamp_seconds", time.time())

    def _announce(self) -> None:
        for warning in self._config.warnings:
            log.warning("configuration", warning=str(warning))
        specs = [evaluation.spec for evaluation in self._engine.evaluations]
        queries = [(s.settings.interval, 1 + (s.timestamps is not None) + (s.capacity is not None)) for s in specs]
        log.info("configuration loaded", hash=self._config.hash[:12], signals=len(specs))
        log.info("query budget", budget=str(self._source.budget(queries)), url=self._config.process.source.url)

    def _page(self, openmetrics: bool) -> list[bytes]:
        then, spent = self._cpu
        self._cpu = now, total = time.monotonic(), _cpu_seconds()
        if now > then:
            self.telemetry.set("self_cpu_ratio", (total - spent) / (now - then))
        self.telemetry.set("collector_running", self._engine.running)
        return self._exposition.page(self._engine.view(), openmetrics=openmetrics)


def _cpu_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def parse_address(text: str) -> tuple[str, int]:
    """Host and port of ``HOST:PORT`` or ``:PORT``, IPv6 in brackets."""
    host, colon, port = text.rpartition(":")
    if not (colon and port.isascii() and port.isdigit() and int(port) <= 65535):
        raise click.BadParameter(f"found {text!r}, expected HOST:PORT such as 127.0.0.1:9889 or :9889")
    return host.strip("[]") or "0.0.0.0", int(port)  # noqa: S104  what ":PORT" means everywhere


async def run(path: Path, config: Config, address: tuple[str, int], prefix: str, *, webhook: bool) -> int:
    """Serve until SIGTERM or SIGINT; return the exit status."""
    loop, ended = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    try:
        running = Running(path, config, Progress())
    except (TokenUnreadable, SourceError) as error:
        return _failed(str(error))
    reloads: set[asyncio.Task[Any]] = set()

    def hang_up() -> None:
        task = asyncio.create_task(running.reload())
        reloads.add(task)
        task.add_done_callback(reloads.discard)

    loop.add_signal_handler(signal.SIGHUP, hang_up)
    app = create_app(running.program(), prefix, webhook=webhook)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=_GRACE, handle_signals=False)
    await runner.setup()
    try:
        await web.TCPSite(runner, *address).start()
    except OSError as error:
        await runner.cleanup()
        return _failed(_why_no_port(address, error))
    try:
        await running.start()
    except SourceError as error:
        await runner.cleanup()
        return _failed(str(error))
    # The port that was taken, also where any free one was asked for.
    log.info("listening", address=f"{address[0]}:{runner.addresses[0][1]}{prefix}")
    await ended.wait()
    log.info("stopping")
    await running.stop()
    await runner.cleanup()
    return 0


def _why_no_port(address: tuple[str, int], error: OSError) -> str:
    where = f"{address[0]}:{address[1]}"
    if error.errno == errno.EADDRINUSE:
        return f"{where} is in use by another program; choose another with --web.listen-address"
    return f"cannot listen on {where}: {error.strerror or error}"


def _failed(reason: str) -> int:
    click.echo(f"FAILED: {reason}", err=True)
    return 1


def _options(command: Callable[..., Any]) -> Callable[..., Any]:
    for option in (
        click.option("--web.route-prefix", "prefix", default="", help="Path under which a proxy mounts Tocsin."),
        click.option("--web.listen-address", "address", default=DEFAULT_ADDRESS, show_default=True),
        click.option("--config.file", "path", type=click.Path(path_type=Path), default="tocsin.yml", show_default=True),
    ):
        command = option(command)
    return log_options(command)


def _main(path: Path, address: str, prefix: str, log_level: str, log_format: str, *, webhook: bool) -> None:
    configure(log_level, log_format)
    where = parse_address(address)
    try:
        config = load(path)
    except ConfigError as error:
        click.echo(f"FAILED: {path} is not a valid configuration:\n{error}", err=True)
        raise SystemExit(1) from None
    prefix = "/" + prefix.strip("/") if prefix.strip("/") else ""
    with contextlib.suppress(KeyboardInterrupt):
        raise SystemExit(asyncio.run(run(path, config, where, prefix, webhook=webhook)))


@click.command()
@_options
def serve(path: Path, address: str, prefix: str, log_level: str, log_format: str) -> None:
    """Run everything in one process: the exporter and the webhook."""
    _main(path, address, prefix, log_level, log_format, webhook=True)


@click.command()
@_options
def exporter(path: Path, address: str, prefix: str, log_level: str, log_format: str) -> None:
    """Run the exporter alone, without the webhook."""
    _main(path, address, prefix, log_level, log_format, webhook=False)
