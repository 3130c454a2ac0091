"""The kill switch as the running program sees it, read four times a second, and off when it cannot be read.

What decides reads the row itself, in its transaction. This is for what runs already, and for whoever looks on.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass

import structlog
from sqlalchemy import Connection

from tocsin.guard import switch
from tocsin.guard.switch import Switch
from tocsin.store import StoreError
from tocsin.store.handle import StoreHandle
from tocsin.store.head import Head, audit_head, store_id
from tocsin.telemetry import Telemetry

log = structlog.get_logger(__name__)

#: Seconds between two readings.
EVERY = 0.25
#: Seconds after which what was read last is not believed any more.
BELIEVED = 2.0

#: Why nothing may run: it is switched off, or nobody knows.
SWITCHED_OFF, UNREADABLE = "kill_switch", "kill_switch_unreadable"


@dataclass(frozen=True, slots=True)
class _Reading:
    """What was read, and when the reading began: so old it may be."""

    switch: Switch
    head: Head
    store: str
    at: float


class Watch:
    """Publishes the switch and the audit's head. `clock` gives seconds that never go back.

    Call :meth:`refresh` before anything is decided, then :meth:`start`.
    """

    def __init__(
        self, store: StoreHandle, telemetry: Telemetry, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._store, self._telemetry, self._clock = store, telemetry, clock
        self._last: _Reading | None = None
        self._known: bool | None = None
        self._hash = ""
        self._calls: list[Callable[[str], None]] = []
        self._reading: asyncio.Task[None] | None = None
        self._task: asyncio.Task[None] | None = None

    @property
    def why_not(self) -> str | None:
        """Why operations may not run now; None if they may."""
        if self._last is None or self._clock() - self._last.at > BELIEVED:
            return UNREADABLE
        return None if self._last.switch.enabled else SWITCHED_OFF

    @property
    def armed(self) -> bool:
        """Whether operations may run."""
        return self.why_not is None

    def on_disarmed(self, call: Callable[[str], None]) -> None:
        """Have it called, with the reason, whenever operations may not run any more: those that run have to end."""
        self._calls.append(call)

    async def refresh(self) -> None:
        """Read once, and publish what is known then."""
        await self._read()
        self._publish()

    async def start(self) -> None:
        """Read and publish in the background."""
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """End it, and wait for what is being read: its thread goes on whatever we do, and uses the store."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        if self._reading is not None:
            await asyncio.gather(self._reading, return_exceptions=True)
        self._task = self._reading = None

    async def _run(self) -> None:
        while True:
            # A reading that hangs must not keep us from noticing that the last one has become too old.
            if self._reading is None or self._reading.done():
                self._reading = asyncio.create_task(self._read())
            await asyncio.sleep(EVERY)
            self._publish()

    async def _read(self) -> None:
        began = self._clock()
        # The handle has counted the error and shows it; the age of the last reading says the rest.
        with contextlib.suppress(StoreError):
            found, head, store = await self._store.read(_read)
            missed = self._last is not None and found.generation > self._last.switch.generation + 1
            self._last = _Reading(found, head, store, began)
            if missed and found.enabled:
                # Off and on again between two readings: whoever did that wanted what runs to end.
                log.warning("the kill switch was off for a moment", by=found.changed_by)
                self._disarmed(SWITCHED_OFF)
            self._publish()

    def _publish(self) -> None:
        why = self.why_not
        self._telemetry.set("kill_switch_armed", why is None)
        if self._last is not None:
            self._telemetry.set("kill_switch_generation", self._last.switch.generation)
            self._show_head(self._last)
        if self._known == (why is None):
            return
        self._known = why is None
        if why is not None:
            self._say(why)
            self._disarmed(why)
        elif self._last is not None:
            log.info("operations may run", generation=self._last.switch.generation)

    def _say(self, why: str) -> None:
        if why == SWITCHED_OFF and self._last is not None:
            off = self._last.switch
            log.warning("no operation may run: switched off", by=off.changed_by, said=off.reason)
        else:
            log.warning("no operation may run: the kill switch cannot be read")

    def _disarmed(self, why: str) -> None:
        for call in self._calls:
            call(why)

    def _show_head(self, last: _Reading) -> None:
        head = last.head
        self._telemetry.set("audit_seq", head.seq, last.store)
        if head.hash == self._hash:
            return
        if self._hash:
            self._telemetry.forget("audit_head_info", self._hash)
        if head.hash:
            self._telemetry.set("audit_head_info", 1, head.hash)
        self._hash = head.hash


def _read(connection: Connection) -> tuple[Switch, Head, str]:
    return switch.read(connection), audit_head(connection), store_id(connection)
