"""The demonstration from the outside: it shows everything, and leaves nothing behind."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tocsin.demo import servers, setup
from tools.servers import require

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.e2e

FREE = [f"--{name}-port=0" for name in ("prometheus", "alertmanager", "tocsin", "workload")]
STAGES = (
    "14 days of history",
    "tier 0, Normal",
    "a surge begins on piano",
    "tier 2, Watch",
    "tier 3, Action",
    "tier 4, Critical",
    "the generated alert fires in Prometheus",
    "the webhook arrived at Tocsin",
    "SUCCESS",
)
BURST = ("errors begin at maestro's API", "ApiErrorBudgetBurn fires", "ApiErrorBudgetBurn arrived at Tocsin", "SUCCESS")


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """`tocsin demo --once`, as the leader of a process group as on a terminal, with its directory below `tmp_path`."""
    for names in (servers.PROMETHEUS, servers.PROMTOOL, servers.ALERTMANAGER):
        require(*names)
    with subprocess.Popen(
        [sys.executable, "-m", "tocsin", "demo", "--once", *FREE],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        env={**os.environ, "TMPDIR": str(tmp_path), "PYTHONUNBUFFERED": "1"},
    ) as process:
        yield process
        process.kill()


def children(directory: Path) -> dict[int, str]:
    """Commands of all processes that name this directory, by process id."""
    found = {}
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):  # it may have ended in between
            command = file.read_bytes().replace(b"\0", b" ").decode(errors="replace")
            if str(directory) in command:
                found[int(file.parent.name)] = command
    return found


def until(process: subprocess.Popen[str], word: str) -> str:
    """Read lines up to one with this word."""
    assert process.stdout is not None
    said = []
    for line in process.stdout:
        said.append(line)
        if word in line:
            return line
    pytest.fail(f"the demonstration ended without {word!r}:\n{''.join(said)}")


def test_once_shows_every_stage_and_ends_with_status_0(demo: subprocess.Popen[str], tmp_path: Path) -> None:
    out, _ = demo.communicate(timeout=170)
    assert demo.returncode == 0, out
    places = [out.find(stage) for stage in STAGES]
    assert -1 not in places, out
    assert places == sorted(places), out
    places = [out.find(stage) for stage in BURST]
    assert -1 not in places, out
    assert places == sorted(places), out
    assert float(re.findall(r"([\d.]+) s  SUCCESS", out)[0]) < 120
    rows = {
        cells[1].strip(): [c.strip() for c in cells] for line in out.splitlines() if len(cells := line.split("│")) > 9
    }
    assert sorted(rows) == ["cello", "drums", "piano", "resource", "violin", "voice"]
    assert rows["piano"][6] == "4 Critical"
    assert rows["piano"][9] == "FIRING"
    assert re.fullmatch(r"\w+ \d\d:\d\d, in \d+h\d\dm", rows["cello"][8])
    assert rows["violin"][8] == "no breach"
    services = dict(re.findall(r"^ ([a-z-]+) +(\d+ seen, \d+ graded.*?) *$", out, re.MULTILINE))
    for service, signals in (("amas", 14), ("learning", 3), ("pynomaly", 11)):
        assert re.fullmatch(rf"{signals} seen, {signals} graded +- +-", services[service]), out
    assert re.fullmatch(
        r"5 seen, 5 graded +api-errors [\d.]+ %, burns \d+x +ApiErrorBudgetBurn FIRING", services["maestro"]
    ), out
    assert services["melody-meter"].startswith("3 seen, 3 graded")
    assert "MelodyMeterUtilizationCritical FIRING" in out
    assert children(tmp_path) == {}
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("word", ["prometheus is ready", "tocsin is ready"])
def test_ctrl_c_ends_every_server_within_seconds(demo: subprocess.Popen[str], tmp_path: Path, word: str) -> None:
    until(demo, word)
    assert any("prometheus" in command for command in children(tmp_path).values())
    began = time.monotonic()
    os.killpg(demo.pid, signal.SIGINT)
    out, _ = demo.communicate(timeout=20)
    assert time.monotonic() - began < 10
    assert demo.returncode == 130, out
    assert "ending the servers" in out
    assert children(tmp_path) == {}
    assert list(tmp_path.iterdir()) == []


def test_a_server_that_dies_is_reported_with_the_end_of_its_log(demo: subprocess.Popen[str], tmp_path: Path) -> None:
    until(demo, "tocsin is ready")
    program = servers.find(servers.PROMETHEUS) + " "
    (pid,) = (pid for pid, command in children(tmp_path).items() if command.startswith(program))
    os.kill(pid, signal.SIGTERM)
    out, _ = demo.communicate(timeout=20)
    assert demo.returncode == 1
    assert "FAILED: prometheus has ended; the last lines of its log:\n" in out
    assert "exiting gracefully" in out
    assert children(tmp_path) == {}
    assert list(tmp_path.iterdir()) == []


def test_the_generated_files_pass_the_checks_of_the_tools(tmp_path: Path) -> None:
    files = setup.write(tmp_path, setup.Ports(9090, 9093, 9889, 9464))
    promtool, amtool = require(*servers.PROMTOOL), require("amtool")
    subprocess.run([promtool, "check", "config", str(files.prometheus)], check=True, capture_output=True)
    subprocess.run([amtool, "check-config", str(files.alertmanager)], check=True, capture_output=True)
    assert (tmp_path / "webhook.token").stat().st_mode & 0o777 == 0o600
