"""All that is known of one signal's resources, as arrays with one column per resource."""

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from tocsin.core.columns import Columns, Floats, Index, blank
from tocsin.core.held import Held
from tocsin.core.holt_winters import Errors, HoltWinters, Smoothing
from tocsin.core.scores import Scores
from tocsin.core.settings import Settings
from tocsin.core.window import Window


@dataclass(slots=True)
class State(Columns):
    """The fold's state. `k` is the last grid index that was learnt, None before the first."""

    k: int | None
    window: Window
    window_held: Held
    drift_errors: Errors
    smoothing: Smoothing
    residuals: Window | None
    holt_winters: HoltWinters | None
    season_held: Held | None
    scores: Scores | None
    #: Relearnt baselines of each resource, and the grid index of the last.
    shifts: NDArray[np.intp]
    shifted_k: NDArray[np.int64]

    fills: ClassVar[dict[str, float]] = {"shifted_k": -1}

    @classmethod
    def empty(cls, settings: Settings, columns: int) -> "State":
        """Nothing known of `columns` resources."""
        seasonal = settings.seasonal
        return cls(
            k=None,
            window=Window.empty(settings.window, columns),
            window_held=Held.empty(settings.relearn_after, columns),
            drift_errors=Errors.empty(columns),
            smoothing=Smoothing.empty(columns),
            residuals=Window.empty(settings.window, columns, timed=False) if seasonal else None,
            holt_winters=HoltWinters.empty(seasonal.slots, columns) if seasonal else None,
            season_held=Held.empty(settings.relearn_after, columns) if seasonal else None,
            scores=Scores.empty(columns) if settings.forecast else None,
            shifts=blank(columns, dtype=np.intp),
            shifted_k=blank(columns, fill=-1, dtype=np.int64),
        )

    @property
    def columns(self) -> int:
        """How many resources there is room for."""
        return self.shifts.size

    def rescale(self, columns: Index, factor: Floats) -> None:
        """A change of capacity: everything learnt of these columns, times old over new capacity."""
        parts = (self.window, self.window_held, self.drift_errors, self.smoothing)
        for part in (*parts, self.residuals, self.holt_winters, self.season_held, self.scores):
            if part is not None:
                part.scale(columns, factor)


@dataclass(frozen=True, slots=True)
class Runs:
    """`since` (4, C): unix time at which the run at or above tier 1..4 began, NaN where there is none."""

    since: Floats

    @classmethod
    def empty(cls, columns: int) -> "Runs":
        """No runs."""
        return cls(blank(4, columns, fill=np.nan))

    def resized(self, columns: int) -> "Runs":
        """Room for more columns."""
        since = blank(4, columns, fill=np.nan)
        since[:, : self.since.shape[1]] = self.since
        return replace(self, since=since)

    def without(self, columns: Index) -> "Runs":
        """Forget these columns."""
        since = self.since.copy()
        since[:, columns] = np.nan
        return replace(self, since=since)
