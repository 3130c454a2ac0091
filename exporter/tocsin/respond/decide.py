"""The decision: one transaction that looks at everything that can stop an action, and writes the intent to act.

What is refused by a check that may pass later is *held*: it takes nothing from any limit, and is decided again while
the alert lasts. Any other refusal is *final*. Both are rows, so that a restart knows of them.
"""

import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from sqlalchemy import Connection, select, update

from tocsin.guard import limits, switch
from tocsin.guard.audit import Record, append
from tocsin.respond import storm
from tocsin.respond.policy import Plan
from tocsin.store.rows import Found, insert_new
from tocsin.store.tables import actions, decisions, episodes, meta, resources

#: Who decides, in the audit.
PRINCIPAL = "tocsin"
#: Most bytes of a resource's id: an index of PostgreSQL takes no more than 2,704.
LONGEST_ID = 1000
State = Literal["intent", "dry_run", "held", "refused", "gone"]
#: Held because what it was decided on is too old: nobody has claimed the intent in time. It is decided again at once.
INTERRUPTED = "interrupted"
#: Reasons that may pass. `store_restored` and `resource_held` pass when a human says so.
HELD = (
    "kill_switch",
    "store_restored",
    "storm",
    "maintenance",
    "unconfirmed",
    "confirm_unreachable",
    "resource_held",
    "cool_down",
    INTERRUPTED,
)
#: Reasons for good, as long as this episode lasts.
FINAL = (
    "no_resource",
    "unknown_resource",
    "inactive_resource",
    "daily_limit",
    "fleet_limit",
    "episode_over",
    "not_configured",
)


@dataclass(frozen=True, slots=True)
class Confirmation:
    """What the ruler said of the alert at a time; `reason` is one of HELD, or empty when it fires."""

    at: float
    reason: str = ""
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What is to be decided. `confirmation` is not needed for a dry run; `maintenance` names a window that is on."""

    plan: Plan
    episode_id: str
    labels: Mapping[str, str]
    describe: str
    confirmation: Confirmation | None = None
    maintenance: str | None = None

    @property
    def resource(self) -> str | None:
        """Id of the resource that it is about."""
        return self.plan.resource(self.labels)


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at: its name, whether it lets pass, and why or why not."""

    name: str
    passed: bool
    why: str
    reason: str = ""

    def data(self) -> dict[str, Any]:
        """As JSON."""
        return {"check": self.name, "passed": self.passed, "why": self.why}


@dataclass(frozen=True, slots=True)
class Decision:
    """How it ended. `gone`: somebody else decided it before, and nothing was written."""

    state: State
    reason: str
    action_id: str
    checks: tuple[Check, ...] = ()
    written: Record | None = field(default=None, compare=False)


_Look = Callable[[Connection, "_Facts"], Check]


@dataclass(slots=True)
class _Facts:
    """What the checks share."""

    request: Request
    now: float
    action_id: str
    resource: Found | None = None


def decide(connection: Connection, request: Request, now: float) -> Decision:
    """Decide in this transaction, which has to be one that writes. Locks in the order of :mod:`tocsin.store.tables`."""
    before = _action(connection, request)
    if before is not None and before.state != "held":
        return Decision("gone", "already_decided", before.id)
    action_id = before.id if before is not None else uuid.uuid4().hex
    facts = _Facts(request, now, action_id)
    checks: list[Check] = []
    for look in _CHECKS:
        checks.append(look(connection, facts))
        if not checks[-1].passed:
            break
    # Looked at again behind the locks: another replica may have been faster.
    before = _action(connection, request, lock=True)
    if before is not None and (before.state != "held" or before.id != action_id):
        return Decision("gone", "already_decided", before.id, tuple(checks))
    refused = checks[-1].reason
    if refused:
        state: State = "held" if refused in HELD else "refused"
    else:
        state = "dry_run" if request.plan.model.dry_run else "intent"
    return _write(connection, facts, state, refused, tuple(checks), before)


def _action(connection: Connection, request: Request, *, lock: bool = False) -> Found | None:
    query = select(actions.c.id, actions.c.state, actions.c.reason).where(
        actions.c.episode_id == request.episode_id, actions.c.operation == request.plan.operation
    )
    return connection.execute(query.with_for_update() if lock else query).one_or_none()


def _write(
    connection: Connection,
    facts: _Facts,
    state: State,
    reason: str,
    checks: tuple[Check, ...],
    before: Found | None,
) -> Decision:
    request, now, plan = facts.request, facts.now, facts.request.plan
    if state in ("intent", "dry_run"):
        for limit, holder in _limits(facts):
            limits.take(connection, limit, holder, now)
    row: dict[str, Any] = {
        "service": plan.service,
        "resource": _kept(request.resource or ""),
        "resource_version": None if facts.resource is None else facts.resource.version,
        "parameters": plan.shown,
        "dry_run": plan.model.dry_run,
        "state": state,
        "reason": reason or None,
        "result": {"would": request.describe} if state == "dry_run" else None,
        "updated_at": now,
        "ended_at": now if state in ("dry_run", "refused") else None,
    }
    key = {"id": facts.action_id, "episode_id": request.episode_id, "operation": plan.operation, "created_at": now}
    if before is not None:
        connection.execute(update(actions).where(actions.c.id == facts.action_id).values(row))
    elif not insert_new(connection, actions, {**key, **row}):
        return Decision("gone", "already_decided", facts.action_id, checks)
    if before is not None and state == "held" and before.reason == reason:
        # The same as the last time: known, and not worth a record every half minute.
        return Decision(state, reason, facts.action_id, checks)
    record = _record(facts, state, reason, checks)
    append(connection, record)
    connection.execute(decisions.insert(), _decision(facts, state, reason, checks))
    return Decision(state, reason, facts.action_id, checks, record)


def _kept(resource: str) -> str:
    """What a label names as far as it is kept; nothing of the catalogue is as long as what is cut."""
    said = resource.encode()
    return resource if len(said) <= LONGEST_ID else said[:LONGEST_ID].decode(errors="ignore") + "…"


def _record(facts: _Facts, state: State, reason: str, checks: tuple[Check, ...]) -> Record:
    plan = facts.request.plan
    return Record(
        at=facts.now,
        principal=PRINCIPAL,
        kind=f"action.{state}",
        result=state,
        operation=plan.operation,
        service=plan.service,
        resource=facts.request.resource,
        episode_id=facts.request.episode_id,
        action_id=facts.action_id,
        reason=reason or None,
        detail={"would": facts.request.describe, "why": checks[-1].why},
    )


def _decision(facts: _Facts, state: State, reason: str, checks: tuple[Check, ...]) -> dict[str, Any]:
    plan = facts.request.plan
    return {
        "id": uuid.uuid4().hex,
        "at": facts.now,
        "episode_id": facts.request.episode_id,
        "action_id": facts.action_id,
        "service": plan.service,
        "operation": plan.operation,
        "resource": facts.request.resource,
        "outcome": state,
        "reason": reason or None,
        "checks": [check.data() for check in checks],
    }


def _limits(facts: _Facts) -> Iterator[tuple[limits.Limit, str]]:
    """The limits, and who takes from each: the fleet counts resources, the others count actions."""
    resource = facts.request.resource or ""
    cool, day, fleet = facts.request.plan.limits(resource)
    yield cool, facts.action_id
    yield day, facts.action_id
    yield fleet, f"{facts.request.plan.service}/{resource}"


def _switch(connection: Connection, _facts: _Facts) -> Check:
    found = switch.read(connection, lock=True)
    if found.enabled:
        return Check("kill switch", passed=True, why="operations may run")
    why = f"operations are blocked by {found.changed_by}: {found.reason}"
    return Check("kill switch", passed=False, why=why, reason="kill_switch")


def _restored(connection: Connection, _facts: _Facts) -> Check:
    if connection.execute(select(meta.c.restored_at)).scalar_one() is None:
        return Check("store", passed=True, why="the store is no older state of itself")
    why = "the store is an older state of itself, and nobody has said yet that actions may go on"
    return Check("store", passed=False, why=why, reason="store_restored")


def _storm(connection: Connection, facts: _Facts) -> Check:
    found = storm.read(connection)
    if found is None or not found.at(facts.now):
        return Check("storm", passed=True, why="no storm of alerts")
    why = f"a storm of alerts, for {facts.now - found.since:.0f} s; over in {found.until - facts.now:.0f} s at best"
    return Check("storm", passed=False, why=why, reason="storm")


def _maintenance(_connection: Connection, facts: _Facts) -> Check:
    name = facts.request.maintenance
    if name is None:
        return Check("maintenance", passed=True, why="no maintenance")
    return Check("maintenance", passed=False, why=f"maintenance {name!r} is on", reason="maintenance")


def _confirmed(_connection: Connection, facts: _Facts) -> Check:
    if facts.request.plan.model.dry_run:
        return Check("confirmed", passed=True, why="a dry run needs no confirmation")
    found, within = facts.request.confirmation, facts.request.plan.guard.confirm.within
    if found is None or not facts.now - within <= found.at <= facts.now + within:
        why = f"nobody confirmed the alert within {within} s"
        return Check("confirmed", passed=False, why=why, reason="unconfirmed")
    return Check("confirmed", passed=not found.reason, why=found.why, reason=found.reason)


def _selected(connection: Connection, facts: _Facts) -> Check:
    """Before the limits, so that labels of alerts make no rows there."""
    service, resource = facts.request.plan.service, facts.request.resource
    if resource is None:
        why = "the alert has no label resource, and the remediation names none"
        return Check("selected", passed=False, why=why, reason="no_resource")
    wanted = select(resources.c.id).where(resources.c.service == service, resources.c.id == resource)
    if connection.execute(wanted).scalar_one_or_none() is None:
        why = f"{service} has no resource {resource!r} in the catalogue"
        return Check("selected", passed=False, why=why, reason="unknown_resource")
    return Check("selected", passed=True, why=f"it selects {resource!r}")


def _room(connection: Connection, facts: _Facts) -> Check:
    """All limits at once; they are locked before the resource."""
    wanted = list(_limits(facts))
    limits.lock(connection, [limit for limit, _ in wanted])
    for limit, holder in wanted:
        found = limits.room(connection, limit, holder, facts.now)
        if not found.remaining:
            why = (
                f"{limit.most} within {limit.seconds:g} s are taken, the next one is free in {found.retry_after:.0f} s"
            )
            return Check("limits", passed=False, why=why, reason=limit.reason)
    return Check("limits", passed=True, why="cool-down, runs in a day and resources in an hour leave room")


def _catalogued(connection: Connection, facts: _Facts) -> Check:
    plan = facts.request.plan
    key = (resources.c.service == plan.service) & (resources.c.id == facts.request.resource)
    found = facts.resource = connection.execute(select(resources).where(key).with_for_update()).one()
    if not found.active:
        why = f"{found.id!r} was taken out of the catalogue"
        return Check("resource", passed=False, why=why, reason="inactive_resource")
    if found.held_since is not None:
        why = f"nobody knows how action {found.held_by} on it ended; a human has to release it"
        return Check("resource", passed=False, why=why, reason="resource_held")
    return Check("resource", passed=True, why=f"{found.id!r} is in the catalogue, version {found.version}")


def _open(connection: Connection, facts: _Facts) -> Check:
    wanted = select(episodes.c.state).where(episodes.c.id == facts.request.episode_id)
    if (state := connection.execute(wanted).scalar_one_or_none()) == "firing":
        return Check("episode", passed=True, why="the alert lasts")
    return Check("episode", passed=False, why=f"the alert is {state or 'unknown'}", reason="episode_over")


#: In this order, which is also that of the locks.
_CHECKS: tuple[_Look, ...] = (
    _switch,
    _restored,
    _storm,
    _maintenance,
    _confirmed,
    _selected,
    _room,
    _catalogued,
    _open,
)
