"""Local time: expected multipliers by day and hour, and maintenance windows.

Both read the same small grammar of days and hours. Everything is asked by unix time and answered by the wall clock of a
zone: on the day on which clocks go forward the skipped hour never happens, on the day on which they go back both passes
of the repeated hour count.
"""

import math
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta, timezone, tzinfo
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

_FULL_NAMES = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_WEEKDAYS = {name: i for i, full in enumerate(_FULL_NAMES) for name in (full, full[:3])}
_WEEKEND = frozenset({5, 6})
_ORDINALS = {"first": 0, "second": 1, "third": 2, "fourth": 3, "last": -1}
_DAY = timedelta(days=1)
_WEEK = timedelta(days=7)

DAYS_EXPECTED = "daily, mon-fri, a list such as mon,wed,fri, or holiday"
RULE_EXPECTED = "daily, days such as mon-fri or mon,wed, or a rule such as first sunday of quarter"
HOURS_EXPECTED = "hours such as 09:00-17:00, 22:00-06:00 or 18:00-24:00"
ZONE_EXPECTED = "an IANA time zone such as Europe/Berlin, or an offset such as +05:30"

DateRule = Callable[[date], bool]


def parse_zone(text: str) -> tzinfo:
    """Return the zone of an IANA name or of a fixed offset such as ``-03:00``; ValueError when there is none such."""
    if match := re.fullmatch(r"([+-])([01][0-9]|2[0-3]):([0-5][0-9])", text):
        offset = timedelta(hours=int(match[2]), minutes=int(match[3]))
        return timezone(-offset if match[1] == "-" else offset)
    try:
        return ZoneInfo(text)
    except (KeyError, ValueError, OSError):
        # A folder of the zone database (America) is an OSError, a path out of it (../x) a ValueError.
        raise ValueError(f"found {text!r}, expected {ZONE_EXPECTED}") from None


@dataclass(frozen=True, slots=True)
class Hours:
    """Seconds of a local day, start inclusive, end exclusive; an end before the start is on the day after."""

    start: int
    end: int


def parse_hours(text: str) -> Hours:
    """Read ``HH:MM-HH:MM``; 24:00 may end it. ValueError for anything else and for hours that begin where they end."""
    clock = r"([01][0-9]|2[0-3]):([0-5][0-9])"
    match = re.fullmatch(rf"{clock}-(?:{clock}|(24):(00))", text)
    if match is None:
        raise ValueError(f"found {text!r}, expected {HOURS_EXPECTED}")
    first, second, third, fourth = (int(group) for group in match.groups() if group is not None)
    hours = Hours(first * 3600 + second * 60, third * 3600 + fourth * 60)
    if hours.start == hours.end:
        raise ValueError(f"found {text!r}, expected an end that is not the start (00:00-24:00 is the whole day)")
    return hours


def _weekdays(text: str) -> frozenset[int] | None:
    """Days of the week (Monday is 0) of ``daily``, ``fri-mon`` or ``mon,wed``; None for anything else."""
    if text == "daily":
        return frozenset(range(7))
    days: set[int] = set()
    for part in text.split(","):
        first, dash, last = (word.strip() for word in part.partition("-"))
        if first not in _WEEKDAYS or (dash and last not in _WEEKDAYS):
            return None
        start = _WEEKDAYS[first]
        span = (_WEEKDAYS[last] - start) % 7 if dash else 0
        days |= {(start + i) % 7 for i in range(span + 1)}
    return frozenset(days)


def parse_days(text: str) -> frozenset[int] | None:
    """Days of the week of a calendar line, Monday is 0; None for ``holiday``. ValueError for anything else."""
    if text == "holiday":
        return None
    if (days := _weekdays(text)) is None:
        raise ValueError(f"found {text!r}, expected {DAYS_EXPECTED}")
    return days


def parse_rule(text: str) -> DateRule:
    """Read the dates of a maintenance window: days of the week, or the n-th of one in its month or quarter."""
    if (days := _weekdays(text)) is not None:
        return OnDays(days)
    match = re.fullmatch(rf"({'|'.join(_ORDINALS)}) +(\w+) +of +(month|quarter)", text)
    if match is None or match[2] not in _WEEKDAYS:
        raise ValueError(f"found {text!r}, expected {RULE_EXPECTED}")
    ordinal, weekday = _ORDINALS[match[1]], _WEEKDAYS[match[2]]
    return OnNth(ordinal, weekday, _month_start if match[3] == "month" else _quarter_start)


@dataclass(frozen=True, slots=True)
class OnDays:
    """These days of the week, Monday is 0."""

    days: frozenset[int]

    def __call__(self, day: date) -> bool:
        """Whether the rule holds on this date."""
        return day.weekday() in self.days


@dataclass(frozen=True, slots=True)
class OnNth:
    """The n-th (0 is the first, negative the last) such weekday of what `first_of` finds the first day of."""

    nth: int
    weekday: int
    first_of: Callable[[date], date]

    def __call__(self, day: date) -> bool:
        """Whether the rule holds on this date."""
        if day.weekday() != self.weekday:
            return False
        if self.nth < 0:
            return self.first_of(day + _WEEK) != self.first_of(day)
        return (day - self.first_of(day)).days // 7 == self.nth


def _month_start(day: date) -> date:
    return day.replace(day=1)


def _quarter_start(day: date) -> date:
    return day.replace(month=(day.month - 1) // 3 * 3 + 1, day=1)


def parse_date(text: str) -> date:
    """Read ``2026-12-25``; ValueError for anything else."""
    try:
        if re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", text):
            return date.fromisoformat(text)
    except ValueError:
        pass
    raise ValueError(f"found {text!r}, expected a date such as 2026-12-25")


def parse_moment(text: str, zone: tzinfo) -> float:
    """Return the unix time of an ISO 8601 date and time, taken as wall time of the zone when it names no offset."""
    try:
        moment = datetime.fromisoformat(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=zone)).timestamp()
    except (ValueError, OverflowError):
        raise ValueError(f"found {text!r}, expected a time such as 2026-03-01T02:00 or 2026-03-01T02:00Z") from None


def _covers(on: DateRule, hours: Hours | None, day: date, seconds: int) -> bool:
    """Whether hours that begin on a day of the rule cover this wall time, past midnight those of the day before."""
    if hours is None:
        return on(day)
    if hours.start < hours.end:
        return hours.start <= seconds < hours.end and on(day)
    return (seconds >= hours.start and on(day)) or (seconds < hours.end and on(day - _DAY))


def _wall(t: float, zone: tzinfo) -> tuple[date, int]:
    """Local date and second of the day; t is cut to whole seconds, because rounding could cross midnight."""
    local = datetime.fromtimestamp(math.floor(t), zone)
    return local.date(), local.hour * 3600 + local.minute * 60 + local.second


@dataclass(frozen=True, slots=True)
class Line:
    """Expected to be `times` normal on these weekdays (None: on holidays), in these hours (None: all day)."""

    days: frozenset[int] | None
    hours: Hours | None
    times: float

    @property
    def rank(self) -> tuple[int, int]:
        """Sort key, the most specific first: holidays, weekends, other days; with hours before without."""
        kind = 0 if self.days is None else 1 if self.days <= _WEEKEND else 2
        return kind, 0 if self.hours else 1


@dataclass(frozen=True, slots=True)
class Calendar:
    """Expected multipliers by local time. `lines` are in the order in which they are asked, see :meth:`of`."""

    zone: tzinfo
    holidays: frozenset[date]
    lines: tuple[Line, ...]

    @classmethod
    def of(cls, zone: str, holidays: Iterable[str], multipliers: Iterable[tuple[str, str | None, float]]) -> "Calendar":
        """Build from texts: (days, hours, times) per line. ValueError for what the grammar does not know."""
        lines = (Line(parse_days(d), None if h is None else parse_hours(h), times) for d, h, times in multipliers)
        ordered = tuple(sorted(lines, key=lambda line: line.rank))
        return cls(parse_zone(zone), frozenset(map(parse_date, holidays)), ordered)

    def multiplier(self, t: float) -> float:
        """How many times normal the value is expected to be at unix time t: 1.0 where no line holds."""
        day, seconds = _wall(t, self.zone)
        for line in self.lines:
            if _covers(self._rule(line), line.hours, day, seconds):
                return line.times
        return 1.0

    __call__ = multiplier

    def multipliers(self, times: NDArray[np.float64]) -> NDArray[np.float64]:
        """:meth:`multiplier` of each unix time; same shape."""
        flat = np.fromiter(map(self.multiplier, times.ravel().tolist()), np.float64, times.size)
        return flat.reshape(times.shape)

    def _rule(self, line: Line) -> DateRule:
        days = line.days
        return self.holidays.__contains__ if days is None else lambda day: day.weekday() in days


@dataclass(frozen=True, slots=True)
class Recurring:
    """A window that begins on every date of the rule."""

    name: str
    on: DateRule
    hours: Hours | None
    zone: tzinfo

    @classmethod
    def of(cls, name: str, on: str, hours: str | None, zone: str) -> "Recurring":
        """Build from texts; ValueError for what the grammar does not know."""
        return cls(name, parse_rule(on), None if hours is None else parse_hours(hours), parse_zone(zone))

    def holds(self, t: float) -> bool:
        """Whether the window holds at unix time t."""
        return _covers(self.on, self.hours, *_wall(t, self.zone))


@dataclass(frozen=True, slots=True)
class Single:
    """A window from one unix time (inclusive) to another (exclusive)."""

    name: str
    start: float
    end: float

    @classmethod
    def of(cls, name: str, start: str, end: str, zone: str) -> "Single":
        """Build from texts; ValueError for what is no time or no zone, and for an end that is not after the start."""
        where = parse_zone(zone)
        window = cls(name, parse_moment(start, where), parse_moment(end, where))
        if window.start >= window.end:
            raise ValueError(f"found {end!r}, expected an end after the start ({start})")
        return window

    def holds(self, t: float) -> bool:
        """Whether the window holds at unix time t."""
        return self.start <= t < self.end


@dataclass(frozen=True, slots=True)
class Windows:
    """Maintenance windows: their samples are graded and not learnt."""

    windows: tuple[Recurring | Single, ...] = ()

    def active(self, t: float) -> str | None:
        """Name of the first window that holds at unix time t, None when none does."""
        return next((window.name for window in self.windows if window.holds(t)), None)

    def mask(self, times: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Whether any window holds at each unix time; same shape."""
        flat = np.fromiter((self.active(t) is not None for t in times.ravel().tolist()), np.bool_, times.size)
        return flat.reshape(times.shape)
