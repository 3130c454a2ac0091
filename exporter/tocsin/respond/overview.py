"""What a human wants to see first of the operations: whether they may run, what waits for a look, what came last."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, select

from tocsin.guard import switch
from tocsin.guard.switch import Switch
from tocsin.respond import storm
from tocsin.respond.storm import Storm
from tocsin.store.rows import Found
from tocsin.store.tables import actions, episodes, meta, resources

#: Why an action is held or refused, in words; the names are those of :mod:`tocsin.respond.decide`.
REASONS = {
    "kill_switch": "the kill switch blocks all operations",
    "store_restored": "the store may be an older state of itself: a human has to say that it is right",
    "storm": "too many alerts are new: the storm has to end",
    "maintenance": "a maintenance window is on",
    "unconfirmed": "Prometheus does not say that the alert fires",
    "confirm_unreachable": "Prometheus cannot be asked whether the alert fires",
    "resource_held": "nobody knows how an earlier action on it ended: a human has to look",
    "cool_down": "the last run on it is not long enough ago",
    "interrupted": "nobody has taken it up in time, or the configuration has changed: it is decided again",
    "no_resource": "the alert has no label resource, and the remediation names none",
    "unknown_resource": "the catalogue has no such resource",
    "inactive_resource": "the resource was taken out of the catalogue",
    "daily_limit": "it ran often enough on this resource within a day",
    "fleet_limit": "it ran on enough resources within an hour",
    "episode_over": "the alert was over before it was done",
    "not_configured": "the configuration has the operation no more",
}


@dataclass(frozen=True, slots=True)
class Overview:
    """`storm`: the one that lasts. `restored_at`: since when the store is held as an older state, unix time.

    `held` are resources that a human has to release, longest first; `latest` the newest actions with their alert.
    """

    switch: Switch
    storm: Storm | None
    restored_at: float | None
    held: Sequence[Found]
    latest: Sequence[Found]


def read(connection: Connection, now: float, *, most: int) -> Overview:
    """All of it as of now, with at most so many actions and so many resources."""
    last = storm.read(connection)
    held = select(resources.c.service, resources.c.id, resources.c.held_since, resources.c.held_by)
    held = held.where(resources.c.held_since.is_not(None)).order_by(resources.c.held_since)
    newest = (
        select(actions, episodes.c.alertname)
        .join(episodes, episodes.c.id == actions.c.episode_id)
        .order_by(actions.c.created_at.desc(), actions.c.id)
    )
    return Overview(
        switch.read(connection),
        last if last is not None and last.at(now) else None,
        connection.execute(select(meta.c.restored_at)).scalar_one(),
        connection.execute(held.limit(most)).all(),
        connection.execute(newest.limit(most)).all(),
    )
