"""One running Tocsin: what it owns, and how a reload replaces it."""

import asyncio
import resource
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import structlog
import yaml

from tocsin.budgets import Budgets, SloSpec
from tocsin.cli.acting import Acting, Means
from tocsin.cli.progress import Progress
from tocsin.config.faults import ConfigError
from tocsin.config.load import Config, load
from tocsin.config.secrets import SecretError
from tocsin.core.snapshot import Snapshot
from tocsin.engine import Engine
from tocsin.guard.principals import Principals
from tocsin.metrics import Exposition
from tocsin.source.client import Source
from tocsin.source.errors import SourceError, quote
from tocsin.spec import Spec
from tocsin.specs import slo_specs_of, specs_of
from tocsin.store.store import Probe, nothing
from tocsin.telemetry import Telemetry
from tocsin.web.program import Program

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class _Loaded:
    """A configuration with all that it takes, open and ready."""

    config: Config
    principals: Principals
    source: Source
    means: Means
    specs: Sequence[Spec]
    slos: Sequence[SloSpec]


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
                await self._change(await self._opened(await asyncio.to_thread(load, self._path)))
            except (ConfigError, SecretError, SourceError) as error:
                faults = [str(fault) for fault in error.faults] if isinstance(error, ConfigError) else []
                faults = faults or [f"{self._path}: {error}"]
                # The faults say it all; a traceback of the loader would bury them.
                log.error("configuration not loaded, the old one stays", faults=faults)  # noqa: TRY400  as above
            except Exception as error:
                log.exception("configuration not loaded, the old one stays")
                found = f"found {type(error).__name__} ({quote(str(error))}), expected a configuration that can be used"
                faults = [f"{self._path}: {found}; the log has its traceback"]
            else:
                faults = []
            self._note_load(ok=not faults)
            if not faults:
                self._announce()
            return faults

    async def _opened(self, config: Config) -> _Loaded:
        """All that a configuration takes. Nothing has changed when it raises."""
        known = Principals(config.process.principals, before=self._principals)
        async with AsyncExitStack() as opened:
            source = self._source
            if config.process.source != self._config.process.source:
                source = await opened.enter_async_context(Source(config.process.source, self.telemetry))
            specs, slos = specs_of(config), slo_specs_of(config)
            means = await self.acting.open(config, source)
            opened.pop_all()
        return _Loaded(config, known, source, means, specs, slos)

    async def _change(self, new: _Loaded) -> None:
        """Put it in force and close what it replaces, or, when that fails, put what was there in force again."""
        config = self._config
        before = _Loaded(
            config, self._principals, self._source, self.acting.means, specs_of(config), slo_specs_of(config)
        )
        over = before
        try:
            await self._apply(new)
        except BaseException:
            over = new
            await self._apply(before)
            raise
        finally:
            await over.means.opened.aclose()
            if over.source is not self._source:
                await over.source.__aexit__(None, None, None)

    async def _apply(self, new: _Loaded) -> None:
        source = new.source if new.source is not self._source else None
        process, self._source = new.config.process, new.source
        delay = new.source.query_delay
        await self._engine.reconfigure(new.specs, source, query_delay=delay, max_series=process.max_series)
        interval = process.target.evaluation_interval
        await self._budgets.reconfigure(new.slos, source, interval=interval, query_delay=delay)
        if process.publish != self._config.process.publish:
            self._exposition = Exposition(self.telemetry.registry, process.publish)
        self._config, self._principals = new.config, new.principals
        self.acting.use(new.means)
        await self.acting.begin()

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
