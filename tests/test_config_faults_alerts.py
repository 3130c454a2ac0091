"""One bad service file per rule about alerts on values, each with the exact place and message of its only fault."""

from pathlib import Path

import pytest

from tocsin.config.faults import ConfigError
from tocsin.config.load import load

TESTDATA = Path(__file__).parent / "testdata" / "config" / "alerts"

#: bad-NAME.yml: (line:column, path, message).
FAULTS = {
    "absent-expr": ("3:24", "absent[0].expr", "found a scalar, expected an expression that gives a vector"),
    "absent-name": ("3:12", "absent[0].name", "found 'Not there', expected a name of letters, digits and '_'"),
    "absent-twice": (
        "5:12",
        "alerts[0].name",
        "found the alert 'Gone' again, expected a name of its own ({file}:3:12 has it already)",
    ),
    "breach-forecast": (
        "7:26",
        "forecast_breach[0].signal",
        "found 'rest', which has forecast: false, expected a signal with a forecast",
    ),
    "breach-limit": (
        "7:26",
        "forecast_breach[0].signal",
        "found 'open', which has no limit, expected a signal with one",
    ),
    "breach-signal": (
        "7:26",
        "forecast_breach[0].signal",
        "found 'laod', expected a signal of this service (load, open, rest)",
    ),
    "breach-within": ("7:40", "forecast_breach[0].within", "found 2h, expected at most the forecast's horizon (1h)"),
    "change-fall": ("3:43", "rate_of_change[0].fall", "found '120%', expected at most 1"),
    "change-for": (
        "3:54",
        "rate_of_change[0].for",
        "found 20m, expected at most half of over (15m): a step is one only for as long as over",
    ),
    "change-neither": ("3:5", "rate_of_change[0]", "found neither, expected exactly one of signal and expr"),
    "change-no-bound": ("3:5", "rate_of_change[0]", "found no bound, expected rise, fall or both"),
    "change-over": ("3:33", "rate_of_change[0].over", "found 59s, expected at least 4 evaluations (1m)"),
    "description-function": (
        "3:44",
        "thresholds.cpu.description",
        "found the function humanise, expected one that Prometheus has",
    ),
    "description-if": ("3:44", "thresholds.cpu.description", "found {{ if }} without an end, expected {{ end }}"),
    "description-variable": (
        "3:44",
        "thresholds.cpu.description",
        "found the variable $vlaue, expected one of $, $externalLabels, $externalURL, $labels, $value",
    ),
    "expression-level": ("3:37", "alerts[0].level", "found 'urgent', expected one of warning, critical, ticket, page"),
    "expression-range": (
        "3:23",
        "alerts[0].expr",
        "found a range selector, expected an expression that gives a vector",
    ),
    "runbook": (
        "3:40",
        "thresholds.cpu.runbook",
        "found {pod}, expected only {alert}, {service}, {signal}, {resource}",
    ),
    "summary-end": (
        "3:40",
        "thresholds.cpu.summary",
        "found {{ end }} outside of if, range and with, expected it inside",
    ),
    "summary-open": (
        "3:40",
        "thresholds.cpu.summary",
        "found an action that is not closed, expected {{ and }} in pairs, and quotes inside them too",
    ),
    "threshold-both": ("7:8", "thresholds.cpu", "found both, expected exactly one of signal and expr"),
    "threshold-by-signal": (
        "5:17",
        "thresholds.cpu.signal",
        "found the label 'b.c', expected letters, digits and '_': rules group by it",
    ),
    "threshold-by-twice": ("3:35", "thresholds.cpu.by", "found 'a' more than once, expected each label once"),
    "threshold-by": (
        "3:35",
        "thresholds.cpu.by",
        "found the label 'b.c', expected letters, digits and '_': rules group by it",
    ),
    "threshold-direction": ("3:42", "thresholds.cpu.direction", "found 'both', expected one of up, down"),
    "threshold-equal": (
        "3:41",
        "thresholds.cpu.critical",
        "found 80 with a warning at 80, expected it above that (direction: up)",
    ),
    "threshold-expr": (
        "3:15",
        "thresholds.cpu.expr",
        "found no PromQL (unclosed left parenthesis), expected an expression that gives a vector",
    ),
    "threshold-for": ("3:36", "thresholds.cpu.for", "found 1h1m, expected at most 1h"),
    "threshold-inject": (
        "3:15",
        "thresholds.cpu.expr",
        "found no PromQL (unexpected right parenthesis ')'), expected an expression that gives a vector",
    ),
    "threshold-key": (
        "3:3",
        "thresholds.cpu.name",
        "found no name that starts with a letter (it would be '3scaleCpu'), expected one",
    ),
    "threshold-meta": (
        "3:38",
        "thresholds.down.name",
        "found 'TocsinDown', which is an alert about Tocsin itself, expected another name",
    ),
    "threshold-neither": ("3:8", "thresholds.cpu", "found neither, expected exactly one of signal and expr"),
    "threshold-no-bound": ("3:8", "thresholds.cpu", "found no bound, expected warning, critical or both"),
    "threshold-no-signals": (
        "3:17",
        "thresholds.cpu.signal",
        "found 'load', expected a signal of this service (none is defined)",
    ),
    "threshold-order-down": (
        "3:42",
        "thresholds.rate.critical",
        "found 80 with a warning at 60, expected it below that (direction: down)",
    ),
    "threshold-order-up": (
        "3:41",
        "thresholds.cpu.critical",
        "found 80 with a warning at 95, expected it above that (direction: up)",
    ),
    "threshold-signal": (
        "7:17",
        "thresholds.cpu.signal",
        "found 'laod', expected a signal of this service (load, open, rest)",
    ),
    "threshold-text": ("3:27", "thresholds.cpu.warning", "found 'eighty', expected a number"),
    "threshold-twice": (
        "4:37",
        "thresholds.CPU.name",
        "found the alert 'ShopCpu' again, expected a name of its own ({file}:3:3 has it already)",
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_bad_alert_is_refused_with_its_exact_fault(name: str, tmp_path: Path) -> None:
    path = TESTDATA / f"bad-{name}.yml"
    process = tmp_path / "tocsin.yml"
    process.write_text(f"source: {{url: http://127.0.0.1:9090}}\nservices: ['{path}']\n")
    with pytest.raises(ConfigError) as caught:
        load(process)
    place, where, message = FAULTS[name]
    assert str(caught.value) == f"{path}:{place}: {where}: {message.replace('{file}', str(path))}"


def test_every_bad_alert_has_its_fault_in_the_table() -> None:
    assert {path.stem.removeprefix("bad-") for path in TESTDATA.glob("bad-*.yml")} == set(FAULTS)
