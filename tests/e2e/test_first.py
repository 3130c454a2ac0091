"""The first minutes with somebody's own Prometheus: `try` and `init`, as typed."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from running import command, tocsin, watched

from tocsin.demo.servers import Server
from tools.servers import prometheus, remote_write, series

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with prometheus(tmp_path_factory.mktemp("prometheus")) as running:
        now = int(time.time()) // 60 * 60
        times = range(now - 120 * 60, now + 1, 60)
        calm = [(float(t), 0.5 + (t // 60 % 7) / 1000) for t in times]
        surge = [*calm[:-1], (float(now), 0.95)]
        hostile = '[bold]x[/] \x1b[31m "q"'
        remote_write(
            running.url,
            series("load_ratio", calm, resource="violin"),
            series("load_ratio", surge, resource="piano"),
            series("load_ratio", calm, resource=hostile),
            series("node_memory_MemAvailable_bytes", [(float(now), 4e9)], instance="n1", job="node"),
            series("node_memory_MemTotal_bytes", [(float(now), 8e9)], instance="n1", job="node"),
            series("probe_duration_seconds", [(float(now), 0.1)], instance="https://a", job="probe"),
            series("http_requests_total", [(float(now), 1.0)], job="api"),
        )
        yield running


def test_try_grades_every_series_and_explains_the_worst(server: Server, tmp_path: Path) -> None:
    status, output, errors = command("try", server.url, "load_ratio", "--unit", "ratio", "--limit", "1", cwd=tmp_path)
    assert (status, errors) == (0, "")
    assert output.startswith("Graded 3 resources against up to 2h of history in ")
    rows = [line for line in output.splitlines() if line.startswith(("piano", "violin", "[bold]"))]
    assert rows[0].startswith("piano")
    assert "Critical" in rows[0]
    assert "95 %" in rows[0]
    assert all("Normal" in row for row in rows[1:3])
    assert "piano (trial/trial): tier 4, Critical at " in output
    assert "It stays Critical" in output
    # A label cannot colour the terminal, and the table does not take it for markup.
    assert r'[bold]x[/] \x1b[31m "q"' in output
    assert "\x1b" not in output
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nothing_there"], "FAILED: the expression has no series now."),
        (["load_ratio", "--by", "zone"], "FAILED: no series could be graded (--by zone): missing_label 3\n"),
    ],
)
def test_try_with_nothing_to_grade_says_why(server: Server, arguments: list[str], message: str) -> None:
    status, output, errors = tocsin("try", server.url, *arguments)
    assert (status, output) == (1, "")
    assert errors.startswith(message)


def test_an_address_where_no_prometheus_is_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with watched({"piano": 0.5}) as metrics:
        for verb in (
            ["try", f"http://127.0.0.1:{metrics}", "up"],
            ["init", "--prometheus", f"http://127.0.0.1:{metrics}"],
        ):
            status, _, errors = tocsin(*verb)
            assert status == 1
            assert errors.startswith(f"FAILED: http://127.0.0.1:{metrics} answered ")
    for verb in (["try", "http://127.0.0.1:1", "up"], ["init", "--prometheus", "http://127.0.0.1:1"]):
        status, _, errors = tocsin(*verb)
        assert status == 1
        assert errors.startswith("FAILED: http://127.0.0.1:1 cannot be reached: ")
    assert list(tmp_path.iterdir()) == []


def test_init_writes_what_passes_check_and_overwrites_nothing(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    status, output, errors = tocsin("init", "--prometheus", server.url)
    assert (status, errors) == (0, "")
    assert output.startswith("SUCCESS: tocsin.yml and ")
    assert "nodes/memory: 1 resource now." in output
    assert "probes/duration: 1 resource now." in output
    # There is one sample only, so nothing has a rate.
    assert "http/requests" not in output
    written = sorted(str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*.yml"))
    assert written == ["services/nodes.yml", "services/probes.yml", "tocsin.yml"]
    status, output, _ = tocsin("check", "config", "tocsin.yml", "--strict")
    assert (status, output.splitlines()[0][:32]) == (0, "SUCCESS: tocsin.yml is valid: 2 ")
    text = (tmp_path / "services" / "nodes.yml").read_text()
    (tmp_path / "tocsin.yml").unlink()
    (tmp_path / "services" / "nodes.yml").write_text("mine")
    status, _, errors = tocsin("init", "--prometheus", server.url)
    assert status == 1
    assert errors == (
        "FAILED: services/nodes.yml, services/probes.yml would be overwritten; "
        "use --out for another folder, or --force\n"
    )
    assert (tmp_path / "services" / "nodes.yml").read_text() == "mine"
    assert not (tmp_path / "tocsin.yml").exists()
    status, _, _ = tocsin("init", "--prometheus", server.url, "--force")
    assert (status, (tmp_path / "services" / "nodes.yml").read_text()) == (0, text)


def test_init_where_it_may_not_write_says_so(server: Server) -> None:
    status, _, errors = tocsin("init", "--prometheus", server.url, "--out", "/proc/tocsin")
    assert status == 1
    assert errors.startswith("FAILED: cannot write to /proc/tocsin: ")


def test_init_with_nothing_to_recognise_points_to_try(tmp_path: Path) -> None:
    with prometheus(tmp_path) as empty:
        status, _, errors = tocsin("init", "--prometheus", empty.url, "--out", str(tmp_path / "out"))
    assert status == 1
    assert "has none of the metrics that init recognises; start with tocsin try" in errors
    assert not (tmp_path / "out").exists()
