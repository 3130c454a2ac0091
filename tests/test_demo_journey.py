"""The stages of the demonstration are recognised in their order, and what is missing is said."""

from __future__ import annotations

from tocsin.demo.journey import Journey, Stage
from tocsin.demo.readings import Row


def walk(journey: Journey, *seen: tuple[int, str, int]) -> list[list[Stage]]:
    return [journey.observe(Row("piano", tier, alert=alert), n, t) for t, (tier, alert, n) in enumerate(seen)]


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
    assert journey.complete
    assert journey.missing() == []
    assert journey.reached[Stage.CRITICAL] == 6


def test_a_tier_that_was_skipped_is_missing_with_all_that_had_to_follow() -> None:
    journey = Journey()
    walk(journey, (0, "", 0), (2, "", 0), (4, "pending", 0), (4, "firing", 1))
    assert not journey.complete
    assert journey.missing() == ["tier 3, Action", "tier 4, Critical"]


def test_tiers_in_the_wrong_order_do_not_count() -> None:
    journey = Journey()
    walk(journey, (0, "", 0), (4, "", 0), (3, "", 0), (2, "", 0))
    assert journey.missing()[:2] == ["tier 3, Action", "tier 4, Critical"]


def test_an_alert_that_arrived_before_ours_fired_is_not_ours() -> None:
    journey = Journey()
    walk(journey, (0, "", 1), (2, "", 1), (3, "", 1), (4, "pending", 1))
    assert journey.missing() == [Stage.FIRING.value, Stage.WEBHOOK.value]


def test_a_webhook_that_arrives_in_the_reading_of_the_firing_counts() -> None:
    journey = Journey()
    walk(journey, (0, "", 0), (2, "", 0), (3, "", 0), (4, "firing", 1))
    assert journey.complete
