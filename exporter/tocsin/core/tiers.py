"""Severity tiers: from a distance to a tier.

Source of the numbers: the severity tables of the Melody & Meter operator runbook, section 3. A tier's lower end belongs
to it for tiers 1, 2 and 3; tier 4 begins above its number, so that exactly 5 (or exactly 0.15) is still tier 3.
"""

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float64]
Tiers: TypeAlias = NDArray[np.int8]

UNKNOWN = -1
CRITICAL = 4


@dataclass(frozen=True, slots=True)
class TierTable:
    """Lower ends of tiers 1, 2 and 3 (inclusive) and of tier 4 (exclusive), for abs z and for abs residual delta."""

    z: tuple[float, float, float, float] = (1.8, 2.5, 3.5, 5.0)
    delta: tuple[float, float, float, float] = (0.05, 0.07, 0.10, 0.15)


def tier_of(distance: Floats, ends: tuple[float, float, float, float]) -> Tiers:
    """Tier 0..4 of each non-negative distance, NaN giving 0. Shape of the input."""
    one, two, three, four = ends
    tier = (distance >= one).view(np.int8) + (distance >= two).view(np.int8)
    tier += (distance >= three).view(np.int8)
    tier += (distance > four).view(np.int8)
    return tier
