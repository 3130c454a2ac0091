"""Whether an action has helped: that its alert ended, or that an expression of the configuration has a result."""

from collections.abc import Callable

import orjson
import structlog

from tocsin import names
from tocsin.respond import actions
from tocsin.respond.confirm import Ruler
from tocsin.respond.policy import Policy
from tocsin.source.errors import SourceError
from tocsin.store.handle import StoreHandle
from tocsin.store.rows import Found

log = structlog.get_logger(__name__)

#: Seconds after an operation before it is asked whether it has helped: what was scraped before says nothing.
SETTLE = 30.0


async def look(store: StoreHandle, source: Ruler, policy: Policy, clock: Callable[[], float]) -> None:
    """See about every action that is not verified, and write what is certain. Raises StoreError."""
    for row in await store.read(actions.pending):
        if clock() >= row.ended_at + SETTLE:
            await _verify(store, source, policy, row, clock())


async def _verify(store: StoreHandle, source: Ruler, policy: Policy, row: Found, now: float) -> None:
    plan = policy.find(row.service, row.alertname, row.operation)
    helped, why = await _helped(source, row, None if plan is None else plan.model.verify, now)
    if not helped and now < row.result["verify_until"]:
        return
    if await store.write(lambda c: actions.verified(c, row, helped=helped, why=why, now=now), "verified"):
        say = log.info if helped else log.warning
        say("an action has helped" if helped else "an action has not helped", action=row.id, why=why)


async def _helped(source: Ruler, row: Found, expr: str | None, now: float) -> tuple[bool, str]:
    if expr is None:
        return row.episode != "firing", f"the alert is {row.episode}"
    try:
        found = await source.instant(expr, now)
    except SourceError as error:
        return False, f"the source cannot be asked: {error}"
    # A result that names a resource speaks of that one alone.
    series = [orjson.loads(labels) for labels in found.metrics]
    about = [labels for labels in series if labels.get(names.RESOURCE, row.resource) == row.resource]
    return bool(about), f"`verify` has {len(about)} results about the resource"
