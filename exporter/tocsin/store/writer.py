"""Grouped writes: what arrives while one transaction is being written goes into the next one together.

One commit, and so one wait for the disk, serves everybody who came meanwhile; nobody waits for a timer. Items of one
kind are written in one call, which needs few statements for many of them. When an item fails, its transaction is rolled
back and done again with a savepoint for each item, so that it takes nobody with it.
"""

import queue
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from itertools import groupby
from operator import itemgetter
from typing import Any, Self, TypeVar

from sqlalchemy import Connection

from tocsin.store.errors import OF_ONE_STATEMENT, StoreBusy, StoreError, translated
from tocsin.store.store import Store

#: Most items of one transaction: others want to write too.
LARGEST = 200
#: Most items that wait, before new ones are refused as busy.
WAITING = 10_000

T = TypeVar("T")
One = TypeVar("One")
#: Writes several items of its kind, in their order; returns a result for each.
Together = Callable[[Connection, Sequence[One]], Sequence[T]]
_Item = tuple[Together[Any, Any], Any, Future[Any]]
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
        return self.submit_one(lambda connection, _: (work(connection),), None)

    def submit_one(self, work: Together[One, T], one: One) -> Future[T]:
        """As :meth:`submit`, for an item of a kind: `work` is called with all that come now one after another.

        What `work` raises is raised for that item alone: it is called again, with each of them by itself.
        """
        answer: Future[T] = Future()
        with self._closing:
            if self._closed:
                raise StoreBusy("the store is being closed")
            if self._items.qsize() >= self._waiting:
                raise StoreBusy(f"{self._waiting} writes wait already")
            self._items.put((work, one, answer))
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
            self._write([item for item in batch if item is not None and item[2].set_running_or_notify_cancel()])

    def _write(self, batch: list[_Item]) -> None:
        """Write a batch, and then, and only then, answer."""
        if not batch:
            return
        try:
            try:
                done = self._transaction(batch, _all)
            except Exception as error:
                if not _of_one_item(error):
                    raise
                done = self._transaction(batch, _each)
        except Exception as error:
            # Whatever it was, nobody's work was kept, and everybody has to know.
            for _, _, answer in batch:
                answer.set_exception(error)
            return
        self._store.probe("group: committed")
        for (_, _, answer), (result, failure) in zip(batch, done, strict=True):
            if failure is None:
                answer.set_result(result)
            else:
                answer.set_exception(failure)

    def _transaction(self, batch: list[_Item], do: Callable[[Connection, list[_Item]], list[_Done]]) -> list[_Done]:
        done = []
        with self._store.write() as connection:
            self._store.probe("group: begun")
            for _, kind in groupby(batch, key=itemgetter(0)):
                written = do(connection, list(kind))
                for _ in written:
                    self._store.probe("group: one written")
                done += written
        return done


def _all(connection: Connection, kind: list[_Item]) -> list[_Done]:
    """Results of items of one kind, all in one call."""
    work = kind[0][0]
    results = work(connection, [one for _, one, _ in kind])
    return [(result, None) for _, result in zip(kind, results, strict=True)]


def _each(connection: Connection, kind: list[_Item]) -> list[_Done]:
    """The same, each by itself, so that one that fails is undone alone."""
    return [_done_or_undone(connection, item) for item in kind]


def _done_or_undone(connection: Connection, item: _Item) -> _Done:
    """Result of the item, or its error and nothing of it written; raises what the transaction does not survive."""
    work, one, _ = item
    savepoint = connection.begin_nested()
    try:
        (result,) = work(connection, [one])
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
