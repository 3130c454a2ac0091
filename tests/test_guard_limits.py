"""Limits: never more than so many within the time, whoever asks, and as a naive count has it."""

import itertools

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select

from stores import NOW, Place, together
from tocsin.guard.limits import Limit, Room, lock, room, take
from tocsin.store import Store
from tocsin.store.tables import limit_slots

#: A name of its own for each run on one store.
RUNS = itertools.count()


def limit(most: int = 2, seconds: float = 60.0, name: str = "a") -> Limit:
    return Limit(name, most, seconds, "cooldown")


def left(store: Store, one: Limit, now: float, holder: str = "somebody else") -> Room:
    with store.write() as connection:
        lock(connection, [one])
        return room(connection, one, holder, now)


def taken(store: Store, one: Limit, holder: str, now: float) -> bool:
    """Take if there is room."""
    with store.write() as connection:
        lock(connection, [one])
        if room(connection, one, holder, now).remaining == 0:
            return False
        take(connection, one, holder, now)
        return True


def test_nothing_is_taken_at_first(store: Store) -> None:
    assert left(store, limit(), NOW) == Room(limit(), 2, 0.0)


def test_a_limit_of_none_has_never_room(store: Store) -> None:
    assert left(store, limit(most=0), NOW) == Room(limit(most=0), 0, 60.0)


def test_the_next_is_free_when_the_oldest_has_become_too_old(store: Store) -> None:
    assert taken(store, limit(), "x", NOW)
    assert left(store, limit(), NOW) == Room(limit(), 1, 0.0)
    assert taken(store, limit(), "y", NOW + 10)
    assert not taken(store, limit(), "z", NOW + 20)
    assert left(store, limit(), NOW + 20) == Room(limit(), 0, 40.0)
    assert left(store, limit(), NOW + 59.5) == Room(limit(), 0, 0.5)
    assert left(store, limit(), NOW + 60) == Room(limit(), 1, 0.0)
    assert taken(store, limit(), "z", NOW + 60)
    assert left(store, limit(), NOW + 60) == Room(limit(), 0, 10.0)


def test_a_lowered_limit_waits_until_enough_are_too_old(store: Store) -> None:
    for i in range(3):
        assert taken(store, limit(most=3), str(i), NOW + i)
    assert left(store, limit(most=1), NOW + 5) == Room(limit(most=1), 0, 57.0)


def test_names_do_not_share(store: Store) -> None:
    assert taken(store, limit(most=1), "x", NOW)
    assert left(store, limit(most=1, name="b"), NOW).remaining == 1


def test_a_holder_takes_once(store: Store) -> None:
    for _ in range(2):
        assert taken(store, limit(), "x", NOW)
    assert left(store, limit(), NOW).remaining == 1


def test_a_holder_does_not_stand_in_his_own_way(store: Store) -> None:
    assert taken(store, limit(most=1), "x", NOW)
    assert left(store, limit(most=1), NOW + 1, "x") == Room(limit(most=1), 1, 0.0)
    assert left(store, limit(most=1), NOW + 1, "y") == Room(limit(most=1), 0, 59.0)


def test_a_holder_takes_again_when_its_own_has_become_too_old(store: Store) -> None:
    assert taken(store, limit(most=1), "x", NOW)
    assert taken(store, limit(most=1), "x", NOW + 60)
    assert left(store, limit(most=1), NOW + 61) == Room(limit(most=1), 0, 59.0)


def test_what_is_too_old_is_forgotten(store: Store) -> None:
    for i in range(10):
        assert taken(store, limit(most=1), str(i), NOW + 60 * i)
    with store.read() as connection:
        assert connection.execute(select(func.count()).select_from(limit_slots)).scalar_one() == 1


def test_a_restart_forgets_nothing(somewhere: Place) -> None:
    with somewhere.open() as store:
        assert taken(store, limit(most=1), "x", NOW)
    with somewhere.open() as store:
        assert left(store, limit(most=1), NOW + 1) == Room(limit(most=1), 0, 59.0)


def test_a_clock_that_went_back_gives_no_more(store: Store) -> None:
    assert taken(store, limit(most=1), "x", NOW)
    assert left(store, limit(most=1), NOW - 100) == Room(limit(most=1), 0, 160.0)


class Naive:
    """The same, counted over a list of all that was ever taken."""

    def __init__(self) -> None:
        self.all: dict[str, float] = {}

    def remaining(self, one: Limit, holder: str, now: float) -> int:
        young = [other for other, at in self.all.items() if at > now - one.seconds and other != holder]
        return max(0, one.most - len(young))

    def take(self, holder: str, now: float) -> None:
        self.all[holder] = now


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    most=st.integers(0, 4),
    steps=st.lists(st.tuples(st.integers(0, 40), st.sampled_from("abcdef"), st.booleans()), max_size=25),
)
def test_it_counts_as_a_naive_model_does(store: Store, most: int, steps: list[tuple[int, str, bool]]) -> None:
    one, naive, now = limit(most, name=f"run {next(RUNS)}"), Naive(), NOW
    for passed, holder, eager in steps:
        now += passed
        found = left(store, one, now, holder)
        assert found.remaining == naive.remaining(one, holder, now)
        assert (found.retry_after > 0) == (found.remaining == 0)
        if found.remaining == 0 and most:
            assert naive.remaining(one, holder, now + found.retry_after - 0.5) == 0
            assert naive.remaining(one, holder, now + found.retry_after) > 0
        if found.remaining and eager:
            with store.write() as connection:
                take(connection, one, holder, now)
            naive.take(holder, now)


def test_many_at_once_never_take_more(somewhere: Place) -> None:
    one = limit(most=7)
    with somewhere.open() as first, somewhere.open() as second:
        won: list[str] = []

        def work(number: int) -> None:
            names = [f"{number}-{i}" for i in range(5)]
            won.extend(name for name in names if taken((first, second)[number % 2], one, name, NOW))

        together(4, work)
        assert len(won) == 7
        with first.read() as connection:
            held = connection.execute(select(limit_slots.c.holder)).scalars().all()
    assert sorted(held) == sorted(won)


def test_two_limits_in_any_order_do_not_wait_crosswise(somewhere: Place) -> None:
    a, b = limit(most=1000, name="a"), limit(most=1000, name="b")
    with somewhere.open() as store:

        def work(number: int) -> None:
            for i in range(10):
                with store.write() as connection:
                    lock(connection, [a, b] if (number + i) % 2 else [b, a])
                    take(connection, a, f"{number}-{i}", NOW)
                    take(connection, b, f"{number}-{i}", NOW)

        together(4, work)
        assert left(store, a, NOW).remaining == left(store, b, NOW).remaining == 960


@pytest.mark.parametrize("names", [["b", "a"], ["a", "a"]])
def test_locking_makes_each_name_known_once(store: Store, names: list[str]) -> None:
    with store.write() as connection:
        lock(connection, [limit(name=name) for name in names])
        assert room(connection, limit(name="a"), "x", NOW).remaining == 2
