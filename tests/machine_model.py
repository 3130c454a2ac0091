"""What Tocsin may do about alerts, in plain Python: no database, no time of its own, and no code of the program.

It is written from the rules of docs/safety.md, to be compared with the program after every step.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

#: Alert -> what is run for it.
RUNS = {"ShopFull": ("http", "postgres_pool_recycle"), "ShopSlow": ("http",)}
RESOURCES = ("piano", "organ", "flute")

COOL_DOWN, PER_DAY, PER_HOUR = 600.0, 2, 2
HOUR, DAY = 3600.0, 86400.0
#: What else has a bound, in seconds.
CONFIRMED, FRESH, HELD, SETTLED, TOMBSTONE = 120.0, 60.0, 30.0, 60.0, 86400.0
#: How long a process has an action, and how much of that it needs for its next step.
LEASE, NEEDS = 35.0, 10.0

#: The ways that an action may go; what is not in here is its end.
EDGES = {
    "": {"held", "intent", "refused"},
    "held": {"intent", "refused"},
    "intent": {"running", "held", "refused"},
    "running": {"ok", "failed", "refused", "unknown"},
    # Only where its episode was over, and goes on.
    "refused": {"held"},
}
#: State and reason of what is not needed any more.
_OVER = ("refused", "episode_over")


@dataclass(eq=False)
class Episode:
    """One uninterrupted firing of an alert, which is known by its name and its resource."""

    key: tuple[str, str]
    starts: float
    first_seen: float
    seen: float
    state: str = "firing"
    ended: float | None = None
    #: Until when it is remembered.
    until: float | None = None
    #: When somebody said that it ended, if that is known.
    resolved: float | None = None


@dataclass(eq=False)
class Action:
    """What was decided about an episode and an operation."""

    episode: Episode
    operation: str
    id: str
    state: str = ""
    reason: str | None = None
    #: Of the last change.
    at: float = 0.0
    owner: str | None = None
    until: float | None = None
    version: int = 1

    @property
    def resource(self) -> str:
        return self.episode.key[1]


@dataclass
class Resource:
    version: int = 1
    held_by: str | None = None


@dataclass
class Model:
    """All that is known; each method is something that happens, and returns what the program has to answer."""

    now: float
    enabled: bool = True
    #: The store is an older state of itself.
    older: bool = False
    episodes: list[Episode] = field(default_factory=list)
    actions: list[Action] = field(default_factory=list)
    resources: dict[str, Resource] = field(default_factory=lambda: {name: Resource() for name in RESOURCES})
    #: What was taken of each limit: by whom, and when.
    taken: dict[tuple[str, ...], dict[str, float]] = field(default_factory=dict)
    #: What the audit has to say: kind, result, reason, action.
    audit: list[tuple[str, str, str | None, str | None]] = field(default_factory=list)

    # Episodes

    def last(self, key: tuple[str, str]) -> Episode | None:
        """The episode of an alert that fires, or else the last one that is still remembered."""
        of = [one for one in self.episodes if one.key == key]
        firing = [one for one in of if one.state == "firing"]
        over = [one for one in of if one.until is not None and one.until > self.now]
        return firing[0] if firing else max(over, key=lambda one: (one.ended, one.starts), default=None)

    def fires(self, key: tuple[str, str], starts: float, *, listed: bool) -> tuple[int, int, int]:
        """It fires. How many episodes are opened, reopened and ended."""
        last = self.last(key)
        if last is None or (last.ended is not None and starts > last.ended):
            self.episodes.append(Episode(key, starts, self.now, self.now))
            return 1, 0, 0
        again = last.state == "expired" or (listed and self.now - last.seen > SETTLED)
        if last.ended is not None and not again:
            return 0, 0, 0
        reopened = last.ended is not None
        last.state, last.ended, last.until, last.resolved = "firing", None, None, None
        last.starts, last.seen = min(last.starts, starts), self.now
        over = [one for one in self.actions if one.episode is last and (one.state, one.reason) == _OVER]
        for one in sorted(over, key=lambda one: (one.resource, one.id)) if reopened else ():
            # Nothing was done about it, and it goes on.
            self._move(one, "held", "interrupted")
        return 0, int(reopened), 0

    def resolves(self, key: tuple[str, str], starts: float, ends: float | None) -> tuple[int, int, int]:
        """It does not fire any more. As above."""
        last, ended = self.last(key), max(starts, self.now if ends is None else ends)
        if last is None or (last.ended is not None and starts > last.ended):
            last = Episode(key, starts, self.now, self.now)
            self.episodes.append(last)
            self._over(last, ended)
            return 0, 0, 0
        if last.state == "resolved" or (last.state == "firing" and ended < last.starts):
            return 0, 0, 0
        self._over(last, ended)
        return 0, 0, 1

    def _over(self, one: Episode, ended: float) -> None:
        one.state, one.ended, one.resolved, one.seen = "resolved", ended, ended, self.now
        one.until = self.now + TOMBSTONE

    def heard_of(self, there: list[Episode]) -> None:
        """Alertmanager lists them."""
        for one in there:
            one.seen = max(one.seen, self.now)

    def expire(self, gone: list[Episode], before: float) -> int:
        """Nobody has heard of them since."""
        over = [one for one in gone if one.seen < before]
        for one in over:
            one.state, one.ended, one.until = "expired", self.now, self.now + TOMBSTONE
        return len(over)

    @property
    def firing(self) -> list[Episode]:
        return [one for one in self.episodes if one.state == "firing"]

    # Actions

    def action(self, episode: Episode, operation: str) -> Action | None:
        return next((one for one in self.actions if one.episode is episode and one.operation == operation), None)

    def by_id(self, id_: str) -> Action:
        return next(one for one in self.actions if one.id == id_)

    def due(self) -> Iterator[tuple[Episode, str]]:
        """What has to be decided now."""
        for episode in self.firing:
            for operation in RUNS[episode.key[0]]:
                one = self.action(episode, operation)
                waited = one is not None and (one.at <= self.now - HELD or one.reason == "interrupted")
                if one is None or (one.state == "held" and waited):
                    yield episode, operation

    def intents(self) -> list[Action]:
        return [one for one in self.actions if one.state == "intent"]

    def decide(
        self, episode: Episode, operation: str, confirmed: float | None, says: str, new_id: str
    ) -> tuple[str, str]:
        """What is decided, and why; `confirmed` is when the ruler said what it says."""
        one = self.action(episode, operation)
        if one is not None and one.state != "held":
            return "gone", "already_decided"
        one = one or Action(episode, operation, new_id)
        why = self._against(one, confirmed, says)
        state = "intent" if not why else "refused" if why in ("daily_limit", "fleet_limit", "episode_over") else "held"
        before = one.state, one.reason
        if one not in self.actions:
            self.actions.append(one)
        if state == "intent":
            for name, _, _, holder in self._limits(one):
                self.taken.setdefault(name, {})[holder] = self.now
        one.version = self.resources[one.resource].version
        self._move(one, state, why or None, say=before != (state, why))
        return state, why

    def _against(self, one: Action, confirmed: float | None, says: str) -> str:
        if not self.enabled:
            return "kill_switch"
        if self.older:
            return "store_restored"
        if confirmed is None or abs(self.now - confirmed) > CONFIRMED:
            return "unconfirmed"
        if says:
            return says
        for name, most, seconds, holder in self._limits(one):
            young = [by for by, at in self.taken.get(name, {}).items() if at > self.now - seconds and by != holder]
            if len(young) >= most:
                return {"cool": "cool_down", "day": "daily_limit", "fleet": "fleet_limit"}[name[0]]
        if self.resources[one.resource].held_by is not None:
            return "resource_held"
        return "" if one.episode.state == "firing" else "episode_over"

    def _limits(self, one: Action) -> Iterator[tuple[tuple[str, ...], int, float, str]]:
        """Name, how many, in which time, and who takes one."""
        yield ("cool", one.operation, one.resource), 1, COOL_DOWN, one.id
        yield ("day", one.operation, one.resource), PER_DAY, DAY, one.id
        yield ("fleet", one.operation), PER_HOUR, HOUR, one.resource

    def claim(self, one: Action, owner: str) -> str:
        """The state after somebody wanted it; `running` when it is his."""
        if one.state != "intent":
            return "gone"
        resource = self.resources[one.resource]
        again = "kill_switch" if not self.enabled else "store_restored" if self.older else ""
        if not again and resource.held_by is not None:
            again = "resource_held"
        if not again and (self.now - one.at > FRESH or one.version != resource.version):
            again = "interrupted"
        if again:
            self._move(one, "held", again)
        elif one.episode.state != "firing":
            self._move(one, "refused", "episode_over")
        else:
            one.owner, one.until = owner, self.now + LEASE
            self._move(one, "running", None, kind="started")
        return one.state

    def mine(self, one: Action, owner: str) -> str:
        """Why the next step may not be taken."""
        if not self.enabled:
            return "kill_switch"
        if one.state != "running" or one.owner != owner:
            return "lease_lost"
        assert one.until is not None
        return "lease_too_short" if one.until - self.now < NEEDS else ""

    def end(self, one: Action, owner: str, outcome: str, reason: str) -> bool:
        """Whether how it ended is what is kept."""
        if (one.state, one.reason) == (outcome, reason):
            return True
        if one.state != "running" or one.owner != owner:
            self.audit.append(("action.late", "unknown", reason, one.id))
            return False
        self._ends(one, outcome, reason)
        return True

    def _ends(self, one: Action, outcome: str, reason: str) -> None:
        one.owner = one.until = None
        self._move(one, outcome, reason, kind="ended")
        if outcome == "unknown":
            self.resources[one.resource].held_by = one.id

    def recover(self) -> list[str]:
        """What is given up."""
        over = [one for one in self.actions if one.state == "running" and (one.until or 0.0) < self.now]
        for one in sorted(over, key=lambda one: (one.resource, one.id)):
            self._ends(one, "unknown", "interrupted")
        return sorted(one.id for one in over)

    def close(self) -> list[str]:
        """What is needed no more."""
        over = [one for one in self.actions if one.state == "held" and one.episode.state != "firing"]
        for one in sorted(over, key=lambda one: (one.resource, one.id)):
            self._move(one, "refused", "episode_over")
        return sorted(one.id for one in over)

    def _move(self, one: Action, state: str, reason: str | None, kind: str = "", *, say: bool = True) -> None:
        one.state, one.reason, one.at = state, reason, self.now
        if say:
            self.audit.append((f"action.{kind or state}", state, reason, one.id))

    # People

    def flip(self, *, enabled: bool) -> None:
        self.enabled = enabled
        words = ("ENABLE", "ENABLED") if enabled else ("DISABLE", "DISABLED")
        self.audit.append((f"KILL_SWITCH_{words[0]}", words[1], "why", None))

    def release(self, name: str) -> bool:
        resource = self.resources[name]
        if resource.held_by is None:
            return False
        self.audit.append(("resource.release", "released", "why", resource.held_by))
        resource.held_by = None
        return True

    def doubt(self, *, older: bool) -> None:
        """The store is thought to be an older one, or a human says that it is right."""
        if older and not self.older:
            self.audit.append(("store.older", "held", None, None))
        if self.older and not older:
            self.audit.append(("store.release", "released", "why", None))
        self.older = older

    # Time

    def free(self, kind: str, where: str) -> float:
        """When the next of a limit's slots that a resource meets is free; now if none is taken."""
        seconds = {"cool": COOL_DOWN, "day": DAY, "fleet": HOUR, "": 0.0}[kind]
        slots = [by for name, by in self.taken.items() if name[0] == kind and (where in name or kind == "fleet")]
        return min((at + seconds for by in slots for at in by.values() if at + seconds > self.now), default=self.now)

    def bounds(self) -> list[float]:
        """When the next thing of each kind is over; what comes first first."""
        running = [one.until for one in self.actions if one.state == "running" and one.until is not None]
        found = [
            running,
            [until - NEEDS for until in running],
            [one.at + FRESH for one in self.intents()],
            [one.at + HELD for one in self.actions if one.state == "held"],
            [one.seen + SETTLED for one in self.episodes if one.state == "resolved"],
            [one.until for one in self.episodes if one.until is not None],
        ]
        for kind, seconds in (("cool", COOL_DOWN), ("day", DAY), ("fleet", HOUR)):
            found.append([at + seconds for name, by in self.taken.items() if name[0] == kind for at in by.values()])
        coming = [min((at for at in ats if at >= self.now), default=None) for ats in found]
        return sorted(at for at in coming if at is not None)
