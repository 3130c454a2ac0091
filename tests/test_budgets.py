"""Reading error budgets from what is recorded, over a reload, and not at all while nobody answers."""

import asyncio
import math
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from ruler import AWAY, MONTH, NOW, Ruler, budgets, read, shop, views
from tocsin.budgets.recorded import QUERY
from tocsin.core.snapshot import Snapshot
from tocsin.metrics import Exposition
from tocsin.telemetry import Telemetry


def test_recorded_series_become_burn_rates_budget_and_exhaustion(tmp_path: Path) -> None:
    source = Ruler()
    source.record("api", e_5m=0.02, e_1h=0.02, e_1d=0.002, n_1h=1e6, n_1d=1e7, history=0.5, left=0.6)
    source.record("speed", e_5m=0.0, e_1d=math.nan, history=1.0, left=1.0)
    found = read(budgets(tmp_path, source))
    api = found["api"]
    assert api.burn == {300: 20.0, 3600: 20.0, 86400: 2.0}
    assert api.readings.remaining == 0.6
    assert api.exhausted_at == NOW + 0.6 * MONTH / 2
    assert [(p.window.long, p.window.kind) for p in api.burning] == [(3600, "page")]
    assert api.held_back == {}
    assert api.reasons == ("partial_history",)
    assert api.interval == pytest.approx((0.001972, 0.002028), abs=1e-6)
    assert (found["speed"].exhausted_at, found["speed"].interval, found["speed"].reasons) == (None, None, ())
    assert source.asked == [QUERY]


def test_little_traffic_holds_back_with_the_reason(tmp_path: Path) -> None:
    source = Ruler()
    source.record("api", e_5m=0.5, e_1h=0.5, n_1h=8.0, n_1d=8.0)
    [pair] = (api := read(budgets(tmp_path, source))["api"]).burning
    assert api.held_back == {pair: "few_bad_events"}


def test_rules_whose_metric_is_gone_are_loaded_all_the_same(tmp_path: Path) -> None:
    source = Ruler()
    source.record("api", objective=0.999)
    source.record("speed", objective=0.99, e_3d=0.001, history=0.5, left=0.9)
    found = read(budgets(tmp_path, source))
    assert {name: (view.readings.origin, view.reasons) for name, view in found.items()} == {
        "api": ("recorded", ("absent",)),
        "speed": ("recorded", ("absent", "partial_history")),
    }
    assert source.asked == [QUERY]


def test_rules_are_loaded_even_if_all_that_they_gave_is_no_number(tmp_path: Path) -> None:
    source = Ruler()
    source.record("api", e_5m=math.nan)
    assert read(budgets(tmp_path, source))["api"].readings.origin == "recorded"


@pytest.mark.parametrize("order", [1, -1])
def test_of_two_rulers_that_recorded_the_same_the_worse_one_counts(tmp_path: Path, order: int) -> None:
    source = Ruler()
    source.record("api", "a", e_5m=0.02, n_5m=100.0, history=0.5, left=0.6, objective=0.999)
    source.record("api", "b", e_5m=0.01, n_5m=120.0, history=0.4, left=0.7, objective=0.999)
    source.record("api", "c", e_5m=math.nan)
    source.series = source.series[::order]
    readings = read(budgets(tmp_path, source))["api"].readings
    assert (readings.errors, readings.events) == ({300: 0.02}, {300: 120.0})
    assert (readings.history, readings.remaining) == (0.4, 0.6)


# ------------------------------------------------------------------------------------------------ not seen


def exposed(snapshot: Snapshot) -> list[str]:
    text = b"".join(Exposition(CollectorRegistry(), "essential").page(snapshot)).decode()
    return [line for line in text.splitlines() if not line.startswith("#")]


OBJECTIVES = [
    'tocsin_slo_objective_ratio{tocsin_service="shop",slo="api"} 0.999',
    'tocsin_slo_objective_ratio{tocsin_service="shop",slo="speed"} 0.99',
]


def test_two_readings_without_an_answer_withdraw_every_value_and_keep_the_slos_listed(tmp_path: Path) -> None:
    source, telemetry = Ruler(), Telemetry()
    reader = budgets(tmp_path, source, telemetry)
    source.record("api", e_5m=0.0, left=1.0)
    source.record("speed", e_5m=0.0)
    assert read(reader)["api"].burn == {300: 0.0}
    source.fails = lambda _: AWAY
    assert read(reader, NOW + 30)["api"].burn == {300: 0.0}
    found = read(reader, NOW + 45)
    assert [(view.readings.origin, view.reasons, view.t) for view in found.values()] == [("blind", ("blind",), NOW)] * 2
    assert exposed(Snapshot(NOW, slos=reader.as_of(NOW + 45))) == OBJECTIVES
    assert telemetry.value("slo_evaluations_total", "connection") == 2
    assert telemetry.value("slo_last_success_timestamp_seconds") == NOW
    source.fails = lambda _: None
    assert read(reader, NOW + 90)["api"].burn == {300: 0.0}


def test_what_was_not_read_yet_is_listed_without_a_value(tmp_path: Path) -> None:
    source = Ruler()
    reader = budgets(tmp_path, source)
    assert [(view.readings.origin, view.reasons) for view in reader.as_of(NOW)] == [("unread", ("unread",))] * 2
    assert exposed(Snapshot(NOW, slos=reader.as_of(NOW))) == OBJECTIVES
    source.fails = lambda _: AWAY
    assert {view.readings.origin for view in read(reader).values()} == {"unread"}
    assert {view.readings.origin for view in read(reader, NOW + 15).values()} == {"blind"}


def test_an_answer_that_does_not_end_freezes_no_value(tmp_path: Path) -> None:
    source = Ruler()
    reader = budgets(tmp_path, source)
    source.record("api", e_5m=0.0)
    read(reader)
    assert views(reader, NOW + 59)["api"].readings.origin == "recorded"
    assert views(reader, NOW + 60)["api"].reasons == ("blind",)


# ------------------------------------------------------------------------------------------------ reload


def test_a_reload_keeps_what_is_known_of_slos_that_did_not_change(tmp_path: Path) -> None:
    source, seen = Ruler(), []
    reader = budgets(tmp_path, source)
    source.record("api", e_5m=0.02)
    source.direct = {"avg_over_time((avg(((slow_share) >= -Inf)))[5m:1m])": 0.25}
    before = read(reader)
    assert before["speed"].burn == {300: 25.0}
    asked = len(source.asked)

    async def reload(speed: str, new: Ruler | None) -> None:
        await reader.reconfigure(shop(tmp_path, speed), new, interval=15.0, query_delay=0.0)
        seen.append({name: view.readings.origin for name, view in views(reader).items()})
        await reader.stop()

    asyncio.run(reload("99%", None))
    assert views(reader) == before
    read(reader, NOW + 15)
    assert source.asked[asked:] == [QUERY]
    asyncio.run(reload("98%", None))
    asyncio.run(reload("98%", Ruler()))
    assert seen == [
        {"api": "recorded", "speed": "direct"},
        {"api": "recorded", "speed": "unread"},
        {"api": "unread", "speed": "unread"},
    ]
