"""The stages of the demonstration are recognised in their order, and what is missing is said."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from tocsin.demo.journey import Journey, Stage
from tocsin.demo.readings import Line, Reading, Row
from tocsin.demo.run import Demonstration, Options
from tocsin.demo.screen import Screen
from tocsin.demo.setup import ALERT, BURN_ALERT, Ports

if TYPE_CHECKING:
    from pathlib import Path

#: What the burst of errors leaves behind.
BURNT = (Line("maestro", alerts={BURN_ALERT: "firing"}),)


def walk(journey: Journey, *seen: tuple[int, str, int]) -> list[list[Stage]]:
    return [
        journey.observe(Reading((Row("piano", tier, alert=alert),)), "piano", {ALERT} if n else set(), t)
        for t, (tier, alert, n) in enumerate(seen)
    ]


def test_the_whole_way_is_complete_and_each_stage_is_told_once() -> None:
    journey = Journey()
    told = walk(
        journey,
        (-1, "", 0),
        (0, "", 0),
        (1, "", 0),
        (2, "", 0),
        (2, "", 0),
        (3, "", 0),
        (4, "pending", 0),
        (4, "firing", 0),
        (4, "firing", 1),
        (1, "firing", 1),
        (0, "firing", 1),
    )
    assert told == [
        [],
        [Stage.NORMAL],
        [],
        [Stage.WATCH],
        [],
        [Stage.ACTION],
        [Stage.CRITICAL, Stage.PENDING],
        [Stage.FIRING],
        [Stage.WEBHOOK],
        [],
        [Stage.CALM],
    ]
    assert journey.reached[Stage.CRITICAL] == 6
    assert journey.missing() == [Stage.BURN.value, Stage.BURN_WEBHOOK.value]
    reading = Reading(services=BURNT)
    assert journey.observe(reading, "piano", {ALERT}, 20) == [Stage.BURN]
    assert not journey.complete
    assert journey.observe(reading, "piano", {ALERT, BURN_ALERT}, 21) == [Stage.BURN_WEBHOOK]
    assert journey.complete
    assert journey.missing() == []


def test_a_budget_alert_that_has_arrived_has_fired() -> None:
    assert Journey().observe(Reading(), "piano", {BURN_ALERT}, 0) == [Stage.BURN, Stage.BURN_WEBHOOK]


def test_another_alert_that_arrived_is_none_of_those_that_are_waited_for() -> None:
    seen = Reading((Row("piano", 4, alert="firing"),))
    assert Journey().observe(seen, "piano", {"MelodyMeterUtilizationAction"}, 0) == [Stage.FIRING]


def test_a_tier_that_was_skipped_is_missing_with_all_that_had_to_follow() -> None:
    journey = Journey()
    walk(journey, (0, "", 0), (2, "", 0), (4, "pending", 0), (4, "firing", 1))
    assert not journey.complete
    assert journey.missing()[:2] == ["tier 3, Action", "tier 4, Critical"]


def test_tiers_in_the_wrong_order_do_not_count() -> None:
    journey = Journey()
    walk(journey, (0, "", 0), (4, "", 0), (3, "", 0), (2, "", 0))
    assert journey.missing()[:2] == ["tier 3, Action", "tier 4, Critical"]


def test_an_alert_that_arrived_before_ours_fired_is_not_ours() -> None:
    journey = Journey()
    walk(journey, (0, "", 1), (2, "", 1), (3, "", 1), (4, "pending", 1))
    assert journey.missing()[:2] == [Stage.FIRING.value, Stage.WEBHOOK.value]


def test_a_webhook_that_arrives_in_the_reading_of_the_firing_counts() -> None:
    journey = Journey()
    walk(journey, (0, "", 0), (2, "", 0), (3, "", 0), (4, "firing", 1))
    assert Stage.WEBHOOK in journey.reached


def test_a_signal_without_a_series_is_missing_however_far_the_journey_came(tmp_path: Path) -> None:
    ports = Ports(1, 2, 3, 4)
    demonstration = Demonstration(Options(ports, once=True), ports, tmp_path, Screen(), contextlib.ExitStack())
    demonstration._journey.reached = dict.fromkeys(Stage, 0.0)
    assert demonstration._missing() == ""
    lines = (Line("amas", {"cpu": 2, "queue": 0}), Line("maestro", {"signups": 0}))
    demonstration._reading = Reading(services=lines)
    assert demonstration._missing() == "any series of amas/queue; any series of maestro/signups"
