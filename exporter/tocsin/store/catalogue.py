"""The resources that operations may be applied to."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from sqlalchemy import Connection

from tocsin.store.rows import insert_new
from tocsin.store.tables import resources


@dataclass(frozen=True)
class Seed:
    """A resource that is known from the YAML, or was seen as a series of a signal."""

    service: str
    id: str
    capacity_minutes: float | None = None
    origin: Literal["config", "signal"] = "config"


def seed(connection: Connection, seeds: Iterable[Seed], now: float) -> int:
    """Add those that are new, with version 1; how many these were.

    What is there stays as it is: it may have been changed, or deleted, on purpose since it was seeded. The YAML goes
    before the signals, so that its capacities are the ones that count. Sorted, so that replicas do not lock crosswise.
    """
    added = 0
    for one in sorted(seeds, key=lambda one: (one.service, one.id, one.origin)):
        row = {"service": one.service, "id": one.id, "capacity_minutes": one.capacity_minutes, "origin": one.origin}
        added += insert_new(
            connection, resources, {**row, "version": 1, "active": True, "created_at": now, "updated_at": now}
        )
    return added
