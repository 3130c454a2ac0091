"""How often a principal may have an operation run: 5, 3 and 10 times an hour."""

import pytest

from stores import NOW
from tocsin.guard.rate import Rate, admit
from tocsin.store import Store


def asked(store: Store, holder: str, now: float, operation: str = "CALIBRATION", principal: str = "ops") -> Rate:
    with store.write() as connection:
        return admit(connection, operation, principal, holder, now)


@pytest.mark.parametrize(("operation", "most"), [("PATTERN_EXTRACTION", 5), ("CALIBRATION", 3), ("SNAPSHOT", 10)])
def test_so_many_may_run_in_an_hour(store: Store, operation: str, most: int) -> None:
    for i in range(most):
        assert asked(store, str(i), NOW + i, operation) == Rate(True, most, most - i - 1, 0.0)
    assert asked(store, "more", NOW + 100, operation) == Rate(False, most, 0, 3500.0)
    assert asked(store, "more", NOW + 3599.5, operation) == Rate(False, most, 0, 0.5)
    assert asked(store, "more", NOW + 3600, operation) == Rate(True, most, 0, 0.0)


def test_principals_and_operations_do_not_share(store: Store) -> None:
    for i in range(3):
        asked(store, str(i), NOW)
    assert not asked(store, "4", NOW).allowed
    assert asked(store, "4", NOW, principal="other").allowed
    assert asked(store, "4", NOW, operation="SNAPSHOT").allowed


def test_a_refusal_takes_nothing(store: Store) -> None:
    for i in range(3):
        asked(store, str(i), NOW)
    for i in range(5):
        assert not asked(store, f"refused {i}", NOW + 1800).allowed
    assert asked(store, "later", NOW + 3600) == Rate(True, 3, 2, 0.0)


def test_the_same_run_counts_once(store: Store) -> None:
    assert asked(store, "x", NOW) == asked(store, "x", NOW + 1) == Rate(True, 3, 2, 0.0)


def test_an_operation_without_a_limit_is_an_error(store: Store) -> None:
    with pytest.raises(KeyError):
        asked(store, "x", NOW, operation="OTHER")
