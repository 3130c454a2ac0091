"""What is asked about episodes, and what humans say of them: that somebody is at it, and whether it was true."""

from dataclasses import replace
from typing import Any, Literal

from sqlalchemy import Connection, select, update

from tocsin import names
from tocsin.guard import audit
from tocsin.respond.episodes import FIRING
from tocsin.store.rows import Found
from tocsin.store.tables import episodes

Verdict = Literal["true", "dismissed", "missed"]


class Missing(Exception):
    """There is no such episode."""


class Ended(Exception):
    """The episode has ended: nobody has to look after it any more."""


def listed(
    connection: Connection, *, firing: bool, service: str | None, most: int, alertname: str | None = None
) -> list[Found]:
    """Rows of the newest episodes: those that fire, or all."""
    wanted = select(episodes).order_by(episodes.c.first_seen.desc(), episodes.c.id).limit(most)
    if firing:
        wanted = wanted.where(FIRING)
    if service is not None:
        wanted = wanted.where(episodes.c.service == service)
    if alertname is not None:
        wanted = wanted.where(episodes.c.alertname == alertname)
    return list(connection.execute(wanted))


def acknowledge(connection: Connection, episode: str, who: str, now: float) -> Found:
    """Note that `who` looks after it; the first one stays. Returns its row. Raises Missing, Ended."""
    row = _locked(connection, episode)
    if row.state != "firing":
        raise Ended(row.state)
    if row.acknowledged_at is not None:
        return row
    said = {"acknowledged_at": now, "acknowledged_by": who}
    return _say(connection, row, said, audit.Record(at=now, principal=who, kind="alert.acknowledge", result="ok"))


def judge(connection: Connection, episode: str, verdict: Verdict, reason: str, who: str, now: float) -> Found:
    """Note what it was; the same once more changes nothing, another one takes its place. Raises Missing."""
    row = _locked(connection, episode)
    if (row.outcome, row.outcome_reason) == (verdict, reason):
        return row
    said = {"outcome": verdict, "outcome_reason": reason, "outcome_at": now, "outcome_by": who}
    before = {} if row.outcome is None else {"before": row.outcome, "by": row.outcome_by}
    record = audit.Record(
        at=now,
        principal=who,
        kind="alert.outcome",
        result="ok",
        reason=reason or None,
        detail={"outcome": verdict, **before},
    )
    return _say(connection, row, said, record)


def _locked(connection: Connection, episode: str) -> Found:
    # PostgreSQL has no text with a NUL, and so no such episode.
    wanted = select(episodes).where(episodes.c.id == episode.replace("\0", "")).with_for_update(key_share=True)
    row = connection.execute(wanted).one_or_none()
    if row is None:
        raise Missing(episode)
    return row


def _say(connection: Connection, row: Found, said: dict[str, Any], record: audit.Record) -> Found:
    """Store it with its record, and return the row as it is then."""
    same = episodes.c.id == row.id
    connection.execute(update(episodes).where(same).values(said))
    about = {"service": row.service or None, "resource": row.labels.get(names.RESOURCE), "episode_id": row.id}
    audit.append(connection, replace(record, **about))
    return connection.execute(select(episodes).where(same)).one()
