"""Maintenance windows and quiet hours as time intervals.

https://prometheus.io/docs/alerting/latest/configuration/#time_interval: days of the week, days of the month (negative
ones from its end), months, years and times of the day, in a time zone. An interval that passes midnight is two.
"""

import re
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

from tocsin import names
from tocsin.config.models import Maintenance, QuietHours, Service
from tocsin.core import calendar
from tocsin.generate.alertmanager.site import Site

Interval = dict[str, Any]

_DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_MONTHS = (
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
)
_MIDNIGHT = 86400
_FEBRUARY = date(2026, 2, 1)
_FOURTH = 3
#: A window that is longer is no window.
_LONGEST_DAYS = 62
_OFFSET = re.compile(r"([+-])([0-9]{2}):([0-9]{2})")


class Inexpressible(ValueError):
    """A time that Alertmanager's intervals cannot say."""


def windows_of(site: Site, service: Service) -> list[str]:
    """Names of the maintenance windows of a service that mute."""
    return [maintenance_name(i, window) for i, window in muting(site, service)]


def muting(site: Site, service: Service) -> list[tuple[int, Maintenance]]:
    """The maintenance windows of a service that mute, each with its place in the configuration.

    They mute pages too: that is what planned work is for. Alertmanager does not send later what ended meanwhile, so
    that an incident of PagerDuty which was opened before stays open.
    """
    return [
        (i, window)
        for i, window in enumerate(site.process.maintenance)
        if window.mute and (not window.services or service.service in window.services)
    ]


def maintenance_name(index: int, window: Maintenance) -> str:
    """Name of the interval of a window; two windows may be called the same."""
    return f"{names.MAINTENANCE_INTERVAL}{window.name}-{index + 1}"


def quiet_name(receiver: str) -> str:
    """Name of the interval of a receiver's quiet hours."""
    return names.QUIET_INTERVAL + receiver


def made(site: Site) -> tuple[list[dict[str, Any]], list[str]]:
    """All intervals as a configuration lists them, and for each that cannot be said the reason."""
    found: list[dict[str, Any]] = []
    reasons: list[str] = []
    for i, window in enumerate(site.process.maintenance):
        if window.mute:
            try:
                found.append({"name": maintenance_name(i, window), "time_intervals": maintenance(window)})
            except Inexpressible as error:
                reasons.append(f"maintenance[{i}]: {error}, or `mute: false`")
    for name, receiver in site.process.receivers.items():
        try:
            parts = [part for hours in receiver.quiet_hours for part in recurring(hours)]
        except Inexpressible as error:
            reasons.append(f"receivers.{name}.quiet_hours: {error}")
        else:
            if parts:
                found.append({"name": quiet_name(name), "time_intervals": parts})
    return found, reasons


def maintenance(window: Maintenance) -> list[Interval]:
    """A window, recurring or single; Inexpressible for what intervals cannot say."""
    if window.on is not None:
        return recurring(window)
    zone = calendar.parse_zone(window.time_zone)
    moments = [calendar.parse_moment(text or "", zone) for text in (window.start, window.end)]
    # A single window is as well said in UTC, which every Alertmanager knows.
    start, end = (datetime.fromtimestamp(moment, UTC) for moment in moments)
    return list(_single(start, end))


def _single(start: datetime, end: datetime) -> Iterator[Interval]:
    """Each day of a window by itself."""
    if any(moment.second or moment.microsecond for moment in (start, end)):
        raise Inexpressible("found seconds, expected whole minutes, which is what Alertmanager's times have")
    days = (end.date() - start.date()).days
    if days > _LONGEST_DAYS:
        raise Inexpressible(f"found {days} days, expected at most {_LONGEST_DAYS}")
    for i in range(days + 1):
        day = start.date() + timedelta(days=i)
        begin = _seconds(start) if i == 0 else 0
        until = _seconds(end) if i == days else _MIDNIGHT
        if begin < until:
            on = {"days_of_month": [f"{day.day}"], "months": [_MONTHS[day.month - 1]], "years": [f"{day.year}"]}
            yield {**_times(begin, until), **on}


def _seconds(moment: datetime) -> int:
    return moment.hour * 3600 + moment.minute * 60


def recurring(hours: Maintenance | QuietHours) -> list[Interval]:
    """Hours that come back; Inexpressible for what intervals cannot say."""
    location = _location(hours.time_zone)
    rule, daily = calendar.parse_rule(hours.on or "daily"), calendar.parse_hours(hours.hours or "00:00-24:00")
    if daily.start < daily.end:
        parts = [{**_times(daily.start, daily.end), **on} for on in _days(rule, 0)]
    else:
        parts = [{**_times(daily.start, _MIDNIGHT), **on} for on in _days(rule, 0)]
        if daily.end:
            parts += [{**_times(0, daily.end), **on} for on in _days(rule, 1)]
    return [{**part, **location} for part in parts]


def _times(start: int, end: int) -> Interval:
    if (start, end) == (0, _MIDNIGHT):
        return {}
    return {"times": [{"start_time": _clock(start), "end_time": _clock(end)}]}


def _clock(seconds: int) -> str:
    return f"{seconds // 3600:02}:{seconds // 60 % 60:02}"


def _days(rule: calendar.DateRule, later: int) -> Iterator[Interval]:
    """The days of a rule, or those so many days after them."""
    if isinstance(rule, calendar.OnDays):
        if len(rule.days) < len(_DAYS):
            yield {"weekdays": [_DAYS[(day + later) % 7] for day in sorted(rule.days)]}
        else:
            # An interval without any condition is refused.
            yield {"weekdays": ["sunday:saturday"]}
        return
    assert isinstance(rule, calendar.OnNth)
    on = {"weekdays": [_DAYS[(rule.weekday + later) % 7]]}
    quarters = rule.first_of(_FEBRUARY).month == 1
    if rule.nth >= 0:
        if rule.nth == _FOURTH and later and not quarters:
            message = "found hours past midnight of the fourth such day of a month, expected hours within the day, or"
            raise Inexpressible(f"{message} `last`: the day after may be in the next month, in February of some years")
        first = rule.nth * 7 + 1 + later
        yield {**on, "days_of_month": [f"{first}:{first + 6}"], **_months((0, 3, 6, 9) if quarters else None)}
        return
    yield {**on, "days_of_month": [f"{later - 7}:-1"], **_months((2, 5, 8, 11) if quarters else None)}
    if later:
        # The last one of its kind may be the last day of the month: then the day after it is a first one.
        yield {**on, "days_of_month": ["1"], **_months((0, 3, 6, 9) if quarters else None)}


def _months(months: tuple[int, ...] | None) -> Interval:
    return {} if months is None else {"months": [_MONTHS[month] for month in months]}


def _location(zone: str) -> Interval:
    """The time zone; whole hours have a name in the database of zones, whose sign is the other way round."""
    if zone in ("UTC", "+00:00", "-00:00"):
        return {}
    match = _OFFSET.fullmatch(zone)
    if match is None:
        return {"location": zone}
    hours = int(match[2])
    if match[3] != "00" or hours > (12 if match[1] == "-" else 14):
        message = f"found the offset {zone}, expected an IANA time zone such as Asia/Kolkata, or whole hours:"
        raise Inexpressible(f"{message} Alertmanager knows zones by name only")
    return {"location": f"Etc/GMT{'-' if match[1] == '+' else '+'}{hours}"}
