"""What keeps the demonstration from starting is said before anything is started."""

from __future__ import annotations

import contextlib
import socket
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from tocsin.cli.demo import demo
from tocsin.demo import servers
from tocsin.demo.ports import check_programs, choose
from tocsin.demo.servers import ServerError
from tocsin.demo.setup import Ports

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@pytest.fixture
def listener() -> Iterator[Callable[[], int]]:
    """Listens on another loopback port at each call, and says on which."""
    with contextlib.ExitStack() as opened:

        def listen() -> int:
            one = opened.enter_context(socket.socket())
            one.bind(("127.0.0.1", 0))
            one.listen()
            return int(one.getsockname()[1])

        yield listen


def test_a_port_in_use_is_named_with_the_flag_that_changes_it(listener: Callable[[], int]) -> None:
    one, other = listener(), listener()
    with pytest.raises(ServerError) as error:
        choose(Ports(prometheus=0, alertmanager=one, tocsin=other, workload=0))
    first, second = str(error.value).splitlines()
    advice = "in use: stop what listens there, or choose another with"
    assert first == f"port {one} for alertmanager is {advice} --alertmanager-port PORT (0 takes any free one)"
    assert second == f"port {other} for tocsin is {advice} --tocsin-port PORT (0 takes any free one)"


def test_ports_that_are_free_stay_and_zeros_become_different_free_ones() -> None:
    given = servers.free_port()
    ports = choose(Ports(prometheus=0, alertmanager=given, tocsin=0, workload=0))
    chosen = [ports.prometheus, ports.alertmanager, ports.tocsin, ports.workload]
    assert ports.alertmanager == given
    assert len(set(chosen)) == 4
    assert 0 not in chosen


def test_one_port_for_two_servers_is_refused() -> None:
    port = servers.free_port()
    with pytest.raises(ServerError, match=f"^port {port} is given for both prometheus and tocsin"):
        choose(Ports(prometheus=port, alertmanager=0, tocsin=port, workload=0))


def test_missing_programs_are_named_with_how_to_get_them(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ServerError) as error:
        check_programs()
    lines = str(error.value).splitlines()
    assert lines[0].startswith("not on PATH: prometheus, promtool, prometheus-alertmanager or alertmanager;")
    assert lines[1] == "On Debian or Ubuntu: apt-get install prometheus prometheus-alertmanager"


def test_only_what_is_missing_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("prometheus", "promtool"):
        (tmp_path / name).touch(mode=0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ServerError, match=r"^not on PATH: prometheus-alertmanager or alertmanager;"):
        check_programs()


def test_the_command_fails_with_that_line_and_status_1(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    result = CliRunner().invoke(demo, ["--once"])
    assert result.exit_code == 1
    assert result.output.startswith("FAILED: not on PATH: prometheus, promtool,")


def test_a_program_is_taken_from_the_first_folder_on_path_under_any_of_its_names(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for path in ("new/alertmanager", "old/prometheus-alertmanager", "old/alertmanager"):
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).touch(mode=0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'new'}:{tmp_path / 'old'}")
    assert servers.find(servers.ALERTMANAGER) == str(tmp_path / "new/alertmanager")
    monkeypatch.setenv("PATH", f"{tmp_path / 'old'}:{tmp_path / 'new'}")
    assert servers.find(servers.ALERTMANAGER) == str(tmp_path / "old/prometheus-alertmanager")
