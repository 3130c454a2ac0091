"""The life of an action after its intent: claimed, run, ended, or found again after whoever ran it has died.

Whoever claims an intent has it until the end of the lease. After that nobody knows how far it came: the action is
*unknown*, its resource is held, and a human has to look. It is never run again.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, select, update

from tocsin.guard import switch
from tocsin.guard.audit import Record, append
from tocsin.respond.decide import INTERRUPTED, PRINCIPAL
from tocsin.respond.policy import Plan
from tocsin.store.rows import Found
from tocsin.store.tables import actions, episodes, meta, resources

#: It is not known yet whether it has helped.
PENDING = "pending"
#: Seconds after which an intent that nobody has claimed is decided anew: what it was decided on is too old.
FRESH = 60.0


@dataclass(frozen=True, slots=True)
class Claim:
    """An action that is ours until `until`, unix time."""

    id: str
    episode_id: str
    operation: str
    service: str
    resource: str
    capacity_minutes: float | None
    until: float


@dataclass(frozen=True, slots=True)
class Ended:
    """An action that has ended: for the counters and the log."""

    id: str
    service: str
    operation: str
    resource: str
    outcome: str
    reason: str


def waiting(connection: Connection) -> Sequence[Found]:
    """Actions that nobody has claimed yet, or that are held; with their state and alert's name, oldest first."""
    named = (actions.c.id, actions.c.state, actions.c.service, actions.c.operation, actions.c.resource)
    query = (
        select(*named, episodes.c.alertname)
        .join(episodes, episodes.c.id == actions.c.episode_id)
        .where(actions.c.state.in_(("intent", "held")))
        .order_by(actions.c.created_at)
    )
    return connection.execute(query).all()


def claim(
    connection: Connection, action_id: str, owner: str, lease: float, now: float, plan: Plan | None = None
) -> Claim | Ended | None:
    """Take an intent for `lease` seconds. None: it is somebody else's by now, or it has to be decided anew.

    `plan` is what is to be run: what was decided on by another configuration is decided anew.
    """
    on = switch.read(connection, lock=True).enabled
    of = select(actions.c.service, actions.c.resource).where(actions.c.id == action_id)
    named = connection.execute(of).one_or_none()
    if named is None:
        return None
    # Locked behind its resource: an action on that which ends unknown now holds this one, or comes after it.
    row = _locked(connection, action_id, named.service, named.resource)
    if row.state != "intent":
        return None
    key = (resources.c.service == row.service) & (resources.c.id == row.resource)
    resource = connection.execute(select(resources).where(key)).one()
    again = _again(connection, row, resource, now, on=on)
    if not again and plan is not None and (row.dry_run, row.parameters) != (plan.model.dry_run, plan.shown):
        again = INTERRUPTED
    if again:
        _set(connection, action_id, now, state="held", reason=again)
        append(connection, _record(row, "action.held", "held", again, now, {}))
        return None
    if connection.execute(select(episodes.c.state).where(episodes.c.id == row.episode_id)).scalar_one() != "firing":
        _set(connection, action_id, now, state="refused", reason="episode_over", ended_at=now)
        append(connection, _record(row, "action.refused", "refused", "episode_over", now, {}))
        return Ended(row.id, row.service, row.operation, row.resource, "refused", "episode_over")
    until = now + lease
    _set(connection, action_id, now, state="running", lease_owner=owner, lease_until=until, started_at=now)
    append(connection, _record(row, "action.started", "running", None, now, {"owner": owner}))
    return Claim(row.id, row.episode_id, row.operation, row.service, row.resource, resource.capacity_minutes, until)


def _again(connection: Connection, row: Found, resource: Found, now: float, *, on: bool) -> str:
    """Why an intent has to be decided anew, one of the reasons to hold it; empty when it has not."""
    if not on:
        return "kill_switch"
    if connection.execute(select(meta.c.restored_at)).scalar_one() is not None:
        return "store_restored"
    if resource.held_since is not None:
        return "resource_held"
    if not 0 <= now - row.updated_at <= FRESH or resource.version != row.resource_version:
        return INTERRUPTED
    return ""


def mine(connection: Connection, claimed: Claim, owner: str, needs: float, now: float) -> str:
    """Why the next step may not be taken, or nothing: asked before each of them. `needs` is how long it may last."""
    if not switch.read(connection).enabled:
        return "kill_switch"
    row = connection.execute(
        select(actions.c.state, actions.c.lease_owner, actions.c.lease_until).where(actions.c.id == claimed.id)
    ).one()
    if row.state != "running" or row.lease_owner != owner:
        return "lease_lost"
    return "" if row.lease_until - now >= needs else "lease_too_short"


def end(
    connection: Connection,
    claimed: Claim,
    owner: str,
    outcome: str,
    reason: str,
    detail: dict[str, Any],
    now: float,
    within: float = 0.0,
) -> Ended | None:
    """Write how it ended; what is ok has `within` seconds to help.

    None when somebody has given it up: it stays unknown, and that we came too late is in the audit.
    """
    row = _locked(connection, claimed.id, claimed.service, claimed.resource)
    if (row.state, row.reason) == (outcome, reason or None):
        # Written before: the answer to that commit was lost. Who gives an action up has a reason of his own.
        return Ended(row.id, row.service, row.operation, row.resource, outcome, reason)
    if row.state != "running" or row.lease_owner != owner:
        late = {**detail, "outcome": outcome}
        append(connection, _record(row, "action.late", "unknown", reason, now, late))
        return None
    verify = {"verify": PENDING, "verify_until": now + within} if outcome == "ok" else {}
    return _end(connection, row, outcome, reason, {**detail, **verify}, now)


def pending(connection: Connection) -> Sequence[Found]:
    """Actions that are ok, and of which it is not known yet whether they have helped; with their alert and episode."""
    query = (
        select(actions, episodes.c.alertname, episodes.c.state.label("episode"))
        .join(episodes, episodes.c.id == actions.c.episode_id)
        .where(actions.c.state == "ok", actions.c.ended_at == actions.c.updated_at)
        .order_by(actions.c.ended_at)
    )
    return [row for row in connection.execute(query) if row.result.get("verify") == PENDING]


def verified(connection: Connection, row: Found, *, helped: bool, why: str, now: float) -> bool:
    """Write whether an action has helped, `row` as :func:`pending` had it; False when another replica did."""
    found = _locked(connection, row.id, row.service, row.resource)
    if found.result.get("verify") != PENDING:
        return False
    result = "ok" if helped else "failed"
    _set(connection, row.id, now, result={**found.result, "verify": result, "verify_why": why})
    append(connection, _record(found, "action.verified", result, None if helped else "not_verified", now, {"why": why}))
    return True


def recover(connection: Connection, now: float) -> list[Ended]:
    """Give up every action whose lease is over: nobody knows how it ended."""
    query = select(actions.c.id, actions.c.service, actions.c.resource)
    found = connection.execute(query.where(actions.c.state == "running", actions.c.lease_until < now)).all()
    ended = []
    for one in sorted(found, key=lambda one: (one.service, one.resource, one.id)):
        row = _locked(connection, one.id, one.service, one.resource)
        if row.state == "running" and row.lease_until < now:
            ended.append(_end(connection, row, "unknown", "interrupted", {"owner": row.lease_owner}, now))
    return ended


def close(connection: Connection, now: float) -> list[Ended]:
    """Refuse what was held until the alert was over: it is not needed any more."""
    query = (
        select(actions.c.id, actions.c.service, actions.c.resource)
        .join(episodes, episodes.c.id == actions.c.episode_id)
        .where(actions.c.state == "held", episodes.c.state != "firing")
    )
    found = connection.execute(query.order_by(actions.c.service, actions.c.resource, actions.c.id)).all()
    ended = [refuse(connection, one, "held", "episode_over", now) for one in found]
    return [one for one in ended if one is not None]


def reopen(connection: Connection, episode_ids: Collection[str], now: float) -> None:
    """Decide again on what was refused because these episodes were over: they go on, and nothing was done."""
    query = select(actions.c.id, actions.c.service, actions.c.resource).where(
        actions.c.episode_id.in_(episode_ids), actions.c.state == "refused", actions.c.reason == "episode_over"
    )
    found = connection.execute(query.order_by(actions.c.service, actions.c.resource, actions.c.id)).all()
    for one in found:
        row = _locked(connection, one.id, one.service, one.resource)
        _set(connection, row.id, now, state="held", reason=INTERRUPTED, ended_at=None)
        append(connection, _record(row, "action.held", "held", INTERRUPTED, now, {"why": "the alert goes on"}))


def refuse(connection: Connection, one: Found, state: str, reason: str, now: float) -> Ended | None:
    """Refuse for good what is in this state still; `one` has id, service and resource of the action."""
    row = _locked(connection, one.id, one.service, one.resource)
    if row.state != state:
        return None
    _set(connection, row.id, now, state="refused", reason=reason, ended_at=now)
    append(connection, _record(row, "action.refused", "refused", reason, now, {}))
    return Ended(row.id, row.service, row.operation, row.resource, "refused", reason)


def _locked(connection: Connection, action_id: str, service: str, resource: str) -> Found:
    """The action, locked behind its resource."""
    key = (resources.c.service == service) & (resources.c.id == resource)
    connection.execute(select(resources.c.id).where(key).with_for_update()).one_or_none()
    return connection.execute(select(actions).where(actions.c.id == action_id).with_for_update()).one()


def _end(connection: Connection, row: Found, outcome: str, reason: str, detail: dict[str, Any], now: float) -> Ended:
    _set(
        connection,
        row.id,
        now,
        state=outcome,
        reason=reason or None,
        result=detail,
        ended_at=now,
        lease_owner=None,
        lease_until=None,
    )
    if outcome == "unknown":
        key = (resources.c.service == row.service) & (resources.c.id == row.resource)
        connection.execute(update(resources).where(key).values(held_since=now, held_by=row.id, updated_at=now))
    append(connection, _record(row, "action.ended", outcome, reason, now, detail))
    return Ended(row.id, row.service, row.operation, row.resource, outcome, reason)


def _set(connection: Connection, action_id: str, now: float, **values: Any) -> None:  # noqa: ANN401  columns by name
    connection.execute(update(actions).where(actions.c.id == action_id).values(updated_at=now, **values))


def _record(row: Found, kind: str, result: str, reason: str | None, now: float, detail: dict[str, Any]) -> Record:
    return Record(
        at=now,
        principal=PRINCIPAL,
        kind=kind,
        result=result,
        operation=row.operation,
        service=row.service,
        resource=row.resource,
        episode_id=row.episode_id,
        action_id=row.id,
        reason=reason or None,
        detail=detail,
    )
