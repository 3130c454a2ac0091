"""The services around the school: all that the examples ask for is there, and nothing of it is at a threshold."""

from __future__ import annotations

import itertools
import re
import subprocess
import sys
import zipfile
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from examples import ROOT
from tocsin import names
from tocsin.config import expr
from tocsin.demo import examples, setup
from tocsin.demo.fleet import LOADS
from tocsin.demo.load import DENSE, HISTORY, PERIOD, SCRAPE, STEP, Burst, Fleet, Load
from tocsin.demo.workload import INSTANCE, JOB, RESOURCES, Workload
from tocsin.generate import rules
from tocsin.generate.example import Selector, Series
from tocsin.generate.feed import steady
from tocsin.generate.feed.values import Leaf, Line, Unsolved
from tocsin.generate.lint.tree import selectors

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tocsin.config.load import Config

ORIGIN = 1_800_000_000 // 60 * 60
SCHOOL = [
    Series(line.partition("{")[0], (("resource", r.name), ("job", JOB), ("instance", INSTANCE)))
    for line in Workload(ORIGIN).page(ORIGIN).splitlines()
    for r in RESOURCES
    if not line.startswith("#")
]
SERIES = [Series(load.metric, load.labels) for load in LOADS] + SCHOOL


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Config:
    return setup.write(tmp_path_factory.mktemp("demo"), setup.Ports(1, 2, 3, 4)).config


def made(config: Config) -> Iterator[dict[str, Any]]:
    """Every generated rule."""
    for name, data in rules.each(config.process, config.services):
        if Path(name).parent == Path(names.RULES):
            yield from (rule for group in data["groups"] for rule in group["rules"])


def ours(name: str) -> bool:
    """Whether Tocsin or a rule makes the series."""
    return name.startswith((names.PREFIX, "tocsin_slo:")) or name == names.ALERTS


def asked(config: Config) -> dict[Selector, str]:
    """Every selector of what is not Tocsin's own, with the expression that it stands in."""
    signals = [s for service in config.services for s in service.signals.values()]
    texts = [*(s.expr for s in signals), *(s.capacity for s in signals if s.capacity)]
    texts += [rule["expr"] for rule in made(config)]
    found = {Selector.of_tree(node): text for text in texts for node in selectors(expr.parse(text))}
    return {selector: text for selector, text in found.items() if not ours(selector.name)}


#: Selectors of errors that an expression does without: `or vector(0)` stands beside them.
EMPTY: frozenset[str] = frozenset()


def test_every_selector_of_the_examples_finds_a_series_of_the_workload(config: Config) -> None:
    wanted = asked(config)
    assert len(wanted) > 60
    unfed = {text for selector, text in wanted.items() if not any(selector.finds(one) for one in SERIES)}
    assert unfed == EMPTY


def test_no_series_of_the_workload_is_there_twice_or_for_nobody(config: Config) -> None:
    assert [one for one, times in Counter(load.series for load in LOADS).items() if times > 1] == []
    wanted = asked(config)
    # A histogram comes whole, also where nobody asks for its sum.
    metrics = {load.metric for load in LOADS if not load.metric.endswith("_sum")}
    assert metrics - {selector.name for selector in wanted} == set()


def test_all_five_services_are_there_with_every_signal_of_theirs(config: Config) -> None:
    files = {file.name: examples._data(file) for file in (ROOT / "examples" / "services").glob("*.yml")}
    assert {s.service: sorted(s.signals) for s in config.services} == {
        data["service"]: sorted(data["signals"]) for data in files.values()
    }
    assert len(config.services) == 5


def leaves() -> list[Leaf]:
    """The workload as lines without a swing."""
    out = []
    for load in LOADS:
        counter = load.sort == "counter"
        start = ORIGIN + load.base if load.kind == "moment" else load.base
        line = Line(0.0, load.base * load.mean) if counter else Line(float(start))
        out.append(Leaf(load.metric, dict(load.labels), line, 0.0, counter))
    return out


def test_nothing_of_the_other_services_is_at_a_threshold(config: Config) -> None:
    """As far as we can tell what an expression comes to; the rest is shown end to end."""
    fed, checked = leaves(), 0
    for service in (one for one in config.services if one.service != setup.SERVICE):
        for name, threshold in service.thresholds.items():
            text = threshold.expr or service.signals[threshold.signal or ""].expr
            try:
                values = [line.constant for line in steady.vector(expr.parse(text), fed).values()]
            except Unsolved:
                continue
            checked += len(values)
            for bound in (b for b in (threshold.warning, threshold.critical) if b is not None):
                up = threshold.direction == "up"
                wrong = [value for value in values if (value >= bound if up else value <= bound)]
                assert wrong == [], f"{service.service}/{name}: {bound}"
    assert checked >= 25


@pytest.mark.parametrize("kind", ["gauge", "whole"])
def test_a_gauge_swings_about_its_base_and_no_further(kind: Any) -> None:
    load = Load("x", (), kind, 200.0, 0.1)
    values = [load.at(float(since), ORIGIN) for since in range(-PERIOD, 0)]
    assert min(values) == pytest.approx(180, abs=0.5)
    assert max(values) == pytest.approx(220, abs=0.5)
    assert sum(values) / PERIOD == pytest.approx(200, abs=0.01)


def test_a_counter_begins_at_nothing_never_falls_and_grows_at_its_rate() -> None:
    load = Load("x_total", (), "counter", 0.5, 0.3)
    values = [load.at(float(since), ORIGIN) for since in range(-HISTORY, 1000)]
    assert values[0] == 0
    assert values == sorted(values)
    assert values[HISTORY] == pytest.approx(0.5 * HISTORY, rel=0.01)
    assert all(value == int(value) for value in values)
    assert Load("x_total", (), "amount", 0.5).at(1.0, ORIGIN) == 0.5 * (HISTORY + 1)


def test_a_moment_lies_so_many_seconds_from_the_origin() -> None:
    assert Load("x", (), "moment", -60.0).at(500.0, ORIGIN) == ORIGIN - 60


@pytest.mark.parametrize("since", [-HISTORY / 2, 0.0, 77.7])
def test_the_buckets_of_a_histogram_hold_no_more_than_its_count(since: float) -> None:
    for count in (load for load in LOADS if load.metric.endswith("_count")):
        name = count.metric.removesuffix("_count") + "_bucket"
        buckets = [load for load in LOADS if load.metric == name and set(count.labels) < set(load.labels)]
        if not buckets:
            continue
        values = [load.at(since, ORIGIN) for load in buckets]
        assert values == sorted(values)
        assert values[-1] == count.at(since, ORIGIN)
        assert dict(buckets[-1].labels)["le"] == "+Inf"


def test_a_burst_adds_errors_to_the_one_series_that_counts_them() -> None:
    burst = Burst(ORIGIN + 10.0, rate=100.0, length=30.0)
    assert [burst.until(ORIGIN + t) for t in (0, 10, 10.5, 25, 40, 1000)] == [0, 0, 50, 1500, 3000, 3000]
    fleet = Fleet(LOADS, ORIGIN)
    calm = fleet.page(ORIGIN + 25).splitlines()
    fleet.burst = burst
    changed = [(a, b) for a, b in zip(calm, fleet.page(ORIGIN + 25).splitlines(), strict=True) if a != b]
    assert len(changed) == 1
    assert changed[0][0].startswith('http_requests_total{code="503",instance="maestro-1",job="maestro-api"} ')
    assert float(changed[0][1].split()[-1]) - float(changed[0][0].split()[-1]) == 1500


def test_a_burst_is_more_than_the_budget_of_an_hour_allows_long_before_it_ends() -> None:
    good, bad = (
        load.base for load in LOADS if ("job", "maestro-api") in load.labels and load.metric == "http_requests_total"
    )
    seconds = 15.0
    failed = bad * 3600 + Burst(0.0).until(seconds)
    assert failed / (good * 3600 + failed) > 14.4 * 0.001
    assert seconds < Burst(0.0).length / 2


def test_the_history_ends_as_dense_as_scrapes_and_begins_to_be_so_between_two_steps() -> None:
    pieces = list(Fleet(LOADS[:2], ORIGIN + 60).history(ORIGIN + 60 + 45))
    assert len(pieces) == 2
    times = [int(line.split()[-1]) for line in pieces[0].splitlines()]
    assert times == sorted(set(times))
    assert times[0] == ORIGIN + 60 - HISTORY
    assert times[-1] == ORIGIN + 60 + 44
    dense = next(a for a, b in itertools.pairwise(times) if b - a == SCRAPE)
    assert dense % DENSE == 0
    assert DENSE <= ORIGIN + 60 - dense < 2 * DENSE
    assert {b - a for a, b in itertools.pairwise(times)} <= {STEP, SCRAPE, (dense - times[0]) % STEP or STEP}


def test_the_page_does_not_show_what_rules_record() -> None:
    page = Fleet(LOADS, ORIGIN).page(ORIGIN)
    assert sum(load.recorded for load in LOADS) == 1
    assert "business:" not in page
    assert page.count("\n") == len(LOADS) - 1 + len({load.metric for load in LOADS if not load.recorded})


def test_signals_are_graded_every_few_seconds_and_learn_as_before() -> None:
    service = {"service": "shop", "signals": {"a": {"expr": "x"}, "b": {"step": "1h"}, "c": {"interval": "5m"}}}
    assert examples.quick(service)["signals"] == {
        "a": {"expr": "x", "interval": "10s", "step": "1m"},
        "b": {"interval": "10s", "step": "1h"},
        "c": {"interval": "10s", "step": "5m"},
    }


def test_everybody_who_is_told_is_the_webhook_of_the_demonstration(config: Config, tmp_path: Path) -> None:
    ways = {
        (Path(receiver.webhook.url_file).name, Path(receiver.webhook.bearer_file).name)
        for receiver in config.process.receivers.values()
        if receiver.webhook and receiver.webhook.bearer_file
    }
    assert ways == {("webhook.url", "webhook.token")}
    setup.write(tmp_path, setup.Ports(1, 2, 3, 4))
    assert (tmp_path / "webhook.url").read_text() == "http://127.0.0.1:3/api/v2/webhook"


def test_no_group_of_rules_is_evaluated_less_often_than_every_ten_seconds(tmp_path: Path) -> None:
    setup.write(tmp_path, setup.Ports(1, 2, 3, 4))
    text = "".join(file.read_text() for file in (tmp_path / names.RULES).glob("*.yml"))
    assert set(re.findall(r"^    interval: (.*)$", text, re.MULTILINE)) == {"1s", "10s"}


def test_a_wheel_has_the_examples_where_the_demonstration_looks_first(tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    (wheel,) = tmp_path.glob("*.whl")
    first = examples._PLACES[0].relative_to(ROOT / "exporter").as_posix()
    with zipfile.ZipFile(wheel) as archive:
        packed = {name: archive.read(name) for name in archive.namelist() if name.startswith(f"{first}/")}
    folder = ROOT / "examples" / "services"
    assert packed == {f"{first}/{file.name}": file.read_bytes() for file in folder.glob("*.yml")}
