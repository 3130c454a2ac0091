"""The workload of the demonstration: a music school that rents out its instruments by the hour.

Utilization is one function of (resource, time since the origin), so that what is scraped live continues the backfilled
history without a break, and every demonstration sees the same numbers. The origin is the minute in which it begins; the
school's clock shows :data:`OPENS` then, whatever the real hour is, so that the busy hours are always still to come.
"""

import math
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

UTILIZATION = "melody_bookings_utilization_percent"
CONFIRMED = "melody_bookings_confirmed_total"
CANCELLED = "melody_bookings_cancelled_total"
#: The labels that Prometheus puts on what it scrapes; the backfilled series have them too, to be the same series.
JOB = "melody-meter"
INSTANCE = "school"

MINUTE, HOUR, DAY = 60, 3600, 86400
#: Hour of the school's day at the origin.
OPENS = 9
HISTORY = 14 * DAY
_CANCELLED_SHARE = 0.06
_HELP = {
    UTILIZATION: ("gauge", "Share of the bookable hours that is booked, in percent."),
    CONFIRMED: ("counter", "Bookings that were confirmed."),
    CANCELLED: ("counter", "Bookings that were cancelled."),
}


@dataclass(frozen=True, slots=True)
class Resource:
    """An instrument: utilization at the origin less season and noise, half the daily swing, and the busiest hour.

    Utilization is a ratio; `growth` is its change per day, `noise` the amplitude of the noise, `bookings` how many come
    per hour when everything is booked.
    """

    name: str
    level: float
    swing: float
    busiest: int
    noise: float = 0.036
    growth: float = 0.0
    bookings: int = 60


RESOURCES = (
    Resource("piano", level=0.52, swing=0.10, busiest=15, bookings=120),
    Resource("violin", level=0.61, swing=0.12, busiest=17, bookings=90),
    # Grows by a quarter per week: yesterday evening it was nearly full, this evening it will be more than full.
    Resource("cello", level=0.945, swing=0.05, busiest=21, noise=0.008, growth=0.035, bookings=40),
    Resource("drums", level=0.38, swing=0.14, busiest=19, bookings=30),
    Resource("voice", level=0.47, swing=0.09, busiest=12, bookings=75),
)


@dataclass(frozen=True, slots=True)
class Surge:
    """Extra utilization of one resource from unix time `begin` on: up in `rise` seconds, `hold`, down in `fall`."""

    resource: str
    begin: float
    height: float = 0.32
    rise: float = 80.0
    hold: float = 30.0
    fall: float = 20.0

    @property
    def peak_end(self) -> float:
        """Unix time at which it begins to fall."""
        return self.begin + self.rise + self.hold

    def at(self, t: float) -> float:
        """What it adds to the utilization at unix time t."""
        up = (t - self.begin) / self.rise
        down = 1 - (t - self.peak_end) / self.fall
        return self.height * max(0.0, min(up, 1.0, down))


def utilization(resource: Resource, t: float, origin: float) -> float:
    """Utilization as a ratio at unix time t, without any surge. Continuous; `origin` is a whole minute."""
    since = t - origin
    smooth = resource.level + resource.growth * since / DAY + resource.swing * math.cos(_phase(resource, since))
    minute, share = divmod(since / MINUTE, 1)
    before, after = _noise(resource.name, int(minute)), _noise(resource.name, int(minute) + 1)
    return smooth + resource.noise * (before + (after - before) * share)


def confirmed(resource: Resource, t: float, origin: float) -> int:
    """Bookings confirmed since the history began: the integral of the utilization without its noise."""
    hours = (_integral(resource, t - origin) - _integral(resource, -HISTORY)) / HOUR
    return math.floor(resource.bookings * hours)


def cancelled(resource: Resource, t: float, origin: float) -> int:
    """Bookings cancelled since the history began."""
    return math.floor(_CANCELLED_SHARE * confirmed(resource, t, origin))


def _phase(resource: Resource, since: float) -> float:
    return math.tau * (since / HOUR + OPENS - resource.busiest) / 24


def _integral(resource: Resource, since: float) -> float:
    season = resource.swing * DAY / math.tau * math.sin(_phase(resource, since))
    return resource.level * since + resource.growth * since * since / (2 * DAY) + season


_MASK = 2**64 - 1


def _noise(name: str, minute: int) -> float:
    """Noise in -1..1, seeded by resource and minute: splitmix64's finalizer gives a phase, its sine is the noise.

    The sine of a uniform phase is never further off than 1.41 standard deviations: a calm resource stays a calm row.
    """
    z = (zlib.crc32(name.encode()) * 0x9E3779B97F4A7C15 + minute * 0xD1B54A32D192ED03) & _MASK
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 & _MASK
    z = (z ^ z >> 27) * 0x94D049BB133111EB & _MASK
    return math.sin(math.tau * (z ^ z >> 31) / _MASK)


class Workload:
    """What there is to scrape; `origin` is a unix time, a whole minute. At most one surge at a time."""

    def __init__(self, origin: int) -> None:
        self.origin = origin
        self.surge: Surge | None = None

    def value(self, metric: str, resource: Resource, t: float) -> float:
        """Value of one series at unix time t."""
        if metric == CONFIRMED:
            return confirmed(resource, t, self.origin)
        if metric == CANCELLED:
            return cancelled(resource, t, self.origin)
        extra = self.surge.at(t) if self.surge is not None and self.surge.resource == resource.name else 0.0
        return 100 * (utilization(resource, t, self.origin) + extra)

    def page(self, t: float) -> str:
        """What a scrape at unix time t sees, in the text format of Prometheus."""
        lines = []
        for metric, (kind, about) in _HELP.items():
            lines += [f"# HELP {metric} {about}", f"# TYPE {metric} {kind}"]
            lines += [f'{metric}{{resource="{r.name}"}} {self.value(metric, r, t):.10g}' for r in RESOURCES]
        return "\n".join(lines) + "\n"

    def history(self) -> Iterator[str]:
        """Every minute up to the origin in OpenMetrics text, one piece per metric and resource, without an end."""
        for metric, (kind, _) in _HELP.items():
            # OpenMetrics names the family of a counter without its suffix.
            head = f"# TYPE {metric.removesuffix('_total')} {kind}\n"
            for resource in RESOURCES:
                labels = f'{{instance="{INSTANCE}",job="{JOB}",resource="{resource.name}"}}'
                yield head + "".join(
                    f"{metric}{labels} {self.value(metric, resource, t):.10g} {t}\n"
                    for t in range(self.origin - HISTORY, self.origin + MINUTE, MINUTE)
                )
                head = ""

    @staticmethod
    def pieces() -> int:
        """How many pieces :meth:`history` has."""
        return len(_HELP) * len(RESOURCES)
