"""`tocsin check rules --source` of error budgets: from the metrics alone, and from what the rules had recorded."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from tocsin import names
from tocsin.cli.check import check
from tocsin.config.types import format_duration
from tocsin.core import slo
from tools.servers import backfill, prometheus

pytestmark = pytest.mark.e2e

DAY, HOUR, MINUTE = 86400, 3600, 60
#: Requests a minute; two hours in which half of them fail begin six days before the end.
TRAFFIC, BURN, AGO = 600.0, 2 * HOUR, 6 * DAY
#: Days of metrics: a fortnight, and the longest window before it.
DAYS = 18

SERVICE = """\
service: shop
links: {runbook: "https://wiki.example.com/{alert}"}
slos:
  api:
    objective: 99.9%
    sli: {bad: 'requests_total{code="500"}', total: requests_total}
    alert: {page: ApiBurns, ticket: ApiBurnsSlowly}
  probe:
    objective: 99.9%
    sli: {probe: 'probe_success'}
    alert: {page: ProbeBurns, ticket: ProbeBurnsSlowly}
  share:
    objective: 99.9%
    sli: {ratio: 'failing_ratio'}
    alert: {page: ShareBurns, ticket: ShareBurnsSlowly}
  asked:
    objective: 99.9%
    sli: {ratio: 'sum(rate(requests_total{code="500"}[$window])) / sum(rate(requests_total[$window]))'}
    alert: {page: AskedBurns, ticket: AskedBurnsSlowly}
  young:
    objective: 99.9%
    sli: {bad: 'young_total{code="500"}', total: young_total}
    alert: {page: YoungBurns, ticket: YoungBurnsSlowly}
  gone:
    objective: 99.9%
    sli: {bad: 'nowhere_total{code="500"}', total: nowhere_total}
    alert: {page: GoneBurns, ticket: GoneBurnsSlowly}
"""


def times(end: float) -> list[float]:
    return [end - i * MINUTE for i in range(DAYS * DAY // MINUTE, -1, -1)]


def failing(t: float, end: float) -> float:
    """Share of the requests of the minute before a time that fail."""
    return 0.5 if end - AGO < t <= end - AGO + BURN else 0.0


def page(end: float) -> Iterator[str]:
    """OpenMetrics, one sample a minute: counters of requests, some of the last two days, and a probe of eight."""
    at = times(end)
    bad = np.cumsum([TRAFFIC * failing(t, end) for t in at])
    good = np.cumsum([TRAFFIC * (1 - failing(t, end)) for t in at])
    for name, first in (("requests", 0), ("young", len(at) - 2 * DAY // MINUTE)):
        yield f"# TYPE {name} counter"
        for code, values in (("200", good), ("500", bad)):
            numbers = zip(values[first:].tolist(), at[first:], strict=True)
            yield from (f'{name}_total{{code="{code}"}} {value:.0f} {t:.0f}' for value, t in numbers)
    yield "# TYPE probe_success gauge"
    for i in range(8):
        yield from (f'probe_success{{instance="{i}"}} {int(i % 2 or not failing(t, end))} {t:.0f}' for t in at)
    yield "# TYPE failing_ratio gauge"
    yield from (f"failing_ratio {failing(t, end)} {t:.0f}" for t in at)


def recorded(end: float) -> Iterator[str]:
    """What the rules of the first SLO would have recorded, worked out here, and no metric that they read."""
    at = times(end)
    total, bad = np.full(len(at), TRAFFIC), np.array([TRAFFIC * failing(t, end) for t in at])
    found = {names.RECORD_OBJECTIVE: np.full(len(at), 0.999)}
    for window in slo.ALL:
        n, text = window // MINUTE, format_duration(window)
        events, some = (np.convolve(values, np.ones(n))[: len(at)] for values in (total, bad))
        found[names.RECORD_ERROR_OVER + text], found[names.RECORD_EVENTS_OVER + text] = some / events, events
    for name, values in found.items():
        yield f"# TYPE {name} gauge"
        labels = '{tocsin_service="shop",slo="api"}'
        yield from (f"{name}{labels} {value:.9g} {t:.0f}" for value, t in zip(values.tolist(), at, strict=True))


def told(folder: Path, lines: Iterator[str]) -> dict[str, dict[str, Any]]:
    """What is said of each alert by a Prometheus with these metrics."""
    backfill(folder, "\n".join([*lines, "# EOF\n"]))
    with prometheus(folder) as server:
        (folder / "tocsin.yml").write_text(f"source: {{url: '{server.url}'}}\nservices: [shop.yml]\n")
        (folder / "shop.yml").write_text(SERVICE)
        command = ["rules", "--config.file", str(folder / "tocsin.yml"), "--skip-tests", "--source", "-o", "json"]
        result = CliRunner().invoke(check, command, catch_exceptions=False)
    report = json.loads(result.stdout)
    assert report["findings"] == []
    return {one["alert"]: one for one in report["past"]["alerts"]}


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """Of a source in which no rule was ever loaded."""
    end = time.time() // MINUTE * MINUTE
    return told(tmp_path_factory.mktemp("alone"), page(end))


#: Seconds from the first failing request to the page: a share of 0.5 fills 0.0144 of an hour in 104 s; it ends when
#: the failing half is less than 0.006 of the last half hour, 22 s before that has passed.
PAGE = BURN - 104 + 1800 - 22
#: A share of 0.001 of three days, and of the six hours before the end; of a day it is 0.003, and the later.
TICKET = BURN - 518 + 6 * HOUR - 43


@pytest.mark.parametrize("sli", ["Api", "Probe", "Share", "Asked"])
def test_a_burn_is_one_page_and_one_ticket_by_the_metrics_alone(alone: dict[str, dict[str, Any]], sli: str) -> None:
    burns, slowly = alone[f"{sli}Burns"], alone[f"{sli}BurnsSlowly"]
    assert (burns["episodes"], slowly["episodes"]) == (1, 1)
    assert burns["median_seconds"] == pytest.approx(PAGE, abs=2 * burns["step_seconds"])
    # Where events cannot be added up, a window of a day is looked at every half hour only.
    assert slowly["median_seconds"] == pytest.approx(TICKET, abs=2 * 300 if sli != "Asked" else 1800)
    assert (burns["step_seconds"], burns["less_history"], burns["unbearable"]) == (300, False, None)
    assert any(note.endswith("from the SLI's own metrics") for note in burns["notes"])


def test_a_burn_is_one_page_and_one_ticket_by_what_was_recorded(tmp_path: Path) -> None:
    end = time.time() // MINUTE * MINUTE
    found = told(tmp_path, recorded(end))
    burns, slowly = found["ApiBurns"], found["ApiBurnsSlowly"]
    assert (burns["episodes"], slowly["episodes"]) == (1, 1)
    assert burns["median_seconds"] == pytest.approx(PAGE, abs=2 * MINUTE)
    assert slowly["median_seconds"] == pytest.approx(TICKET, abs=2 * MINUTE)
    assert (burns["step_seconds"], burns["notes"]) == (60, [])
    # The others have neither recordings nor metrics here.
    assert found["ProbeBurns"]["not_asked"] == "its SLI has no result there: probe_success is not in the source"


def test_a_short_history_is_judged_by_what_there_is(alone: dict[str, dict[str, Any]]) -> None:
    young = alone["YoungBurns"]
    assert (young["episodes"], young["less_history"]) == (0, True)
    assert young["history_seconds"] == pytest.approx(2 * DAY, abs=600)
    assert young["notes"][0] == "of the last 2.0 days only"


def test_what_is_not_in_the_source_is_named_and_not_judged(alone: dict[str, dict[str, Any]]) -> None:
    reasons = {name: one["not_asked"] for name, one in alone.items() if one["episodes"] is None}
    gone = 'its SLI has no result there: nowhere_total{code="500"}, nowhere_total are not in the source'
    assert (reasons.pop("GoneBurns"), reasons.pop("GoneBurnsSlowly")) == (gone, gone)
    assert reasons["TocsinSLOAbsent"] == "needs tocsin_slo:objective:ratio in the source"
    assert reasons["TocsinDown"] == "needs tocsin_build_info in the source"
    assert all(name.startswith("Tocsin") and reason.startswith("needs tocsin_") for name, reason in reasons.items())
