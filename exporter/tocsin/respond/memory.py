"""Whether the store is an older state of itself: Prometheus remembers how many audit records there were."""

import math
from collections.abc import Callable

import structlog
from sqlalchemy import Connection

from tocsin import names
from tocsin.generate.promql import selector
from tocsin.guard.release import hold_store, released_at
from tocsin.respond.confirm import Ruler
from tocsin.source.errors import SourceError
from tocsin.store.handle import StoreHandle
from tocsin.store.head import audit_head, store_id

log = structlog.get_logger(__name__)

#: Seconds for which Prometheus is asked, as far as it keeps them.
REMEMBERED = 30 * 86400
#: Seconds after a human has released the store, in which nothing new can have been scraped often enough.
_SETTLES = 120


async def look(store: StoreHandle, source: Ruler, clock: Callable[[], float]) -> str:
    """Hold all actions if there were more audit records than there are. Raises StoreError.

    Returns why nobody can say, or nothing. A source that has never scraped us remembers nothing.
    """
    now = clock()
    which, since = await store.read(_known)
    span = REMEMBERED if since is None else min(REMEMBERED, math.floor(now - since) - _SETTLES)
    if span < _SETTLES:
        return ""
    series = selector(names.own("audit_seq"), {"store": which})
    try:
        answer = await source.instant(f"max(max_over_time({series}[{span}s]))", now)
    except SourceError as error:
        return str(error)
    if not len(answer.values):
        return ""
    remembered = float(answer.values[0])
    # Read after the answer: what was remembered then is in the chain by now.
    head = await store.read(audit_head)
    if head.seq < remembered:
        log.error("the store is an older state of itself, actions are held", remembered=remembered, found=head.seq)
        await store.write(lambda c: hold_store(c, remembered=remembered, found=head.seq, now=now), "older")
    return ""


def _known(connection: Connection) -> tuple[str, float | None]:
    return store_id(connection), released_at(connection)
