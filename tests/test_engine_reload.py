"""What a reload of the configuration keeps, and what it starts anew."""

import asyncio

from engines import LABELS, Program
from scripted import EXPR, T0, Scripted, down, spec, steady
from tocsin.core.snapshot import Sight


def test_a_reload_keeps_the_state_of_signals_that_did_not_change() -> None:
    source = Scripted(("a", steady()))
    source.series["other"] = [("b", steady())]
    program = Program(source, spec(), spec(signal="second", expr="other"))
    program.cycles(T0)
    first, second = program.engine.evaluations
    source.asked.clear()
    program.reconfigure(spec(signal="second", expr="other", stale_after=60), spec())
    assert [evaluation.spec.signal for evaluation in program.engine.evaluations] == ["second", "sig"]
    assert program.engine.evaluations[1] is first
    assert program.engine.evaluations[0] is not second
    program.cycles(T0 + 60)
    assert [asked[1] for asked in source.asked if asked[0] == "range"] == ["other"]


def test_a_removed_signal_leaves_neither_a_view_nor_gauges() -> None:
    source = Scripted(("a", steady()))
    source.series["other"] = [("b", steady())]
    program = Program(source, spec(), spec(signal="second", expr="other"))
    program.cycles(T0)
    program.reconfigure(spec())
    assert set(program.tiers()) == {"sig"}
    left = {
        sample.name
        for family in program.telemetry.registry.collect()
        for sample in family.samples
        if sample.labels.get("signal") == "second"
    }
    # Counters stay: one that disappears and comes back would look like a reset.
    assert left == {"tocsin_evaluations_total", "tocsin_series_dropped_total", "tocsin_level_shifts_total"}


def test_signals_of_a_reload_are_stale_until_they_are_graded() -> None:
    source = Scripted(("a", steady()))
    source.fault = lambda _k, _e, _t: down()
    program = Program(source, spec())
    program.cycles(T0)
    changed, added = spec(stale_after=60), spec(signal="second")

    async def run() -> None:
        await program.engine.reconfigure([changed, added], None, query_delay=0.0, max_series=1000)
        # No task has run yet.
        assert [program.telemetry.value("stale", "svc", name) for name in ("sig", "second")] == [1, 1]
        assert [missed.reason for missed in program.engine.snapshot.missed] == [None, None]
        await program.engine.stop()

    asyncio.run(run())


def test_another_source_starts_everything_anew() -> None:
    program = Program(Scripted(("a", steady())), spec())
    program.cycles(T0)
    new = Scripted(("b", steady()))
    program.reconfigure(spec(), source=new)
    # Unknown, and not absent: without any tier alerts that fire would resolve.
    assert program.sights() == {"sig": Sight.BLIND}
    program.cycles(T0 + 60)
    assert program.engine.snapshot.find("a") == []
    assert len(program.engine.snapshot.find("b")) == 1


def test_a_lower_limit_refuses_newcomers_and_keeps_who_is_there() -> None:
    program = Program(Scripted(("a", steady()), ("b", steady())), spec())
    program.cycles(T0)
    program.reconfigure(spec(), max_series=1)
    program.source.series[EXPR].append(("c", steady()))
    program.cycles(T0 + 60)
    assert program.tiers() == {"sig": [0, 0]}
    assert program.telemetry.value("series_dropped_total", *LABELS, "max_series") == 1
