"""A store and two processes that act on it, step by step; each step is compared with :mod:`machine_model`."""

import sqlite3
import tempfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from hypothesis.stateful import RuleBasedStateMachine
from sqlalchemy import Connection, update

from arrivals import alert
from machine_model import (
    COOL_DOWN,
    EDGES,
    LEASE,
    NEEDS,
    PER_DAY,
    PER_HOUR,
    RESOURCES,
    RUNS,
    Action,
    Episode,
    Model,
)
from stores import NOW
from tocsin.config.load import load
from tocsin.guard import release, switch
from tocsin.guard.release import NotHeld
from tocsin.respond import actions, episodes
from tocsin.respond.actions import Claim
from tocsin.respond.decide import Confirmation, Request, decide
from tocsin.respond.payload import Alert
from tocsin.respond.policy import Policy
from tocsin.respond.responder import due
from tocsin.store import Store, tables
from tocsin.store.catalogue import Seed, seed

#: Thousands of commits that wait for no disk, where there is memory with a name.
_MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108  a folder of its own in it

#: Until where the line goes on, from a decision to the end of an operation.
POINTS = ("decided", "claimed", "done", "ended")
#: When the ruler said what; None when it was not asked.
Says = tuple[float, str] | None


@cache
def policy() -> Policy:
    """What is run for what, with limits that are reached soon."""
    runs = {
        "http": {"url": "http://ops/restart"},
        "postgres_pool_recycle": {"url": "postgresql://tocsin@db:5432/shop", "idle_longer_than": "1m"},
    }
    shop = {
        "service": "shop",
        "alerts": [{"name": name, "expr": "full > 1"} for name in RUNS],
        "resources": [{"id": name} for name in RESOURCES],
        "remediation": [
            {"when": name, "run": run, "with": runs[run], "dry_run": False} for name in RUNS for run in RUNS[name]
        ],
    }
    guard = {"cool_down": f"{COOL_DOWN:.0f}s", "max_per_day": PER_DAY, "max_resources": PER_HOUR}
    whole = {"source": {"url": "http://ruler"}, "services": ["shop.yml"], "guard": {**guard, "hosts": ["ops", "db"]}}
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "shop.yml").write_text(yaml.safe_dump(shop))
        (Path(folder) / "tocsin.yml").write_text(yaml.safe_dump(whole))
        return Policy(load(Path(folder) / "tocsin.yml"))


@dataclass
class Work:
    """What a process holds in memory of an action, and loses when it dies."""

    claim: Claim
    owner: str
    begun: bool = False
    end: tuple[str, str] | None = None


class Steps(RuleBasedStateMachine):
    """One store, two processes that decide, claim and run, and may die in between; and what they did outside."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory(dir=_MEMORY)
        path = Path(self.folder.name) / "tocsin.db"
        self.store = Store.open(f"sqlite:///{path}", now=NOW)
        #: As the program does not look at it.
        self.seen = sqlite3.connect(path, isolation_level=None)
        self.model = Model(NOW)
        self.ids: dict[Episode, str] = {}
        self.lives = {"a": 1, "b": 1}
        self.written = False
        self.works: dict[str, list[Work]] = {"a": [], "b": []}
        #: How often each operation was done for each episode: outside of Tocsin, which cannot undo it.
        self.done: Counter[tuple[Episode, str]] = Counter()
        self.chain: list[tuple[Any, ...]] = []
        self.states: dict[str, str] = {}
        self.write(lambda c: seed(c, [Seed("shop", name) for name in RESOURCES], NOW))

    def teardown(self) -> None:
        self.seen.close()
        self.store.close()
        self.folder.cleanup()

    def write(self, work: Callable[[Connection], Any]) -> Any:
        self.written = True
        with self.store.write() as connection:
            return work(connection)

    # Time

    def time_passes(self, seconds: float) -> None:
        self.model.now += seconds

    def something_is_over_just_now(self, nth: int, offset: float) -> None:
        found = self.model.bounds()
        if found:
            self.model.now = max(self.model.now, found[nth % len(found)] + offset)

    # Alerts

    def an_alert_fires(self, name: str, where: str, since: str, listed: bool = False) -> None:
        last = self.model.last((name, where))
        ended = self.model.now if last is None or last.ended is None else last.ended
        starts = {
            "now": self.model.now,
            "as before": self.model.now if last is None else last.starts,
            "its end": ended,
            "after its end": ended + 1,
            "long": self.model.now - 5000,
        }[since]
        told = alert(starts=starts, alertname=name, resource=where)
        self.arrives(told, self.model.fires((name, where), starts, listed=listed), listed=listed)

    def an_alert_is_resolved(self, name: str, where: str, ends: str) -> None:
        last = self.model.last((name, where))
        starts = self.model.now - 100 if last is None else last.starts
        at = {"now": self.model.now, "unsaid": None, "before it began": starts - 50, "a while ago": self.model.now - 20}
        if ends == "before it began":
            starts -= 100
        told = alert(firing=False, starts=starts, ends=at[ends], alertname=name, resource=where)
        self.arrives(told, self.model.resolves((name, where), starts, at[ends]))

    def arrives(self, told: Alert, expected: tuple[int, int, int], *, listed: bool = False) -> None:
        stored = self.write(lambda c: episodes.store(c, [told], self.model.now, listed=listed))
        assert (len(stored.opened), len(stored.reopened), len(stored.ended)) == expected
        self.same()

    def alertmanager_lists_what_fires(self, there: str, ago: float) -> None:
        firing, before = self.model.firing, self.model.now - ago
        listed = [one for one in firing if there == "all" or there in one.key]
        gone = [one for one in firing if one not in listed]
        there_ids = [self.ids[one] for one in listed]
        self.write(lambda c: episodes.touch(c, there_ids, self.model.now))
        self.model.heard_of(listed)
        ids = [self.ids[one] for one in gone]
        # First nobody: all of them were heard of at this time or later.
        for since in (min((one.seen for one in gone), default=before), before):
            found = self.write(lambda c, since=since: episodes.expire(c, ids, since, self.model.now))
            assert len(found) == self.model.expire(gone, since)
        self.same()

    # The line

    def an_alert_is_acted_on(self, name: str, where: str, since: str, **line: Any) -> None:
        self.an_alert_fires(name, where, since)
        self.what_was_interrupted_is_given_up()
        self.what_is_due_is_decided(**line)

    def what_is_due_is_decided(self, says: Says, **line: Any) -> None:
        with self.store.read() as connection:
            found = due(connection, policy(), self.model.now)
        expected = {(self.ids[episode], operation): episode for episode, operation in self.model.due()}
        assert sorted((row.id, plan.operation) for row, plan in found) == sorted(expected)
        for row, plan in found:
            self.decides(expected[row.id, plan.operation], plan.operation, says)
        self.the_line_goes_on(**line)

    def another_one_decides_on_everything(self, says: Says) -> None:
        """Late: what it saw due is over, or was decided by somebody else."""
        for episode in self.model.episodes[-4:]:
            for operation in RUNS[episode.key[0]]:
                self.decides(episode, operation, says)

    def decides(self, episode: Episode, operation: str, says: Says) -> None:
        now, (name, where) = self.model.now, episode.key
        plan = policy().find("shop", name, operation)
        assert plan is not None
        asked = Request(
            plan=plan,
            episode_id=self.ids[episode],
            labels={"alertname": name, "tocsin_service": "shop", "resource": where},
            describe="restart it",
            confirmation=None if says is None else Confirmation(now - says[0], says[1], "the ruler"),
        )
        found = self.write(lambda c: decide(c, asked, now))
        at, why = (None, "") if says is None else (now - says[0], says[1])
        expected = self.model.decide(episode, operation, at, why, found.action_id)
        assert (found.state, found.reason) == expected
        self.same()

    def the_line_goes_on(self, process: str, until: str, outcome: str, dies: bool) -> None:
        for work in list(self.works[process]):
            self.advances(process, work, until, outcome)
        with self.store.read() as connection:
            found = [row.id for row in actions.waiting(connection) if row.state == "intent"]
        assert sorted(found) == sorted(one.id for one in self.model.intents())
        for id_ in found if until in POINTS[1:] else ():
            # One after the other: how the first one ends may be in the way of the next.
            work = self.claims(process, id_)
            if work is not None:
                self.advances(process, work, until, outcome)
        if dies:
            self.dies(process)

    def advances(self, process: str, work: Work, until: str, outcome: str) -> None:
        if until in POINTS[2:] and work.end is None:
            self.does(work, outcome)
        if until == "ended" and work.end is not None:
            # The answer to the commit may be lost: what is said again is written once.
            self.ends(process, work, times=2)

    def claims(self, process: str, id_: str) -> Work | None:
        owner = f"{process}{self.lives[process]}"
        found = self.write(lambda c: actions.claim(c, id_, owner, LEASE, self.model.now))
        expected = self.model.claim(self.model.by_id(id_), owner)
        got = "running" if isinstance(found, Claim) else "refused" if found is not None else ""
        assert got == (expected if expected in ("running", "refused") else "")
        self.same()
        if not isinstance(found, Claim):
            return None
        assert found.until == self.model.now + LEASE
        self.works[process].append(Work(found, owner))
        return self.works[process][-1]

    def strangers_come(self) -> None:
        """They want what is taken, and speak of what is not theirs."""
        for one in [one for one in self.model.actions if one.state != "intent"][-3:]:
            self.claims("b", one.id)
        for work in self.works["a"]:
            stranger = Work(work.claim, "somebody else", end=("failed", "meddled"))
            self.asks(stranger)
            self.works["b"].append(stranger)
            self.ends("b", stranger, times=1)

    def asks(self, work: Work) -> str:
        with self.store.read() as connection:
            why = actions.mine(connection, work.claim, work.owner, NEEDS, self.model.now)
        assert why == self.model.mine(self.model.by_id(work.claim.id), work.owner)
        return why

    def does(self, work: Work, outcome: str) -> None:
        """It asks before it does anything; `failed` is what certainly did not happen."""
        if why := self.asks(work):
            work.end = ("refused", why)
            return
        if outcome != "failed":
            self.begins(self.model.by_id(work.claim.id))
        work.begun, work.end = True, (outcome, "done")

    def begins(self, one: Action) -> None:
        """Outside of Tocsin; nothing of this is known to it."""
        self.done[one.episode, one.operation] += 1
        assert self.done[one.episode, one.operation] == 1, "done twice for one episode"
        assert self.rows("SELECT enabled FROM kill_switch") == [(1,)], "done while the switch is off"

    def ends(self, process: str, work: Work, times: int) -> None:
        assert work.end is not None
        outcome, reason = work.end
        for _ in range(times):
            found = self.write(
                lambda c: actions.end(c, work.claim, work.owner, outcome, reason, {}, self.model.now, 300.0)
            )
            assert (found is not None) == self.model.end(self.model.by_id(work.claim.id), work.owner, outcome, reason)
            self.same()
        self.works[process].remove(work)

    def what_was_done_ends(self, asks: bool, times: int) -> None:
        """Some have another step, and ask before it; it ends twice where the answer to the first commit was lost."""
        for process, works in self.works.items():
            for work in [work for work in works if work.end is not None]:
                if asks and work.begun:
                    why = self.asks(work)
                    work.end = ("unknown", why) if why else work.end
                self.ends(process, work, times)

    # Deaths, and who finds what they left

    def a_process_dies_and_starts_again(self, process: str) -> None:
        self.dies(process)
        self.what_was_interrupted_is_given_up()

    def dies(self, process: str) -> None:
        self.works[process].clear()
        self.lives[process] += 1

    def what_was_interrupted_is_given_up(self) -> None:
        now = self.model.now
        found = self.write(lambda c: [*actions.recover(c, now), *actions.close(c, now)])
        given_up, refused = self.model.recover(), self.model.close()
        expected = [(id_, "unknown", "interrupted") for id_ in given_up]
        expected += [(id_, "refused", "episode_over") for id_ in refused]
        assert sorted((one.id, one.outcome, one.reason) for one in found) == sorted(expected)
        self.same()

    # People

    def the_switch_is_off(self, back: bool, says: Says, **line: Any) -> None:
        """Things go on meanwhile."""
        self.flips(enabled=False)
        self.what_is_due_is_decided(says, **line)
        if back:
            self.flips(enabled=True)

    def flips(self, *, enabled: bool) -> None:
        self.write(lambda c: switch.flip(c, enabled=enabled, principal="ops", reason="why", now=self.model.now))
        self.model.flip(enabled=enabled)
        self.same()

    def a_human_releases_a_resource(self, where: str) -> None:
        held = [name for name, one in self.model.resources.items() if one.held_by is not None]
        for name in held if where == "held" else [where]:
            try:
                given = {"principal": "ops", "reason": "why", "now": self.model.now}
                self.write(lambda c, on=name, given=given: release.release_resource(c, "shop", on, **given))
                released = True
            except NotHeld:
                released = False
            assert released == self.model.release(name)
            self.same()

    def the_store_is_thought_older(self, back: bool, says: Says, **line: Any) -> None:
        """Until a human says that it is right."""
        self.doubts(older=True)
        self.what_is_due_is_decided(says, **line)
        if back:
            self.doubts(older=False)

    def doubts(self, *, older: bool) -> None:
        now = self.model.now
        if older:
            self.write(lambda c: release.hold_store(c, remembered=9.0, found=1, now=now))
        else:
            self.write(lambda c: release.release_store(c, principal="ops", reason="why", now=now))
        self.model.doubt(older=older)
        self.same()

    def a_resource_changes(self, where: str) -> None:
        table = tables.resources
        key = table.c.id == where
        self.write(lambda c: c.execute(update(table).where(key).values(version=table.c.version + 1)))
        self.model.resources[where].version += 1

    # What has to hold

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        return self.seen.execute(query).fetchall()

    def same(self) -> None:
        """After each transaction: what is stored is what the model has."""
        model = self.model
        found = self.rows(
            "SELECT id, state, starts_at, first_seen, last_seen, resolved_at, tombstone_until"
            " FROM episodes ORDER BY rowid"
        )
        assert [row[1:] for row in found] == [
            (one.state, one.starts, one.first_seen, one.seen, one.resolved, one.until) for one in model.episodes
        ]
        for one, row in zip(model.episodes, found, strict=True):
            assert self.ids.setdefault(one, row[0]) == row[0]
        stored = self.rows(
            "SELECT id, episode_id, operation, state, reason, updated_at, lease_owner, lease_until"
            " FROM actions ORDER BY rowid"
        )
        assert stored == [
            (one.id, self.ids[one.episode], one.operation, one.state, one.reason, one.at, one.owner, one.until)
            for one in model.actions
        ]
        for id_, _, _, state, *_ in stored:
            before = self.states.get(id_, "")
            assert state == before or state in EDGES.get(before, ()), f"from {before} to {state}"
            self.states[id_] = state
        held = dict(self.rows("SELECT id, held_by FROM resources"))
        assert held == {name: one.held_by for name, one in model.resources.items()}
        self.grows()

    def grows(self) -> None:
        """One row in the audit for each thing that happened, and none of those before is another one now."""
        found = self.rows("SELECT seq, hash, kind, result, reason, action_id FROM audit ORDER BY seq")
        assert found[: len(self.chain)] == self.chain
        assert [row[2:] for row in found] == self.model.audit
        self.chain = found
