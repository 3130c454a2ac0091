"""What breaks under a store in PostgreSQL: each fault has its named error, and the store works again afterwards."""

import threading
from typing import Any

import pytest
from sqlalchemy import Table, select, text

from stores import NOW, Place, add, count, episode, named
from tocsin.store import (
    Store,
    StoreBusy,
    StoreCannotOpen,
    StoreConflict,
    StoreCorrupt,
    StoreError,
    StoreFull,
    StoreInvalid,
    StoreLost,
    StoreReadOnly,
    Waits,
)
from tocsin.store.tables import episodes, insights, kill_switch
from tocsin.store.writer import Writer
from tools.postgres import PASSWORD, Cluster


@pytest.fixture
def server(postgresql: Cluster) -> Place:
    return Place(postgresql.database(), PASSWORD, postgresql)


@pytest.mark.parametrize("how", ["stop", "crash"])
def test_a_server_that_restarts_in_a_transaction_is_lost_and_found_again(server: Place, how: str) -> None:
    cluster = server.cluster
    assert cluster is not None
    with server.open() as store:
        add(store, 1)

        def interrupted() -> None:
            with store.write() as connection:
                connection.execute(episodes.insert(), episode(2))
                getattr(cluster, how)()
                connection.execute(episodes.insert(), episode(3))

        with pytest.raises(StoreLost) as caught:
            interrupted()
        assert named(caught.value) == ("lost", True, False)
        with pytest.raises(StoreLost):
            count(store)
        cluster.start()
        add(store, 4)
        with store.read() as reading:
            assert reading.execute(select(episodes.c.id).order_by(episodes.c.id)).scalars().all() == ["e1", "e4"]


@pytest.mark.parametrize("how", ["stop", "crash"])
def test_a_restart_between_two_transactions_is_not_noticed(server: Place, how: str) -> None:
    assert server.cluster is not None
    with server.open() as store:
        add(store, 1)
        assert count(store) == 1
        getattr(server.cluster, how)()
        server.cluster.start()
        assert count(store) == 1
        add(store, 2)
        assert count(store) == 2


def test_a_server_that_is_lost_at_the_commit_leaves_the_caller_uncertain(server: Place) -> None:
    with server.open() as store, server.open() as other:

        def interrupted() -> None:
            with store.write() as connection, other.write() as killing:
                connection.execute(episodes.insert(), episode(1))
                pid = connection.exec_driver_sql("SELECT pg_backend_pid()").scalar_one()
                killing.execute(text(f"SELECT pg_terminate_backend({pid}, 5000)"))

        with pytest.raises(StoreLost) as caught:
            interrupted()
        assert named(caught.value) == ("lost", True, True)
        assert count(store) == 0
        add(store, 1)


def test_a_group_that_lost_its_server_is_told_and_the_next_one_is_written(server: Place) -> None:
    cluster = server.cluster
    assert cluster is not None

    def interrupted(connection: Any) -> None:
        cluster.crash()
        connection.execute(episodes.insert(), episode(1))

    with server.open() as store, Writer(store) as writer:
        assert isinstance(writer.submit(interrupted).exception(30), StoreLost)
        cluster.start()
        writer.submit(lambda connection: connection.execute(episodes.insert(), episode(1))).result(30)
        assert count(store) == 1


def test_a_server_that_is_away_at_the_start_is_lost(server: Place) -> None:
    assert server.cluster is not None
    server.cluster.stop()
    try:
        with pytest.raises(StoreLost) as caught:
            server.open()
    finally:
        server.cluster.start()
    # Refused; or another test has the port by now, and understands nothing.
    assert "connection failed: connection to server" in str(caught.value)
    assert PASSWORD not in str(caught.value)
    server.open().close()


def test_a_wrong_password_is_told_without_repeating_it(server: Place) -> None:
    with pytest.raises(StoreError, match="password authentication failed") as caught:
        Store.open(server.url, now=NOW, password="a wrong canary")  # noqa: S106  the wrong one
    assert "canary" not in str(caught.value)


def test_a_database_that_may_only_be_read_is_named(server: Place) -> None:
    with server.open() as store:
        add(store, 1)
    assert server.cluster is not None
    name = server.url.rpartition("/")[2]
    server.cluster.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    with server.open(migrate=False) as store:
        with pytest.raises(StoreReadOnly) as caught:
            add(store, 2)
        assert named(caught.value) == ("read_only", False, False)
        assert count(store) == 1


def test_a_statement_that_takes_too_long_is_ended_as_busy(server: Place) -> None:
    with server.open(waits=Waits(statement=0.1)) as store:
        with pytest.raises(StoreBusy) as caught, store.read() as connection:
            connection.execute(text("SELECT pg_sleep(10)"))
        assert named(caught.value) == ("busy", True, False)
        assert count(store) == 0


def test_one_of_two_that_wait_for_each_other_is_told_to_try_again(server: Place) -> None:
    with server.open() as store:
        add(store, 1)
        both_hold_one = threading.Barrier(2)
        ended: list[type[StoreError] | None] = []

        def take(first: Table, second: Table) -> None:
            try:
                with store.write() as connection:
                    connection.execute(select(first).with_for_update())
                    both_hold_one.wait(10)
                    connection.execute(select(second).with_for_update())
                ended.append(None)
            except StoreError as error:
                ended.append(type(error))

        threads = [
            threading.Thread(target=take, args=pair) for pair in ((episodes, kill_switch), (kill_switch, episodes))
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(ended, key=str) == [StoreBusy, None]


#: What the server says, and what it means; the server itself raises it.
SAID: dict[str, tuple[type[StoreError], bool]] = {
    "53100": (StoreFull, False),  # disk_full
    "53200": (StoreBusy, True),  # out_of_memory
    "53300": (StoreBusy, True),  # too_many_connections
    "40001": (StoreBusy, True),  # serialization_failure
    "40P01": (StoreBusy, True),  # deadlock_detected
    "55P03": (StoreBusy, True),  # lock_not_available
    "57P03": (StoreLost, True),  # cannot_connect_now
    "57P04": (StoreCannotOpen, False),  # database_dropped
    "XX001": (StoreCorrupt, False),  # data_corrupted
    "XX002": (StoreCorrupt, False),  # index_corrupted
    "42501": (StoreReadOnly, False),  # insufficient_privilege
    "22003": (StoreInvalid, False),  # numeric_value_out_of_range
    "23505": (StoreConflict, False),  # unique_violation
    "58030": (StoreError, False),  # io_error
    "42P01": (StoreError, False),  # undefined_table
}


def test_every_code_of_the_server_has_its_named_error(server: Place) -> None:
    with server.open() as store:
        for code, (kind, retry) in SAID.items():
            statement = f"DO $$ BEGIN RAISE EXCEPTION 'so it is' USING ERRCODE = '{code}', DETAIL = 'canary'; END $$"
            with pytest.raises(StoreError) as caught, store.write() as connection:
                connection.exec_driver_sql(statement)
            assert (type(caught.value), caught.value.retry, str(caught.value)) == (kind, retry, "so it is"), code
        add(store, 1)
        assert count(store) == 1


def test_a_nul_in_a_column_of_text_is_invalid(server: Place) -> None:
    with server.open() as store:
        with pytest.raises(StoreInvalid) as caught:
            add(store, 1, service="canary \x00")
        assert "canary" not in str(caught.value)
        with store.write() as connection:
            connection.execute(insights.insert(), {"id": "i", "at": NOW, "service": "s", "kind": "k", "detail": "\x00"})
