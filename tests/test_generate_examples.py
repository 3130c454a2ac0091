"""The examples: they pass check, the committed rules are what they say, and their signals grade as the runbooks ask."""

import re
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from click.testing import CliRunner

from examples import EXAMPLE, ROOT, alerts, config, service
from tocsin.cli.generate import generate
from tocsin.core.fold import Runs, fold, grade
from tocsin.core.state import State
from tocsin.specs import spec_of

NEW_YORK = ZoneInfo("America/New_York")


def test_the_examples_pass_check_without_a_warning() -> None:
    assert config().warnings == ()
    assert [service.service for service in config().services] == [
        "amas",
        "learning",
        "maestro",
        "melody-meter",
        "pynomaly",
    ]


def test_the_committed_files_are_what_the_examples_say() -> None:
    result = CliRunner().invoke(
        generate, ["all", "--config.file", str(EXAMPLE), "--out", str(ROOT), "--check"], catch_exceptions=False
    )
    assert re.search(r"^SUCCESS: [0-9]+ files are what the configuration says\n\Z", result.stdout, re.MULTILINE), (
        result.stdout
    )
    (warning,) = result.stderr.splitlines()
    assert warning.startswith("warning: receivers.amas-oncall.teams: Alertmanager 0.25 is what files are made for")
    assert result.exit_code == 0


def test_melody_meter_watches_the_names_of_the_runbook() -> None:
    signals = service("melody-meter").signals
    assert {name: signal.expr for name, signal in signals.items()} == {
        "utilization": "melody_bookings_utilization_percent / 100",
        "bookings": "sum by (resource) (increase(melody_bookings_confirmed_total[1h]))",
        "cancellations": "sum by (resource) (increase(melody_bookings_cancelled_total[1h]))",
    }
    assert all(signal.by == ("resource",) and signal.window <= 500 for signal in signals.values())


def test_what_pages_is_what_the_runbooks_call_a_page() -> None:
    paging = {name for name, alert in alerts().items() if alert["labels"].get("page") == "true"}
    assert paging == {
        "MelodyMeterUtilizationCritical",
        "MelodyMeterEscalationCriticalProductOpsLead",
        "MelodyMeterEscalationCriticalDirector",
        "MelodyMeterEscalationCriticalExecutive",
        "ApiErrorBudgetBurn",
        "ApiLatencySLOBreach",
        "PynomalySystemDown",
    }


def test_tier_1_sends_nothing() -> None:
    signals = [signal for service in config().services for signal in service.signals.values()]
    assert min(alert.tier for signal in signals for alert in signal.alert.values()) == 2


def test_maintenance_of_learning_is_on_the_first_sunday_of_a_quarter_and_concerns_nobody_else() -> None:
    def excluded(name: str, signal: str, when: str) -> str | None:
        moment = datetime.fromisoformat(when).replace(tzinfo=UTC).timestamp()
        return spec_of(config(), service(name), signal).windows.active(moment)

    assert excluded("learning", "drift", "2026-04-05T02:00") == "quarterly"
    assert excluded("learning", "drift", "2026-04-05T03:59") == "quarterly"
    assert excluded("learning", "drift", "2026-04-05T04:00") is None
    assert excluded("learning", "drift", "2026-05-03T03:00") is None  # the first Sunday of a month alone
    assert excluded("amas", "queue", "2026-04-05T03:00") is None


def at(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=NEW_YORK).timestamp()


def tier(signal: str, normal: float, value: float, when: str) -> int:
    """Tier of a value at a local time, after two days of a normal value that follows the signal's calendar."""
    spec = spec_of(config(), service("pynomaly"), signal)
    expected = spec.settings.multiplier or (lambda _: 1.0)
    now = at(when)
    times = now - spec.settings.step * np.arange(2 * 288.0, 0, -1)
    noise = np.random.default_rng(3).normal(1, 0.05, len(times))
    history = normal * noise * [expected(t) for t in times]
    state, _, _ = fold(State.empty(spec.settings, 1), Runs.empty(1), times, history[:, None], spec.settings)
    return int(grade(state, np.array([value]), now, spec.settings).tier[0])


@pytest.mark.parametrize(
    ("when", "times", "expected"),
    [
        ("2026-11-20T09:00", 3.0, 0),  # a Friday
        ("2026-11-20T03:00", 3.0, 4),
        ("2026-11-20T16:55", 3.0, 0),
        ("2026-11-20T17:00", 3.0, 4),
        ("2026-11-21T12:00", 0.4, 0),  # a Saturday
        ("2026-11-21T12:00", 1.0, 4),
        ("2026-11-26T12:00", 0.2, 0),  # a Thursday, and a holiday
        ("2026-11-26T12:00", 3.0, 4),
        ("2026-11-02T09:00", 3.0, 0),  # the Monday after the clocks went back
        ("2026-11-02T08:55", 3.0, 4),
        ("2026-03-09T09:00", 3.0, 0),  # the Monday after they went forward
        ("2026-03-09T08:55", 3.0, 4),
    ],
)
def test_three_times_normal_is_expected_in_office_hours_only(when: str, times: float, expected: int) -> None:
    assert tier("traffic", 100.0, 100.0 * times, when) == expected


@pytest.mark.parametrize(
    ("signal", "low", "high"),
    [
        ("cpu", 0.2, 0.4),
        ("memory", 0.4, 0.6),
        ("disk-io", None, 0.8),
        ("network", None, 0.7),
        ("response", None, 0.2),
        ("errors", None, 0.001),
    ],
)
def test_the_normal_ranges_are_those_of_the_runbook(signal: str, low: float | None, high: float) -> None:
    assert service("pynomaly").signals[signal].normal == (low, high)


def test_leaving_the_normal_range_is_informational_and_no_alert_starts_from_it() -> None:
    assert tier("cpu", 0.4, np.nextafter(0.4, 1), "2026-11-20T12:00") == 1
    assert tier("cpu", 0.4, 0.4, "2026-11-20T12:00") == 0
    assert service("pynomaly").signals["cpu"].alert == {}
