"""`tocsin check rules --source` against a real Prometheus with two weeks of history, counted beside it."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from click.testing import CliRunner, Result

from tocsin.cli.check import check
from tools.servers import backfill, get_json, prometheus

pytestmark = pytest.mark.e2e

DAY, MINUTE = 86400, 60
#: Minutes that each excursion of the queue lasts, one every ten hours; those of three minutes do not last `for`.
LASTING = [10, 3, 20, 10, 3, 30, 10, 10, 3, 25]
#: Minutes of each jump of the load, one every 14 hours: 23 in two weeks.
JUMP = 15

SERVICE = """\
service: shop
links: {runbook: "https://wiki.example.com/{alert}"}
signals:
  load:
    expr: load
    by: [node]
    forecast: false
    interval: 5m
    alert: {critical: {tier: 4, grades: 2, page: true}}
  gone: {expr: 'nothing_here', by: [node], forecast: false, interval: 5m, alert: {critical: {tier: 4}}}
thresholds:
  queue: {expr: 'queue', by: [node], critical: 10, for: 5m}
"""
MINE = """\
groups:
  - name: mine
    rules:
      - {record: 'shop:bad:ratio', expr: 'sum by (node) (queue) / 100', labels: {slo: 'a$1"b'}}
      - {alert: Recorded, expr: 'shop:bad:ratio{slo="a$1\\"b"} > 0.1', for: 5m, keep_firing_for: 10m}
      - {alert: OverARange, expr: 'max_over_time(shop:bad:ratio[10m]) > 0.1'}
      - {alert: OfAnother, expr: 'shop:bad:ratio{node="n1"} > 0.1'}
      - {alert: Always, expr: 'queue < 1000'}
      - {alert: Level, expr: 'count(tocsin_severity_level >= 4) > 3'}
      - {alert: Young, expr: 'young > 0'}
      - {alert: YoungAlways, expr: 'young < 1'}
      - {alert: Short, expr: 'short < 1'}
      - {alert: Absent, expr: 'absent(nowhere)'}
"""


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, float]]:
    """A Prometheus with 16 days of samples, one a minute, and the time of the last one."""
    folder = tmp_path_factory.mktemp("history")
    end = time.time() // MINUTE * MINUTE
    backfill(folder, "\n".join([*page(end), "# EOF\n"]))
    with prometheus(folder) as server:
        yield server.url, end


def page(end: float) -> Iterator[str]:
    """OpenMetrics: a queue with excursions of known lengths, a load that jumps, series of the last days and hours."""
    times = [end - i * MINUTE for i in range(16 * DAY // MINUTE, -1, -1)]
    yield "# TYPE queue gauge"
    over = {t for begin, length in excursions(end) for t in times_of(begin, length)}
    yield from (f'queue{{node="n1"}} {50 if t in over else 1} {t:.0f}' for t in times)
    yield "# TYPE load gauge"
    jumps = {t for begin in jumps_at(end) for t in times_of(begin, JUMP)}
    yield from (f'load{{node="n1"}} {100 if t in jumps else 5 + i % 3} {t:.0f}' for i, t in enumerate(times))
    yield "# TYPE young gauge"
    yield from (f"young 0 {t:.0f}" for t in times if t > end - 2 * DAY)
    yield "# TYPE short gauge"
    yield from (f"short 0 {t:.0f}" for t in times if t > end - 5.5 * 3600)


def times_of(begin: float, minutes: int) -> list[float]:
    return [begin + i * MINUTE for i in range(minutes)]


def excursions(end: float) -> list[tuple[float, int]]:
    return [(end - 13 * DAY + i * 600 * MINUTE, length) for i, length in enumerate(LASTING)]


def jumps_at(end: float) -> list[float]:
    return [end - 13.5 * DAY + i * 14 * 3600 for i in range(23)]


def run(folder: Path, url: str, *more: str) -> Result:
    (folder / "tocsin.yml").write_text(f"source: {{url: '{url}'}}\nservices: [shop.yml]\n")
    (folder / "shop.yml").write_text(SERVICE)
    (folder / "mine.yml").write_text(MINE)
    command = ["rules", "--config.file", str(folder / "tocsin.yml"), str(folder / "mine.yml"), "--skip-tests", *more]
    return CliRunner().invoke(check, command, catch_exceptions=False)


def asked(url: str, at: float, query: str) -> float:
    """The one value of an instant query."""
    answer: Any = get_json(f"{url}/api/v1/query?{urlencode({'query': query, 'time': at})}")
    return float(answer["data"]["result"][0]["value"][1])


def median(values: list[float]) -> float:
    values = sorted(values)
    half = len(values) // 2
    return values[half] if len(values) % 2 else (values[half - 1] + values[half]) / 2


@pytest.fixture(scope="module")
def told(history: tuple[str, float], tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """What was said of each alert."""
    result = run(tmp_path_factory.mktemp("config"), history[0], "--source", "-o", "json")
    report = json.loads(result.stdout)
    return {one["alert"]: one for one in report["past"]["alerts"]}


def test_an_alert_on_an_expression_had_the_episodes_that_outlast_its_for(told: dict[str, dict[str, Any]]) -> None:
    # What is over the bound for n minutes has fired for n minutes less the five of `for`.
    lengths = [(n - 5) * MINUTE for n in LASTING if n > 5]
    queue = told["ShopQueue"]
    assert (queue["episodes"], queue["median_seconds"]) == (len(lengths), median(lengths))
    assert queue["firing_ratio"] == pytest.approx(sum(lengths) / (14 * DAY))
    assert (queue["unbearable"], queue["less_history"]) == (None, False)


def test_an_alert_on_a_tier_had_the_episodes_of_the_fold(told: dict[str, dict[str, Any]]) -> None:
    # Two grades of five minutes and a scrape of 15 s before it fires, two grades after the jump is over.
    load = told["ShopLoadCritical"]
    assert (load["episodes"], load["median_seconds"]) == (23, JUMP * MINUTE - (5 * MINUTE + 15) + 10 * MINUTE)
    assert load["unbearable"] == "pages 1.6 times a day"


def test_what_is_recorded_by_a_rule_that_is_not_loaded_is_worked_out(
    told: dict[str, dict[str, Any]], history: tuple[str, float]
) -> None:
    lengths = [(n - 5 + 10) * MINUTE for n in LASTING if n > 5]
    recorded = told["Recorded"]
    assert (recorded["episodes"], recorded["median_seconds"]) == (len(lengths), median(lengths))
    # Ten minutes back from each time: since Prometheus 3.0 without the older end.
    lengths = [(n + asked(*history, "count_over_time(vector(1)[10m:1m])") - 1) * MINUTE for n in LASTING]
    over = told["OverARange"]
    assert (over["episodes"], over["median_seconds"]) == (len(lengths), median(lengths))


def test_what_cannot_be_known_says_why(told: dict[str, dict[str, Any]]) -> None:
    reasons = {name: one["not_asked"] for name, one in told.items() if one["episodes"] is None}
    assert reasons.pop("OfAnother") == "shop:bad:ratio is recorded, not in the source, and asked for by its label node"
    assert reasons.pop("ShopGoneCritical") == "nothing_here is not in the source"
    assert reasons.pop("Short") == "the source has only 5h of it, and 1d is the least"
    assert reasons.pop("Level") == "needs tocsin_severity_level in the source"
    assert "TocsinDown" in reasons
    assert all(reason.startswith("needs tocsin_") for reason in reasons.values())


def test_what_is_younger_than_two_weeks_is_marked(told: dict[str, dict[str, Any]]) -> None:
    assert {name for name, one in told.items() if one["less_history"]} == {"Young", "YoungAlways"}
    # It fired for two days of fourteen, which is all of the time that there was.
    assert told["YoungAlways"]["firing_ratio"] == pytest.approx(1, abs=0.03)
    assert told["YoungAlways"]["unbearable"] == "fires 100% of the time"
    assert told["YoungAlways"]["notes"] == ["of the last 2.0 days only"]


def test_what_was_absent_all_the_time_says_what_it_was(told: dict[str, dict[str, Any]]) -> None:
    absent = told["Absent"]
    assert (absent["firing_ratio"], absent["notes"]) == (1.0, ["nowhere is not in the source"])


def test_the_watchdog_is_not_asked_about(told: dict[str, dict[str, Any]]) -> None:
    assert "TocsinWatchdog" not in told


def test_people_see_a_table_and_whom_nobody_could_live_with(history: tuple[str, float], tmp_path: Path) -> None:
    result = run(tmp_path, "http://127.0.0.1:1", "--source", history[0], "--strict")
    assert result.exit_code == 3
    row = next(line for line in result.stdout.splitlines() if line.startswith("ShopLoadCritical "))
    assert row.split() == ["ShopLoadCritical", "yes", "23", "11.5", "19m45s", "2.3%"]
    assert (
        "cannot be judged here: needs tocsin_severity_level in the source: TocsinScrapedWithoutHonorLabels, Level\n"
        in result.stdout
    )
    pages = "found an alert that pages 1.6 times a day, expected one that somebody can live with"
    assert f"WARNING: rules/shop.yml: tocsin-shop-load / ShopLoadCritical: {pages}\n" in result.stdout
    always = "found an alert that fires 100% of the time, expected one that somebody can live with"
    assert f"mine / Always: {always}\n" in result.stdout


def test_a_source_that_does_not_answer_is_named(tmp_path: Path) -> None:
    result = run(tmp_path, "http://127.0.0.1:1", "--source")
    assert result.exit_code == 1
    assert result.stderr.startswith("FAILED: http://127.0.0.1:1 ")
