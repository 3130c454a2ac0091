"""How often a principal may have an operation run by hand."""

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import Connection

from tocsin.guard.limits import Limit, lock, room, take

#: Per hour and principal, of the learning operations.
HOURLY: Mapping[str, int] = {"PATTERN_EXTRACTION": 5, "CALIBRATION": 3, "SNAPSHOT": 10}
_HOUR = 3600.0


@dataclass(frozen=True, slots=True)
class Rate:
    """Whether it may run now. `remaining` more of `most` may in this hour; if not, one may `retry_after` seconds on."""

    allowed: bool
    most: int
    remaining: int
    retry_after: float


def admit(
    connection: Connection, operation: str, principal: str, holder: str, now: float, hourly: Mapping[str, int] = HOURLY
) -> Rate:
    """Count this run of the operation, if it is not one too many; `holder` is the run, and counts once.

    Locks the limit. KeyError for an operation that has none.
    """
    limit = Limit(f"hourly {operation} {principal}", hourly[operation], _HOUR, "rate_limit")
    lock(connection, [limit])
    found = room(connection, limit, holder, now)
    if found.remaining == 0:
        return Rate(False, limit.most, 0, found.retry_after)
    take(connection, limit, holder, now)
    return Rate(True, limit.most, found.remaining - 1, 0.0)
