"""How good each forecast model has been at the horizon: forecasts are kept and compared with what came.

A forecast is kept from every `spacing`-th grid time, so that at most 24 are waiting. The naive forecast (the value at
the origin) is the yardstick: a model whose mean absolute error is not below it knows nothing about the horizon.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from tocsin.core.columns import Bools, Columns, Floats, Index, blank
from tocsin.core.holt_winters import weight
from tocsin.core.settings import MODELS

ORIGINS = 24
#: Scored forecasts that a model needs before it is believed.
ENOUGH = 10


@dataclass(slots=True)
class Scores(Columns):
    """Waiting forecasts (24, 3, C) relative to the value at their origin (24, C), and scores (3, C) of the models."""

    points: NDArray[np.float32]
    halves: NDArray[np.float32]
    origins: Floats
    count: NDArray[np.intp]
    error: Floats
    naive: Floats
    inside: Floats

    fills: ClassVar[dict[str, float]] = {"origins": np.nan}

    @classmethod
    def empty(cls, columns: int) -> "Scores":
        """Nothing kept, nothing scored."""
        shape = (len(MODELS), columns)
        return cls(
            points=blank(ORIGINS, *shape, dtype=np.float32),
            halves=blank(ORIGINS, *shape, dtype=np.float32),
            origins=blank(ORIGINS, columns, fill=np.nan),
            count=blank(*shape, dtype=np.intp),
            error=blank(*shape),
            naive=blank(*shape),
            inside=blank(*shape),
        )

    def compare(self, y: Floats, k: int, horizon: int) -> None:
        """Score the forecasts for grid index k with y; NaN scores nothing."""
        origin = k - horizon
        spacing = -(-horizon // ORIGINS)
        if origin % spacing:
            return
        row = origin // spacing % ORIGINS
        naive = np.abs(y - self.origins[row])
        if np.isnan(naive).all():
            return
        for model in range(len(MODELS)):
            error = np.abs(y - (self.origins[row] + self.points[row, model]))
            came: Bools = ~np.isnan(error)
            count = self.count[model] + came
            share = np.where(came, weight(np.maximum(count, 1)), 0.0)
            inside = error <= self.halves[row, model]
            for kept, new in ((self.error, error), (self.naive, naive), (self.inside, inside)):
                kept[model] += share * np.where(came, new - kept[model], 0.0)
            self.count[model] = count
        self.origins[row] = np.nan

    def keep(self, y: Floats, k: int, horizon: int, points: Floats, halves: Floats) -> None:
        """Keep the forecasts (3, C) made at grid index k for k + horizon; NaN y or point keeps none."""
        row = k // -(-horizon // ORIGINS) % ORIGINS
        self.origins[row] = y
        self.points[row] = points - y
        self.halves[row] = halves

    def ratio(self) -> Floats:
        """Error of each model over the naive one's, (3, C); NaN before there is a score, 1 where both are zero."""
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = self.error / self.naive
        ratio = np.where((self.naive == 0) & (self.error == 0), 1.0, ratio)
        return np.where(self.count > 0, ratio, np.nan)

    def scale(self, columns: Index, factor: Floats) -> None:
        """Follow a change of unit of the signal."""
        self.points[..., columns] *= factor.astype(np.float32)
        self.halves[..., columns] *= factor.astype(np.float32)
        for array in (self.origins, self.error, self.naive):
            array[:, columns] *= factor


def is_origin(k: int, horizon: int) -> bool:
    """Whether a forecast made at grid index k is kept."""
    return k % -(-horizon // ORIGINS) == 0
