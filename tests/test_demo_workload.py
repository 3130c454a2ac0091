"""The workload: history and live values are one function, and that function shows what the demonstration promises."""

from __future__ import annotations

import itertools
import re
import statistics
from typing import TYPE_CHECKING

import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tocsin.core.fold import Runs, State, fold, forecast, grade
from tocsin.demo import setup
from tocsin.demo.journey import Journey, Stage
from tocsin.demo.readings import Reading, Row
from tocsin.demo.workload import (
    CANCELLED,
    CONFIRMED,
    DAY,
    HISTORY,
    HOUR,
    MINUTE,
    RESOURCES,
    UTILIZATION,
    Resource,
    Surge,
    Workload,
    confirmed,
    utilization,
)
from tocsin.specs import specs_of

if TYPE_CHECKING:
    from pathlib import Path

    from tocsin.core.settings import Settings

ORIGIN = 1_800_000_000 // 60 * 60
PIANO, _, CELLO, _, _ = RESOURCES
_SAMPLE = re.compile(r'(\w+)\{instance="school",job="melody-meter",resource="(\w+)"\} (\S+) (\d+)')


def sample(page: str, metric: str, resource: str) -> float:
    families = text_string_to_metric_families(page)
    return next(s.value for f in families for s in f.samples if s.name == metric and s.labels["resource"] == resource)


def test_the_resources_are_those_of_a_music_school() -> None:
    assert [r.name for r in RESOURCES] == ["piano", "violin", "cello", "drums", "voice"]


@pytest.fixture(scope="module")
def pieces() -> list[str]:
    return list(Workload(ORIGIN).history())


@pytest.mark.parametrize("resource", RESOURCES, ids=lambda r: r.name)
def test_values_depend_on_the_resource_and_the_time_since_the_origin_alone(resource: Resource) -> None:
    shifts = (0, 60, 86_460)
    assert len({round(utilization(resource, ORIGIN + s + 1234.5, ORIGIN + s), 9) for s in shifts}) == 1
    assert len({confirmed(resource, ORIGIN + s + 12, ORIGIN + s) for s in shifts}) == 1


def test_every_demonstration_sees_these_numbers() -> None:
    assert [round(utilization(r, ORIGIN, ORIGIN), 6) for r in RESOURCES] == [
        0.503041,
        0.580701,
        0.887088,
        0.294566,
        0.569297,
    ]
    assert [confirmed(r, ORIGIN, ORIGIN) for r in RESOURCES] == [20966, 18446, 9408, 3830, 11843]


@pytest.mark.parametrize("resource", RESOURCES, ids=lambda r: r.name)
def test_live_values_continue_the_history_without_a_break(pieces: list[str], resource: Resource) -> None:
    workload = Workload(ORIGIN)
    last = [piece.splitlines()[-1] for piece in pieces if f'resource="{resource.name}"' in piece]
    history = {(m, int(t)): float(v) for line in last for m, _, v, t in _SAMPLE.findall(line)}
    assert history[UTILIZATION, ORIGIN] == sample(workload.page(ORIGIN), UTILIZATION, resource.name)
    for metric in (CONFIRMED, CANCELLED):
        assert history[metric, ORIGIN] == sample(workload.page(ORIGIN), metric, resource.name)
    # Second by second over the seam no step is larger than anywhere else: noise and season within one second.
    seam = [utilization(resource, ORIGIN + s, ORIGIN) for s in range(-120, 121)]
    largest = 2 * resource.noise / MINUTE + 1e-4
    assert max(abs(b - a) for a, b in itertools.pairwise(seam)) <= largest


def test_the_history_is_openmetrics_of_every_minute_of_14_days_up_to_the_origin(pieces: list[str]) -> None:
    assert len(pieces) == Workload.pieces() == 15
    text = "".join(pieces)
    assert [line for line in text.splitlines() if line.startswith("#")] == [
        "# TYPE melody_bookings_utilization_percent gauge",
        "# TYPE melody_bookings_confirmed counter",
        "# TYPE melody_bookings_cancelled counter",
    ]
    for piece in pieces:
        times = [int(t) for *_, t in _SAMPLE.findall(piece)]
        assert times == list(range(ORIGIN - HISTORY, ORIGIN + 1, 60))


@pytest.mark.parametrize("resource", RESOURCES, ids=lambda r: r.name)
def test_counters_start_at_zero_and_never_fall(resource: Resource) -> None:
    times = [*range(ORIGIN - HISTORY, ORIGIN, HOUR), *range(ORIGIN, ORIGIN + 600)]
    counts = [confirmed(resource, t, ORIGIN) for t in times]
    assert counts[0] == 0
    assert counts == sorted(counts)
    assert counts[-1] > 1000


def test_noise_is_that_of_a_sine_and_differs_between_resources() -> None:
    levels = {
        r.name: [
            (utilization(r, ORIGIN + m * MINUTE, ORIGIN) - utilization(r, ORIGIN + m * MINUTE + DAY, ORIGIN)) / r.noise
            for m in range(2000)
        ]
        for r in (PIANO, CELLO)
    }
    # The sine of a uniform phase has a variance of 1/2, the difference of two independent ones of 1.
    assert statistics.pvariance(levels["piano"]) == pytest.approx(1.0, rel=0.1)
    assert abs(statistics.correlation(levels["piano"], levels["cello"])) < 0.1


def test_a_surge_rises_holds_and_falls() -> None:
    surge = Surge("piano", 1000.0, height=0.4, rise=80.0, hold=20.0, fall=10.0)
    times = (0.0, 1000.0, 1020.0, 1080.0, 1100.0, 1105.0, 1110.0, 2000.0)
    assert [surge.at(t) for t in times] == pytest.approx([0.0, 0.0, 0.1, 0.4, 0.4, 0.2, 0.0, 0.0])


def test_a_surge_is_seen_by_scrapes_of_its_resource_alone() -> None:
    workload = Workload(ORIGIN)
    calm = workload.page(ORIGIN + 100)
    workload.surge = Surge("piano", ORIGIN, rise=80.0, hold=30.0, height=0.32)
    surging = workload.page(ORIGIN + 100)
    assert sample(surging, UTILIZATION, "piano") - sample(calm, UTILIZATION, "piano") == pytest.approx(32)
    assert sample(surging, UTILIZATION, "violin") == sample(calm, UTILIZATION, "violin")


def test_cello_has_never_been_full_and_will_be_within_a_day() -> None:
    past = [utilization(CELLO, t, ORIGIN) for t in range(ORIGIN - HISTORY, ORIGIN + 600, MINUTE)]
    future = [utilization(CELLO, t, ORIGIN) for t in range(ORIGIN, ORIGIN + DAY, MINUTE)]
    assert max(past) < 1.0 < max(future)


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """The numbers that the demonstration's own configuration has."""
    directory: Path = tmp_path_factory.mktemp("demo")
    files = setup.write(directory, setup.Ports(1, 2, 3, 4))
    (spec,) = (s for s in specs_of(files.config) if (s.service, s.signal) == (setup.SERVICE, setup.SIGNAL))
    return spec.settings


# The demonstration may begin anywhere between two grid times, also so that one comes in the middle of the surge.
@pytest.mark.parametrize("minutes", [0, 1, 7, 15, 22, 29])
def test_the_grades_of_these_values_climb_tier_by_tier_and_forecast_the_breach(
    settings: Settings, minutes: int
) -> None:
    origin = ORIGIN // settings.step * settings.step + minutes * MINUTE
    last = origin // settings.step
    grid = [float(k * settings.step) for k in range(last - settings.warmup_steps + 1, last + 1)]
    values = np.array([[utilization(r, t, origin) for r in RESOURCES] for t in grid])
    state, _, _ = fold(State.empty(settings, len(RESOURCES)), Runs.empty(len(RESOURCES)), grid, values, settings)

    surge = Surge("piano", origin + 20.0)
    journey: Journey = Journey()
    tiers: list[int] = []
    for t in range(origin, origin + 120, settings.interval):
        x = np.array([utilization(r, t, origin) for r in RESOURCES])
        x[0] += surge.at(t)
        grades = grade(state, x, float(t), settings)
        assert grades.tier[1:].max() <= 1
        tiers.append(int(grades.tier[0]))
        journey.observe(Reading((Row("piano", tiers[-1]),)), "piano", (), t)

    assert list(journey.reached)[:4] == [Stage.NORMAL, Stage.WATCH, Stage.ACTION, Stage.CRITICAL]
    assert journey.reached[Stage.CRITICAL] - surge.begin <= 55
    assert min(tiers.count(tier) for tier in (2, 3)) >= 2
    forecasts = forecast(state, x, float(t), settings)
    assert forecasts is not None
    breaches = forecasts.breach - origin
    assert 0 < breaches[2] < DAY
    assert np.isnan(breaches[[0, 1, 3, 4]]).all()
