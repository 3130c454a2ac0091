"""The benchmarks at tiny sizes: that they run, and that what is compared comes to the same values."""

import asyncio
import json
import math
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from aiohttp import web
from click.testing import CliRunner
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families
from rich.console import Console

# The benchmarks are scripts beside the tests, not a package that is installed.
BENCH = Path(__file__).parents[1] / "bench"
sys.path.insert(0, str(BENCH))

import against_prometheus  # noqa: E402  found only by the line above
import cycles  # noqa: E402  as above
import exposition  # noqa: E402  as above
import filling  # noqa: E402  as above
import generation  # noqa: E402  as above
import growth  # noqa: E402  as above
import ingest  # noqa: E402  as above
import intake  # noqa: E402  as above
import model  # noqa: E402  as above
import report  # noqa: E402  as above
import run  # noqa: E402  as above
from canned import EXPR, FIRST, STEP, Canned, CannedHistory, Workload, spec  # noqa: E402  as above
from harness import Row, isolated  # noqa: E402  as above
from warm import Warm  # noqa: E402  as above

from operating import receiver  # noqa: E402  as above
from tocsin.core.snapshot import Snapshot  # noqa: E402  as above
from tocsin.evaluation import Evaluation  # noqa: E402  as above
from tocsin.metrics import Exposition  # noqa: E402  as above
from tocsin.source.columns import decode_matrix, decode_vector  # noqa: E402  as above
from tools.servers import require  # noqa: E402  as above

ABOUT = report.About("a processor, 2 cores", (0.1, 0.2), 60.0, quick=False)


@pytest.fixture(autouse=True)
def _here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Run in this process what would get one of its own: starting a dozen of them takes most of a minute."""

    def directly(work: Any, *args: Any, **kwargs: Any) -> Any:
        return work(*args, **kwargs)

    for module in (against_prometheus, cycles, exposition, filling, growth, ingest, model):
        monkeypatch.setattr(module, "isolated", directly)


def sound(rows: Iterator[Row]) -> list[Row]:
    """The rows, each with a finite positive cost and, with a peer, a finite positive ratio."""
    found = list(rows)
    assert found
    for row in found:
        assert math.isfinite(row.cost), row
        assert row.cost > 0, row
        assert bool(row.peer) == (row.peer_cost is not None), row
        assert row.ratio is None or (math.isfinite(row.ratio) and row.ratio > 0), row
    return found


# ---------------------------------------------------------------------------------------------------- same values


def test_canned_bytes_decode_to_the_values_they_were_made_of() -> None:
    load = Workload(3)
    values = load.rows(FIRST, 4)
    vector = decode_vector(load.vector(FIRST * STEP, values[0]), FIRST * STEP)
    assert vector.metrics == load.metrics
    assert vector.values.tolist() == values[0].tolist()
    matrix = decode_matrix(load.matrix(FIRST, values), FIRST * STEP, (FIRST + 3) * STEP, STEP)
    assert matrix.metrics == load.metrics
    assert matrix.values.tolist() == values.tolist()
    assert matrix.times.tolist() == [(FIRST + i) * STEP for i in range(4)]


def test_a_workload_is_the_same_whenever_it_is_asked_and_changes_with_time() -> None:
    assert Workload(5).at(FIRST).tolist() == Workload(5).at(FIRST).tolist()
    assert (Workload(5).at(FIRST) != Workload(5).at(FIRST + 1)).all()


def test_both_ways_of_giving_history_give_the_same() -> None:
    load = Workload(4)

    async def history(source: Canned) -> np.ndarray[Any, Any]:
        chunks = source.range(EXPR, float(FIRST * STEP), float((FIRST + 9) * STEP), STEP)
        return np.concatenate([matrix.values async for matrix in chunks])

    as_bytes = asyncio.run(history(CannedHistory(load, FIRST, 10, rows=3)))
    assert as_bytes.tolist() == asyncio.run(history(Canned(load))).tolist()
    assert as_bytes.shape == (10, 4)


def test_canned_history_refuses_what_it_was_not_made_for() -> None:
    source = CannedHistory(Workload(1), FIRST, 10)
    evaluation = Evaluation(spec(warmup=11), source, lambda: 1)
    with pytest.raises(ValueError, match="no bytes were made"):
        asyncio.run(evaluation.fill(float((FIRST + 10) * STEP)))


def test_ingest_and_its_peer_come_to_the_same_arrays() -> None:
    case = ingest.Case(series=7, samples=5)
    expected = Workload(7).rows(FIRST, 5)
    with ingest.both(case) as (ours, peer):
        for arrays in (ours.range(), peer.range(), peer.listed()):
            np.testing.assert_array_equal(arrays, expected)
        for arrays in (ours.new(), ours.instant(), peer.instant()):
            np.testing.assert_array_equal(arrays, expected[-1])


def test_the_model_and_its_peer_come_to_the_same_forecast() -> None:
    ours, theirs = model.same_forecast(100)
    assert ours.shape == theirs.shape == (47,)
    assert np.abs(ours - theirs).max() < 1e-9


def test_the_fitted_peer_forecasts_the_same_season() -> None:
    """The fit estimates its own parameters, so only near: within a few deviations of the noise."""
    y = Workload(2).rows(FIRST, 300)[:, 0]
    assert np.abs(model.fitted(y) - y[-48:]).mean() < 0.1


def samples(page: bytes) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """Value of each series of a page."""
    families = text_string_to_metric_families(page.decode())
    return {(s.name, tuple(sorted(s.labels.items()))): s.value for family in families for s in family.samples}


def test_the_page_and_its_peer_hold_the_same_samples() -> None:
    t, view = Warm(20, window=60).next()
    ours = samples(b"".join(Exposition(CollectorRegistry(), "essential").page(Snapshot(t, (view,)))))
    theirs = samples(exposition.Peer().page(view))
    assert ours == theirs
    assert len(ours) >= 9 * 20
    assert {dict(labels)["resource"] for _, labels in ours} == {f"resource-{i:07}" for i in range(20)}


def test_lines_of_a_page_are_its_samples() -> None:
    t, view = Warm(5, window=60).next()
    page = b"".join(Exposition(CollectorRegistry(), "essential").page(Snapshot(t, (view,))))
    assert cycles.lines_of(page) == len(samples(page))


# ---------------------------------------------------------------------------------------------------- they all run


def test_ingest_runs() -> None:
    assert len(sound(ingest.benchmark(5, 4, 6, 1))) == 7


def test_the_model_step_runs() -> None:
    fitted, replayed = sound(model.benchmark(10, 1, 2))
    assert fitted.at_least == 10_000
    assert replayed.cost == fitted.cost


def test_exposition_runs() -> None:
    assert len(sound(exposition.benchmark(10, 3, 3))) == 2


def test_cycles_run_with_changing_values_and_every_forecast_believed() -> None:
    rows = sound(cycles.benchmark((40,), 2))
    assert any("40 resources x 9.0 gauges" in row.what for row in rows)
    assert [row.unit for row in rows].count("B") == 1


def test_parts_of_a_cycle_add_up_to_it() -> None:
    got = cycles.measure(10, window=60, cycles=3)
    parts = zip(got.decode, got.evaluate, got.page, strict=True)
    assert got.cycle == [sum(part) for part in parts]
    assert len(got.cycle) == 3
    assert got.page_bytes > 10 * got.lines * 50


def test_filling_runs() -> None:
    cpu, wall, memory = (row.cost for row in sound(filling.benchmark(8, 70)))
    assert wall > 0.5 * cpu
    assert memory > 10e6


@pytest.mark.e2e
def test_generation_runs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    rows = sound(generation.benchmark(2, 1))
    assert [row.what.partition(": ")[2] for row in rows] == ["CPU", "wall", "peak memory"]
    assert all("2 services, an SLO each, 9 files" in row.what and not row.peer for row in rows)
    sloth = tmp_path / "sloth"
    sloth.symlink_to("/bin/true")
    assert [row.peer for row in sound(generation.benchmark(2, 3))] == [
        "Sloth, a process per specification, 3 of them",
        "Sloth, a process per specification, 3 of them",
        "",
    ]


def test_a_real_prometheus_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    require("prometheus")
    measure = against_prometheus.measure
    monkeypatch.setattr(against_prometheus, "measure", lambda *args: measure(*args, idle_for=0.5))
    # What it spends when nobody asks is taken off, and on a busy machine may be its start.
    for _ in range(3):
        scrape, query, send, cycle = against_prometheus.benchmark(2_000, 3.0, 10)
        if scrape.cost > 0.001:
            break
    assert re.search(r"one scrape of 18,0\d\d samples", scrape.what)  # 9 gauges, and a few runs of tier 3
    assert cycle.peer.startswith("Prometheus ")
    assert cycle.peer_cost == scrape.cost + query.cost
    # One scrape of so many samples cannot be free; the count of the whole process has steps of 10 ms.
    assert scrape.cost > 0.001
    assert send.cost > 0


def test_without_prometheus_its_benchmark_has_no_rows(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert list(against_prometheus.benchmark(10, 1.0, 1)) == []


@pytest.mark.e2e
def test_intake_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intake, "kinds", lambda: ("SQLite",))
    rows = sound(intake.benchmark(300, 0.5))
    assert [row.at_most for row in rows[:6]] == [intake.LONGEST, None, intake.MOST] * 2
    assert [row.peer for row in rows[6:]] == [intake.PEER] * 6
    # A process with numpy and a store takes more than the receiver that has neither.
    assert all(row.unit == "s" or 50e6 < row.cost < 300e6 for row in rows)


def test_the_sender_of_the_intake_sends_again_what_was_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intake, "_FIRST", 0.01)
    bodies: list[bytes] = []

    async def refuse_first(request: web.Request) -> web.Response:
        bodies.append(await request.read())
        return web.Response(status=503 if len(bodies) <= 3 else 200)

    async def send() -> intake.Sender:
        async with receiver(refuse_first) as url:
            sender = intake.Sender(url, "token")
            await sender.send(intake.Load(5, 2))
            return sender

    sender = asyncio.run(send())
    assert (sender.again, len(sender.waits)) == (3, 3)
    assert len(bodies) == 6
    assert len(set(bodies)) == 3
    labels = [alert["labels"]["resource"] for body in set(bodies) for alert in json.loads(body)["alerts"]]
    assert sorted(labels) == [f"room-{i}" for i in range(5)]


def test_an_alert_that_was_lost_ends_the_benchmark_of_the_intake(tmp_path: Path) -> None:
    place = intake.Place("SQLite", f"sqlite:///{tmp_path}/a.db", "")
    with pytest.raises(RuntimeError, match="found 0 episodes of 0 alerts, expected 7 of each"):
        intake.check(place, 7)


def test_growth_draws_its_points(tmp_path: Path) -> None:
    plot = tmp_path / "growth.svg"
    assert len(sound(growth.benchmark((20, 200), 1, plot))) == 4
    root = ET.fromstring(plot.read_text())  # noqa: S314  our own file
    circles = list(root.iter("{http://www.w3.org/2000/svg}circle"))
    assert len(circles) == 4
    assert plot.stat().st_size < 10_000


def test_a_plot_puts_decades_at_equal_distances() -> None:
    text = growth.draw(
        [growth.Point(1_000, 0.001, 1e8), growth.Point(10_000, 0.01, 1e9), growth.Point(100_000, 1, 1e9)]
    )
    root = ET.fromstring(text)  # noqa: S314  our own text
    places = [float(c.attrib["cx"]) for c in root.iter("{http://www.w3.org/2000/svg}circle")][:3]
    assert places == [80.0, 360.0, 640.0]


def test_a_fresh_process_gives_the_result_back() -> None:
    assert isolated(math.hypot, 3.0, 4.0) == 5.0


# ---------------------------------------------------------------------------------------------------- table


@pytest.mark.parametrize(
    ("row", "ratio", "met"),
    [
        (Row("a", 2.0), None, None),
        (Row("a", 2.0, at_most=2.0), None, True),
        (Row("a", 2.0, at_most=1.9), None, False),
        (Row("a", 2.0, "s", "peer", 10.0), 5.0, None),
        (Row("a", 2.0, "s", "peer", 10.0, at_least=5.0), 5.0, True),
        (Row("a", 2.0, "s", "peer", 9.9, at_least=5.0), 4.95, False),
    ],
)
def test_an_aim_is_met_at_its_bound(row: Row, ratio: float | None, met: bool | None) -> None:
    assert row.ratio == ratio
    assert row.met is met


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (2.5, "s", "2.5 s"),
        (0.0301, "s", "30.1 ms"),
        (1.5e-6, "s", "1.5 µs"),
        (5e-10, "s", "0.5 ns"),
        (8e8, "B", "800 MB"),
    ],
)
def test_amounts_are_shown_in_the_unit_that_reads_best(value: float, unit: str, text: str) -> None:
    assert report.amount(value, unit) == text


def test_the_table_goes_between_the_markers_and_the_text_around_it_stays(tmp_path: Path) -> None:
    page = tmp_path / "README.md"
    page.write_text(f"before\n{report.BEGIN}\nold\n{report.END}\nafter\n")
    rows = [Row("a page", 0.001, "s", "peer 1.0", 0.25, at_least=100)]
    report.write(rows, ABOUT, page)
    first = page.read_text()
    assert first.startswith(f"before\n{report.BEGIN}\n| what | cost |")
    assert "| a page | 1 ms | peer 1.0 | 250 ms | 250x | at least 100x | yes |" in first
    assert first.endswith(f"1.0 minutes in all.\n{report.END}\nafter\n")
    assert "old" not in first
    report.write(rows, ABOUT, page)
    assert page.read_text() == first


def test_a_page_without_markers_is_left_alone(tmp_path: Path) -> None:
    page = tmp_path / "README.md"
    page.write_text("no table here\n")
    with pytest.raises(ValueError, match="has no <!-- begin: table -->"):
        report.write([], ABOUT, page)
    assert page.read_text() == "no table here\n"


def test_the_committed_page_has_the_markers_and_names_no_load_it_did_not_see() -> None:
    text = (BENCH / "README.md").read_text(encoding="utf-8")
    assert text.count(report.BEGIN) == text.count(report.END) == 1
    assert text.index(report.BEGIN) < text.index(report.END)


@pytest.mark.parametrize(("load", "said"), [(0.9, False), (2.1, True)])
def test_a_busy_machine_is_named(load: float, said: bool) -> None:
    about = report.About("a processor", (0.5, load, 0.4), 60.0, quick=False)
    assert ("other programs were using the machine" in about.text()) is said


def test_the_table_on_a_terminal_holds_every_row() -> None:
    console = Console(width=160, record=True, file=None, quiet=False)
    with console.capture() as capture:
        report.show([Row("a cycle", 0.02, at_most=0.03), Row("a page", 1.0)], ABOUT, console)
    assert "a cycle" in capture.get()
    assert "20 ms" in capture.get()


def test_the_command_runs_what_is_named_and_writes_nothing_for_a_part() -> None:
    before = (BENCH / "README.md").read_bytes()
    result = CliRunner().invoke(run.main, ["filling", "--quick"])
    assert result.exit_code == 0, result.output
    assert "filling 500 windows of 500 samples" in result.output
    assert "these numbers say only that everything runs" in " ".join(result.output.split())
    assert (BENCH / "README.md").read_bytes() == before


def test_the_command_refuses_a_benchmark_that_is_not_there() -> None:
    result = CliRunner().invoke(run.main, ["speed"])
    assert result.exit_code == 2
    assert "'speed' is not one of 'ingest', 'model', 'exposition'" in result.output
