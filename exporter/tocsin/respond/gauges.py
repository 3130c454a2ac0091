"""Gauges of episodes and actions, read from the store again and again: what another replica stored shows here too."""

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import structlog
from sqlalchemy import Connection, func, select

from tocsin import names
from tocsin.respond import storm
from tocsin.respond.actions import pending
from tocsin.respond.episodes import FIRING
from tocsin.store import StoreError
from tocsin.store.handle import StoreHandle
from tocsin.store.tables import actions, episodes, resources
from tocsin.telemetry import Telemetry

log = structlog.get_logger(__name__)

#: Seconds between two readings.
EVERY = 5.0
#: Seconds after which what was read last is shown no more: an acknowledgement that nobody can see must not hide the
#: next alert of that name.
BELIEVED = 60.0

#: Seconds for which an action keeps its page back, at most.
HOLD = 600.0

Values = Mapping[tuple[str, ...], float]


@dataclass(frozen=True, slots=True)
class Reading:
    """What the store says: values of the labelled gauges by their labels, and whether there is a storm."""

    labelled: Mapping[str, Values]
    storm: bool


def read(connection: Connection, now: float) -> Reading:
    """The gauges as of now."""
    counted = select(episodes.c.service, func.count()).where(FIRING).group_by(episodes.c.service)
    last = storm.read(connection)
    return Reading(
        {
            "episodes": {(service,): float(count) for service, count in connection.execute(counted)},
            "acknowledged": _acknowledged(connection),
            "actions_held": _held(connection),
            "actions_unknown": _unknown(connection),
            "remediation_hold": _kept(connection, now),
        },
        storm=last is not None and last.at(now),
    )


def _held(connection: Connection) -> Values:
    """How many actions wait to be decided again, by reason."""
    query = (
        select(actions.c.reason, func.count())
        .join(episodes, episodes.c.id == actions.c.episode_id)
        .where(actions.c.state == "held", episodes.c.state == "firing")
        .group_by(actions.c.reason)
    )
    return {(reason or "",): float(count) for reason, count in connection.execute(query)}


def _unknown(connection: Connection) -> Values:
    """How many resources are held because nobody knows how an action ended, by service."""
    held = resources.c.held_since.is_not(None)
    query = select(resources.c.service, func.count()).where(held).group_by(resources.c.service)
    return {(service,): float(count) for service, count in connection.execute(query)}


def _kept(connection: Connection, now: float) -> Values:
    """1 for resources that an action may still mend. What is held may never be run: it keeps no page back."""
    begun = actions.c.state.in_(("intent", "running")) & (actions.c.created_at > now - HOLD)
    running = connection.execute(select(actions.c.service, actions.c.resource).where(begun)).all()
    waiting = [(row.service, row.resource) for row in pending(connection) if row.created_at > now - HOLD]
    return dict.fromkeys([*((row.service, row.resource) for row in running), *waiting], 1.0)


def _acknowledged(connection: Connection) -> Values:
    """1 for names of alerts of which every open episode is acknowledged: one that is not must still wake somebody."""
    acked = FIRING & episodes.c.acknowledged_at.is_not(None)
    wanted = select(episodes.c.alertname, episodes.c.service).where(acked).distinct()
    open_: dict[tuple[str, ...], bool] = {}
    for name, service in connection.execute(wanted).all():
        same = FIRING & (episodes.c.alertname == name) & (episodes.c.service == service)
        for row in connection.execute(select(episodes.c.labels, episodes.c.acknowledged_at).where(same)):
            key = (name, service, row.labels.get(names.SIGNAL, ""), row.labels.get(names.RESOURCE, ""))
            open_[key] = open_.get(key, True) and row.acknowledged_at is not None
    return {key: 1.0 for key, every in open_.items() if every}


class Gauges:
    """Shows the gauges. Call :meth:`refresh` before the first scrape, then :meth:`start`."""

    def __init__(self, store: StoreHandle, telemetry: Telemetry, clock: Callable[[], float]) -> None:
        self._store, self._telemetry, self._clock = store, telemetry, clock
        self._shown: dict[str, set[tuple[str, ...]]] = {}
        self._read_at = clock()
        self._task: asyncio.Task[None] | None = None

    async def refresh(self) -> None:
        """Read and show them; while the store cannot be read, show what is not too old."""
        now = self._clock()
        try:
            found = await self._store.read(lambda connection: read(connection, now))
        except StoreError:
            # Counted and said by the handle.
            if now - self._read_at > BELIEVED:
                for short in self._shown:
                    self._show(short, {})
            return
        self._read_at = now
        for short, values in found.labelled.items():
            self._show(short, values)
        self._telemetry.set("storm", found.storm)

    def start(self) -> None:
        """Refresh them from now on."""
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """End the task."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(EVERY)
            try:
                await self.refresh()
            except Exception:
                # A fault of ours must not freeze the gauges for good.
                log.exception("the gauges of the episodes could not be read")

    def _show(self, short: str, values: Values) -> None:
        for labels, value in values.items():
            self._telemetry.set(short, value, *labels)
        for labels in self._shown.get(short, set()) - values.keys():
            with contextlib.suppress(KeyError):
                self._telemetry.forget(short, *labels)
        self._shown[short] = set(values)
