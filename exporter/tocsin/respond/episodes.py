"""Episodes: one uninterrupted firing of one alert each, however often and by whomever Alertmanager tells of it.

What an alert changes is decided by :func:`decide`, which is a function of what is known and does no I/O; the rest
stores it. Everything that is stored at once is one transaction, which locks the row of the storm first. What several
notifications say is stored by a few statements, whatever their number: in a rush there may be one for each alert.
"""

import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, Literal

from sqlalchemy import Connection, Select, bindparam, literal_column, select, update

from tocsin.respond import actions, storm
from tocsin.respond.payload import Alert
from tocsin.respond.storm import Numbers, Storm
from tocsin.store.tables import episodes

#: Seconds for which an episode that has ended is remembered, so that what is late makes no new one.
TOMBSTONE = 86_400.0
#: Seconds without a word after which Alertmanager's list is believed against a resolved one.
SETTLED = 60.0
#: Identities asked for at once.
_CHUNK = 500
#: Alerts after which what other notifications say is stored by further statements: their rows are held in memory.
_ENOUGH = 1_000

#: What fires. A literal, no parameter: else neither database uses its index of these alone, and reads all there were.
FIRING = episodes.c.state == literal_column("'firing'")

State = Literal["firing", "resolved", "expired"]
#: Parameters of a statement.
_Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Known:
    """What is stored of the last episode of an identity; `ended_at` is None while it fires."""

    id: str
    state: State
    starts_at: float
    last_seen: float
    ended_at: float | None = None


@dataclass(frozen=True, slots=True)
class Opened:
    """A new episode; `ended_at` is set when it was over before it was heard of."""

    starts_at: float
    ended_at: float | None = None


@dataclass(frozen=True, slots=True)
class Seen:
    """The episode still fires, or fires again: it is the same one."""

    id: str
    starts_at: float
    reopened: bool = False


@dataclass(frozen=True, slots=True)
class Ended:
    """The episode is resolved."""

    id: str
    ended_at: float


@dataclass(frozen=True, slots=True)
class Ignored:
    """What was said is older than what is known."""


Change = Opened | Seen | Ended | Ignored


def decide(known: Known | None, alert: Alert, now: float, *, listed: bool = False) -> Change:
    """What an alert changes. `known` is its last episode, if that fires or its tombstone is still there.

    `listed` is an alert that Alertmanager says fires now, in its own list: unlike a notification that is no late one,
    so it reopens also what was resolved a while ago.
    """
    if not alert.firing:
        return _resolved(known, alert, now)
    if known is None:
        return Opened(alert.starts_at)
    if known.ended_at is None:
        return Seen(known.id, min(known.starts_at, alert.starts_at))
    if alert.starts_at > known.ended_at:
        return Opened(alert.starts_at)
    if known.state == "expired" or (listed and now - known.last_seen > SETTLED):
        return Seen(known.id, min(known.starts_at, alert.starts_at), reopened=True)
    return Ignored()


def _resolved(known: Known | None, alert: Alert, now: float) -> Change:
    ended = max(now if alert.ends_at is None else alert.ends_at, alert.starts_at)
    if known is None:
        # Kept all the same: what fired before must not open an episode when it arrives late.
        return Opened(alert.starts_at, ended)
    if known.ended_at is None:
        return Ended(known.id, ended) if ended >= known.starts_at else Ignored()
    if alert.starts_at > known.ended_at:
        return Opened(alert.starts_at, ended)
    # An expiry was a guess, this is known.
    return Ended(known.id, ended) if known.state == "expired" else Ignored()


@dataclass(frozen=True, slots=True)
class Stored:
    """What has changed, as ids of episodes, and the storm after it."""

    opened: tuple[str, ...] = ()
    reopened: tuple[str, ...] = ()
    ended: tuple[str, ...] = ()
    storm: Storm | None = None


@dataclass(frozen=True, slots=True)
class Told:
    """Alerts, one of each identity (:func:`payload.merged`), that came together at a time; `listed` as in `decide`."""

    alerts: Sequence[Alert]
    now: float
    listed: bool = False


def store(
    connection: Connection,
    alerts: Sequence[Alert],
    now: float,
    *,
    numbers: Numbers | None = None,
    listed: bool = False,
) -> Stored:
    """Store alerts, one of each identity, in the transaction of `connection`.

    Call it at most once for each notification, with the time of its arrival; a repetition changes nothing.
    """
    return store_all(connection, [Told(alerts, now, listed)], numbers=numbers)[0]


def store_all(connection: Connection, told: Sequence[Told], *, numbers: Numbers | None = None) -> tuple[Stored, ...]:
    """The same for several notifications, in their order, as if each were stored by itself; says what each changed."""
    storm.lock(connection)
    done = [stored for part in _disjoint(told) for stored in _store(connection, part)]
    times = [one.now for one, stored in zip(told, done, strict=True) if stored.opened]
    last = storm.note(connection, max(times), numbers or Numbers()) if times else storm.read(connection)
    return tuple(replace(stored, storm=last) for stored in done)


def _disjoint(told: Sequence[Told]) -> Iterator[list[Told]]:
    """Parts of it in which no alert comes twice, so that none depends on another; each ends when it has enough."""
    part: list[Told] = []
    there: set[str] = set()
    for one in told:
        identities = {alert.identity for alert in one.alerts}
        if len(there) >= _ENOUGH or not there.isdisjoint(identities):
            yield part
            part, there = [], set()
        part.append(one)
        there |= identities
    yield part


def _store(connection: Connection, told: Sequence[Told]) -> list[Stored]:
    """Store a part, and say what each changed; the storm apart."""
    known = _known(connection, {alert.identity: one.now for one in told for alert in one.alerts})
    done, new, seen, ended = [], list[_Row](), list[_Row](), list[_Row]()
    for one in told:
        found = [(alert, decide(known.get(alert.identity), alert, one.now, listed=one.listed)) for alert in one.alerts]
        rows = [_row(alert, change, one.now) for alert, change in found if isinstance(change, Opened)]
        new += rows
        seen += [_seen(alert, change, one.now) for alert, change in found if isinstance(change, Seen)]
        ended += [_ended(change, one.now) for _, change in found if isinstance(change, Ended)]
        done.append(
            Stored(
                opened=tuple(row["id"] for row in rows if row["state"] == "firing"),
                reopened=tuple(change.id for _, change in found if isinstance(change, Seen) and change.reopened),
                ended=tuple(change.id for _, change in found if isinstance(change, Ended)),
            )
        )
    for statement, rows in ((episodes.insert(), new), (_SEE, seen), (_END, ended)):
        if rows:
            connection.execute(statement, rows)
    for one, stored in zip(told, done, strict=True):
        if stored.reopened:
            actions.reopen(connection, stored.reopened, one.now)
    return done


def expire(connection: Connection, ids: Iterable[str], before: float, now: float) -> tuple[str, ...]:
    """Expire those of these episodes that fire and were not heard of since `before`; returns which."""
    storm.lock(connection)
    gone: list[str] = []
    for some in _chunks(ids):
        open_ = episodes.c.id.in_(some) & FIRING & (episodes.c.last_seen < before)
        values = {"state": "expired", "expired_at": now, "tombstone_until": now + TOMBSTONE}
        gone += connection.execute(update(episodes).where(open_).values(values).returning(episodes.c.id)).scalars()
    return tuple(sorted(gone))


def touch(connection: Connection, ids: Iterable[str], now: float) -> None:
    """Note that these episodes were heard of."""
    for some in _chunks(ids):
        fires = episodes.c.id.in_(some) & FIRING
        connection.execute(update(episodes).where(fires & (episodes.c.last_seen < now)).values(last_seen=now))


def open_ones(connection: Connection) -> dict[str, Known]:
    """Episodes that fire, by identity."""
    return {row.identity: _of(row) for row in connection.execute(_COLUMNS.where(FIRING))}


_COLUMNS: Select[Any] = select(
    episodes.c.id,
    episodes.c.identity,
    episodes.c.state,
    episodes.c.starts_at,
    episodes.c.last_seen,
    episodes.c.resolved_at,
    episodes.c.expired_at,
    episodes.c.tombstone_until,
)


def _known(connection: Connection, times: Mapping[str, float]) -> dict[str, Known]:
    """The episode of each identity that fires, else the one that ended last and is remembered at its time."""
    found: dict[str, Known] = {}
    for some in _chunks(times):
        remembered = FIRING | (episodes.c.tombstone_until > min(times[identity] for identity in some))
        for row in connection.execute(_COLUMNS.where(episodes.c.identity.in_(some) & remembered)):
            if row.tombstone_until is not None and row.tombstone_until <= times[row.identity]:
                continue
            one, other = _of(row), found.get(row.identity)
            if other is None or _age(one) > _age(other):
                found[row.identity] = one
    return found


def _of(row: Any) -> Known:  # noqa: ANN401  a row of _COLUMNS
    ended = {"firing": None, "resolved": row.resolved_at, "expired": row.expired_at}[row.state]
    return Known(row.id, row.state, row.starts_at, row.last_seen, ended)


def _age(known: Known) -> tuple[bool, float, float]:
    return known.ended_at is None, known.ended_at or 0.0, known.starts_at


def _row(alert: Alert, change: Opened, now: float) -> _Row:
    over = change.ended_at is not None
    return {
        "id": uuid.uuid4().hex,
        "identity": alert.identity,
        "service": alert.service,
        "alertname": alert.name,
        "fingerprint": alert.fingerprint,
        "labels": dict(alert.labels),
        "annotations": dict(alert.annotations),
        "starts_at": change.starts_at,
        "first_seen": now,
        "last_seen": now,
        "state": "resolved" if over else "firing",
        "resolved_at": change.ended_at,
        "tombstone_until": now + TOMBSTONE if over else None,
    }


_SEE = (
    update(episodes)
    .where(episodes.c.id == bindparam("of"))
    .values(state="firing", resolved_at=None, expired_at=None, tombstone_until=None)
)
_END = update(episodes).where(episodes.c.id == bindparam("of")).values(state="resolved", expired_at=None)


def _seen(alert: Alert, change: Seen, now: float) -> _Row:
    return {
        "of": change.id,
        "starts_at": change.starts_at,
        "annotations": dict(alert.annotations),
        "fingerprint": alert.fingerprint,
        "last_seen": now,
    }


def _ended(change: Ended, now: float) -> _Row:
    return {"of": change.id, "resolved_at": change.ended_at, "last_seen": now, "tombstone_until": now + TOMBSTONE}


def _chunks(items: Iterable[str]) -> Iterator[list[str]]:
    left = iter(items)
    while some := list(islice(left, _CHUNK)):
        yield some
