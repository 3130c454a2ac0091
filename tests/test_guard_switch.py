"""The kill switch: one row, flipped by humans, seen by all, and held still while somebody decides."""

import threading
import time
from pathlib import Path

import pytest
from sqlalchemy import func, select

from stores import NOW, Place, place, together
from tocsin.guard.audit import Wanted, entries, verify
from tocsin.guard.switch import Switch, flip, read
from tocsin.store import Store
from tocsin.store.tables import audit


def flipped(store: Store, *, enabled: bool, now: float = NOW, reason: str | None = None) -> str:
    with store.write() as connection:
        return flip(connection, enabled=enabled, principal="ops", reason=reason, now=now).id


def seen(store: Store) -> Switch:
    with store.read() as connection:
        return read(connection)


def test_a_new_store_lets_operations_run(store: Store) -> None:
    assert seen(store) == Switch(enabled=True, generation=1, reason=None, changed_by=None, changed_at=0)


def test_each_flip_counts_and_is_written_down(store: Store) -> None:
    assert flipped(store, enabled=False, reason="smoke") == "KILL_SWITCH_DISABLE#1"
    assert seen(store) == Switch(enabled=False, generation=2, reason="smoke", changed_by="ops", changed_at=NOW)
    assert flipped(store, enabled=False, reason="fire", now=NOW + 1) == "KILL_SWITCH_DISABLE#2"
    assert seen(store) == Switch(enabled=False, generation=3, reason="fire", changed_by="ops", changed_at=NOW + 1)
    assert flipped(store, enabled=True, now=NOW + 2) == "KILL_SWITCH_ENABLE#3"
    assert seen(store) == Switch(enabled=True, generation=4, reason=None, changed_by="ops", changed_at=NOW + 2)
    with store.read() as connection:
        records = [one.record for one in entries(connection, Wanted(), limit=9)]
        assert verify(connection) is None
    assert [(one.at, one.principal, one.kind, one.result, one.reason) for one in records] == [
        (NOW + 2, "ops", "KILL_SWITCH_ENABLE", "ENABLED", None),
        (NOW + 1, "ops", "KILL_SWITCH_DISABLE", "DISABLED", "fire"),
        (NOW, "ops", "KILL_SWITCH_DISABLE", "DISABLED", "smoke"),
    ]


def test_a_flip_that_is_rolled_back_was_none(store: Store) -> None:
    def broken_off() -> None:
        with store.write() as connection:
            flip(connection, enabled=False, principal="ops", reason="x", now=NOW)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        broken_off()
    assert seen(store).generation == 1
    with store.read() as connection:
        assert connection.execute(select(func.count()).select_from(audit)).scalar_one() == 0


def test_a_flip_waits_for_a_decision_that_began_before_it(somewhere: Place) -> None:
    with somewhere.open() as one, somewhere.open() as other:
        done: list[float] = []

        def disable() -> None:
            flipped(other, enabled=False)
            done.append(time.monotonic())

        with one.write() as connection:
            assert read(connection, lock=True).enabled
            thread = threading.Thread(target=disable)
            thread.start()
            thread.join(0.3)
            assert not done
            assert read(connection).enabled
            decided = time.monotonic()
        thread.join(10)
        assert done[0] >= decided
        assert not seen(one).enabled


def test_decisions_do_not_wait_for_each_other(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    with place("postgresql", request, tmp_path).open() as store, store.write() as one, store.write() as other:
        assert read(one, lock=True) == read(other, lock=True)


def test_flips_at_once_are_all_counted(somewhere: Place) -> None:
    with somewhere.open() as one, somewhere.open() as other:

        def work(number: int) -> None:
            for i in range(5):
                flipped((one, other)[number % 2], enabled=i % 2 == 0)

        together(4, work)
        assert seen(one).generation == 21
        with one.read() as connection:
            assert verify(connection) is None
            newest = entries(connection, Wanted(), limit=1)[0]
        assert (newest.seq, newest.record.result == "ENABLED") == (20, seen(one).enabled)
