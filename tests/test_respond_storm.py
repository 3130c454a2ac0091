"""Storms: when one begins, how long it lasts, and that replicas and restarts share it."""

import pytest

from arrivals import alert, take
from stores import NOW, Place
from tocsin.respond import episodes, storm
from tocsin.respond.storm import Numbers, Storm, after
from tocsin.store import Store

NUMBERS = Numbers()
LASTS = Storm(0.0, 400.0)


@pytest.mark.parametrize(
    ("before", "recent", "fallen", "now", "expected"),
    [
        (None, 50, 60.0, 0.0, None),
        (None, 51, 60.0, 0.0, Storm(0.0, 360.0)),
        (None, 51, None, 0.0, Storm(0.0, 300.0)),
        # It goes on while there are 25 in a minute, and five minutes longer.
        (LASTS, 25, 200.0, 150.0, Storm(0.0, 500.0)),
        (LASTS, 24, None, 150.0, LASTS),
        (LASTS, 25, 60.0, 59.0, LASTS),
        # What is over begins only where one begins.
        (LASTS, 50, 450.0, 400.0, LASTS),
        (LASTS, 51, 450.0, 400.0, Storm(400.0, 750.0)),
        # The clock went back: it lasts no longer than one that begins now.
        (Storm(3600.0, 3960.0), 1, None, 100.0, Storm(100.0, 460.0)),
        (Storm(90.0, 3960.0), 51, 160.0, 100.0, Storm(90.0, 460.0)),
    ],
)
def test_what_new_episodes_make_of_a_storm(
    before: Storm | None, recent: int, fallen: float | None, now: float, expected: Storm | None
) -> None:
    assert after(before, recent, fallen, now, NUMBERS) == expected


def last(store: Store) -> Storm | None:
    with store.read() as connection:
        return storm.read(connection)


def many(count: int, name: str = "n") -> list[episodes.Alert]:
    return [alert(starts=NOW, n=f"{name}{i}") for i in range(count)]


def test_a_storm_begins_above_50_new_episodes_in_a_minute_and_ends_5_minutes_after_they_fell_below_25(
    somewhere: Place,
) -> None:
    with somewhere.open() as store:
        assert take(store, NOW, *many(50)).storm is None
        # The first fifty are a minute old by now.
        assert take(store, NOW + 60, *many(50, "m")).storm is None
        assert take(store, NOW + 61, alert(n="last")).storm == Storm(NOW + 61, NOW + 60 + 60 + 300)
    with somewhere.open() as again:
        assert last(again) == Storm(NOW + 61, NOW + 420)
        found = take(again, NOW + 100, *many(30, "k")).storm
        assert found == Storm(NOW + 61, NOW + 100 + 60 + 300)
        assert [found.at(t) for t in (NOW + 459.9, NOW + 460)] == [True, False]
        # A few more do not prolong it.
        assert take(again, NOW + 200, *many(24, "j")).storm == found


def test_what_comes_again_or_was_over_is_no_storm(store: Store) -> None:
    take(store, NOW, *many(40))
    take(store, NOW + 30, *many(40))
    over = [alert(firing=False, starts=NOW - 9, ends=NOW - 5, n=f"over{i}") for i in range(40)]
    assert take(store, NOW + 40, *over).storm is None
    assert last(store) is None


def test_the_numbers_can_be_others(store: Store) -> None:
    numbers = Numbers(above=2, below=1, seconds=10, calm=5)
    assert take(store, NOW, *many(2), numbers=numbers).storm is None
    assert take(store, NOW + 1, *many(3), numbers=numbers).storm == Storm(NOW + 1, NOW + 1 + 10 + 5)


def test_one_notification_with_too_many_is_a_storm_at_once(store: Store) -> None:
    assert take(store, NOW, *many(1000)).storm == Storm(NOW, NOW + 360)


def test_what_came_before_the_clock_went_back_is_not_new(store: Store) -> None:
    for minute in range(52):
        assert take(store, NOW + 60 * minute, alert(starts=NOW, n=f"n{minute}")).storm is None
    assert take(store, NOW - 540, alert(starts=NOW, n="one more")).storm is None
    assert last(store) is None


def test_a_storm_from_before_the_clock_went_back_lasts_no_longer_than_one_that_begins_now(store: Store) -> None:
    assert take(store, NOW + 3600, *many(51)).storm == Storm(NOW + 3600, NOW + 3960)
    assert take(store, NOW, alert(n="one more")).storm == Storm(NOW, NOW + 360)
    assert last(store) == Storm(NOW, NOW + 360)
