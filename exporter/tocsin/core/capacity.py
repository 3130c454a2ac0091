"""Changes of capacity: by how much what was learnt under the old one is to be multiplied."""

import numpy as np

from tocsin.core.columns import Bools, Floats


def usable(capacity: Floats) -> Bools:
    """Which capacities can be divided by; same shape."""
    with np.errstate(invalid="ignore"):
        return np.asarray(np.isfinite(capacity) & (capacity > 0))


def factors(old: Floats, new: Floats) -> Floats:
    """Old over new capacity where both are usable, 1 elsewhere; same shape."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(usable(old) & usable(new), old / new, 1.0)
