"""Whom a receiver's name stands for: one receiver of the configuration is up to four of Alertmanager's.

Alerts that page reach every channel, all others every channel but those that wake somebody. Levels of escalation leave
out the resolved message where a person reads it: who was told late would read only that there is nothing to do.
"""

from dataclasses import dataclass

from tocsin import names
from tocsin.config.base import Model
from tocsin.config.models import Receiver
from tocsin.config.receiver_checks import CHANNELS

#: Channels that wake somebody.
PAGING = ("pagerduty", "phone", "sms")
#: Channels that a person reads, and nothing tracks: escalated, they get no resolved message.
READ = ("slack", "teams", "email")


@dataclass(frozen=True, slots=True)
class Audience:
    """A receiver as some alerts reach it."""

    receiver: str
    channels: tuple[tuple[str, Model], ...]
    no_page: bool = False
    escalated: bool = False

    @property
    def name(self) -> str:
        """What Alertmanager calls it."""
        ends = (names.NO_PAGE if self.no_page else "") + (names.ESCALATED_SUFFIX if self.escalated else "")
        return f"{names.ROUTE_PREFIX}{self.receiver}{ends}"

    @property
    def wakes(self) -> bool:
        """Whether it has a channel that wakes somebody."""
        return any(kind in PAGING for kind, _ in self.channels)

    def resolves(self, kind: str) -> bool:
        """Whether a channel is told that it is over."""
        return not (self.escalated and kind in READ)


def audience(name: str, receiver: Receiver, *, page: bool, escalated: bool = False) -> Audience | None:
    """The receiver as alerts reach it that page or do not; None where it has no channel for them."""
    there = [kind for kind in CHANNELS if getattr(receiver, kind) is not None]
    kept = [kind for kind in there if page or kind not in PAGING]
    if not kept:
        return None
    channels = tuple((kind, getattr(receiver, kind)) for kind in kept)
    return Audience(name, channels, len(kept) < len(there), escalated and any(kind in READ for kind in kept))
