"""The store as the running program has it: opened in the background, used from asyncio, and its faults counted.

The exporter goes on without a store. Whoever needs it gets a StoreError, and refuses to act.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import structlog
from sqlalchemy import Connection

from tocsin.store.errors import OF_ONE_STATEMENT, StoreError, StoreLost
from tocsin.store.retention import forget
from tocsin.store.store import Probe, Store, nothing
from tocsin.store.writer import One, Together, Writer
from tocsin.telemetry import Telemetry

log = structlog.get_logger(__name__)

#: Seconds between two attempts to open a store that could not be opened.
RETRY = 2.0
#: Accesses at once; more have no connection.
_THREADS = 8
#: Of these so many are for whoever asks over HTTP: what guards the actions must not wait behind visitors.
_VISITORS = 2

T = TypeVar("T")


class StoreHandle:
    """A store that may not be there yet, or not any more. Every method raises StoreError then."""

    def __init__(
        self,
        url: str,
        telemetry: Telemetry,
        *,
        password: Callable[[], str | None] = lambda: None,
        clock: Callable[[], float] = time.time,
        probe: Probe = nothing,
    ) -> None:
        self._url, self._telemetry, self._password, self._clock = url, telemetry, password, clock
        self.probe = probe
        self._store: Store | None = None
        self._writer: Writer | None = None
        self._why: StoreError = StoreLost("the store is being opened")
        self._opening: asyncio.Task[None] | None = None
        self._busy: set[asyncio.Future[Any]] = set()
        # Its own: what else takes a thread, such as the check of a password, may take all that asyncio has.
        self._threads: ThreadPoolExecutor | None = None
        self._visitors = asyncio.Semaphore(_VISITORS)

    async def start(self) -> None:
        """Try to open the store once, and go on trying in the background while that fails."""
        self._telemetry.set("store_up", 0)
        self._threads = ThreadPoolExecutor(_THREADS, "store")
        await self._open()
        if self._store is None:
            self._opening = asyncio.create_task(self._keep_opening())

    async def stop(self) -> None:
        """Write what waits, and close it."""
        if self._opening is not None:
            self._opening.cancel()
            await asyncio.gather(self._opening, return_exceptions=True)
        # A connection that is given back after the pool was closed is never closed.
        if self._busy:
            await asyncio.wait(self._busy)
        if self._writer is not None:
            await asyncio.to_thread(self._writer.close)
        if self._store is not None:
            await asyncio.to_thread(self._store.close)
        if self._threads is not None:
            self._threads.shutdown(wait=False)
        self._store = self._writer = self._threads = None
        self._why = StoreLost("the store is closed")

    @property
    def opened(self) -> bool:
        """Whether it was opened; it may have failed since."""
        return self._store is not None

    async def read(self, work: Callable[[Connection], T]) -> T:
        """Do `work` in a transaction that sees one moment of the store."""

        def run(store: Store) -> T:
            with store.read() as connection:
                return work(connection)

        return await self._noted(lambda: self._threaded(lambda: run(self._there())))

    async def visit(self, work: Callable[[Connection], T]) -> T:
        """The same for whoever asks over HTTP, a few at a time: many wait for each other, and keep nobody else."""
        async with self._visitors:
            return await self.read(work)

    async def write(self, work: Callable[[Connection], T], name: str = "other") -> T:
        """Do `work` in a transaction of its own, which is on the disk when this returns; `name` is for the probe."""

        def run(store: Store) -> T:
            with store.write() as connection:
                found = work(connection)
                self.probe(f"{name}: written")
            self.probe(f"{name}: committed")
            return found

        return await self._noted(lambda: self._threaded(lambda: run(self._there())))

    async def group(self, work: Callable[[Connection], T]) -> T:
        """Do `work` in a transaction with others that come now (Writer.submit): many writers, one wait for the disk."""
        return await self._noted(lambda: asyncio.wrap_future(self._grouping().submit(work)))

    async def group_one(self, work: Together[One, T], one: One) -> T:
        """The same for an item of a kind, which `work` writes together with others of it (Writer.submit_one)."""
        return await self._noted(lambda: asyncio.wrap_future(self._grouping().submit_one(work, one)))

    async def forget(self, now: float) -> int:
        """One step of :func:`tocsin.store.retention.forget`: how many rows were deleted."""
        return await self._noted(lambda: self._threaded(lambda: forget(self._there(), now)))

    async def _threaded(self, run: Callable[[], T]) -> T:
        """Run it in a thread. Who waits for it may be cancelled; the thread goes on, and :meth:`stop` waits for it."""
        if self._threads is None:
            raise self._why
        access = asyncio.get_running_loop().run_in_executor(self._threads, run)
        self._busy.add(access)
        access.add_done_callback(self._over)
        return await asyncio.shield(access)

    def _over(self, access: asyncio.Future[Any]) -> None:
        self._busy.discard(access)
        if not access.cancelled() and access.exception() is not None:
            log.debug("an access to the store failed", why=str(access.exception()))

    def _there(self) -> Store:
        if self._store is None:
            raise self._why
        return self._store

    def _grouping(self) -> Writer:
        self._there()
        if self._writer is None:
            raise self._why
        return self._writer

    async def _noted(self, access: Callable[[], Awaitable[T]]) -> T:
        """Do it, and show whether it went well. What is the fault of the work itself is nothing of the store's."""
        try:
            found = await access()
        except StoreError as error:
            self._telemetry.count("store_errors_total", error.reason)
            if not isinstance(error, OF_ONE_STATEMENT):
                self._telemetry.set("store_up", 0)
            raise
        self._telemetry.set("store_up", 1)
        return found

    async def _open(self) -> None:
        try:
            password = self._password()
            self._store = await asyncio.to_thread(
                lambda: Store.open(self._url, now=self._clock(), password=password, probe=self.probe)
            )
        except StoreError as error:
            self._telemetry.count("store_errors_total", error.reason)
            if str(error) != str(self._why):
                log.error("the store cannot be opened, no action is begun", reason=error.reason, why=str(error))  # noqa: TRY400  the words say it all
            self._why = error
            return
        self._writer = Writer(self._store)
        self._telemetry.set("store_up", 1)
        log.info("the store is open", kind=self._store.dialect)

    async def _keep_opening(self) -> None:
        while self._store is None:
            await asyncio.sleep(RETRY)
            await self._open()
