"""What acts in a running Tocsin: the store, what arrives, and what is done about it."""

import time
from collections.abc import Callable, Hashable, Iterator
from functools import partial

import structlog

from tocsin.config.load import Config
from tocsin.config.secrets import SecretError, read_secret
from tocsin.core.calendar import Windows
from tocsin.core.snapshot import SignalView, Snapshot
from tocsin.guard.addresses import Allowed
from tocsin.guard.watch import Watch
from tocsin.respond.gauges import Gauges
from tocsin.respond.intake import Intake
from tocsin.respond.policy import Policy
from tocsin.respond.reconcile import Reconciler
from tocsin.respond.responder import Responder
from tocsin.respond.storm import Numbers
from tocsin.source.client import Source
from tocsin.specs import windows_of
from tocsin.store import StoreCannotOpen
from tocsin.store.catalogue import Seed
from tocsin.store.handle import StoreHandle
from tocsin.store.store import Probe, nothing
from tocsin.telemetry import Telemetry

log = structlog.get_logger(__name__)


class Acting:
    """The line from the webhook to the audit, for one process.

    Without a principal nobody can deliver an alert: then no store is opened, and nothing acts.
    """

    def __init__(
        self,
        config: Config,
        telemetry: Telemetry,
        source: Source,
        snapshot: Callable[[], Snapshot],
        *,
        clock: Callable[[], float] = time.time,
        probe: Probe = nothing,
    ) -> None:
        self._config, self._telemetry, self._snapshot = config, telemetry, snapshot
        self._source, self._ruler = source, source
        self._windows: dict[str, Windows] = {}
        self.store = StoreHandle(
            config.process.store, telemetry, password=self._store_password, clock=clock, probe=probe
        )
        self.intake = Intake(
            telemetry,
            self.store,
            replica_labels=lambda: self._config.process.source.replica_labels,
            numbers=self._numbers,
        )
        self.responder = Responder(
            self.store, telemetry, Policy(config), source, seeds=self._seeds, maintenance=self._maintenance, clock=clock
        )
        self._watch = Watch(self.store, telemetry)
        self._watch.on_disarmed(lambda _why: self.responder.runner.halt())
        self._gauges = Gauges(self.store, telemetry, clock)
        self._reconciler = Reconciler(
            self.intake,
            self.store,
            telemetry,
            clock,
            url=lambda: self._config.process.alertmanager.url,
            replica_labels=lambda: self._config.process.source.replica_labels,
        )
        self.intake.stored = lambda _stored: self.responder.wake()
        self._started = self._acts = False

    async def start(self) -> None:
        """Open the store and act, if anybody can deliver an alert; else as soon as a reload says that somebody can."""
        self._started = True
        await self.configure(self._config, self._source)

    async def stop(self) -> None:
        """End what runs, write how it ended, and close the store."""
        if self._acts:
            await self.responder.stop()
            await self._reconciler.stop()
            await self._gauges.stop()
            await self._watch.stop()
            await self._forget_ruler()
        await self.store.stop()

    async def configure(self, config: Config, source: Source) -> None:
        """Go on with another configuration. The store stays the one of the start."""
        if config.process.store != self._config.process.store:
            log.warning("another store takes a restart: the one of the start is used on")
        self._config, self._source = config, source
        if not self._started or not (self._acts or config.process.principals):
            return
        self._windows = {one.service: windows_of(config, one.service) for one in config.services}
        await self._forget_ruler()
        if (url := config.process.guard.confirm.url) is not None:
            self._ruler = Source(config.process.source.model_copy(update={"url": url}), self._telemetry)
            await self._ruler.__aenter__()
        self.responder.configure(Policy(config), self._ruler, self._source, Allowed(config.process.guard.hosts))
        if not self._acts:
            self._acts = True
            await self.store.start()
            # Before the first scrape: an acknowledgement that is absent lets what it ended go on.
            await self._gauges.refresh()
            await self._watch.refresh()
            await self._watch.start()
            self._gauges.start()
            self._reconciler.start()
            self.responder.start()

    async def _forget_ruler(self) -> None:
        """Close the connection to a ruler that is not the source, and ask the source."""
        if self._ruler is not self._source:
            await self._ruler.__aexit__(None, None, None)
        self._ruler = self._source

    def _store_password(self) -> str | None:
        path = self._config.process.store_password_file
        try:
            return None if path is None else read_secret(path)
        except SecretError as error:
            raise StoreCannotOpen(str(error)) from None

    def _numbers(self) -> Numbers:
        model = self._config.process.guard.storm
        return Numbers(above=model.above, below=model.below, calm=float(model.calm))

    def _maintenance(self, service: str, now: float) -> str | None:
        return self._windows[service].active(now) if service in self._windows else None

    def _seeds(self) -> Iterator[tuple[Hashable, Callable[[], set[Seed]]]]:
        """Resources of services that have a remediation: those of the YAML, and those that their signals have now."""
        yield self._config.hash, partial(named_resources, self._config)
        wanted = {service.service for service in self._config.services if service.remediation}
        for view in self._snapshot().signals:
            if view.service in wanted:
                yield (view.service, view.signal, view.version), partial(_seen, view)


def named_resources(config: Config) -> set[Seed]:
    """The resources of the YAML, of services that have a remediation."""
    services = [service for service in config.services if service.remediation]
    return {Seed(service.service, one.id, one.capacity_minutes) for service in services for one in service.resources}


def maintenance_of(config: Config, service: str, now: float) -> str | None:
    """The maintenance window of a service that is on."""
    return windows_of(config, service).active(now)


def _seen(view: SignalView) -> set[Seed]:
    """The resources that a signal has now."""
    there = zip(view.resources, view.live, strict=True)
    return {
        Seed(view.service, identity.resource, origin="signal")
        for identity, live in there
        if live and identity is not None
    }
