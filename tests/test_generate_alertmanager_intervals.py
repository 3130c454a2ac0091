"""Windows as time intervals: the same minutes as our own calendar, in every zone, over years."""

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from alertmanagers import RECEIVERS, accepted, shop, site
from tocsin.config.models import Maintenance
from tocsin.core import calendar
from tocsin.generate.alertmanager import build, intervals
from tocsin.generate.alertmanager.intervals import Inexpressible
from tocsin.generate.alertmanager.site import Refused

QUARTERLY = {"name": "quarterly", "on": "first sunday of quarter", "hours": "02:00-04:00"}
NTH = [f"{nth} {day} of" for nth in ("first", "second", "last") for day in ("sunday", "mon")]
RULES = ["daily", "mon-fri", "fri-mon", *(f"{nth} {what}" for nth in NTH for what in ("month", "quarter"))]


def holds(parts: list[dict[str, Any]], moment: datetime) -> bool:
    """Whether a time is in one of the intervals, as Alertmanager's documentation says it."""
    return any(_holds(part, moment) for part in parts)


def _holds(part: dict[str, Any], moment: datetime) -> bool:
    local = moment.astimezone(ZoneInfo(part.get("location", "UTC")))
    last = (local.replace(day=28) + timedelta(days=4)).replace(day=1) - timedelta(days=1)
    if "times" in part:
        clock = local.strftime("%H:%M")
        if not any(one["start_time"] <= clock < one["end_time"] for one in part["times"]):
            return False
    weekdays = part.get("weekdays", ["sunday:saturday"])
    if weekdays != ["sunday:saturday"] and local.strftime("%A").lower() not in weekdays:
        return False
    if "months" in part and local.strftime("%B").lower() not in part["months"]:
        return False
    if "years" in part and str(local.year) not in part["years"]:
        return False

    def day(text: str) -> int:
        return int(text) if int(text) > 0 else last.day + 1 + int(text)

    ranges = [(one.partition(":")[0], one.rpartition(":")[2]) for one in part.get("days_of_month", ["1:-1"])]
    return any(day(first) <= local.day <= day(end) for first, end in ranges)


@pytest.mark.parametrize("zone", ["UTC", "America/New_York", "+10:00"])
@pytest.mark.parametrize("hours", [None, "02:00-04:00", "22:00-06:00", "18:00-24:00", "22:00-00:00"])
def test_recurring_windows_are_those_of_the_calendar_all_winter(zone: str, hours: str | None) -> None:
    step = timedelta(hours=3, minutes=10)
    for rule in RULES:
        window = Maintenance(name="w", on=rule, hours=hours, time_zone=zone)
        ours, theirs = calendar.Recurring.of("w", rule, hours, zone), intervals.recurring(window)
        moment, end = datetime(2027, 12, 15, tzinfo=UTC), datetime(2028, 4, 10, tzinfo=UTC)
        while moment < end:
            assert holds(theirs, moment) == ours.holds(moment.timestamp()), (rule, moment)
            moment += step


def test_the_first_sunday_of_each_quarter_is_said_by_days_weekday_and_months() -> None:
    assert intervals.maintenance(Maintenance(**QUARTERLY)) == [
        {
            "times": [{"start_time": "02:00", "end_time": "04:00"}],
            "weekdays": ["sunday"],
            "days_of_month": ["1:7"],
            "months": ["january", "april", "july", "october"],
        }
    ]


def test_a_single_window_is_a_list_of_days_in_utc() -> None:
    window = Maintenance(name="w", start="2026-12-30T22:00", end="2027-01-01T03:30", time_zone="Europe/Berlin")
    parts = intervals.maintenance(window)
    assert [(part["days_of_month"], part["years"], part.get("times")) for part in parts] == [
        (["30"], ["2026"], [{"start_time": "21:00", "end_time": "24:00"}]),
        (["31"], ["2026"], None),
        (["1"], ["2027"], [{"start_time": "00:00", "end_time": "02:30"}]),
    ]


@pytest.mark.parametrize(
    ("window", "message"),
    [
        (
            {"on": "daily", "time_zone": "+05:30"},
            (
                "found the offset +05:30, expected an IANA time zone such as Asia/Kolkata, or whole hours: "
                "Alertmanager knows zones by name only"
            ),
        ),
        (
            {"on": "fourth sunday of month", "hours": "22:00-02:00"},
            (
                "found hours past midnight of the fourth such day of a month, expected hours within the day, or "
                "`last`: the day after may be in the next month, in February of some years"
            ),
        ),
        (
            {"start": "2026-01-01T00:00:30", "end": "2026-01-02"},
            "found seconds, expected whole minutes, which is what Alertmanager's times have",
        ),
        ({"start": "2026-01-01", "end": "2026-06-01"}, "found 151 days, expected at most 62"),
    ],
)
def test_what_intervals_cannot_say_is_refused(window: dict[str, Any], message: str) -> None:
    with pytest.raises(Inexpressible) as caught:
        intervals.maintenance(Maintenance(name="w", **window))
    assert str(caught.value) == message


def test_a_refused_window_can_be_left_unmuted() -> None:
    window = {"name": "w", "on": "daily", "hours": "02:00-04:00", "time_zone": "+05:30"}
    with pytest.raises(Refused) as caught:
        build.parts(site(maintenance=[window]))
    assert caught.value.reasons == [
        (
            "maintenance[0]: found the offset +05:30, expected an IANA time zone such as Asia/Kolkata, or whole hours: "
            "Alertmanager knows zones by name only, or `mute: false`"
        )
    ]
    assert build.parts(site(maintenance=[{**window, "mute": False}])).time_intervals == []


def test_a_window_mutes_its_services_and_quiet_hours_mute_what_does_not_page(tmp_path: Any) -> None:
    receivers = {
        **RECEIVERS,
        "ops": {**RECEIVERS["ops"], "quiet_hours": [{"on": "sat,sun", "time_zone": "Europe/Berlin"}]},
    }
    made = site(shop(), shop("other"), receivers=receivers, maintenance=[{**QUARTERLY, "services": ["other"]}])
    _, one, other = build.parts(made).node.routes
    assert list(one.mute) == ["tocsin-quiet-ops"]
    assert list(other.mute) == ["tocsin-maintenance-quarterly-1", "tocsin-quiet-ops"]
    assert [list(node.routes[0].mute) for node in (one, other)] == [[], ["tocsin-maintenance-quarterly-1"]]
    accepted(tmp_path, build.whole(made)[0])
