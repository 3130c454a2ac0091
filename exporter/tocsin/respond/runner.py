"""Run a claimed action to its end, and write how it ended, whatever happens on the way."""

import asyncio
import time
from collections.abc import Callable

import structlog

from tocsin.guard.addresses import Allowed
from tocsin.respond import actions
from tocsin.respond.actions import Claim, Ended
from tocsin.respond.operations import OPERATIONS, Outcome, Stopped, Task
from tocsin.respond.policy import Plan
from tocsin.store import StoreError
from tocsin.store.handle import StoreHandle
from tocsin.telemetry import Telemetry

log = structlog.get_logger(__name__)

#: Seconds of a lease beyond the time that the operation may take: for the store, before and after.
MARGIN = 15.0
#: Seconds that an operation gets at shutdown: one that is ended in the middle is work for a human.
PATIENCE = 10.0
#: Seconds between attempts to write how an action ended.
_AGAIN = 0.5


class Runner:
    """Runs actions for one process, called `owner` in the leases; calls `again` for what has to be decided anew."""

    def __init__(
        self,
        store: StoreHandle,
        telemetry: Telemetry,
        owner: str,
        clock: Callable[[], float] = time.time,
        again: Callable[[], None] = lambda: None,
    ) -> None:
        self._store, self._telemetry, self._owner, self._clock = store, telemetry, owner, clock
        self._again = again
        self._running: dict[str, asyncio.Task[None]] = {}
        self._doing: set[asyncio.Future[Outcome]] = set()
        self.allowed = Allowed()

    @property
    def running(self) -> int:
        """Actions that are being run."""
        return len(self._running)

    def begin(self, action_id: str, plan: Plan) -> None:
        """Claim and run an intent in the background; one that runs already runs on."""
        if action_id not in self._running:
            task = asyncio.create_task(self._run(action_id, plan))
            self._running[action_id] = task
            task.add_done_callback(lambda _: self._running.pop(action_id, None))

    def halt(self) -> None:
        """End every operation that runs: the kill switch was thrown. How each ended is written all the same."""
        for task in self._doing:
            task.cancel()

    async def stop(self) -> None:
        """Let what runs come to its end for a while, then end it; and write how each ended."""
        waiting = list(self._running.values())
        if waiting:
            await asyncio.wait(waiting, timeout=PATIENCE)
        self.halt()
        await asyncio.gather(*waiting, return_exceptions=True)

    async def _run(self, action_id: str, plan: Plan) -> None:
        timeout = float(getattr(plan.parameters, "timeout"))  # noqa: B009  every operation has one, and a test says so
        lease = 2 * timeout + MARGIN
        try:
            claimed = await self._store.write(
                lambda c: actions.claim(c, action_id, self._owner, lease, self._clock(), plan), "claim"
            )
        except StoreError as error:
            log.warning("an action could not be claimed", action=action_id, reason=error.reason)
            return
        if isinstance(claimed, Ended):
            self.note(claimed)
        if not isinstance(claimed, Claim):
            self._again()
            return
        outcome = await self._do(claimed, plan, timeout)
        self._store.probe("action: done")
        await self._end(claimed, outcome, float(plan.model.verify_within))

    async def _do(self, claimed: Claim, plan: Plan, needs: float) -> Outcome:
        """The outcome of the operation; unknown where it was ended after its first step had begun."""
        begun = False

        async def check() -> None:
            nonlocal begun
            # Two of them: one for this step, and one to write how it ended.
            try:
                why = await self._store.read(lambda c: actions.mine(c, claimed, self._owner, needs, self._clock()))
            except StoreError as error:
                raise Stopped("store_unavailable") from error
            if why:
                raise Stopped(why)
            self._store.probe("action: checked")
            if claimed.until - self._clock() < needs:
                raise Stopped("lease_too_short")
            begun = True

        task = Task(
            action_id=claimed.id,
            service=claimed.service,
            resource=claimed.resource,
            capacity_minutes=claimed.capacity_minutes,
            episode_id=claimed.episode_id,
            deadline=claimed.until - MARGIN / 2,
            check=check,
            clock=self._clock,
            allowed=self.allowed,
        )
        doing = asyncio.ensure_future(OPERATIONS[plan.operation].run(task, plan.parameters))
        self._doing.add(doing)
        try:
            done, _ = await asyncio.wait({doing}, timeout=task.deadline - self._clock())
            if not done:
                doing.cancel()
            outcome: Outcome = await doing
        except Stopped as stopped:
            return Outcome("unknown" if begun else "refused", stopped.reason)
        except asyncio.CancelledError:
            return Outcome("unknown" if begun else "refused", "halted")
        except Exception:
            log.exception("an operation has a fault", operation=plan.operation, action=claimed.id)
            return Outcome("unknown" if begun else "failed", "fault")
        else:
            return outcome
        finally:
            self._doing.discard(doing)

    async def _end(self, claimed: Claim, outcome: Outcome, within: float) -> None:
        """Write it, again and again while the lease lasts; after that another replica finds that it is unknown."""
        while True:
            try:
                ended = await self._store.write(
                    lambda c: actions.end(
                        c,
                        claimed,
                        self._owner,
                        outcome.result,
                        outcome.reason,
                        dict(outcome.detail),
                        self._clock(),
                        within,
                    ),
                    "end",
                )
            except StoreError as error:
                log.warning("how an action ended could not be written", action=claimed.id, reason=error.reason)
                if self._clock() > claimed.until:
                    return
                await asyncio.sleep(_AGAIN)
            else:
                if ended is None:
                    log.warning("an action ended too late: it was given up, and stays unknown", action=claimed.id)
                else:
                    self.note(ended)
                return

    def note(self, ended: Ended) -> None:
        """Count and log an action that has ended."""
        self._telemetry.count("actions_total", ended.operation, ended.outcome)
        self._telemetry.count("service_auto_remediations_total", ended.service, ended.operation, ended.outcome)
        if ended.outcome == "refused":
            self._telemetry.count("refusals_total", ended.reason)
        level = log.info if ended.outcome in ("ok", "dry_run") else log.warning
        level(
            "an action has ended",
            action=ended.id,
            operation=ended.operation,
            service=ended.service,
            resource=ended.resource,
            outcome=ended.outcome,
            reason=ended.reason,
        )
