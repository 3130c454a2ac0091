"""What arrives at the webhook: Alertmanager's notifications, checked, stored, and only then answered."""

from collections import Counter, deque
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

import structlog
from sqlalchemy import Connection

from tocsin.respond import episodes, storm
from tocsin.respond.payload import Alert, Invalid, Malformed, Notification, notification
from tocsin.store import StoreInvalid
from tocsin.store.handle import StoreHandle
from tocsin.telemetry import Telemetry

__all__ = ["Arrival", "Intake", "Malformed", "Received"]

log = structlog.get_logger(__name__)

#: Notified alerts that are kept in memory for the status page; a restart forgets them.
KEPT = 50
#: Receivers that are remembered: their names come from outside.
_REMEMBERED = 100


@dataclass(frozen=True, slots=True)
class Arrival:
    """An alert and when it arrived, unix time."""

    at: float
    alert: Alert

    @property
    def name(self) -> str:
        """The alert's name."""
        return self.alert.name


@dataclass(frozen=True, slots=True)
class Received:
    """How many alerts of a notification were stored, how many were invalid, and what has changed."""

    alerts: int
    invalid: int
    stored: episodes.Stored


def _nobody(_stored: episodes.Stored) -> None:
    """Nobody wants to know."""


def _nothing() -> None:
    """Nothing is to be done."""


class Intake:
    """Stores what arrives. `stored` is told after every transaction, `truncated` when alerts were left out."""

    def __init__(
        self,
        telemetry: Telemetry,
        store: StoreHandle,
        *,
        replica_labels: Callable[[], Collection[str]] = tuple,
        numbers: Callable[[], storm.Numbers] = storm.Numbers,
    ) -> None:
        self._telemetry, self._store = telemetry, store
        self._replica_labels, self._numbers = replica_labels, numbers
        self._arrivals: deque[Arrival] = deque(maxlen=KEPT)
        self._logged: set[str] = set()
        self.stored: Callable[[episodes.Stored], None] = _nobody
        self.truncated: Callable[[], None] = _nothing
        #: Names under which Alertmanager sends to us.
        self.receivers: set[str] = set()

    async def receive(self, body: bytes, now: float) -> Received:
        """Take a notification: when this returns, its good alerts are on the disk.

        Raises Malformed when the body is no notification, and StoreError when nothing of it is certain to be stored:
        Alertmanager has to send it again then, which changes nothing where it was stored after all.
        """
        self._store.probe("intake: read")
        sent = notification(body, now, self._replica_labels())
        kept = await self._keep(sent.alerts, now)
        invalid = (*sent.invalid, *kept.refused)
        self._note(sent, kept.alerts, invalid, now)
        self.stored(kept.stored)
        return Received(len(kept.alerts), len(invalid), kept.stored)

    def latest(self) -> tuple[Arrival, ...]:
        """What arrived last, newest first."""
        return tuple(self._arrivals)

    async def keep_listed(self, alerts: Sequence[Alert], now: float) -> episodes.Stored:
        """Store what Alertmanager's list says. Raises StoreError."""
        kept = await self._keep(alerts, now, listed=True)
        self.stored(kept.stored)
        return kept.stored

    async def _keep(self, alerts: Sequence[Alert], now: float, *, listed: bool = False) -> "_Kept":
        """Store all in one transaction; if the database refuses a value of one of them, each in one of its own."""
        if not alerts:
            return _Kept()
        try:
            return _Kept(tuple(alerts), await self._group(alerts, now, listed=listed))
        except StoreInvalid as error:
            if len(alerts) == 1:
                return _Kept(refused=(Invalid("store", str(error)),))
        parts = [await self._keep([alert], now, listed=listed) for alert in alerts]
        return _Kept(
            tuple(alert for part in parts for alert in part.alerts),
            episodes.Stored(
                opened=tuple(one for part in parts for one in part.stored.opened),
                reopened=tuple(one for part in parts for one in part.stored.reopened),
                ended=tuple(one for part in parts for one in part.stored.ended),
                storm=parts[-1].stored.storm,
            ),
            tuple(error for part in parts for error in part.refused),
        )

    async def _group(self, alerts: Sequence[Alert], now: float, *, listed: bool) -> episodes.Stored:
        return await self._store.group_one(self._write, episodes.Told(alerts, now, listed))

    def _write(self, connection: Connection, told: Sequence[episodes.Told]) -> Sequence[episodes.Stored]:
        return episodes.store_all(connection, told, numbers=self._numbers())

    def _note(self, sent: Notification, alerts: Sequence[Alert], invalid: Sequence[Invalid], now: float) -> None:
        """Count and show what was stored, and what could not be."""
        for alert in alerts:
            self._telemetry.count("alerts_received_total", alert.status)
            self._arrivals.appendleft(Arrival(now, alert))
        for cause, found in Counter(error.cause for error in invalid).items():
            self._telemetry.count("alerts_received_total", "invalid", by=found)
            if cause not in self._logged:
                self._logged.add(cause)
                why = next(str(error) for error in invalid if error.cause == cause)
                log.warning("alerts that cannot be taken; said once for each cause", cause=cause, why=why)
        if sent.receiver and len(self.receivers) < _REMEMBERED:
            self.receivers.add(sent.receiver)
        if sent.truncated > 0:
            self.truncated()


_UNCHANGED = episodes.Stored()


@dataclass(frozen=True, slots=True)
class _Kept:
    """Alerts that are stored, what has changed by it, and why others are not."""

    alerts: tuple[Alert, ...] = ()
    stored: episodes.Stored = _UNCHANGED
    refused: tuple[Invalid, ...] = ()
