"""An error budget in words, for each thing that may be missing, and dates that do not exist."""

import math
from typing import Any

import pytest

from ruler import MONTH, NOW
from tocsin.core import explain_slo
from tocsin.core.budget import Origin, Readings, Terms, assess
from tocsin.core.readable import instant

TERMS = Terms(
    "shop", "api", 0.999, MONTH, 5, True, "Requests are answered.", (("page", "Burn"), ("ticket", "Smoulder"))
)
#: The place of what is missing, where no number is known: behind what is promised and before the alerts.
MISSING = 2
BURNING = {300: 0.5, 3600: 0.5, 1800: 0.5, 21600: 0.001}


def explained(**readings: Any) -> explain_slo.Explanation:
    return explain_slo.explain(assess(TERMS, Readings(**readings), NOW))


def sentences(**readings: Any) -> tuple[str, ...]:
    return explained(**readings).sentences


def test_a_healthy_slo_is_explained_to_a_newcomer() -> None:
    found = sentences(errors={300: 0.0, 86400: 0.0005}, events={86400: 1e6}, history=1.0, remaining=0.75)
    assert "\n".join(found) == (
        "Requests are answered.\n"
        "99.9% has to be good over 30d; 0.1% may be bad: that is the error budget.\n"
        "75% of the budget is left (100% of the period was seen).\n"
        "Over the last day it burned 0.5 times as fast as the budget allows; at that rate nothing is left 45d from now,"
        " at 2027-03-01T08:00:00Z.\n"
        "With so many events the true share of bad ones is between 0.04571% and 0.05458% (95 %).\n"
        "Burn (page) would fire at a burn rate of 14.4 over 1h and 5m (1.44% bad) or 6 over 6h and 30m (0.6% bad);"
        " if everything failed, after 52s.\n"
        "Smoulder (ticket) would fire at a burn rate of 3 over 1d and 2h (0.3% bad) or 1 over 3d and 6h (0.1% bad);"
        " if everything failed, after 4m 19s."
    )


def test_what_fires_what_is_held_back_and_what_is_missing_is_said() -> None:
    fires = explained(errors=BURNING, events={3600: 1e4})
    assert "Burn (page) fires: the burn rate is 500 over 1h. Its bounds: 14.4 over 1h and 5m" in fires.sentences[2]
    assert (fires.as_dict()["firing"], fires.as_dict()["would_fire"]) == (["Burn"], [])
    held = sentences(errors=BURNING, events={3600: 8.0})
    assert held[-1] == (
        "The burn rate over 1h is at its bound, but nothing fires: there are fewer bad events than min_bad."
    )
    assert "has no result now" in sentences()[MISSING]
    assert "Nothing happened in the last hour" in sentences(events={300: 0.0, 3600: 0.0})[MISSING]
    assert "do not fit together" in sentences(errors={300: -0.2}, events={300: 5.0})[MISSING]


def test_without_its_rules_an_slo_that_burns_would_fire() -> None:
    found = explained(errors=BURNING, events={3600: 1e4}, origin="direct")
    assert "recording rules are not loaded (`tocsin generate rules` writes them)" in found.sentences[MISSING]
    assert "would fire if its rules were loaded: the burn rate is 500 over 1h" in found.sentences[MISSING + 1]
    answer = found.as_dict()
    assert (answer["firing"], answer["would_fire"], answer["origin"]) == ([], ["Burn"], "direct")
    assert found.notes == ("its rules are not loaded",)


@pytest.mark.parametrize(
    ("readings", "reasons", "sentence", "notes"),
    [
        (
            {"origin": "unread"},
            ["unread"],
            "It was not read yet: that is done as soon as the source answers.",
            ("not read yet",),
        ),
        (
            {"origin": "blind"},
            ["blind"],
            "Nothing is known of it since 2027-01-15T08:00:00Z: the source gives no answer.",
            ("no answer from the source",),
        ),
        (
            {"origin": "direct", "errors": {300: 0.0}, "unanswered": True},
            ["unanswered"],
            "The source did not answer for all of it, so that numbers are missing; it is asked again.",
            ("its rules are not loaded", "not all was answered"),
        ),
    ],
)
def test_what_keeps_an_slo_from_being_known_is_said_in_plain_words(
    readings: dict[str, Any], reasons: list[str], sentence: str, notes: tuple[str, ...]
) -> None:
    found = explained(**readings)
    assert sentence in found.sentences[2:4]
    assert (found.notes, found.as_dict()["reasons"]) == (notes, reasons)


@pytest.mark.parametrize(
    ("origin", "at"),
    [
        ("recorded", "2027-01-15T08:00:00Z"),
        ("direct", "2027-01-15T08:00:00Z"),
        ("unread", None),
        ("blind", None),
    ],
)
def test_only_what_was_answered_has_a_time(origin: Origin, at: str | None) -> None:
    answer = explained(origin=origin).as_dict()
    assert (answer["evaluated_at"], answer["origin"]) == (at, origin)


def test_events_without_a_share_of_bad_ones_lack_a_metric() -> None:
    assert assess(TERMS, Readings(events={300: 5.0}), NOW).reasons == ("absent",)
    assert assess(TERMS, Readings(errors={259200: 0.0}), NOW).reasons == ("absent",)
    assert assess(TERMS, Readings(events={300: 0.0, 3600: 5.0}), NOW).reasons == ()


# ------------------------------------------------------------------------------------------------ times


def test_an_exhaustion_that_is_out_of_sight_has_no_date() -> None:
    slow: dict[str, Any] = {"events": {300: 1e12, 86400: 1e12}, "history": 1.0, "remaining": 1.0}
    found = assess(TERMS, Readings(errors={300: 0.0, 86400: 1e-12}, **slow), NOW)
    assert found.exhausted_at is None
    [sentence] = [one for one in explain_slo.explain(found).sentences if "Over the last day" in one]
    assert sentence.endswith("times as fast as the budget allows; at that rate it lasts longer than 100 periods.")
    seen = assess(TERMS, Readings(errors={300: 0.0, 86400: 1e-5}, **slow), NOW)
    assert seen.exhausted_at == pytest.approx(NOW + 100 * MONTH)


@pytest.mark.parametrize(
    ("t", "text"),
    [
        (253402300799.0, "9999-12-31T23:59:59Z"),
        (253402300800.0, "after the year 9999"),
        (1.7e308, "after the year 9999"),
        (math.inf, "after the year 9999"),
        (-62135596801.0, "before the year 1"),
        (-1.7e308, "before the year 1"),
        (math.nan, "at no time"),
    ],
)
def test_every_number_can_be_shown_as_a_time(t: float, text: str) -> None:
    assert instant(t) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0s"), (51.84, "52s"), (259.2, "4m 19s"), (3600, "1h"), (90_000, "1d 1h")]
)
def test_a_span_of_time_is_written_in_two_units_at_most(seconds: float, text: str) -> None:
    assert explain_slo.about(seconds) == text
