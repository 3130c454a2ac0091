"""What an operation is given and what it answers."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, Literal, TypeVar

from tocsin.config.base import Model
from tocsin.guard.addresses import Allowed

Result = Literal["ok", "failed", "refused", "unknown"]
P = TypeVar("P", bound=Model)


class Stopped(Exception):
    """It is not to be done any more: the switch, the lease or the owner has changed."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Outcome:
    """How it ended.

    `failed` and `refused`: it certainly did not happen. `unknown`: it was begun and nobody knows how it ended. `detail`
    has numbers only, so that no text of others and no secret gets into the audit.
    """

    result: Result
    reason: str
    detail: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Task:
    """One action. What stems from an alert (`service`, `resource`, `episode_id`) is data, and is never interpreted."""

    action_id: str
    """Idempotency key."""
    service: str
    resource: str
    capacity_minutes: float | None
    episode_id: str
    deadline: float
    """Unix time that no step may outlast."""
    check: Callable[[], Awaitable[None]]
    """Awaited before each external step; raises Stopped."""
    clock: Callable[[], float]
    allowed: Allowed = field(default_factory=Allowed)
    """Hosts that may be called over HTTP; none by default."""

    def left(self, timeout: float) -> float:
        """Seconds that it may still take, not more than `timeout`; zero or less when its time is over."""
        return min(timeout, self.deadline - self.clock())


@dataclass(frozen=True, slots=True)
class Kind(Generic[P]):
    """An operation. `run` lets Stopped pass while nothing has been done; `describe` tells no secrets."""

    parameters: type[P]
    run: Callable[[Task, P], Awaitable[Outcome]]
    describe: Callable[[P, str], str]
    reasons: tuple[str, ...]
    """Every reason of its outcomes."""


def plural(count: int, noun: str) -> str:
    """`1 parameter`, `2 parameters`."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
