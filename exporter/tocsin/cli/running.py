"""One running Tocsin: what it owns, and how a reload replaces it."""

import asyncio
import resource
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import structlog
import yaml

from tocsin.budgets import Budgets
from tocsin.cli.acting import Acting
from tocsin.cli.progress import Progress
from tocsin.config.faults import ConfigError
from tocsin.config.load import Config, load
from tocsin.config.secrets import SecretError
from tocsin.core.snapshot import Snapshot
from tocsin.engine import Engine
from tocsin.guard.principals import Principals
from tocsin.metrics import Exposition
from tocsin.source.client import Source
from tocsin.source.errors import SourceError
from tocsin.specs import slo_specs_of, specs_of
from tocsin.store.store import Probe, nothing
from tocsin.telemetry import Telemetry
from tocsin.web.program import Program

log = structlog.get_logger(__name__)


class Running:
    """One running Tocsin: owns the source, the engine and what a reload replaces."""

    def __init__(
        self,
        path: Path,
        config: Config,
        progress: Progress | None = None,
        *,
        acts: bool = True,
        clock: Callable[[], float] = time.time,
        probe: Probe = nothing,
    ) -> None:
        self.telemetry = Telemetry()
        self._acts, self._clock = acts, clock
        self._path, self._config = path, config
        self._principals = Principals(config.process.principals)
        self._source = Source(config.process.source, self.telemetry)
        self._engine = self._new_engine(config, progress)
        self._budgets = self._new_budgets(config)
        self._exposition = Exposition(self.telemetry.registry, config.process.publish)
        self._cpu = (time.monotonic(), _cpu_seconds())
        self._reloading = asyncio.Lock()
        self.acting = Acting(config, self.telemetry, self._source, self._snapshot, clock=clock, probe=probe)

    def _new_engine(self, config: Config, progress: Progress | None) -> Engine:
        return Engine(
            specs_of(config),
            self._source,
            self.telemetry,
            query_delay=self._source.query_delay,
            max_series=config.process.max_series,
            progress=progress,
        )

    def _new_budgets(self, config: Config) -> Budgets:
        return Budgets(
            slo_specs_of(config),
            self._source,
            self.telemetry,
            interval=config.process.target.evaluation_interval,
            query_delay=self._source.query_delay,
        )

    def program(self) -> Program:
        """What the routes need."""
        return Program(
            snapshot=self._snapshot,
            page=self._page,
            ready=lambda: self._engine.ready,
            reload=self.reload,
            config_text=lambda: yaml.safe_dump(self._config.masked(), sort_keys=False, allow_unicode=True),
            principals=lambda: self._principals,
            closed=lambda: self._config.process.closed_routes,
            telemetry=self.telemetry,
            intake=self.acting.intake,
            store=self.acting.store,
            clock=self._clock,
        )

    async def start(self) -> None:
        """Connect to the source and start evaluating."""
        await self._source.__aenter__()
        self._note_load(ok=True)
        self._announce()
        if self._acts:
            await self.acting.start()
        self._engine.start()
        self._budgets.start()

    async def stop(self) -> None:
        """End every task and connection."""
        await self.acting.stop()
        await self._budgets.stop()
        await self._engine.stop()
        await self._source.__aexit__(None, None, None)

    async def reload(self) -> Sequence[str]:
        """Load the configuration again; its faults, or none when it is in force. A bad file changes nothing."""
        async with self._reloading:
            try:
                config = await asyncio.to_thread(load, self._path)
                known = Principals(config.process.principals, before=self._principals)
                source = await self._changed_source(config)
            except (ConfigError, SecretError, SourceError) as error:
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

    async def _apply(self, config: Config, known: Principals, source: Source | None) -> None:
        old, self._source = self._source, source or self._source
        await self._engine.reconfigure(
            specs_of(config),
            source,
            query_delay=self._source.query_delay,
            max_series=config.process.max_series,
        )
        await self._budgets.reconfigure(
            slo_specs_of(config),
            source,
            interval=config.process.target.evaluation_interval,
            query_delay=self._source.query_delay,
        )
        await self.acting.configure(config, self._source)
        if source is not None:
            await old.__aexit__(None, None, None)
        if config.process.publish != self._config.process.publish:
            self._exposition = Exposition(self.telemetry.registry, config.process.publish)
        self._config, self._principals = config, known

    def _note_load(self, *, ok: bool) -> None:
        self.telemetry.set("config_last_reload_successful", ok)
        if ok:
            self.telemetry.set("config_last_reload_success_timestamp_seconds", time.time())

    def _announce(self) -> None:
        for warning in self._config.warnings:
            log.warning("configuration", warning=str(warning))
        specs = [evaluation.spec for evaluation in self._engine.evaluations]
        queries = [(s.settings.interval, 1 + (s.timestamps is not None) + (s.capacity is not None)) for s in specs]
        slos = sum(len(service.slos) for service in self._config.services)
        log.info("configuration loaded", hash=self._config.hash[:12], signals=len(specs), slos=slos)
        if slos:
            queries.append((self._config.process.target.evaluation_interval, 1))
        log.info("query budget", budget=str(self._source.budget(queries)), url=self._config.process.source.url)

    def _snapshot(self) -> Snapshot:
        return replace(self._engine.view(), slos=self._budgets.as_of(time.time() - self._source.query_delay))

    def _page(self, openmetrics: bool) -> Iterator[bytes]:
        then, spent = self._cpu
        self._cpu = now, total = time.monotonic(), _cpu_seconds()
        if now > then:
            self.telemetry.set("self_cpu_ratio", (total - spent) / (now - then))
        self.telemetry.set("collector_running", self._engine.running)
        return self._exposition.page(self._snapshot(), openmetrics=openmetrics)


def _cpu_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime
