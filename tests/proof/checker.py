"""Whether what is stored and what was done agree. Imports no code of Tocsin: it reads the database and a list."""

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

Rows = Callable[[str], Sequence[tuple[Any, ...]]]

#: The records' fields that are hashed as they are stored; `detail` is text.
_HASHED = (
    *("at", "principal", "kind", "result", "operation", "service", "resource"),
    *("episode_id", "action_id", "reason", "detail"),
)
_ENDED = ("ok", "failed", "refused", "unknown")


@dataclass(frozen=True)
class Call:
    """A call that reached what is operated; `done` when it did what was asked for, whatever it answered."""

    key: str
    episode: str
    operation: str
    resource: str
    done: bool
    at: float


@dataclass(frozen=True)
class Action:
    """A row of the actions."""

    id: str
    episode: str
    operation: str
    resource: str
    state: str
    reason: str | None


@dataclass(frozen=True)
class Verdict:
    """What is wrong, in words, and how many actions there are of each state."""

    wrong: tuple[str, ...]
    states: Mapping[str, int]
    held: int


def check(rows: Rows, calls: Iterable[Call], acknowledged: Collection[str], *, cool_down: float) -> Verdict:
    """Look at a store that has settled, when nothing runs. `acknowledged` are the numbers of alerts that got 200."""
    made = list(calls)
    actions = [Action(*row) for row in rows("SELECT id, episode_id, operation, resource, state, reason FROM actions")]
    held: dict[str, str] = dict(rows("SELECT id, held_by FROM resources WHERE held_since IS NOT NULL"))
    wrong = [
        *_twice(made, actions),
        *_lost(rows, actions, acknowledged),
        *_disagreeing(made, actions, held),
        *_unaudited(rows, actions),
        *_broken(rows),
        *_too_soon(rows, cool_down),
    ]
    return Verdict(tuple(wrong), Counter(action.state for action in actions), len(held))


def _twice(calls: Sequence[Call], actions: Sequence[Action]) -> Iterator[str]:
    """At most once for a key, for an episode and operation, and for an action."""
    for what, found in (
        ("key", Counter(call.key for call in calls)),
        ("episode and operation", Counter((call.episode, call.operation) for call in calls)),
        ("row of an episode and operation", Counter((action.episode, action.operation) for action in actions)),
    ):
        yield from (f"{what} {one} came {times} times" for one, times in found.items() if times > 1)


def _lost(rows: Rows, actions: Sequence[Action], acknowledged: Collection[str]) -> Iterator[str]:
    """An alert that got 200 is one episode, and an episode has an action, unless it was over before."""
    episodes = [(row[0], json.loads(row[1])["n"], row[2]) for row in rows("SELECT id, labels, state FROM episodes")]
    times = Counter(number for _, number, _ in episodes)
    yield from (f"alert {number} is {count} episodes" for number, count in times.items() if count > 1)
    yield from (f"alert {number} got 200 and is no episode" for number in acknowledged if number not in times)
    acted = {action.episode for action in actions}
    for episode, number, state in episodes:
        if state == "firing" and episode not in acted:
            yield f"nobody decided on alert {number}"
    for action in actions:
        if action.state not in (*_ENDED, "held") or (action.state == "held" and action.reason != "resource_held"):
            yield f"action {action.id} is left {action.state} ({action.reason})"


def _disagreeing(calls: Sequence[Call], actions: Sequence[Action], held: Mapping[str, str]) -> Iterator[str]:
    """What was done is `ok`, or `unknown` and its resource is held; what is said not to have been done was not."""
    called = {call.key: call for call in calls}
    known = {action.id: action for action in actions}
    for call in calls:
        action = known.get(call.key)
        if action is None:
            yield f"{call.key} was called and is no action"
        elif (action.episode, action.operation, action.resource) != (call.episode, call.operation, call.resource):
            yield f"{call.key} was called for something else"
        elif action.state not in (("ok", "unknown") if call.done else ("failed", "unknown")):
            yield f"{call.key} was {'done' if call.done else 'tried'}, and is {action.state} ({action.reason})"
    for action in actions:
        if action.state == "ok" and not (action.id in called and called[action.id].done):
            yield f"{action.id} is ok and was not done"
        if action.state == "unknown" and action.resource not in held:
            yield f"{action.id} is unknown and {action.resource} is not held"
        if action.state == "held" and action.resource not in held:
            yield f"{action.id} is held, and {action.resource} is not"
    for resource, by in held.items():
        if by not in known or (known[by].state, known[by].resource) != ("unknown", resource):
            yield f"{resource} is held by {by}, which is not unknown"


def _unaudited(rows: Rows, actions: Sequence[Action]) -> Iterator[str]:
    """Every action has its intent, its start and its end in the audit, each as often as it happened."""
    told: dict[str, Counter[str]] = defaultdict(Counter)
    last: dict[str, str] = {}
    for action_id, kind, result in rows("SELECT action_id, kind, result FROM audit WHERE action_id <> '' ORDER BY seq"):
        told[action_id][kind] += 1
        # Neither changes what the action is: that somebody came too late, and whether it has helped.
        if kind not in ("action.late", "action.verified"):
            last[action_id] = result
    for action in actions:
        found = told.pop(action.id, Counter[str]())
        started, ended = found["action.started"], found["action.ended"]
        ran = action.state in ("ok", "failed", "unknown") or (action.state == "refused" and started == 1)
        if (started, ended) != ((1, 1) if ran else (0, 0)) or found["action.refused"] != (
            action.state == "refused" and not ran
        ):
            yield f"{action.id} is {action.state} and audited as {dict(found)}"
        if ran and not found["action.intent"]:
            yield f"{action.id} ran without an intent"
        if last.get(action.id) != action.state:
            yield f"{action.id} is {action.state}, and {last.get(action.id)} by its last record"
        if found["action.late"] and action.state != "unknown":
            yield f"{action.id} has a late record and is {action.state}"
    yield from (f"the audit tells of {action_id}, which is no action" for action_id in told)


def _broken(rows: Rows) -> Iterator[str]:
    """The chain, worked out anew from what is stored."""
    before, last = "", 0
    for seq, prev_hash, digest, *values in rows(
        f"SELECT seq, prev_hash, hash, {', '.join(_HASHED)} FROM audit ORDER BY seq"  # noqa: S608  names of columns
    ):
        document = {**dict(zip(_HASHED, values, strict=True)), "seq": seq, "prev_hash": prev_hash}
        text = json.dumps(document, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
        if seq != last + 1 or prev_hash != before or digest != hashlib.sha256(text.encode()).hexdigest():
            yield f"the audit's chain is broken at {seq}"
            return
        before, last = digest, seq
    if rows("SELECT seq, hash FROM chain_head") != [(last, before)]:
        yield f"the audit's head is not record {last}"


def _too_soon(rows: Rows, cool_down: float) -> Iterator[str]:
    """The first intents of two actions on a resource are a cool-down apart."""
    intents: dict[str, list[float]] = defaultdict(list)
    for resource, _, at in rows(
        "SELECT resource, action_id, min(at) FROM audit WHERE kind = 'action.intent' GROUP BY resource, action_id"
    ):
        intents[resource].append(at)
    for resource, times in intents.items():
        times.sort()
        for one, other in pairwise(times):
            if other - one < cool_down - 0.001:
                yield f"two intents on {resource} are {other - one:.3f} s apart"
