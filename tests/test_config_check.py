"""`tocsin check config`: what it prints, and what it exits with."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tocsin.cli.check import check
from tocsin.config.schema import json_schema

TESTDATA = Path(__file__).parent / "testdata" / "config"


@pytest.fixture
def doubtful(tmp_path: Path) -> Path:
    """A valid configuration with a warning."""
    (tmp_path / "s.yml").write_text("service: s\nsignals: {x: {expr: jobs_total, forecast: false, alert: {}}}\n")
    (tmp_path / "tocsin.yml").write_text("source: {url: http://a}\nservices: [s.yml]\n")
    return tmp_path / "tocsin.yml"


def run(*args: str | Path) -> Result:
    return CliRunner().invoke(check, ["config", *map(str, args)])


def test_success_says_what_was_found() -> None:
    path = TESTDATA / "good" / "tocsin.yml"
    result = run(path)
    assert result.exit_code == 0
    assert result.stderr == ""
    assert result.stdout.splitlines() == [
        f"SUCCESS: {path} is valid: 2 services, 3 signals (4 alerts, 2 calendars, 3 windows)",
        f"  melody-meter ({path.parent}/services/melody-meter.yml): 1 signal",
        "    utilization: every 1m; learns every 30m; zscore, seasonal (1d); forecast 1d; 2 alerts (1 paging)",
        f"  on ({path.parent}/services/small.yml): 2 signals",
        "    up: every 1m; zscore; forecast 1h; 2 alerts",
        "    old: every 1m; zscore; no forecast; 0 alerts",
    ]


def test_failure_prints_every_fault_and_exits_with_1() -> None:
    path = TESTDATA / "bad-service-twice.yml"
    result = run(path)
    second, first = TESTDATA / "bad-service-twice.service.yml", TESTDATA / "good" / "services" / "small.yml"
    message = f"found the service 'on' again, expected a name of its own ({first}:2:10 has it already)"
    assert result.exit_code == 1
    assert result.stdout == ""
    assert result.stderr.splitlines() == [
        f"FAILED: {path} is not valid: 1 fault",
        f"{second}:1:10: service: {message}",
    ]


def test_a_warning_is_printed_and_exits_with_0(doubtful: Path) -> None:
    result = run(doubtful)
    message = "found the counter jobs_total by itself, expected its rate: rate(jobs_total[5m])"
    assert result.exit_code == 0
    assert result.stdout.splitlines() == [
        f"SUCCESS: {doubtful} is valid: 1 service, 1 signal (0 alerts, 0 calendars, 0 windows)",
        f"  s ({doubtful.parent}/s.yml): 1 signal",
        "    x: every 1m; zscore; no forecast; 0 alerts",
        f"WARNING: {doubtful.parent}/s.yml:2:21: signals.x.expr: {message}",
    ]


def test_a_warning_exits_with_3_under_strict(doubtful: Path) -> None:
    assert run(doubtful, "--strict").exit_code == 3
    assert run(TESTDATA / "good" / "tocsin.yml", "--strict").exit_code == 0


def test_slos_and_other_alerts_are_counted_too(tmp_path: Path) -> None:
    path = tmp_path / "tocsin.yml"
    path.write_text("source: {url: http://127.0.0.1:9090}\nservices: [s.yml]\n")
    (tmp_path / "s.yml").write_text(
        "service: s\n"
        "slos: {api: {objective: 99.95%, sli: {ratio: x}, alert: {ticket: false}}}\n"
        "thresholds: {queue: {expr: q, warning: 1, critical: 2}}\n"
        "absent: [{name: Gone, expr: q}]\n"
    )
    assert run(path).stdout.splitlines() == [
        f"SUCCESS: {path} is valid: 1 service, 0 signals, 1 SLO (4 alerts, 0 calendars, 0 windows)",
        f"  s ({tmp_path}/s.yml): 1 SLO, 1 threshold, 1 other alert",
        "    api: 99.95% over 30d",
    ]


def test_json_says_the_same(doubtful: Path) -> None:
    result = run(doubtful, "-o", "json", "--strict")
    report = json.loads(result.stdout)
    assert result.exit_code == 3
    assert report["valid"] is True
    assert report["services"] == [
        {
            "service": "s",
            "signals": {
                "x": {
                    "interval_seconds": 60,
                    "step_seconds": 60,
                    "detectors": ["zscore"],
                    "horizon_seconds": None,
                    "alerts": [],
                }
            },
            "slos": {},
            "alerts": [],
        }
    ]
    assert [(w["line"], w["column"], w["path"]) for w in report["warnings"]] == [(2, 21, "signals.x.expr")]


def test_json_has_every_fault_on_standard_output() -> None:
    path = TESTDATA / "bad-below-bound.yml"
    result = run(path, "-o", "json")
    assert result.exit_code == 1
    assert json.loads(result.stdout) == {
        "file": str(path),
        "valid": False,
        "faults": [
            {
                "file": str(path),
                "line": 3,
                "column": 13,
                "path": "max_series",
                "message": "found the number 0, expected at least 1",
            }
        ],
    }


def test_a_file_that_does_not_exist_is_a_fault_and_no_traceback(tmp_path: Path) -> None:
    result = run(tmp_path / "nowhere.yml")
    assert result.exit_code == 1
    assert "found no file that can be read (No such file or directory), expected a YAML file" in result.stderr


@pytest.mark.parametrize("args", [(), ("--schema", "nonsense"), ("a", "b"), ("a", "-o", "xml"), ("--nonsense",)])
def test_a_wrong_command_line_exits_with_2(args: tuple[str, ...]) -> None:
    assert run(*args).exit_code == 2


def test_the_schema_is_printed_without_a_file() -> None:
    assert json.loads(run("--schema").stdout) == json_schema("process")
    assert json.loads(run("--schema", "service").stdout) == json_schema("service")
