"""The resources that operations may be applied to."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

from sqlalchemy import ColumnElement, Connection, select, update

from tocsin.store.rows import insert_new
from tocsin.store.tables import resources


@dataclass(frozen=True)
class Seed:
    """A resource that is known from the YAML, or was seen as a series of a signal."""

    service: str
    id: str
    capacity_minutes: float | None = None
    origin: Literal["config", "signal"] = "config"


#: Among the seeds, and no resource: these are all that the YAML names, of all services; what it named before is gone.
ALL_NAMED = Seed("", "")


def seed(connection: Connection, seeds: Collection[Seed], now: float) -> int:
    """Add those that are new, with version 1; how many these were.

    What is there stays as it is: it may have been changed on purpose since it was seeded. But with
    :data:`ALL_NAMED` those of the YAML that it has no more become inactive, and those that it has again active. What a
    signal has too is the signal's from then on, and active whatever the YAML says. The YAML goes before the signals, so
    that its capacities are the ones that count. Sorted, so that replicas do not lock crosswise.
    """
    named, wanted = ALL_NAMED in seeds, {*seeds} - {ALL_NAMED}
    known = _known(connection, None if named else {one.service for one in wanted})
    gone = _gone(known, wanted) if named else set()
    added = 0
    for one in sorted(wanted | gone, key=lambda one: (one.service, one.id, one.origin)):
        active, origin = known.get((one.service, one.id), (False, "config"))
        if one in gone:
            _activate(connection, one, now, active=False)
        elif (one.service, one.id) not in known and insert_new(connection, resources, _row(one, now)):
            added += 1
        elif one.origin == "signal" and origin == "config":
            _activate(connection, one, now)
            connection.execute(update(resources).where(_of_the_yaml(one)).values(origin="signal"))
        elif named and not active:
            _activate(connection, one, now)
    return added


def _known(connection: Connection, services: set[str] | None) -> dict[tuple[str, str], tuple[bool, str]]:
    """Service and id of what is there, of some services or all -> whether it is active, and its origin."""
    query = select(resources.c.service, resources.c.id, resources.c.active, resources.c.origin)
    rows = connection.execute(query if services is None else query.where(resources.c.service.in_(services)))
    return {(row.service, row.id): (row.active, row.origin) for row in rows}


def _gone(known: dict[tuple[str, str], tuple[bool, str]], wanted: set[Seed]) -> set[Seed]:
    there = {(one.service, one.id) for one in wanted}
    return {Seed(*key) for key, found in known.items() if found == (True, "config") and key not in there}


def _row(one: Seed, now: float) -> dict[str, object]:
    row = {"service": one.service, "id": one.id, "capacity_minutes": one.capacity_minutes, "origin": one.origin}
    return {**row, "version": 1, "active": True, "created_at": now, "updated_at": now}


def _of_the_yaml(one: Seed) -> ColumnElement[bool]:
    return (resources.c.service == one.service) & (resources.c.id == one.id) & (resources.c.origin == "config")


def _activate(connection: Connection, one: Seed, now: float, *, active: bool = True) -> None:
    """Change it once, however many replicas want it at a time."""
    values = {"active": active, "version": resources.c.version + 1, "updated_at": now}
    where = _of_the_yaml(one) & (resources.c.active != active)
    connection.execute(update(resources).where(where).values(values))
