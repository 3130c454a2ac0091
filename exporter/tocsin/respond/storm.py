"""A storm: so many new alerts that what they say together is something else, and no action is begun.

Its state is the row `storm` of the limits: replicas share it, and a restart does not end it.
"""

from dataclasses import dataclass

from sqlalchemy import Connection, select, update

from tocsin.guard import limits
from tocsin.store.tables import episodes
from tocsin.store.tables import limits as table

#: The row, and the limit by which it is locked.
NAME = "storm"
_LOCK = limits.Limit(NAME, 0, 0.0, NAME)


@dataclass(frozen=True, slots=True)
class Numbers:
    """A storm begins above `above` new episodes within `seconds`, and ends `calm` seconds after they fell `below`."""

    above: int = 50
    below: int = 25
    seconds: float = 60.0
    calm: float = 300.0


@dataclass(frozen=True, slots=True)
class Storm:
    """Since when it lasts, and when it ends if nothing more comes; unix times."""

    since: float
    until: float

    def at(self, now: float) -> bool:
        """Whether it lasts."""
        return now < self.until


def after(storm: Storm | None, recent: int, fallen: float | None, now: float, numbers: Numbers) -> Storm | None:
    """The storm after new episodes came: `storm` if nothing has changed.

    `recent` is how many came within the last `seconds`; `fallen` when they will be less than `below`, if nothing more
    comes, None when they are so already.
    """
    if storm is not None:
        # After the clock went back, a storm began in the future: no longer than one that begins now may last.
        storm = Storm(min(storm.since, now), min(storm.until, now + numbers.seconds + numbers.calm))
    lasts = storm is not None and storm.at(now)
    if not lasts and recent <= numbers.above:
        return storm
    calm = (now if fallen is None else fallen) + numbers.calm
    if storm is None or not lasts:
        return Storm(now, calm)
    return storm if fallen is None else Storm(storm.since, max(storm.until, calm))


def lock(connection: Connection) -> None:
    """Lock the row, as everybody does first who writes episodes: two never store the same alerts at once."""
    limits.lock(connection, (_LOCK,))


def read(connection: Connection) -> Storm | None:
    """The last storm; ask :meth:`Storm.at` whether it lasts."""
    row = connection.execute(
        select(table.c.blocked_since, table.c.blocked_until).where(table.c.name == NAME)
    ).one_or_none()
    return None if row is None or row.blocked_until is None else Storm(row.blocked_since, row.blocked_until)


def note(connection: Connection, now: float, numbers: Numbers) -> Storm | None:
    """Count the episodes that are new by now, and store what follows. The row is locked already."""
    # What had ended when it was first heard of is no new alert, nor is what came before the clock went back.
    new = (
        (episodes.c.first_seen > now - numbers.seconds)
        & (episodes.c.first_seen <= now)
        & (episodes.c.resolved_at.is_(None) | (episodes.c.resolved_at > episodes.c.first_seen))
    )
    newest = select(episodes.c.first_seen).where(new).order_by(episodes.c.first_seen.desc())
    seen = connection.execute(newest.limit(numbers.above + 1)).scalars().all()
    enough = len(seen) >= numbers.below > 0
    fallen = seen[numbers.below - 1] + numbers.seconds if enough else None
    before = read(connection)
    storm = after(before, len(seen), fallen, now, numbers)
    if storm is not None and storm != before:
        values = {"blocked_since": storm.since, "blocked_until": storm.until}
        connection.execute(update(table).where(table.c.name == NAME).values(values))
    return storm
