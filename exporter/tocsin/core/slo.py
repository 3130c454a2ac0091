"""Error budgets: burn rates over windows, what is left of a budget, and when that ends.

Multiwindow, multi-burn-rate alerts as in the Site Reliability Workbook (Google, 2018), chapter 5. A ratio here is a
share of bad events 0..1, times are seconds.
"""

import math
from dataclasses import dataclass
from typing import Literal

from scipy.special import betaincinv, ndtri

Kind = Literal["page", "ticket"]

#: 97.5 % quantile of the normal distribution: the two-sided 95 % interval.
Z = float(ndtri(0.975))
#: Bad events in the long window, at the threshold, from which on no gate against low traffic is needed.
ENOUGH = 10.0

#: Share of bad events that is all of them, as far as arithmetic goes.
EVERYTHING = 0.999999

HOUR, DAY = 3600, 86400


@dataclass(frozen=True, slots=True)
class Window:
    """A share of the budget, spent within the long window, tells `kind`; the short window lets it end soon."""

    kind: Kind
    share: float
    long: int
    short: int


#: Chapter 5, table 5-8, with a day and two hours between the six hours and the three days.
WINDOWS = (
    Window("page", 0.02, HOUR, 300),
    Window("page", 0.05, 6 * HOUR, 1800),
    Window("ticket", 0.10, DAY, 2 * HOUR),
    Window("ticket", 0.10, 3 * DAY, 6 * HOUR),
)
#: Every window that a burn rate is looked at over, and those over which events are counted.
ALL = tuple(sorted({w.short for w in WINDOWS} | {w.long for w in WINDOWS}))
#: Burn rate of the exhaustion time, and window of the exact interval.
RECENT = DAY
#: Periods ahead that an exhaustion is looked for; a later one is no news, and soon no date either.
IN_SIGHT = 100


def _literal(x: float) -> float:
    """The double nearest to what twelve digits say: 14.4 x (1 - 0.999) is 0.0144, not 0.014400000000000012."""
    return float(f"{x:.12g}")


@dataclass(frozen=True, slots=True)
class Pair:
    """A window with its burn rate and the share of bad events that this is for an objective."""

    window: Window
    factor: float
    threshold: float

    @property
    def can_fire(self) -> bool:
        """Whether a ratio can reach the threshold at all."""
        return self.threshold <= 1


def pairs(objective: float, period: int) -> tuple[Pair, ...]:
    """All windows for an objective over a period; the factor is at least 1, for less would spend no budget early."""
    out = []
    for window in WINDOWS:
        factor = _literal(max(1.0, window.share * period / window.long))
        out.append(Pair(window, factor, _literal(factor * (1 - objective))))
    return tuple(out)


def burn_rate(ratio: float, objective: float) -> float:
    """How many times faster than allowed the budget is spent; 1 spends it exactly over the period."""
    return _literal(ratio / _literal(1 - objective))


@dataclass(frozen=True, slots=True)
class Detection:
    """When a pair notices that a constant share of events is bad.

    Seconds until it fires, share of the budget spent by then, seconds until it ends once nothing is bad any more.
    """

    seconds: float
    spent: float
    reset: float


def detection(pair: Pair, error_ratio: float, period: int, objective: float) -> Detection | None:
    """Answer for constant traffic without an error before; None when the pair does not fire on it.

    The long window is the later of the two to reach the threshold, the short one the earlier to fall below it.
    """
    if error_ratio < pair.threshold or not pair.can_fire:
        return None
    share = pair.threshold / error_ratio
    seconds = share * pair.window.long
    spent = seconds * error_ratio / (period * (1 - objective))
    return Detection(seconds, spent, pair.window.short * (1 - share))


# ------------------------------------------------------------------------------------------------ low traffic


def wilson_lower(bad: float, total: float) -> float:
    """Lower bound of the two-sided 95 % score interval of a share (Wilson, 1927); 0 without events."""
    if total <= 0:
        return 0.0
    bad = min(max(bad, 0.0), total)
    root = math.sqrt(bad * (1 - bad / total) + Z * Z / 4)
    return max(0.0, (bad + Z * Z / 2 - Z * root) / (total + Z * Z))


def score(threshold: float) -> float:
    """What (share - threshold) x sqrt(total) has to reach for Wilson's lower bound to be at or above the threshold.

    The score interval is what the score test does not reject; in this form PromQL can ask it in one line.
    """
    return Z * math.sqrt(threshold * (1 - threshold))


def exact_interval(bad: float, total: float) -> tuple[float, float]:
    """The two-sided 95 % interval of a share (Clopper and Pearson, 1934); (nan, nan) without events.

    Counts may be fractions, because Prometheus extrapolates: the beta quantiles are continuous in them.
    """
    if not total > 0:
        return math.nan, math.nan
    bad = min(max(bad, 0.0), total)
    lower = 0.0 if bad <= 0 else float(betaincinv(bad, total - bad + 1, 0.025))
    upper = 1.0 if bad >= total else float(betaincinv(bad + 1, total - bad, 0.975))
    return lower, upper


Reason = Literal["few_bad_events", "not_significant"]


def held_back(pair: Pair, bad: float, total: float, min_bad: int) -> Reason | None:
    """Why a pair with both windows at its threshold does not fire, or None: `bad` and `total` in the long window."""
    if total * pair.threshold >= ENOUGH or _all_failed(pair, bad, total):
        return None
    if bad < min_bad:
        return "few_bad_events"
    return "not_significant" if wilson_lower(bad, total) < pair.threshold else None


def _all_failed(pair: Pair, bad: float, total: float) -> bool:
    """Everything failing over the longest window always tells, however little it is."""
    return pair.window.long == ALL[-1] and total > 0 and bad / total >= EVERYTHING


# ------------------------------------------------------------------------------------------------ budget


def remaining(history: float, bad_ratio: float, objective: float) -> float:
    """Share of the period's budget that is left, below 0 when it is overspent.

    `history` is the share of the period that was seen, `bad_ratio` the share of bad events in that.
    """
    return 1.0 - history * bad_ratio / _literal(1 - objective)


def exhaustion(remaining: float, period: int, burn: float) -> float | None:
    """Seconds until nothing is left at this burn rate; None when nothing burns or is left, or that is out of sight."""
    if burn <= 0 or remaining <= 0:
        return None
    left = remaining * period / burn
    return left if left <= IN_SIGHT * period else None
