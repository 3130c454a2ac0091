"""`tocsin generate dashboards`: the same bytes twice, and nothing of somebody else's."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from examples import EXAMPLE, ROOT
from tocsin.cli.generate import generate
from tocsin.generate.dashboards import files


def test_the_committed_dashboards_are_what_the_examples_say() -> None:
    result = CliRunner().invoke(
        generate, ["dashboards", "--config.file", str(EXAMPLE), "--out", str(ROOT), "--check"], catch_exceptions=False
    )
    assert result.stdout == "SUCCESS: 22 files are what the configuration says\n"
    assert result.exit_code == 0


def run(out: Path, *flags: str) -> tuple[int, str]:
    """Run the command on the examples."""
    arguments = ["dashboards", "--config.file", str(EXAMPLE), "--out", str(out), *flags]
    result = CliRunner().invoke(generate, arguments)
    return result.exit_code, result.output


def test_the_command_writes_the_same_bytes_twice_and_leaves_what_is_not_its_own(tmp_path: Path) -> None:
    assert run(tmp_path)[1].splitlines()[-1].endswith("22 files written, 0 left over, 0 unchanged")
    old, own = tmp_path / "dashboards" / "gone.json", tmp_path / "dashboards" / "mine.json"
    old.write_text((tmp_path / "dashboards" / "amas.json").read_text())
    own.write_text('{"title": "mine"}')
    status, said = run(tmp_path)
    assert (status, said.splitlines()[-1].rpartition(": ")[2]) == (0, "0 files written, 1 left over, 22 unchanged")
    assert "left dashboards/gone.json: not of this configuration; --prune removes it" in said
    assert run(tmp_path, "--check")[0] == 1
    assert run(tmp_path, "--prune")[0] == 0
    assert (old.exists(), own.exists()) == (False, True)
    assert run(tmp_path, "--check") == (0, "SUCCESS: 22 files are what the configuration says\n")


def test_the_command_does_not_write_over_a_dashboard_of_somebody_else(tmp_path: Path) -> None:
    own = tmp_path / "dashboards" / "amas.json"
    own.parent.mkdir()
    own.write_text('{"title": "mine"}')
    status, said = run(tmp_path)
    assert status == 1
    assert "it is there and was not generated; move it away" in said
    assert own.read_text() == '{"title": "mine"}'


def test_the_command_is_told_where_browsers_find_things(tmp_path: Path) -> None:
    assert (
        run(tmp_path, "--tocsin-url", "https://tocsin.example.com/", "--prometheus-url", "https://prom.example.com")[0]
        == 0
    )
    text = (tmp_path / "dashboards" / "melody-meter.json").read_text()
    assert "https://tocsin.example.com/api/v1/explain?" in text
    assert '"https://prom.example.com/rules"' in text
    assert "127.0.0.1" not in text


def test_the_command_says_which_dashboard_is_too_large_for_a_config_map(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(tmp_path)
    sizes = {file.name: file.stat().st_size for file in (tmp_path / "dashboards" / "kubernetes").iterdir()}
    largest = max(sizes, key=sizes.__getitem__)
    monkeypatch.setattr(files, "MAX_BYTES", sizes[largest] - 1)
    assert [line for line in run(tmp_path)[1].splitlines() if line.startswith("warning")] == [
        f"warning: dashboards/kubernetes/{largest} has {sizes[largest]} bytes; a ConfigMap takes {sizes[largest] - 1}"
    ]
