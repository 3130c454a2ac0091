"""Every query of every dashboard, as Grafana would send it, in the real Prometheus of the demonstration."""

import contextlib
import itertools
import json
import re
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import pytest
from running import until

from grafana import asked, everything, filled, options, queries
from tocsin import names
from tocsin.config.load import Config, load
from tocsin.config.types import parse_duration
from tocsin.demo import servers, setup
from tocsin.demo.load import Burst
from tocsin.demo.ports import choose
from tocsin.demo.run import Demonstration, Options
from tocsin.demo.screen import Screen
from tocsin.generate.dashboards import files
from tocsin.generate.dashboards.frame import Places
from tools.servers import require

pytestmark = pytest.mark.e2e

#: Queries that have no data in a demonstration of a minute in which all is well but one budget: uid of the dashboard,
#: title of the panel and refId of the query, each a regular expression, and why.
EMPTY = (
    (".+", ".+", "D|breach[0-9]+", "nothing is predicted to reach its limit, but for cello"),
    ("tocsin-capacity", ".+: forecast and what came", "B", "nothing was forecast a horizon before now"),
    ("tocsin-slos", "Held back", "A", "there is traffic enough"),
    ("opx-learning-operations", "Manual operations, by kind", "A", "nobody asked for a run"),
    ("opx-learning-operations", "Calibration: outcomes", "A|B", "these metrics come with the learning jobs"),
    ("opx-learning-operations", "Last 20 operations", "A", "these metrics come with the learning jobs"),
    ("tocsin", "Series that were refused", "A", "none was"),
    ("learning", "error-rate, .+", "A", "there are fewer than five runs in an hour"),
    ("amas|learning|melody-meter|pynomaly|tocsin", "Alerts now", "A", "no alert of theirs fires"),
)
#: The same of what depends on the noise of the minute.
SOMETIMES = (("tocsin-capacity", "Predicted breaches", "C", "the far bound of the forecast may not reach the limit"),)


@dataclass(frozen=True)
class World:
    """A running demonstration."""

    url: str
    config: Config

    def ask(self, path: str, **parameters: Any) -> list[dict[str, Any]]:
        """Series of an answer."""
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(f"{self.url}/api/v1/{path}?{urlencode(parameters)}", timeout=30) as answer:
                found: list[dict[str, Any]] = json.load(answer)["data"]["result"]
                return found
        except urllib.error.HTTPError as error:
            with error:
                raise AssertionError(f"{parameters}: {error.read().decode()}") from None

    def series(self, expr: str) -> int:
        """How many series an expression gives now."""
        return len(self.ask("query", query=expr))


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """All five services in a real Prometheus with Tocsin and its rules, while the errors of an API burn a budget."""
    for programs in (servers.PROMETHEUS, servers.PROMTOOL, servers.ALERTMANAGER):
        require(*programs)
    directory = tmp_path_factory.mktemp("world")
    ports = choose(setup.Ports(0, 0, 0, 0))
    with contextlib.ExitStack() as started:
        demonstration = Demonstration(Options(ports), ports, directory, Screen(), started)
        demonstration.start()
        demonstration._fleet.burst = Burst(time.time())
        found = World(f"http://127.0.0.1:{ports.prometheus}", load(directory / "tocsin.yml"))
        signals = sum(len(service.signals) for service in found.config.services)
        graded = f"count by ({names.SERVICE}, {names.SIGNAL}) ({names.metric('value')})"
        until(lambda: found.series(graded) == signals, "every signal is graded", 90)
        firing = f'{names.ALERTS}{{alertname="{setup.BURN_ALERT}", alertstate="firing"}}'
        until(lambda: found.series(firing) == 1, "the alert on the error budget fires", 60)
        arrived = f"count_over_time({names.own('webhook_requests_total')}[1m]) >= 10"
        until(lambda: found.series(arrived), "the webhook has arrived", 60)
        slos = sum(len(service.slos) for service in found.config.services)
        until(lambda: found.series(names.slo_metric("slo_error_budget_remaining_ratio")) == slos, "budgets", 60)
        yield found


@pytest.fixture(scope="module")
def models(world: World) -> list[dict[str, Any]]:
    """The dashboards of the demonstration's configuration."""
    places = Places("http://127.0.0.1:9889", world.url)
    return [made.model("0", "0") for made in files.dashboards(world.config.process, world.config.services, places)]


def resolved(world: World, dashboard: Mapping[str, Any]) -> dict[str, str | Sequence[str]]:
    """Variables as on a dashboard that was just opened: All, and the first value of what panels are repeated for."""
    values = everything(dashboard)
    for variable in dashboard["templating"]["list"]:
        if variable["type"] == "query" and variable["hide"]:
            found = options(variable, world.ask("query", query=filled(asked(variable)[1], values)))
            assert found, variable["query"]
            values[variable["name"]] = found[:1]
    return values


def answer(world: World, panel: Mapping[str, Any], target: Mapping[str, Any], expr: str) -> list[dict[str, Any]]:
    """Series of a query, over the time that its panel shows."""
    now = time.time()
    if target["instant"]:
        return world.ask("query", query=expr, time=now)
    ahead = panel.get("timeFrom")
    if ahead is None:
        return world.ask("query_range", query=expr, start=now - 600, end=now, step=5)
    # Grafana begins at a whole step. Tocsin is younger than one here, so this is how it will ask at the next one.
    length = parse_duration(ahead.removeprefix("+"))
    step = min(300, int(length / 500))
    start = -(-now // step) * step
    return world.ask("query_range", query=expr, start=start, end=start + length, step=step)


def test_every_query_of_every_panel_has_data_or_a_reason_to_have_none(
    world: World, models: Sequence[Mapping[str, Any]]
) -> None:
    empty, asked = [], 0
    for dashboard in models:
        values = resolved(world, dashboard)
        for panel, _, target in queries(dashboard):
            asked += 1
            one = dashboard["uid"], panel["title"], target["refId"]
            step = {"__interval": target.get("interval", "1m")}
            expr = filled(target["expr"], {**values, **step})
            explained = any(all(map(re.fullmatch, entry[:3], one)) for entry in (*EMPTY, *SOMETIMES))
            # On a busy machine some scrapes in a row take too long, and a rate has nothing to go by for a while.
            for _ in range(1 if explained else 20):
                if answer(world, panel, target, expr):
                    break
                time.sleep(0 if explained else 1)
            else:
                empty.append(one)
    assert asked > 300
    reasons = {
        one: [entry for entry in (*EMPTY, *SOMETIMES) if all(map(re.fullmatch, entry[:3], one))] for one in empty
    }
    assert [one for one, found in reasons.items() if not found] == []
    used = [entry for found in reasons.values() for entry in found]
    assert [entry for entry in EMPTY if entry not in used] == []


def test_every_annotation_is_a_query_that_prometheus_answers(world: World, models: Sequence[Mapping[str, Any]]) -> None:
    found = {}
    for dashboard in models:
        alerts, *tiers = dashboard["annotations"]["list"]
        expr = filled(alerts["expr"], everything(dashboard))
        found[dashboard["uid"]] = {one["metric"]["alertname"] for one in world.ask("query", query=expr)}
        for annotation in tiers:
            marked = world.ask("query", query=filled(annotation["expr"], everything(dashboard)))
            assert all(one["metric"].keys() == {"signal", "resource"} for one in marked)
    assert setup.BURN_ALERT in found["maestro"] & found["tocsin-overview"] & found["tocsin-slos"]
    assert found["opx-learning-operations"] == set()
    # The watchdog fires all the time, and is no news.
    assert found["tocsin"] == set()
    assert world.series(f'{names.ALERTS}{{alertname="{names.ALERT_WATCHDOG}", alertstate="firing"}}') == 1


def line(world: World, models: Sequence[Mapping[str, Any]], uid: str, title: str, ref: str) -> list[dict[str, Any]]:
    """What a panel draws for one of its queries while every variable has all values."""
    dashboard = next(one for one in models if one["uid"] == uid)
    panel, target = next(
        (panel, target) for panel, _, target in queries(dashboard) if panel["title"] == title and target["refId"] == ref
    )
    return answer(world, panel, target, filled(target["expr"], everything(dashboard)))


def test_the_line_to_a_breach_goes_from_the_value_now_to_the_limit_when_that_is_predicted(
    world: World, models: Sequence[Mapping[str, Any]]
) -> None:
    (cello,) = line(world, models, "tocsin-capacity", "utilization", "breach0")
    assert cello["metric"][names.RESOURCE] == "cello"
    times, values = zip(*((float(t), float(v)) for t, v in cello["values"]), strict=True)
    (breach,) = world.ask("query", query=names.metric("breach_timestamp_seconds"))
    step = times[1] - times[0]
    assert times[0] > time.time() - step
    assert abs(times[-1] + step - float(breach["value"][1])) <= 2 * step
    slopes = {round(b - a, 9) for a, b in itertools.pairwise(values)}
    assert len(slopes) == 1
    assert values[-1] <= 1.0 <= values[-1] + 2 * slopes.pop()


def test_the_line_to_the_forecast_ends_at_the_horizon_inside_of_its_interval(
    world: World, models: Sequence[Mapping[str, Any]]
) -> None:
    ends = {}
    for ref in ("least0", "forecast0", "most0"):
        found = line(world, models, "tocsin-capacity", "utilization", ref)
        for one in found:
            ends.setdefault(one["metric"][names.RESOURCE], []).append(float(one["values"][-1][1]))
            assert one["values"][-1][0] - time.time() == pytest.approx(86400, abs=600)
    assert sorted(ends) == ["cello", "drums", "piano", "violin", "voice"]
    for least, forecast, most in ends.values():
        assert least < forecast < most
        assert forecast - least == pytest.approx(
            most - forecast, rel=0.01
        )  # three queries, and a grade may come between them


def test_the_panel_about_processors_has_every_node_and_service(
    world: World, models: Sequence[Mapping[str, Any]]
) -> None:
    dashboard = next(one for one in models if one["title"] == "Infrastructure Monitoring & Business Observability")
    about = [(panel["title"], t["refId"]) for panel, _, t in queries(dashboard) if "Forecast (CPU)" in panel["title"]]
    assert {title for title, _ in about} == {"Capacity Forecast (CPU)", "Capacity Forecast (CPU), 6h ahead"}
    found = {
        (one["metric"][names.SERVICE], one["metric"][names.RESOURCE])
        for title, ref in about
        if ref.startswith("forecast")
        for one in line(world, models, dashboard["uid"], title, ref)
    }
    nodes = {"amas": ("amas-1", "amas-2"), "maestro": ("maestro-a", "maestro-b"), "pynomaly": ("web-1", "web-2")}
    assert found == {(service, node) for service, some in nodes.items() for node in some}
