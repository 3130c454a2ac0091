"""The responder: what is wanted for the alerts that fire is decided, run, and written, whatever it is interrupted by.

Nothing of it is only in memory. Which decisions are missing follows from the store: an episode that fires, whose alert
has a remediation, and that has no action for it; or one that is held, or whose intent nobody has claimed.
"""

import asyncio
import contextlib
import math
import os
import socket
import time
import uuid
from collections.abc import Callable, Collection, Coroutine, Hashable, Iterable, Iterator, Sequence
from dataclasses import replace

import structlog
from sqlalchemy import Connection, select

from tocsin.guard.addresses import Allowed
from tocsin.respond import actions, confirm, memory, verify
from tocsin.respond.actions import Ended
from tocsin.respond.confirm import Ruler
from tocsin.respond.decide import INTERRUPTED, LONGEST_ID, Confirmation, Decision, Request, decide
from tocsin.respond.operations import OPERATIONS
from tocsin.respond.policy import Plan, Policy
from tocsin.respond.runner import Runner
from tocsin.store import StoreError
from tocsin.store.catalogue import Seed, seed
from tocsin.store.errors import StoreInvalid
from tocsin.store.handle import StoreHandle
from tocsin.store.rows import Found
from tocsin.store.tables import actions as table
from tocsin.store.tables import episodes
from tocsin.telemetry import Telemetry

log = structlog.get_logger(__name__)


#: Seconds between two looks at what is missing, unless an alert comes.
EVERY = 2.0
#: Seconds between an alert and the look at what is missing.
PAUSE = 0.05
#: Seconds after which what is held is decided again.
HELD = 30.0
#: Seconds between two looks at what Prometheus remembers of the store.
REMEMBER = 60.0
#: Seconds after which it is asked again while it does not say.
ASK_AGAIN = 5.0
#: Seconds between two times when what is too old is forgotten.
TIDY = 3600.0
#: Identifiers asked for at once.
_CHUNK = 400


class Responder:
    """Acts for one process.

    `seeds` are the resources that there are now, each set by a key that changes with it, so that it is looked at once.
    `maintenance` gives the name of the window that is on for a service at a time.
    """

    def __init__(
        self,
        store: StoreHandle,
        telemetry: Telemetry,
        policy: Policy,
        source: Ruler,
        *,
        seeds: Callable[[], Iterable[tuple[Hashable, Callable[[], Collection[Seed]]]]] = tuple,
        maintenance: Callable[[str, float], str | None] = lambda _service, _now: None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._store, self._telemetry, self._clock = store, telemetry, clock
        self._policy, self._ruler, self._source = policy, source, source
        self._remembered = self._asked = self._tidied = -math.inf
        #: Why nobody can say what is remembered, as far as it was said.
        self._doubt = ""
        #: Why the ruler cannot be asked, in this look: who waits for each of many alerts would do nothing else.
        self._unreachable: Confirmation | None = None
        self._seeds, self._maintenance = seeds, maintenance
        self.owner = f"{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex[:8]}"
        self._woken = asyncio.Event()
        self.runner = Runner(store, telemetry, self.owner, clock, again=self._woken.set)
        self._tasks: list[asyncio.Task[None]] = []
        self._seeded: set[Hashable] = set()

    def configure(self, policy: Policy, ruler: Ruler, source: Ruler, allowed: Allowed) -> None:
        """Go on with another configuration; what runs is run to its end by the old one."""
        self._policy, self._ruler, self._source, self.runner.allowed = policy, ruler, source, allowed

    def wake(self) -> None:
        """Look now: alerts have come."""
        self._woken.set()

    def start(self) -> None:
        """Look from now on, in the background."""
        self._tasks = [
            asyncio.create_task(self._forever(self.look, self._woken), name="responder"),
            # Beside it: a look may wait for Prometheus, and what was interrupted must not wait for that.
            asyncio.create_task(self._forever(self.tend, asyncio.Event()), name="tender"),
        ]

    async def stop(self) -> None:
        """End what runs, and write how it ended."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.runner.stop()

    async def _forever(self, do: Callable[[], Coroutine[None, None, None]], woken: asyncio.Event) -> None:
        said = ""
        while True:
            try:
                await do()
                said = ""
            except StoreError as error:
                # Once for each cause: the counter of the store says how often.
                if str(error) != said:
                    log.warning("no action is decided on: the store fails", reason=error.reason, why=str(error))
                said = str(error)
            except Exception:
                # Whatever it is, the next look may go better; a responder that has ended would say nothing.
                log.exception("the responder has a fault")
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(EVERY):
                    await woken.wait()
                # What comes in a rush is looked at together.
                await asyncio.sleep(PAUSE)
            woken.clear()

    async def tend(self) -> None:
        """Once: give up what was interrupted, and forget what is too old."""
        now = self._clock()
        # A step at a time, until nothing is left.
        if abs(now - self._tidied) >= TIDY and not await self._store.forget(now):
            self._tidied = now
        for ended in await self._store.write(lambda c: [*actions.recover(c, now), *actions.close(c, now)]):
            self.runner.note(ended)

    async def look(self) -> None:
        """Once: give up what was interrupted, know the resources, decide what is missing, run what is to be run."""
        now = self._clock()
        await self._remember(now)
        await self.tend()
        await self._know()
        self._unreachable = None
        for row, plan in await self._store.read(lambda c: due(c, self._policy, self._clock())):
            await self._alone(self._decide(row, plan), row.id)
        for row in await self._store.read(actions.waiting):
            await self._alone(self._begin(row), row.id)
        await verify.look(self._store, self._source, self._policy, self._clock)

    async def _remember(self, now: float) -> None:
        """See whether the store is an older state of itself: now and then, and soon again while nobody can say."""
        if abs(now - self._remembered) < REMEMBER or abs(now - self._asked) < ASK_AGAIN:
            return
        self._asked, before = now, self._doubt
        self._doubt = await memory.look(self._store, self._source, self._clock)
        if not self._doubt:
            self._remembered = now
        elif self._doubt != before:
            log.warning("nobody can say whether the store is an older state of itself", why=self._doubt)

    async def _alone(self, work: Coroutine[None, None, None], of: str) -> None:
        """Do it; what the store cannot hold of one alert is no reason to leave the others."""
        try:
            await work
        except StoreInvalid as error:
            log.warning("an alert cannot be acted on: the store cannot hold what it says", id=of, why=str(error))

    async def _know(self) -> None:
        """Put resources that are new into the catalogue."""
        for key, made in list(self._seeds()):
            if key not in self._seeded:
                await self._seed(made())
                self._seeded.add(key)

    async def _seed(self, found: Collection[Seed]) -> None:
        fit = [one for one in found if len(one.id.encode()) <= LONGEST_ID and "\0" not in one.id]
        if len(fit) < len(found):
            log.warning("resources that cannot be in the catalogue", count=len(found) - len(fit), longest=LONGEST_ID)
        await self._store.write(lambda c: seed(c, fit, self._clock()))

    async def _begin(self, row: Found) -> None:
        """Run an intent; refuse it, or what is held, where the configuration has it no more."""
        now = self._clock()
        plan = self._policy.find(row.service, row.alertname, row.operation)
        if plan is not None:
            if row.state == "intent":
                self.runner.begin(row.id, plan)
            return
        ended = await self._store.write(lambda c: actions.refuse(c, row, row.state, "not_configured", now))
        if ended is not None:
            self.runner.note(ended)

    async def _decide(self, row: Found, plan: Plan) -> None:
        request = await self.request(plan, row)
        if self._policy.find(row.service, row.alertname, plan.operation) is not plan:
            # Another configuration has come meanwhile: the next look goes by that.
            self._woken.set()
            return
        self._store.probe("decide: begun")
        decision = await self._store.write(lambda c: decide(c, request, self._clock()), "decide")
        self._note(request, decision)
        if decision.state == "intent":
            # At once: an intent that waits until all others are decided may be too old by then.
            self.runner.begin(decision.action_id, self._policy.find(row.service, row.alertname, plan.operation) or plan)

    async def request(self, plan: Plan, row: Found) -> Request:
        """What is to be decided, with what others have to say about it."""
        now = self._clock()
        kind = OPERATIONS[plan.operation]
        return Request(
            plan=plan,
            episode_id=row.id,
            labels=row.labels,
            describe=kind.describe(plan.parameters, plan.resource(row.labels) or ""),
            confirmation=await self._confirmation(plan, row, now),
            maintenance=self._maintenance(plan.service, now),
        )

    async def _confirmation(self, plan: Plan, row: Found, now: float) -> Confirmation | None:
        if plan.model.dry_run:
            return None
        if self._remembered == -math.inf:
            return Confirmation(now, "confirm_unreachable", "nobody can say yet whether the store is an older state")
        if self._unreachable is not None:
            return replace(self._unreachable, at=now)
        found = await confirm.confirm(self._ruler, row.labels, plan.guard.confirm.within, now)
        if found.reason == "confirm_unreachable":
            self._unreachable = found
        return found

    def _note(self, request: Request, decision: Decision) -> None:
        if decision.written is None:
            return
        operation, reason = request.plan.operation, decision.reason
        if decision.state in ("dry_run", "refused"):
            resource = request.resource or ""
            outcome = (decision.action_id, request.plan.service, operation, resource, decision.state, reason)
            self.runner.note(Ended(*outcome))
        elif decision.state == "held":
            self._telemetry.count("refusals_total", reason)
            why = decision.checks[-1].why
            log.warning("an action is held", action=decision.action_id, operation=operation, reason=reason, why=why)


def due(connection: Connection, policy: Policy, now: float) -> list[tuple[Found, Plan]]:
    """What is to be decided: episodes that fire, each with an operation that nobody has decided on, or that is held.

    What was held just now is left for a while. Oldest episodes first.
    """
    found: list[tuple[Found, Plan]] = []
    columns = (episodes.c.id, episodes.c.service, episodes.c.alertname, episodes.c.labels)
    for part in _chunks(sorted({alert for _, alert in policy.alerts})):
        fires = (episodes.c.state == "firing") & episodes.c.alertname.in_(part)
        for row in connection.execute(select(*columns).where(fires).order_by(episodes.c.first_seen)).all():
            found += [(row, plan) for plan in policy.plans(row.service, row.alertname)]
    known: dict[tuple[str, str], bool] = {}
    for part in _chunks(sorted({row.id for row, _ in found})):
        query = select(table.c.episode_id, table.c.operation, table.c.state, table.c.reason, table.c.updated_at)
        for one in connection.execute(query.where(table.c.episode_id.in_(part))):
            # Held in the future: the clock has gone back since.
            again = not now - HELD < one.updated_at <= now or one.reason == INTERRUPTED
            known[one.episode_id, one.operation] = one.state == "held" and again
    return [(row, plan) for row, plan in found if known.get((row.id, plan.operation), True)]


def _chunks(values: Sequence[str]) -> Iterator[Sequence[str]]:
    for i in range(0, len(values), _CHUNK):
        yield values[i : i + _CHUNK]
