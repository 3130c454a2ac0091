"""One series of the services around the music school: a value that swings about a base, or a counter of such events."""

import math
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

#: Seconds of history that these services have: enough samples for every step, an hour at most, to be graded.
HISTORY = 86_400
#: Seconds between two samples of it; and from a quarter of an hour on, with one more before that, those of a scrape.
#: A rate over samples that lie far apart at first and close together then misses what was before the first one: where
#: that begins no signal learns, because it is between two steps, or ends a whole range of five or fifteen minutes.
STEP, SCRAPE, DENSE = 60, 2, 900
#: Seconds of a swing. No usual step is a multiple of it, so that samples at any step see all of it, and the value is
#: never further from their mean than a sine is from its own: 1.41 standard deviations, which is a calm service.
PERIOD = 23 * 60

#: gauge: the value; whole: the same as an integer; counter: events, whole; amount: a counter of seconds, bytes or
#: money; moment: a unix time that is so many seconds from the origin.
Kind = Literal["gauge", "whole", "counter", "amount", "moment"]


@dataclass(frozen=True)
class Load:
    """A series with its labels as Prometheus stores them.

    `base` is the mean of a gauge or the mean rate of a counter per second, `swing` the amplitude as a share of it.
    Series with the same `phase` swing together; by default every one has its own. `sort` is what the page calls it.
    """

    metric: str
    labels: tuple[tuple[str, str], ...]
    kind: Kind
    base: float
    swing: float = 0.0
    phase: str = ""
    #: Of a histogram's sum: the mean of the events, whose rate is `base`.
    mean: float = 1.0
    #: Whether the burst of errors is counted here.
    bursts: bool = False
    #: Whether the rules record it: there is history of it, and the page does not show it.
    recorded: bool = False

    @property
    def sort(self) -> str:
        """The type of the metric in Prometheus' words."""
        return "counter" if self.kind in ("counter", "amount") else "gauge"

    @cached_property
    def series(self) -> str:
        """The series in the text format."""
        labels = ",".join(f'{name}="{value}"' for name, value in self.labels)
        return f"{self.metric}{{{labels}}}" if labels else self.metric

    @cached_property
    def _begin(self) -> float:
        return math.tau * zlib.crc32((self.phase or self.series).encode()) / 2**32

    def at(self, since: float, origin: float) -> float:
        """Value `since` seconds after the origin, a unix time; a counter begins HISTORY before it."""
        if self.kind == "moment":
            return origin + self.base
        if self.kind in ("gauge", "whole"):
            value = self.base * (1 + self.swing * math.sin(self._angle(since)))
            return round(value) if self.kind == "whole" else value
        events = self.base * (self._integral(since) - self._integral(-HISTORY))
        return self.mean * (math.floor(events) if self.kind == "counter" else events)

    def _angle(self, since: float) -> float:
        return math.tau * since / PERIOD + self._begin

    def _integral(self, since: float) -> float:
        return since - self.swing * PERIOD / math.tau * math.cos(self._angle(since))


@dataclass(frozen=True, slots=True)
class Burst:
    """Requests that fail, beside those that are answered: `rate` per second for `length` seconds from `begin` on."""

    begin: float
    rate: float = 200.0
    length: float = 45.0

    def until(self, t: float) -> float:
        """How many there have been at unix time t."""
        return math.floor(self.rate * min(max(t - self.begin, 0.0), self.length))


class Fleet:
    """What there is to scrape of all of them; `origin` is a unix time, a whole minute. At most one burst at a time."""

    def __init__(self, loads: tuple[Load, ...], origin: int) -> None:
        self._loads, self._origin = loads, origin
        self.burst: Burst | None = None

    def value(self, load: Load, t: float) -> float:
        """Value of one series at unix time t."""
        more = self.burst.until(t) if load.bursts and self.burst is not None else 0.0
        return load.at(t - self._origin, self._origin) + more

    def page(self, t: float) -> str:
        """What a scrape at unix time t sees, in the text format of Prometheus; every series says whose it is."""
        lines, last = [], ""
        for load in self._loads:
            if load.recorded:
                continue
            if load.metric != last:
                lines.append(f"# TYPE {load.metric} {load.sort}")
                last = load.metric
            lines.append(f"{load.series} {self.value(load, t):.12g}")
        return "\n".join(lines) + "\n"

    def history(self, until: int) -> Iterator[str]:
        """HISTORY before the origin, and on to unix time `until`, in OpenMetrics text: a piece per series, no end.

        A counter that stands still until it is scraped for the first time would look like less traffic.
        """
        origin = self._origin
        dense = (origin // DENSE - 1) * DENSE
        times = (*range(origin - HISTORY, dense, STEP), *range(dense, until + 1, SCRAPE))
        for load in self._loads:
            yield "".join(f"{load.series} {load.at(t - origin, origin):.12g} {t}\n" for t in times)
