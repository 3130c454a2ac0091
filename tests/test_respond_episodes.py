"""Episodes: what each alert changes, decided as a table and against a plain model, and stored in both databases."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from arrivals import alert, stored, take
from stores import NOW, Place, place, together
from tocsin.respond import episodes
from tocsin.respond.episodes import SETTLED, TOMBSTONE, Ended, Ignored, Known, Opened, Seen, Told, decide
from tocsin.respond.payload import Alert
from tocsin.store import Store, tables

FIRES = Known("e", "firing", starts_at=100.0, last_seen=150.0)
RESOLVED = Known("e", "resolved", starts_at=100.0, last_seen=250.0, ended_at=200.0)
EXPIRED = replace(RESOLVED, state="expired")
LONG_AGO = replace(RESOLVED, last_seen=300.0 - SETTLED - 1)


@pytest.mark.parametrize(
    ("known", "sent", "listed", "change"),
    [
        # It fires.
        (None, alert(), False, Opened(100)),
        (FIRES, alert(), False, Seen("e", 100)),
        (FIRES, alert(starts=90), False, Seen("e", 90)),
        (FIRES, alert(starts=120), False, Seen("e", 100)),
        # It is late: the resolved one was sent after it, or by the other one of a pair.
        (RESOLVED, alert(), False, Ignored()),
        (RESOLVED, alert(starts=200), False, Ignored()),
        (RESOLVED, alert(starts=200.001), False, Opened(200.001)),
        # An expiry was a guess.
        (EXPIRED, alert(), False, Seen("e", 100, reopened=True)),
        (EXPIRED, alert(starts=90), False, Seen("e", 90, reopened=True)),
        (EXPIRED, alert(starts=200), False, Seen("e", 100, reopened=True)),
        (EXPIRED, alert(starts=201), False, Opened(201)),
        # Alertmanager's own list is not late, once it has had the time to hear of the end.
        (RESOLVED, alert(), True, Ignored()),
        (LONG_AGO, alert(), True, Seen("e", 100, reopened=True)),
        (LONG_AGO, alert(), False, Ignored()),
        # It is resolved.
        (None, alert(firing=False, ends=200), False, Opened(100, 200)),
        (None, alert(firing=False), False, Opened(100, 300)),
        (FIRES, alert(firing=False, ends=200), False, Ended("e", 200)),
        (FIRES, alert(firing=False), False, Ended("e", 300)),
        (FIRES, alert(firing=False, starts=50, ends=60), False, Ignored()),
        (FIRES, alert(firing=False, starts=160, ends=60), False, Ended("e", 160)),
        (RESOLVED, alert(firing=False, ends=200), False, Ignored()),
        (RESOLVED, alert(firing=False, starts=210, ends=220), False, Opened(210, 220)),
        (EXPIRED, alert(firing=False, ends=190), False, Ended("e", 190)),
        (EXPIRED, alert(firing=False, starts=210, ends=220), False, Opened(210, 220)),
    ],
)
def test_what_an_alert_changes(known: Known | None, sent: Alert, listed: bool, change: object) -> None:
    assert decide(known, sent, 300.0, listed=listed) == change


def test_a_firing_alert_opens_one_episode_however_often_it_comes(store: Store) -> None:
    first = take(store, NOW, alert(starts=NOW - 10))
    again = take(store, NOW + 5, alert(starts=NOW - 20))
    assert (len(first.opened), again.opened, again.reopened, again.ended) == (1, (), (), ())
    (row,) = stored(store)
    assert row == {
        "id": first.opened[0],
        "identity": alert().identity,
        "service": "shop",
        "alertname": "A",
        "fingerprint": "",
        "labels": {"alertname": "A", "tocsin_service": "shop"},
        "annotations": {"summary": "s"},
        "starts_at": NOW - 20,
        "first_seen": NOW,
        "last_seen": NOW + 5,
        "state": "firing",
        **dict.fromkeys(("resolved_at", "expired_at", "tombstone_until")),
        **dict.fromkeys(
            ("acknowledged_at", "acknowledged_by", "outcome", "outcome_reason", "outcome_at", "outcome_by")
        ),
    }


def test_a_resolved_alert_closes_it_and_leaves_a_tombstone_for_a_day(store: Store) -> None:
    (id_,) = take(store, NOW, alert(starts=NOW - 10)).opened
    assert take(store, NOW + 9, alert(firing=False, starts=NOW - 10, ends=NOW + 8)).ended == (id_,)
    (row,) = stored(store)
    assert (row["state"], row["resolved_at"], row["tombstone_until"]) == ("resolved", NOW + 8, NOW + 9 + TOMBSTONE)
    late = alert(starts=NOW - 10)
    assert take(store, NOW + 8 + TOMBSTONE, late).opened == ()
    assert len(take(store, NOW + 9 + TOMBSTONE, late).opened) == 1
    assert [row["state"] for row in stored(store)] == ["resolved", "firing"]


def test_what_is_resolved_before_it_was_heard_of_is_kept_so_that_its_late_firing_opens_nothing(store: Store) -> None:
    found = take(store, NOW, alert(firing=False, starts=NOW - 10, ends=NOW - 5))
    assert (found.opened, found.ended) == ((), ())
    assert take(store, NOW + 1, alert(starts=NOW - 10)).opened == ()
    assert [(row["state"], row["resolved_at"]) for row in stored(store)] == [("resolved", NOW - 5)]


def test_an_expired_episode_is_reopened_with_what_was_said_of_it(store: Store) -> None:
    (id_,) = take(store, NOW, alert(starts=NOW)).opened
    with store.write() as connection:
        connection.execute(tables.episodes.update().values(acknowledged_at=NOW, acknowledged_by="ann"))
        assert episodes.expire(connection, [id_], NOW, NOW + 50) == ()
        assert episodes.expire(connection, [id_], NOW + 1, NOW + 50) == (id_,)
        assert episodes.expire(connection, [id_], NOW + 1, NOW + 50) == ()
    (row,) = stored(store)
    assert (row["state"], row["expired_at"], row["tombstone_until"]) == ("expired", NOW + 50, NOW + 50 + TOMBSTONE)
    assert take(store, NOW + 60, alert(starts=NOW + 40)).reopened == (id_,)
    (row,) = stored(store)
    assert (row["state"], row["starts_at"], row["expired_at"], row["tombstone_until"]) == ("firing", NOW, None, None)
    assert row["acknowledged_by"] == "ann"


def test_a_new_firing_after_the_end_is_a_new_episode_and_the_newest_one_counts(store: Store) -> None:
    take(store, NOW, alert(starts=NOW))
    take(store, NOW + 10, alert(firing=False, starts=NOW, ends=NOW + 10))
    assert len(take(store, NOW + 20, alert(starts=NOW + 15)).opened) == 1
    take(store, NOW + 30, alert(firing=False, starts=NOW + 15, ends=NOW + 30))
    assert take(store, NOW + 40, alert(starts=NOW + 20)).opened == ()
    assert [row["state"] for row in stored(store)] == ["resolved", "resolved"]


def test_many_alerts_of_one_notification_are_stored_at_once(store: Store) -> None:
    many = [alert(starts=NOW, n=str(i)) for i in range(1203)]
    assert len(take(store, NOW, *many).opened) == 1203
    assert take(store, NOW + 1, *many).opened == ()
    assert len(take(store, NOW + 2, *[replace(one, firing=False) for one in many]).ended) == 1203


def test_replicas_that_store_the_same_alerts_at_once_open_each_once(somewhere: Place) -> None:
    alerts = [alert(starts=NOW, n=str(i)) for i in range(20)]
    with somewhere.open() as one, somewhere.open() as other:

        def work(number: int) -> None:
            store = (one, other)[number % 2]
            take(store, NOW, *(alerts if number < 2 else alerts[::-1]))

        together(4, work)
        assert [row["state"] for row in stored(one)] == ["firing"] * 20


def test_only_what_was_not_heard_of_is_touched_forward(store: Store) -> None:
    (id_,) = take(store, NOW, alert(starts=NOW)).opened
    for now in (NOW + 5, NOW + 3):
        with store.write() as connection:
            episodes.touch(connection, [id_], now)
    assert stored(store)[0]["last_seen"] == NOW + 5
    with store.read() as connection:
        assert episodes.open_ones(connection) == {alert().identity: Known(id_, "firing", NOW, NOW + 5)}


def test_notifications_that_are_stored_together_are_told_each_what_it_changed(store: Store) -> None:
    (old,) = take(store, NOW - 10, alert(starts=NOW - 10, n="old")).opened
    with store.write() as connection:
        told = [
            Told([alert(starts=NOW, n=str(i)) for i in range(40)], NOW),
            Told([alert(firing=False, starts=NOW - 10, ends=NOW, n="old"), alert(starts=NOW, n="1")], NOW + 1),
            Told([alert(starts=NOW, n=str(i)) for i in range(40, 60)], NOW + 2),
        ]
        first, second, third = episodes.store_all(connection, told)
    assert [len(one.opened) for one in (first, second, third)] == [40, 0, 20]
    assert (first.ended, second.ended, third.ended) == ((), (old,), ())
    # More than 50 of the last minute, by the last of them.
    assert [one.storm and one.storm.since for one in (first, second, third)] == [NOW + 2] * 3
    assert {row["labels"]["n"]: row["last_seen"] for row in stored(store)}["1"] == NOW + 1


# ------------------------------------------------------------------------------------------------ a plain model


@dataclass
class Plain:
    """One episode as a person would keep it on paper."""

    starts: float
    ended: float | None = None
    guessed: bool = False
    forget: float = float("inf")


class Model:
    """All episodes of one identity, in the order in which they began: read from the last one that is remembered."""

    def __init__(self) -> None:
        self.all: list[Plain] = []

    def last(self, now: float) -> Plain | None:
        known = [one for one in self.all if one.ended is None or one.forget > now]
        return max(known, key=lambda one: float("inf") if one.ended is None else one.ended) if known else None

    def fires(self, starts: float, now: float) -> None:
        last = self.last(now)
        if last is None or (last.ended is not None and starts > last.ended):
            self.all.append(Plain(starts))
        elif last.ended is None or last.guessed:
            last.starts, last.ended, last.guessed, last.forget = min(starts, last.starts), None, False, float("inf")

    def resolves(self, starts: float, ends: float, now: float) -> None:
        last = self.last(now)
        if last is None or (last.ended is not None and starts > last.ended):
            self.all.append(Plain(starts, ends, forget=now + TOMBSTONE))
        elif (last.ended is None and ends >= last.starts) or last.guessed:
            last.ended, last.guessed, last.forget = ends, False, now + TOMBSTONE

    def expires(self, now: float) -> None:
        last = self.last(now)
        if last is not None and last.ended is None:
            last.ended, last.guessed, last.forget = now, True, now + TOMBSTONE


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["fires", "resolves", "expires"]),
        st.sampled_from([1.0, 10.0, 100.0, TOMBSTONE / 2]),
        st.floats(0, 200),
        st.floats(0, 100),
    ),
    min_size=1,
    max_size=12,
)


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def lasting(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    with place(request.param, request, tmp_path_factory.mktemp("model")).open() as opened:
        yield opened


@given(steps=STEPS)
@settings(max_examples=60, deadline=None)
def test_any_order_of_alerts_and_expiries_gives_what_the_plain_model_gives(
    lasting: Store, steps: Sequence[Any]
) -> None:
    with lasting.write() as connection:
        connection.execute(tables.episodes.delete())
    model, now = Model(), NOW
    for what, pause, ago, lasted in steps:
        now += pause
        starts, ends = now - ago, min(now - ago + lasted, now)
        if what == "fires":
            model.fires(starts, now)
            take(lasting, now, alert(starts=starts))
        elif what == "resolves":
            model.resolves(starts, ends, now)
            take(lasting, now, alert(firing=False, starts=starts, ends=ends))
        else:
            model.expires(now)
            with lasting.write() as connection:
                ids = [row.id for row in connection.execute(select(tables.episodes.c.id))]
                episodes.expire(connection, ids, now + 1, now)
        rows = stored(lasting)
        assert sum(row["state"] == "firing" for row in rows) <= 1
        found = sorted(
            ((row["starts_at"], row["resolved_at"] or row["expired_at"], row["state"]) for row in rows), key=repr
        )
        word = {(True, False): "firing", (False, True): "expired", (False, False): "resolved"}
        assert found == sorted(
            ((one.starts, one.ended, word[one.ended is None, one.guessed]) for one in model.all), key=repr
        )


def untold(found: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows without the ids, which are drawn anew."""
    return sorted(({key: value for key, value in row.items() if key != "id"} for row in found), key=repr)


@given(
    steps=st.lists(
        st.tuples(
            st.sampled_from([0.0, 0.5, TOMBSTONE / 2]),
            st.lists(
                st.tuples(st.sampled_from("abcd"), st.booleans(), st.floats(0, 200), st.floats(0, 100)),
                unique_by=lambda one: one[0],
            ),
            st.booleans(),
        ),
        min_size=1,
        max_size=6,
    )
)
@settings(max_examples=60, deadline=None)
def test_notifications_stored_together_leave_what_they_leave_one_by_one(lasting: Store, steps: Sequence[Any]) -> None:
    told, now = [], NOW
    for pause, sent, listed in steps:
        now += pause
        alerts = [
            alert(firing=firing, starts=now - ago, ends=None if firing else min(now - ago + lasted, now), n=name)
            for name, firing, ago, lasted in sent
        ]
        told.append(Told(alerts, now, listed))
    left, changed = [], []
    for together_ in (False, True):
        with lasting.write() as connection:
            connection.execute(tables.episodes.delete())
            one_by_one = [told] if together_ else [[one] for one in told]
            found = [stored for part in one_by_one for stored in episodes.store_all(connection, part)]
        left.append(untold(stored(lasting)))
        changed.append([(len(one.opened), len(one.reopened), len(one.ended)) for one in found])
    assert left[0] == left[1]
    assert changed[0] == changed[1]


def test_an_end_is_remembered_for_a_day(store: Store) -> None:
    take(store, 1000.0, alert())
    take(store, 2000.0, alert(firing=False, ends=1900.0))
    (row,) = stored(store)
    # From when it was heard of.
    assert (row["state"], row["tombstone_until"]) == ("resolved", 2000.0 + 24 * 3600)
