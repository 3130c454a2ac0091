"""`tocsin serve` as its user runs it, between a real Prometheus and whoever scrapes it."""

import json
import signal
import subprocess
import time
import urllib.parse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from running import Proxy, Tocsin, command, configuration, get, lines, scrape_config, tocsin, until, watched

from tocsin.demo import servers
from tocsin.demo.servers import PROMTOOL, Server, free_port
from tools.faultproxy import hang
from tools.servers import prometheus, require, series, victoria_import, victoria_metrics

pytestmark = pytest.mark.e2e

#: Every family that a signal can have.
RICH = {
    "limit": 1.0,
    "unit": "ratio",
    "detect": {"zscore": {}, "seasonal": {"season": 2}},
    "forecast": {"horizon": "5s"},
}


@dataclass(frozen=True)
class World:
    """A Prometheus that scrapes a program and a Tocsin at `port`; `values` are what the program shows."""

    server: Server
    values: dict[str, float]
    port: int


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    # As the text format has it: the second is named vio"lin/\\.
    values = {"piano": 0.5, r"vio\"lin/\\": 0.25}
    port = free_port()
    with watched(values) as metrics:
        folder = tmp_path_factory.mktemp("prometheus")
        with prometheus(folder, scrape_config(("shop", metrics), ("tocsin", port))) as server:
            yield World(server, values, port)


def query(server: Server, expr: str) -> list[dict[str, str]]:
    """Label sets of an instant query."""
    _, text = get(f"{server.url}/api/v1/query?{urllib.parse.urlencode({'query': expr})}")
    return [one["metric"] for one in json.loads(text)["data"]["result"]]


def test_grades_reach_the_page_and_prometheus_under_their_own_labels(world: World, tmp_path: Path) -> None:
    path = configuration(tmp_path, world.server.url, RICH, publish="full")
    with Tocsin(path, port=world.port) as tocsin:
        until(lambda: tocsin.sample("tocsin_severity_level", resource="piano") == 0.0, "piano is graded normal")
        assert tocsin.sample("tocsin_value", resource="piano") == 0.5
        assert get(tocsin.url + "/-/ready")[0] == 200
        found = until(
            lambda: query(world.server, 'tocsin_severity_level{resource="piano"}') or None, "Prometheus has the grade"
        )
        assert found == [
            {
                "__name__": "tocsin_severity_level",
                "instance": f"127.0.0.1:{world.port}",
                "job": "tocsin",
                "resource": "piano",
                "signal": "load",
                "tocsin_service": "shop",
            }
        ]
        # A quote, a slash and a backslash have gone through both servers and both of our escapings.
        until(lambda: query(world.server, r'tocsin_value{resource="vio\"lin/\\"}') or None, "and the odd name")
        assert query(world.server, '{__name__=~"tocsin_.+", exported_job!=""} or {__name__=~"exported.+"}') == []
        world.values["piano"] = 0.9
        until(lambda: tocsin.sample("tocsin_severity_level", resource="piano") == 4.0, "the surge is critical")
        world.values["piano"] = 0.5
        page = get(tocsin.url + "/metrics")[1]
    assert "tocsin_baseline_mean{" in page
    check_metrics(page)


def check_metrics(page: str) -> None:
    promtool = require(*PROMTOOL)
    done = subprocess.run([promtool, "check", "metrics"], input=page, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


@pytest.mark.parametrize("when", ["warm start", "cycle"])
def test_sigterm_in_the_middle_of_a_query_ends_it_within_two_seconds(world: World, tmp_path: Path, when: str) -> None:
    with Proxy(world.server.url) as proxy:
        path = configuration(tmp_path, proxy.url, limits={"timeout": "30s"})
        if when == "warm start":
            proxy.does(hang())
        with Tocsin(path) as tocsin:
            if when == "cycle":
                until(lambda: tocsin.sample("tocsin_value", resource="piano"), "piano is graded")
                proxy.does(hang())
            asked = proxy.asked
            until(lambda: proxy.asked > asked or (when == "warm start" and asked), "a query hangs")
            status, seconds = tocsin.stop()
            assert (status, seconds < 2) == (0, True)
            assert lines(tocsin.log, "msg=stopping")
            assert "Traceback" not in tocsin.log


def test_sighup_loads_the_file_again_and_a_bad_one_changes_nothing(world: World, tmp_path: Path) -> None:
    path = configuration(tmp_path, world.server.url, RICH)
    with Tocsin(path) as tocsin:
        until(lambda: tocsin.sample("tocsin_value", resource="piano"), "piano is graded")
        check_metrics(get(tocsin.url + "/metrics")[1])
        path.write_text("source: [\n")
        tocsin.process.send_signal(signal.SIGHUP)
        until(lambda: tocsin.sample("tocsin_config_last_reload_successful") == 0.0, "the bad file was noticed")
        assert lines(tocsin.log, "configuration not loaded, the old one stays", f"{path}:")
        assert tocsin.sample("tocsin_value", resource="piano") == 0.5
        configuration(tmp_path, world.server.url, RICH, publish="full")
        tocsin.process.send_signal(signal.SIGHUP)
        until(lambda: tocsin.sample("tocsin_baseline_mean", resource="piano"), "the new file holds")
        assert tocsin.sample("tocsin_config_last_reload_successful") == 1.0
        assert len(lines(tocsin.log, "warm start")) == 1


def test_a_port_in_use_is_said_in_one_line(world: World, tmp_path: Path) -> None:
    path = configuration(tmp_path, world.server.url)
    status, output, errors = command(
        "serve", "--config.file", str(path), "--web.listen-address", f"127.0.0.1:{world.server.port}"
    )
    assert (status, output) == (1, "")
    assert errors == (
        f"FAILED: 127.0.0.1:{world.server.port} is in use by another program; "
        "choose another with --web.listen-address\n"
    )


def prometheus_at(port: int, folder: Path, metrics: int) -> Server:
    file = folder / "prometheus.yml"
    file.write_text(scrape_config(("shop", metrics)))
    return servers.prometheus(folder, file, port=port, binary=require(*servers.PROMETHEUS))


def test_a_prometheus_that_comes_late_and_goes_in_the_middle_is_waited_for_and_nothing_is_claimed(
    tmp_path: Path,
) -> None:
    (tmp_path / "p").mkdir()
    port = free_port()
    path = configuration(tmp_path / "t", f"http://127.0.0.1:{port}", {"forget_after": "4s"})
    with watched({"piano": 0.5}) as metrics, Tocsin(path) as tocsin:
        until(lambda: get(tocsin.url + "/-/ready")[0] == 200, "it is ready all the same")
        until(lambda: tocsin.sample("tocsin_stale", signal="load") == 1.0, "it says that it sees nothing")
        assert lines(tocsin.log, "level=warning", "cannot be reached", f"127.0.0.1:{port}")
        assert tocsin.samples("tocsin_severity_level") == []
        with prometheus_at(port, tmp_path / "p", metrics):
            until(lambda: tocsin.sample("tocsin_severity_level", resource="piano") == 0.0, "it has begun")
            assert tocsin.sample("tocsin_stale", signal="load") == 0.0
        until(lambda: tocsin.sample("tocsin_severity_level", resource="piano") == -1.0, "nothing is known any more", 8)
        assert tocsin.samples("tocsin_value") == []
        assert tocsin.sample("tocsin_stale", signal="load") == 1.0
        until(lambda: tocsin.samples("tocsin_severity_level") == [], "after forget_after it is gone", 12)
        with prometheus_at(port, tmp_path / "p", metrics):
            until(lambda: tocsin.sample("tocsin_severity_level", resource="piano") == 0.0, "it is back")
            assert tocsin.sample("tocsin_value", resource="piano") == 0.5


def test_it_needs_to_write_nowhere_and_ends_at_sigint_too(world: World, tmp_path: Path) -> None:
    path = configuration(tmp_path, world.server.url)
    before = sorted(p.name for p in tmp_path.iterdir())
    # Not even root can create a file in this folder.
    with Tocsin(path, cwd=Path("/proc")) as tocsin:
        until(lambda: tocsin.sample("tocsin_value", resource="piano"), "piano is graded")
        tocsin.process.send_signal(signal.SIGINT)
        assert tocsin.process.wait(5) == 0
        assert "Traceback" not in tocsin.log
    assert sorted(p.name for p in tmp_path.iterdir() if p.suffix != ".log") == before


def test_victoriametrics_is_a_source_of_its_own_kind(tmp_path: Path) -> None:
    with victoria_metrics(tmp_path) as server:
        now = int(time.time())
        values = [(float(t), 0.5 + (t % 7) / 1000) for t in range(now - 240, now + 60)]
        victoria_import(server.url, series("load_ratio", values, resource="piano"))
        path = configuration(tmp_path / "t", server.url)
        path.write_text(path.read_text().replace("source:\n", "source:\n  kind: victoriametrics\n"))
        with Tocsin(path) as tocsin:
            until(lambda: tocsin.sample("tocsin_severity_level", resource="piano") == 0.0, "piano is graded")
            at = tocsin.sample("tocsin_evaluation_last_success_timestamp_seconds", signal="load")
            assert at is not None
            assert -1 <= time.time() - at <= 5
            assert tocsin.sample("tocsin_source_requests_total", **{"class": "ok"})
            assert tocsin.samples("tocsin_source_requests_total", **{"class": "bad_response"}) in ([], [0.0])


def test_explain_asks_the_running_one_and_says_the_same_from_the_file(world: World, tmp_path: Path) -> None:
    path = configuration(tmp_path, world.server.url)
    with Tocsin(path) as running:
        until(lambda: running.sample("tocsin_severity_level", resource="piano") == 0.0, "piano is graded")
        status, output, errors = tocsin("explain", "piano", "--url", running.url)
        assert (status, errors) == (0, "")
        assert output.startswith("piano (shop/load): tier 0, Normal at ")
        assert "Detector zscore" in output
        status, output, _ = tocsin("explain", "piano", "--url", running.url, "-o", "json")
        (answer,) = json.loads(output)
        assert (status, answer["resource"], answer["tier"]) == (0, "piano", 0)
        status, output, errors = tocsin("explain", "pinao", "--url", running.url)
        assert (status, output, errors) == (1, "", "FAILED: no resource 'pinao'; did you mean piano?\n")
    status, output, _ = tocsin("explain", "piano", "--url", running.url, "--config.file", str(path), "-o", "json")
    (cold,) = json.loads(output)
    assert (status, cold["tier"], cold["service"], cold["signal"]) == (0, 0, "shop", "load")
    assert cold["baseline"]["samples"] >= 3
