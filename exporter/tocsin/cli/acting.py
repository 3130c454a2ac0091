"""What acts in a running Tocsin: the store, what arrives, and what is done about it."""

import time
from collections.abc import Callable, Hashable, Iterator, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Self

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
from tocsin.source.errors import SourceError
from tocsin.specs import windows_of
from tocsin.store import StoreCannotOpen
from tocsin.store.catalogue import ALL_NAMED, Seed
from tocsin.store.handle import StoreHandle
from tocsin.store.store import Probe, nothing
from tocsin.telemetry import Telemetry

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Means:
    """What acting by a configuration takes; `opened` closes what is open for it alone."""

    config: Config
    source: Source
    ruler: Source
    policy: Policy
    allowed: Allowed
    windows: Mapping[str, Windows]
    opened: AsyncExitStack = field(default_factory=AsyncExitStack)

    @classmethod
    def of(cls, config: Config, source: Source, ruler: Source | None = None) -> Self:
        """Of a ruler that is open, by default the source; whatever is wrong with the configuration shows here."""
        windows = {one.service: windows_of(config, one.service) for one in config.services}
        return cls(config, source, ruler or source, Policy(config), Allowed(config.process.guard.hosts), windows)


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
        self._telemetry, self._snapshot = telemetry, snapshot
        self.means = Means.of(config, source)
        #: How often the configuration has changed: one that comes back is looked at again.
        self._turn = 0
        self.store = StoreHandle(
            config.process.store, telemetry, password=self._store_password, clock=clock, probe=probe
        )
        self.intake = Intake(
            telemetry,
            self.store,
            replica_labels=lambda: self.means.config.process.source.replica_labels,
            numbers=self._numbers,
        )
        self.responder = Responder(
            self.store,
            telemetry,
            self.means.policy,
            source,
            seeds=self._seeds,
            maintenance=self._maintenance,
            clock=clock,
        )
        self._watch = Watch(self.store, telemetry)
        self._watch.on_disarmed(lambda _why: self.responder.runner.halt())
        self._gauges = Gauges(self.store, telemetry, clock)
        self._reconciler = Reconciler(
            self.intake,
            self.store,
            telemetry,
            clock,
            url=lambda: self.means.config.process.alertmanager.url,
            replica_labels=lambda: self.means.config.process.source.replica_labels,
        )
        self.intake.stored = lambda _stored: self.responder.wake()
        self._started = self._acts = False

    async def start(self) -> None:
        """Open the store and act, if anybody can deliver an alert; else as soon as a reload says that somebody can."""
        self._started = True
        self.use(await self.open(self.means.config, self.means.source))
        await self.begin()

    async def stop(self) -> None:
        """End what runs, write how it ended, and close the store."""
        if self._acts:
            await self.responder.stop()
            await self._reconciler.stop()
            await self._gauges.stop()
            await self._watch.stop()
        await self.means.opened.aclose()
        await self.store.stop()

    async def open(self, config: Config, source: Source) -> Means:
        """Open what acting by another configuration takes, and change nothing. SourceError says what cannot be used."""
        url = config.process.guard.confirm.url
        if url is None or not self._wanted(config):
            return Means.of(config, source)
        async with AsyncExitStack() as opened:
            try:
                ruler = Source(config.process.source.model_copy(update={"url": url}), self._telemetry)
                await opened.enter_async_context(ruler)
            except SourceError as error:
                error.where = f"guard.confirm.url: {error.where}"
                raise
            return replace(Means.of(config, source, ruler), opened=opened.pop_all())

    def use(self, means: Means) -> None:
        """Go on with what was opened; what was used before is left to whoever calls. The store stays the same."""
        if means.config.process.store != self.means.config.process.store:
            log.warning("another store takes a restart: the one of the start is used on")
        self.means = means
        self._turn += 1
        self.responder.configure(means.policy, means.ruler, means.source, means.allowed)

    async def begin(self) -> None:
        """Act, if anybody can deliver an alert and it was not begun yet."""
        if self._acts or not self._wanted(self.means.config):
            return
        try:
            await self.store.start()
            # Before the first scrape: an acknowledgement that is absent lets what it ended go on.
            await self._gauges.refresh()
            await self._watch.refresh()
        except BaseException:
            await self.store.stop()
            raise
        self._acts = True
        await self._watch.start()
        self._gauges.start()
        self._reconciler.start()
        self.responder.start()

    def _wanted(self, config: Config) -> bool:
        return self._started and (self._acts or bool(config.process.principals))

    def _store_password(self) -> str | None:
        path = self.means.config.process.store_password_file
        try:
            return None if path is None else read_secret(path)
        except SecretError as error:
            raise StoreCannotOpen(str(error)) from None

    def _numbers(self) -> Numbers:
        model = self.means.config.process.guard.storm
        return Numbers(above=model.above, below=model.below, calm=float(model.calm))

    def _maintenance(self, service: str, now: float) -> str | None:
        windows = self.means.windows
        return windows[service].active(now) if service in windows else None

    def _seeds(self) -> Iterator[tuple[Hashable, Callable[[], set[Seed]]]]:
        """Resources of services that have a remediation: those of the YAML, and those that their signals have now."""
        yield self._turn, partial(named_resources, self.means.config)
        wanted = {service.service for service in self.means.config.services if service.remediation}
        for view in self._snapshot().signals:
            if view.service in wanted:
                yield (view.service, view.signal, view.version), partial(_seen, view)


def named_resources(config: Config) -> set[Seed]:
    """The resources of the YAML, of services that have a remediation, and that these are all."""
    services = [service for service in config.services if service.remediation]
    seeds = {Seed(service.service, one.id, one.capacity_minutes) for service in services for one in service.resources}
    return seeds | {ALL_NAMED}


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
