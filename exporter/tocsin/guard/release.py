"""What only a human can say: that a resource may be acted on again, and that an older state of the store is right."""

from sqlalchemy import Connection, select, update

from tocsin.guard.audit import Entry, Record, Wanted, append, entries
from tocsin.store.tables import meta, resources

RESOURCE, STORE, OLDER = "resource.release", "store.release", "store.older"


class NotHeld(ValueError):
    """Nothing is held there."""


def release_resource(
    connection: Connection, service: str, resource: str, *, principal: str, reason: str, now: float
) -> Entry:
    """Let actions on a resource begin again. NotHeld says what is wrong."""
    key = (resources.c.service == service) & (resources.c.id == resource)
    row = connection.execute(select(resources).where(key).with_for_update()).one_or_none()
    if row is None:
        raise NotHeld(f"found no resource {resource!r} of {service!r}, expected one of the catalogue")
    if row.held_since is None:
        raise NotHeld(f"found that {resource!r} of {service!r} is not held")
    connection.execute(update(resources).where(key).values(held_since=None, held_by=None, updated_at=now))
    return append(
        connection,
        Record(
            at=now,
            principal=principal,
            kind=RESOURCE,
            result="released",
            service=service,
            resource=resource,
            action_id=row.held_by,
            reason=reason,
        ),
    )


def release_store(connection: Connection, *, principal: str, reason: str, now: float) -> Entry:
    """Let actions begin on a store that is an older state of itself. NotHeld when nobody thinks that it is one."""
    if connection.execute(select(meta.c.restored_at).with_for_update()).scalar_one() is None:
        raise NotHeld("found that the store is no older state of itself")
    connection.execute(update(meta).values(restored_at=None))
    return append(connection, Record(at=now, principal=principal, kind=STORE, result="released", reason=reason))


def hold_store(connection: Connection, *, remembered: float, found: int, now: float) -> None:
    """Hold all actions: Prometheus remembers more audit records than there are. Says so once."""
    if connection.execute(select(meta.c.restored_at).with_for_update()).scalar_one() is None:
        connection.execute(update(meta).values(restored_at=now))
        detail = {"remembered": remembered, "found": found}
        append(connection, Record(at=now, principal="tocsin", kind=OLDER, result="held", detail=detail))


def released_at(connection: Connection) -> float | None:
    """When a human said last that the store is right, unix time."""
    found = entries(connection, Wanted(kind=STORE), limit=1)
    return found[0].record.at if found else None
