"""A route: what it matches, whom it tells, and the routes below it. Also what Alertmanager makes of a label set."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from tocsin.generate.alertmanager.matchers import Matcher, texts


@dataclass(frozen=True, slots=True)
class Node:
    """A route. `options` are group_by and the times that differ from those of the route above."""

    receiver: str
    matchers: Sequence[Matcher] = ()
    mute: Sequence[str] = ()
    go_on: bool = False
    options: dict[str, Any] = field(default_factory=dict)
    routes: Sequence["Node"] = ()

    def data(self) -> dict[str, Any]:
        """The route as a configuration has it."""
        return {
            **({"matchers": texts(self.matchers)} if self.matchers else {}),
            "receiver": self.receiver,
            **({"continue": True} if self.go_on else {}),
            **self.options,
            **({"mute_time_intervals": list(self.mute)} if self.mute else {}),
            **({"routes": [node.data() for node in self.routes]} if self.routes else {}),
        }

    def told(self, labels: dict[str, str]) -> list[str]:
        """Receivers of an alert, as Alertmanager finds them: the deepest routes that match; none where none does."""
        if not all(matcher.holds(labels) for matcher in self.matchers):
            return []
        found: list[str] = []
        for node in self.routes:
            below = node.told(labels)
            found += below
            if below and not node.go_on:
                break
        return found or [self.receiver]

    def receivers(self) -> Iterator[str]:
        """Names of all receivers here and below, in order, some more than once."""
        yield self.receiver
        for node in self.routes:
            yield from node.receivers()
