"""Children of the demonstration and of the tests: started, watched, gone with us."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tocsin.demo import servers
from tocsin.demo.servers import Server, ServerError
from tools.servers import MINIMAL_CONFIG, alertmanager, get_json, require

pytestmark = pytest.mark.e2e

PARENT = """
import sys
from pathlib import Path
from tocsin.demo import servers
server = servers.prometheus(Path(sys.argv[1]), Path(sys.argv[2]), port=int(sys.argv[3]))
server.start()
server.wait_ready()
print("ready", flush=True)
sys.stdin.read()
"""

#: Three threads that write the file as often as they can.
BUSY = """
import sys, threading
from pathlib import Path
def write():
    while True:
        Path(sys.argv[1]).touch()
for _ in range(3):
    threading.Thread(target=write).start()
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    require(*servers.PROMETHEUS)
    file = tmp_path / "prometheus.yml"
    file.write_text(MINIMAL_CONFIG)
    return file


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def wait_until_free(port: int) -> bool:
    deadline = time.monotonic() + 10
    while listens(port) and time.monotonic() < deadline:
        time.sleep(0.02)
    return not listens(port)


def test_a_port_in_use_is_said_before_anything_starts(tmp_path: Path, config: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        server = servers.prometheus(tmp_path, config, port=port)
        with pytest.raises(ServerError) as caught:
            server.start()
    assert str(caught.value) == f"port {port} for prometheus is in use: stop what listens there, or choose another"
    assert not server.running


def test_a_program_that_is_missing_is_named_under_all_its_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(ServerError) as caught:
        servers.find(servers.ALERTMANAGER)
    assert str(caught.value) == (
        "prometheus-alertmanager or alertmanager is not on PATH: install it, or put its directory on PATH"
    )


def test_a_missing_tool_skips_here_and_fails_in_ci(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "false")
    with pytest.raises(pytest.skip.Exception, match="no-such-tool is not on PATH"):
        require("no-such-tool")
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="no-such-tool is not on PATH"):
        require("no-such-tool")


def test_a_server_that_cannot_start_shows_the_end_of_its_log(tmp_path: Path, config: Path) -> None:
    config.write_text("nonsense: true\n")
    server = servers.prometheus(tmp_path, config)
    with pytest.raises(ServerError, match=r"prometheus ended while starting:\n(.|\n)*nonsense"), server:
        pass
    assert not server.running


def test_a_server_that_never_gets_ready_is_not_waited_for_for_ever(tmp_path: Path) -> None:
    server = Server("sleeper", [require("sleep"), "60"], servers.free_port(), tmp_path)
    server.start()
    with pytest.raises(ServerError, match=r"sleeper was not ready within 0\.2s"):
        server.wait_ready(0.2)
    assert server.running
    server.stop()
    assert not server.running


def test_a_stopped_server_frees_its_port_and_can_start_again(tmp_path: Path, config: Path) -> None:
    server = servers.prometheus(tmp_path, config)
    for _ in range(2):
        with server:
            assert server.running
            assert listens(server.port)
        assert not listens(server.port)


def test_a_paused_server_is_stopped_too(tmp_path: Path, config: Path) -> None:
    with servers.prometheus(tmp_path, config) as server:
        server.pause()
        begun = time.monotonic()
        server.stop(timeout=5.0)
    assert time.monotonic() - begun < 5.0


def test_a_server_is_paused_when_it_says_so_also_while_its_threads_are_busy(tmp_path: Path) -> None:
    clock = tmp_path / "clock"
    argv = [sys.executable, "-c", BUSY, str(clock)]
    server = Server("busy", argv, servers.free_port(), tmp_path)
    server.start()
    try:
        for _ in range(50):
            while not clock.exists():
                time.sleep(0.001)
            server.pause()
            clock.unlink(missing_ok=True)
            time.sleep(0.005)
            assert not clock.exists()
            server.resume()
    finally:
        server.stop()


@pytest.mark.parametrize("seen", [True, False])
def test_a_pause_does_not_wait_for_a_server_that_has_ended(tmp_path: Path, seen: bool) -> None:
    server = Server("short", [require("true")], servers.free_port(), tmp_path)
    server.start()
    while seen and server.running:
        time.sleep(0.005)
    server.pause()
    server.stop()
    assert not server.running


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, None])
def test_children_do_not_outlive_us(tmp_path: Path, config: Path, how: signal.Signals | None) -> None:
    if how is not None:
        require("setpriv")  # without it nobody can be told after a kill
    port = servers.free_port()
    argv = [sys.executable, "-c", PARENT, str(tmp_path), str(config), str(port)]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=os.environ) as parent:
        assert parent.stdout is not None
        assert parent.stdin is not None
        assert parent.stdout.readline() == b"ready\n"
        assert listens(port)
        if how is None:
            parent.stdin.close()
        else:
            parent.send_signal(how)
        parent.wait(10)
    assert wait_until_free(port)


def test_alertmanager_starts_with_its_configuration(tmp_path: Path) -> None:
    with alertmanager(tmp_path, "route: {receiver: none}\nreceivers: [{name: none}]\n") as server:
        assert "cluster" in get_json(server.url + "/api/v2/status")
    assert not server.running


def test_backfill_says_what_promtool_did_not_like(tmp_path: Path) -> None:
    require(*servers.PROMTOOL)
    file = tmp_path / "bad.om"
    file.write_text("no samples here\n")
    with pytest.raises(ServerError, match=f"promtool refused {file}:\n.+"):
        servers.backfill(file, tmp_path / "data")
