"""Grouped writes: one commit for many, an answer after the commit only, and one bad item fails alone."""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future

import pytest
from sqlalchemy import Connection, func, select

from stores import Place, episode, run_until_killed
from tocsin.store import Store, StoreBusy, StoreConflict, StoreInvalid, StoreLost
from tocsin.store.rows import insert_new
from tocsin.store.tables import episodes
from tocsin.store.writer import Writer


def ids(store: Store) -> list[str]:
    with store.read() as connection:
        return list(connection.execute(select(episodes.c.id).order_by(episodes.c.id)).scalars())


def put(number: int) -> Callable[[Connection], str]:
    def work(connection: Connection) -> str:
        connection.execute(episodes.insert(), episode(number))
        return f"stored {number}"

    return work


class Held:
    """A first item that keeps the writer busy until it is let go, so that what comes meanwhile is one group."""

    def __init__(self, writer: Writer) -> None:
        self._begun, self._go = threading.Event(), threading.Event()
        writer.submit(self._work)
        assert self._begun.wait(10)

    def _work(self, _: Connection) -> None:
        self._begun.set()
        assert self._go.wait(10)

    def let_go(self) -> None:
        self._go.set()


@pytest.fixture
def points() -> list[str]:
    return []


def test_what_comes_while_one_is_written_is_one_transaction(somewhere: Place, points: list[str]) -> None:
    with somewhere.open(probe=points.append) as store, Writer(store) as writer:
        held = Held(writer)
        answers = [writer.submit(put(i)) for i in range(100)]
        held.let_go()
        assert [answer.result(10) for answer in answers] == [f"stored {i}" for i in range(100)]
        assert points.count("group: committed") == 2
        assert len(ids(store)) == 100


def test_a_group_is_never_larger_than_allowed(somewhere: Place, points: list[str]) -> None:
    with somewhere.open(probe=points.append) as store, Writer(store, largest=10) as writer:
        held = Held(writer)
        answers = [writer.submit(put(i)) for i in range(25)]
        held.let_go()
        assert all(answer.result(10) for answer in answers)
        assert points.count("group: committed") == 4


def test_many_threads_are_each_answered_with_their_own_result(somewhere: Place) -> None:
    with somewhere.open() as store, Writer(store) as writer:
        results: dict[int, str] = {}

        def one(first: int) -> None:
            for i in range(first, first + 20):
                results[i] = writer.submit(put(i)).result(30)

        threads = [threading.Thread(target=one, args=(first,)) for first in range(0, 160, 20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert results == {i: f"stored {i}" for i in range(160)}
        assert len(ids(store)) == 160


def test_nobody_is_answered_before_the_commit(somewhere: Place) -> None:
    answers: list[Future[str]] = []
    seen: list[tuple[str, bool, int]] = []

    def probe(point: str) -> None:
        if answers and point in ("write: before the commit", "group: committed"):
            seen.append((point, answers[0].done(), len(ids(store))))

    with somewhere.open(probe=probe) as store, Writer(store) as writer:
        held = Held(writer)
        answers.append(writer.submit(put(1)))
        held.let_go()
        assert answers[0].result(10) == "stored 1"
    # The first two are of the item that held the writer.
    assert seen[-2:] == [("write: before the commit", False, 0), ("group: committed", False, 1)]


def test_a_bad_item_fails_alone_and_with_its_own_error(somewhere: Place) -> None:
    def half(connection: Connection) -> None:
        connection.execute(episodes.insert(), episode(50))
        raise KeyError("a fault of ours")

    with somewhere.open() as store, Writer(store) as writer:
        held = Held(writer)
        good = [writer.submit(put(1)), writer.submit(put(2))]
        twice = writer.submit(put(1))
        surrogate = writer.submit(lambda connection: insert_new(connection, episodes, episode(3, service="\ud800")))
        broken = writer.submit(half)
        last = writer.submit(put(4))
        held.let_go()
        assert [answer.result(10) for answer in (*good, last)] == ["stored 1", "stored 2", "stored 4"]
        assert isinstance(twice.exception(10), StoreConflict)
        assert isinstance(surrogate.exception(10), StoreInvalid)
        assert isinstance(broken.exception(10), KeyError)
        assert ids(store) == ["e1", "e2", "e4"]


def test_items_of_one_kind_are_written_in_one_call_each_with_its_own_result(somewhere: Place) -> None:
    calls: list[Sequence[int]] = []

    def several(connection: Connection, numbers: Sequence[int]) -> list[str]:
        calls.append(numbers)
        connection.execute(episodes.insert(), [episode(number) for number in numbers])
        return [f"stored {number}" for number in numbers]

    with somewhere.open() as store, Writer(store) as writer:
        held = Held(writer)
        answers = [writer.submit_one(several, i) for i in (1, 2)]
        answers.append(writer.submit(put(3)))
        answers += [writer.submit_one(several, i) for i in (4, 5)]
        held.let_go()
        assert [answer.result(10) for answer in answers] == [f"stored {i}" for i in range(1, 6)]
        assert calls == [[1, 2], [4, 5]]
        # One of them fails alone: all are written again, each by itself.
        held, calls[:] = Held(writer), []
        answers = [writer.submit_one(several, i) for i in (6, 1, 7)]
        held.let_go()
        assert isinstance(answers[1].exception(10), StoreConflict)
        assert (answers[0].result(10), answers[2].result(10)) == ("stored 6", "stored 7")
        assert calls == [[6, 1, 7], [6], [1], [7]]
        assert ids(store) == [f"e{i}" for i in range(1, 8)]


def test_when_the_transaction_fails_everybody_of_it_is_told_and_nothing_is_kept(somewhere: Place) -> None:
    armed = threading.Event()

    def probe(point: str) -> None:
        if point == "write: before the commit" and armed.is_set():
            armed.clear()
            raise StoreLost("the connection broke")

    with somewhere.open(probe=probe) as store, Writer(store) as writer:
        held = Held(writer)
        answers: list[Future[object]] = [writer.submit(put(1)), writer.submit(lambda _: armed.set())]
        answers.append(writer.submit(put(2)))
        held.let_go()
        assert [type(answer.exception(10)) for answer in answers] == [StoreLost] * 3
        assert ids(store) == []
        assert writer.submit(put(1)).result(10) == "stored 1"


def test_too_many_that_wait_are_refused_and_may_come_again(somewhere: Place) -> None:
    with somewhere.open() as store, Writer(store, waiting=2) as writer:
        held = Held(writer)
        answers = [writer.submit(put(i)) for i in range(2)]
        with pytest.raises(StoreBusy, match="2 writes wait already") as caught:
            writer.submit(put(3))
        assert caught.value.retry
        held.let_go()
        assert [answer.result(10) for answer in answers] == ["stored 0", "stored 1"]
        assert writer.submit(put(3)).result(10) == "stored 3"


def test_closing_writes_what_waits_and_takes_nothing_more(somewhere: Place) -> None:
    with somewhere.open() as store:
        writer = Writer(store)
        held = Held(writer)
        answers = [writer.submit(put(i)) for i in range(5)]
        held.let_go()
        writer.close()
        assert all(answer.done() for answer in answers)
        assert len(ids(store)) == 5
        with pytest.raises(StoreBusy, match="the store is being closed"):
            writer.submit(put(9))
        writer.close()


def test_an_item_that_was_cancelled_in_time_is_not_written(somewhere: Place) -> None:
    with somewhere.open() as store, Writer(store) as writer:
        held = Held(writer)
        unwanted, wanted = writer.submit(put(1)), writer.submit(put(2))
        assert unwanted.cancel()
        held.let_go()
        assert wanted.result(10) == "stored 2"
        assert ids(store) == ["e2"]


KILLED = """
    import threading
    from tocsin.store.tables import episodes
    from tocsin.store.writer import Writer

    begun, go = threading.Event(), threading.Event()
    with where.open() as store:
        writer = Writer(store)
        def hold(_):
            begun.set()
            go.wait()
        def put(i): return lambda c: c.execute(episodes.insert(), episode(i)) and i
        for i in range(3):
            print(writer.submit(put(i)).result())
        writer.submit(hold)
        begun.wait()
        answers = [writer.submit(put(i)) for i in range(10, 30)]
        store.probe = die_at({point!r}, {nth})
        go.set()
        for answer in answers:
            print(answer.result())
"""


@pytest.mark.parametrize(
    ("point", "nth", "kept"),
    [
        ("group: begun", 1, 0),
        ("group: one written", 2, 0),
        ("group: one written", 21, 0),
        ("write: before the commit", 2, 0),
        ("group: committed", 2, 20),
    ],
)
def test_a_process_killed_in_a_grouped_write_leaves_the_whole_group_or_nothing_of_it(
    somewhere: Place, point: str, nth: int, kept: int
) -> None:
    said = run_until_killed(somewhere, KILLED.format(point=point, nth=nth))
    assert said == ["0", "1", "2"]
    with somewhere.open() as store:
        assert len(ids(store)) == 3 + kept
        with store.write() as connection:
            connection.execute(episodes.insert(), episode(99))
        with store.read() as connection:
            assert connection.execute(select(func.count()).select_from(episodes)).scalar_one() == 4 + kept
