"""What one evaluation cycle leaves behind: frozen, and shared by the exposition, the pages and the explanations."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from tocsin.core.budget import SloView
from tocsin.core.columns import Bools, Floats
from tocsin.core.forecast import Forecasts
from tocsin.core.grades import Grades
from tocsin.core.resources import Identity
from tocsin.core.settings import Settings

#: Intervals after which a view is no longer of now: two cycles have passed and the third is due.
LATE = 3
#: Names that a mistyped one is compared with at most.
_COMPARED = 1000


class Sight(IntEnum):
    """How much of a signal can be seen: all, only that nothing is known (for `forget_after`), nothing at all."""

    CLEAR = 0
    BLIND = 1
    GONE = 2


@dataclass(frozen=True, slots=True)
class SignalView:
    """One signal after its last cycle; arrays have one entry per column, `live` marks those that are resources.

    `version` changes whenever a column changes hands. `held` (C,) are samples held in a row, `shifts` relearnt
    baselines, `shifted_at` (C,) the unix time of the last one (NaN: never). `season_missing` (C,) counts slots of the
    season that are still to be seen.
    """

    service: str
    signal: str
    expr: str
    unit: str
    settings: Settings
    version: int
    resources: tuple[Identity | None, ...]
    live: Bools
    grades: Grades
    forecasts: Forecasts | None
    since: Floats
    held: NDArray[np.intp]
    shifts: NDArray[np.intp]
    shifted_at: Floats
    season_started: Bools
    sight: Sight = Sight.CLEAR
    #: Whether repeats of an old sample can be told from new ones for this expression.
    repeats_seen: bool = False
    #: Why they cannot, as source/freshness.py has it; None where they can, or where nobody has said.
    unstamped: str | None = None
    #: Series that were refused in the last cycle, by reason.
    refused: Mapping[str, int] = field(default_factory=dict)
    #: Name of the maintenance window in which samples are not learnt now.
    excluded_by: str | None = None

    @property
    def forecasts_known(self) -> Bools:
        """For which resources enough is known to look ahead, (C,): before that a forecast would be a guess."""
        return np.asarray(self.grades.n >= self.settings.min_samples)

    @property
    def step(self) -> int:
        """Seconds between learnt samples."""
        return self.settings.step


@dataclass(frozen=True, slots=True)
class Missed:
    """A signal without a grade from its last cycle; `graded`: whether it has one from a cycle before.

    `reason` is the outcome of the last cycle as evaluations_total counts it, None where none has ended.
    """

    service: str
    signal: str
    expr: str
    graded: bool
    reason: str | None


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All signals that were ever graded, those that were missed, and error budgets; `t` is when it was made."""

    t: float
    signals: tuple[SignalView, ...] = field(default=())
    missed: tuple[Missed, ...] = field(default=())
    slos: tuple[SloView, ...] = field(default=())

    def as_of(self, now: float) -> "Snapshot":
        """The same at unix time `now` of the source: what should have been renewed twice since is not seen any more."""

        def aged(view: SignalView) -> SignalView:
            late = now - view.grades.t >= LATE * view.settings.interval
            return replace(view, sight=Sight.BLIND) if late and view.sight is Sight.CLEAR else view

        return replace(self, signals=tuple(map(aged, self.signals)))

    def find(
        self, resource: str, *, service: str | None = None, signal: str | None = None
    ) -> list[tuple[SignalView, int]]:
        """Every (signal, column) whose resource has this name."""
        return [
            (view, column)
            for view in self.signals
            if service in (None, view.service) and signal in (None, view.signal)
            for column, identity in enumerate(view.resources)
            if identity is not None and identity.resource == resource
        ]

    def near(self, resource: str) -> list[str]:
        """Up to five names of resources that look like this one."""
        known = {identity.resource for view in self.signals for identity in view.resources if identity is not None}
        # Comparing with each of a hundred thousand names would hold up everything else for seconds.
        text = resource.lower()
        close = sorted(name for name in known if text in name.lower() or name[:2].lower() == text[:2])
        return get_close_matches(resource, (close or sorted(known))[:_COMPARED], n=5, cutoff=0.4)

    def find_slo(self, name: str, *, service: str | None = None) -> list[SloView]:
        """Every error budget of this name."""
        return [view for view in self.slos if view.terms.slo == name and service in (None, view.terms.service)]

    def near_slo(self, name: str) -> list[str]:
        """Up to five names of SLOs that look like this one; all of them while there are so few."""
        known = sorted({view.terms.slo for view in self.slos})
        return known if len(known) <= 5 else get_close_matches(name, known[:_COMPARED], n=5, cutoff=0.4)

    def worst_budgets(self, count: int) -> list[SloView]:
        """The `count` error budgets of which most burns, and of those that burn alike of which least is left."""

        def rank(view: SloView) -> tuple[int, float, str, str]:
            left = view.readings.remaining
            return -len(view.burning), 1.0 if left is None else left, view.terms.service, view.terms.slo

        return sorted(self.slos, key=rank)[:count]

    def worst(self, count: int) -> list[tuple[SignalView, int]]:
        """The `count` worst resources by tier, then by distance from the baseline."""
        ranked = []
        for view in self.signals:
            if view.sight is not Sight.CLEAR:
                continue
            distance = np.fmax(np.abs(view.grades.z), np.abs(view.grades.seasonal_z))
            order = np.lexsort((-np.nan_to_num(distance), -view.grades.tier))
            chosen = order[view.live[order]][:count].tolist()
            ranked += [(int(view.grades.tier[c]), float(np.nan_to_num(distance[c])), view, c) for c in chosen]
        ranked.sort(key=lambda row: (-row[0], -row[1], row[2].service, row[2].signal, row[3]))
        return [(view, column) for _, _, view, column in ranked[:count]]
