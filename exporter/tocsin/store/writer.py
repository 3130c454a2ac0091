"""Grouped writes: what arrives while one transaction is being written goes into the next one together.

One commit, and so one wait for the disk, serves everybody who came meanwhile; nobody waits for a timer. When an item
fails, its transaction is rolled back and done again with a savepoint for each item, so that it takes nobody with it.
"""

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, Self, TypeVar

from sqlalchemy import Connection

from tocsin.store.errors import OF_ONE_STATEMENT, StoreBusy, StoreError, translated
from tocsin.store.store import Store

#: Most items of one transaction: others want to write too.
LARGEST = 200
#: Most items that wait, before new ones are refused as busy.
WAITING = 10_000

T = TypeVar("T")
_Work = Callable[[Connection], Any]
_Item = tuple[_Work, Future[Any]]
_Done = tuple[Any, Exception | None]


class Writer:
    """One thread that writes for all others. Items are written in the order in which they came."""

    def __init__(self, store: Store, *, largest: int = LARGEST, waiting: int = WAITING) -> None:
        self._store = store
        self._largest = largest
        self._waiting = waiting
        self._items: queue.SimpleQueue[_Item | None] = queue.SimpleQueue()
        self._closing = threading.Lock()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="store-writer", daemon=True)
        self._thread.start()

    def submit(self, work: Callable[[Connection], T]) -> Future[T]:
        """Have `work` done in a transaction with others; it neither commits nor waits for anything else.

        It may be called a second time, after all that it wrote was taken back, so it keeps nothing outside the store.
        The future has its result once it is on the disk, and not before; or what `work` raised, when nothing of it was
        kept; or the StoreError of the transaction, when nothing of anybody was kept (unless it is `uncertain`).
        Raises StoreBusy when too many wait, and when the writer is closed. In asyncio: `asyncio.wrap_future`.
        """
        answer: Future[T] = Future()
        with self._closing:
            if self._closed:
                raise StoreBusy("the store is being closed")
            if self._items.qsize() >= self._waiting:
                raise StoreBusy(f"{self._waiting} writes wait already")
            self._items.put((work, answer))
        return answer

    def close(self) -> None:
        """Write what waits, and end the thread."""
        with self._closing:
            if not self._closed:
                self._closed = True
                self._items.put(None)
        self._thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _run(self) -> None:
        going = True
        while going:
            batch = [self._items.get()]
            while len(batch) < self._largest and not self._items.empty():
                batch.append(self._items.get())
            going = None not in batch
            self._write([item for item in batch if item is not None and item[1].set_running_or_notify_cancel()])

    def _write(self, batch: list[_Item]) -> None:
        """Write a batch, and then, and only then, answer."""
        if not batch:
            return
        try:
            try:
                done = self._transaction(batch, _done)
            except Exception as error:
                if not _of_one_item(error):
                    raise
                done = self._transaction(batch, _done_or_undone)
        except Exception as error:
            # Whatever it was, nobody's work was kept, and everybody has to know.
            for _, answer in batch:
                answer.set_exception(error)
            return
        self._store.probe("group: committed")
        for (_, answer), (result, failure) in zip(batch, done, strict=True):
            if failure is None:
                answer.set_result(result)
            else:
                answer.set_exception(failure)

    def _transaction(self, batch: list[_Item], do: Callable[[Connection, _Work], _Done]) -> list[_Done]:
        done = []
        with self._store.write() as connection:
            self._store.probe("group: begun")
            for work, _ in batch:
                done.append(do(connection, work))
                self._store.probe("group: one written")
        return done


def _done(connection: Connection, work: _Work) -> _Done:
    return work(connection), None


def _done_or_undone(connection: Connection, work: _Work) -> _Done:
    """Result of the item, or its error and nothing of it written; raises what the transaction does not survive."""
    savepoint = connection.begin_nested()
    try:
        result = work(connection)
        savepoint.commit()
    except Exception as error:
        found = translated(error) or error
        if not _of_one_item(found):
            # SQLite has rolled back everything when its disk is full: there may be no savepoint to go back to.
            raise found from error
        savepoint.rollback()
        return None, found
    return result, None


def _of_one_item(error: Exception) -> bool:
    """Whether the store is well: a value that it refuses, or a fault of ours."""
    return not isinstance(error, StoreError) or isinstance(error, OF_ONE_STATEMENT)
