"""`tocsin check rules`: what it says of generated rules and of others, and with which exit status."""

import json
import os
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tocsin.cli.check import check
from tools.servers import require

PROCESS = "source: {url: http://127.0.0.1:9090}\nservices: [shop.yml]\n"
SERVICE = "service: shop\nsignals: {load: {expr: 'sum by (node) (up)', by: [node]}}\n"


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A process file with one service."""
    (tmp_path / "tocsin.yml").write_text(PROCESS)
    (tmp_path / "shop.yml").write_text(SERVICE)
    return tmp_path / "tocsin.yml"


@pytest.fixture
def without_promtool(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path / "nowhere"))


def run(config: Path, *more: str) -> Result:
    return CliRunner().invoke(check, ["rules", "--config.file", str(config), *more], catch_exceptions=False)


def rule_file(config: Path, rules: str) -> str:
    file = config.with_name("mine.yml")
    file.write_text(f"groups:\n  - name: mine\n    rules:\n{rules}")
    return str(file)


def test_generated_rules_pass_promtool_and_our_own_checks(config: Path) -> None:
    require("promtool")
    result = run(config, "--strict")
    assert (result.exit_code, result.stderr) == (0, "")
    first, last = result.stdout.splitlines()
    assert first == "promtool accepts the rules, and their tests pass"
    assert last.startswith("SUCCESS: ")
    assert last.endswith(" in 2 files: 0 faults, 0 warnings")


def test_unit_tests_can_be_left_out(config: Path) -> None:
    require("promtool")
    assert run(config, "--skip-tests").stdout.startswith("promtool accepts the rules\n")


@pytest.mark.usefixtures("without_promtool")
def test_without_promtool_it_says_so_and_checks_all_the_same(config: Path) -> None:
    assert os.environ["PATH"].endswith("nowhere")
    file = rule_file(config, "      - {alert: Mine, expr: up > 1}\n")
    result = run(config, file)
    assert result.exit_code == 1
    assert result.stdout == "promtool is not on PATH: only Tocsin's own checks were made\n"
    first, last = result.stderr.splitlines()
    expected = "found a condition that no value fulfils, expected an alert that can fire"
    assert first == f"{file}: mine / Mine: {expected}"
    assert last.startswith("FAILED: ")
    assert last.endswith(" in 3 files: 1 fault, 0 warnings")


@pytest.mark.usefixtures("without_promtool")
def test_a_warning_is_an_exit_status_of_its_own_when_asked_for(config: Path) -> None:
    file = rule_file(config, "      - {alert: Mine, expr: mine > 1}\n")
    assert run(config, file).exit_code == 0
    result = run(config, file, "--strict")
    assert result.exit_code == 3
    assert f"WARNING: {file}: mine / Mine: found the metric mine, expected " in result.stdout


def test_what_promtool_refuses_is_a_fault(config: Path) -> None:
    require("promtool")
    file = rule_file(config, "      - {alert: Mine, expr: up > 0.5, annotations: {summary: '{{ $labels.x'}}\n")
    result = run(config, file)
    assert result.exit_code == 1
    assert result.stderr.startswith("promtool says:\n")
    assert "mine.yml" in result.stderr
    assert result.stderr.splitlines()[-1].startswith("FAILED: ")


@pytest.mark.usefixtures("without_promtool")
def test_the_report_can_be_read_by_machines(config: Path) -> None:
    file = rule_file(config, "      - {alert: Mine, expr: mine > 1}\n      - {alert: Mine, expr: up > 1}\n")
    result = run(config, file, "-o", "json")
    assert result.exit_code == 1
    report = json.loads(result.stdout)
    assert (report["valid"], report["files"]) == (False, 3)
    assert report["promtool"] == {"found": False, "passed": None, "said": ""}
    assert [(one["rule"], one["severity"], one["file"]) for one in report["findings"]] == [
        ("Mine", "warning", file),
        ("Mine", "fault", file),
        ("Mine", "fault", file),
    ]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("a: [", "cannot be read: while parsing"),
        ("[]", ": found no rules, expected `groups:` as Prometheus reads them"),
        (None, "cannot be read: No such file or directory"),
    ],
)
def test_a_file_that_holds_no_rules_is_named(config: Path, text: str | None, reason: str) -> None:
    file = config.with_name("mine.yml")
    if text is not None:
        file.write_text(text)
    result = run(config, str(file))
    assert result.exit_code == 1
    assert result.stderr.startswith(f"FAILED: {file}")
    assert reason in result.stderr


def test_a_bad_configuration_is_shown_whole(config: Path) -> None:
    config.with_name("shop.yml").write_text("service: shop\nsignals: {load: {expr: up, interval: soon}}\n")
    result = run(config)
    assert result.exit_code == 1
    assert result.stderr.startswith(f"FAILED: {config} is not a valid configuration:\n")
    assert "shop.yml:2:" in result.stderr
