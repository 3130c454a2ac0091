"""The catalogue of resources follows the YAML, keeps what signals have, and is the same for all replicas."""

from typing import Any

from sqlalchemy import select, update

from stores import NOW, Place, together
from tocsin.store import Store
from tocsin.store.catalogue import ALL_NAMED, Seed, seed
from tocsin.store.tables import resources

PIANO, VIOLIN = Seed("shop", "piano", 240.0), Seed("shop", "violin")
HEARD = Seed("shop", "piano", origin="signal")


def seeded(store: Store, *seeds: Seed, now: float = NOW) -> int:
    with store.write() as connection:
        return seed(connection, set(seeds), now)


def known(store: Store) -> list[tuple[Any, ...]]:
    """Service, id, whether it is active, version and origin of each."""
    rows = select(resources.c["service", "id", "active", "version", "origin"])
    with store.read() as connection:
        return [tuple(row) for row in connection.execute(rows.order_by(resources.c.service, resources.c.id))]


def test_what_the_yaml_has_no_more_is_inactive_and_active_again_when_it_is_back(store: Store) -> None:
    assert seeded(store, PIANO, VIOLIN, ALL_NAMED) == 2
    assert seeded(store, VIOLIN, ALL_NAMED, now=NOW + 1) == 0
    assert known(store) == [("shop", "piano", False, 2, "config"), ("shop", "violin", True, 1, "config")]
    assert seeded(store, PIANO, VIOLIN, ALL_NAMED, now=NOW + 2) == 0
    assert known(store) == [("shop", "piano", True, 3, "config"), ("shop", "violin", True, 1, "config")]
    with store.read() as connection:
        row = connection.execute(select(resources).where(resources.c.id == "piano")).one()
    assert (row.capacity_minutes, row.created_at, row.updated_at) == (240.0, NOW, NOW + 2)


def test_a_whole_list_and_a_whole_service_may_go(store: Store) -> None:
    seeded(store, PIANO, Seed("bank", "till"), ALL_NAMED)
    seeded(store, ALL_NAMED)
    assert known(store) == [("bank", "till", False, 2, "config"), ("shop", "piano", False, 2, "config")]


def test_some_of_them_say_nothing_of_the_others(store: Store) -> None:
    seeded(store, PIANO)
    seeded(store, VIOLIN)
    seeded(store, Seed("shop", "organ", origin="signal"))
    assert [row[2:4] for row in known(store)] == [(True, 1)] * 3


def test_resources_of_signals_stay_as_they_are(store: Store) -> None:
    seeded(store, HEARD)
    seeded(store, ALL_NAMED)
    assert known(store) == [("shop", "piano", True, 1, "signal")]
    with store.write() as connection:
        connection.execute(update(resources).values(active=False, version=2))
    seeded(store, PIANO, ALL_NAMED)
    seeded(store, HEARD)
    assert known(store) == [("shop", "piano", False, 2, "signal")]


def test_what_a_signal_has_too_stays_active_when_the_yaml_has_it_no_more(store: Store) -> None:
    seeded(store, PIANO, ALL_NAMED)
    seeded(store, HEARD)
    assert known(store) == [("shop", "piano", True, 1, "signal")]
    seeded(store, ALL_NAMED)
    assert known(store) == [("shop", "piano", True, 1, "signal")]


def test_what_a_signal_sees_after_the_yaml_has_it_no_more_is_active_again(store: Store) -> None:
    seeded(store, PIANO, ALL_NAMED)
    seeded(store, ALL_NAMED)
    seeded(store, HEARD, now=NOW + 1)
    assert known(store) == [("shop", "piano", True, 3, "signal")]


def test_a_hold_outlasts_that_a_resource_goes_and_comes_back(store: Store) -> None:
    seeded(store, PIANO, ALL_NAMED)
    with store.write() as connection:
        connection.execute(update(resources).values(held_since=NOW, held_by="a1"))
    seeded(store, ALL_NAMED)
    seeded(store, PIANO, ALL_NAMED)
    with store.read() as connection:
        row = connection.execute(select(resources)).one()
    assert (row.active, row.version, row.held_since, row.held_by) == (True, 3, NOW, "a1")


def test_replicas_with_the_same_file_change_each_resource_once(somewhere: Place) -> None:
    named = [Seed("shop", f"r{number}") for number in range(50)]
    with somewhere.open() as one, somewhere.open() as two:
        seeded(one, *named, ALL_NAMED)

        def reload(number: int) -> None:
            seeded((one, two)[number % 2], *named[25:], *(Seed("shop", f"s{n}") for n in range(9)), ALL_NAMED)

        together(4, reload)
        for _ in range(2):
            reload(0)
            reload(1)
        found = {row[1]: row[2:4] for row in known(one)}
    gone, kept = {f"r{number}" for number in range(25)}, {one.id for one in named[25:]}
    assert {name for name, state in found.items() if state == (False, 2)} == gone
    assert {name for name, state in found.items() if state == (True, 1)} == kept | {f"s{n}" for n in range(9)}
