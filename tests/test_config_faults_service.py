"""One bad service file per rule, each with the exact place and message of its only fault."""

from pathlib import Path

import pytest

from tocsin.config.faults import ConfigError
from tocsin.config.load import load

TESTDATA = Path(__file__).parent / "testdata" / "config"

#: bad-service-NAME.yml: (line:column, path, message).
FAULTS = {
    "alert-digit": (
        "2:34",
        "signals.up.alert.high.name",
        "found no name that starts with a letter (it would be '3scaleUpHigh'), expected one",
    ),
    "alert-for": ("5:29", "signals.utilization.alert.high.for_", "found the unknown key 'for_', expected 'for'"),
    "alert-grades-and-for": (
        "5:37",
        "signals.utilization.alert.high.grades",
        "found grades and for, expected one of them",
    ),
    "alert-meta": (
        "5:35",
        "signals.utilization.alert.high.name",
        "found 'TocsinDown', which is an alert about Tocsin itself, expected another name",
    ),
    "alert-name": (
        "5:35",
        "signals.utilization.alert.high.name",
        "found 'Too High', expected a name of letters, digits and '_'",
    ),
    "alert-no-tier": ("5:13", "signals.utilization.alert.high.tier", "found nothing, expected a value"),
    "alert-text": (
        "5:42",
        "signals.load.alert.high.description",
        "found the function nobody, expected one that Prometheus has",
    ),
    "slo-text": (
        "6:29",
        "slos.api.alert.page.summary",
        "found an action that is not closed, expected {{ and }} in pairs, and quotes inside them too",
    ),
    "alert-tier": ("5:26", "signals.utilization.alert.high.tier", "found the number 5, expected at most 4"),
    "alpha": ("5:43", "signals.utilization.detect.seasonal.alpha", "found the number 1, expected less than 1"),
    "by-text": ("5:9", "signals.utilization.by", "found 'resource', expected a list"),
    "by-twice": ("5:9", "signals.utilization.by", "found 'resource' more than once, expected each label once"),
    "calendar": (
        "5:15",
        "signals.utilization.calendar",
        "found 'office', expected a calendar of the process file (none is defined)",
    ),
    "capacity": (
        "5:15",
        "signals.utilization.capacity",
        "found no PromQL (unclosed left parenthesis), expected an expression that gives a vector",
    ),
    "delta": (
        "6:53",
        "signals.utilization.detect.seasonal.delta_threshold",
        (
            "found 0.05 for a signal with unit: seconds, expected unit: ratio or a scale: a delta means "
            "something only as a share of a known size"
        ),
    ),
    "detect-empty": (
        "5:13",
        "signals.utilization.detect",
        "found no detector, expected zscore, seasonal or both (zscore: {} has good defaults)",
    ),
    "detect-unknown": ("5:14", "signals.utilization.detect.zscor", "found the unknown key 'zscor', expected 'zscore'"),
    "expr-empty": ("4:11", "signals.utilization.expr", "found '', expected some text"),
    "expr-function": (
        "4:11",
        "signals.utilization.expr",
        "found no PromQL (unknown function with name 'raet'), expected an expression that gives a vector",
    ),
    "expr-long": (
        "4:11",
        "signals.utilization.expr",
        "found 1201 words and signs, expected at most 1000: record parts of it by a rule",
    ),
    "expr-range": (
        "4:11",
        "signals.utilization.expr",
        "found a range selector, expected an expression that gives a vector",
    ),
    "expr-scalar": ("4:11", "signals.utilization.expr", "found a scalar, expected an expression that gives a vector"),
    "expr-string": ("4:11", "signals.utilization.expr", "found a string, expected an expression that gives a vector"),
    "expr-subquery": (
        "4:11",
        "signals.utilization.expr",
        "found a range selector, expected an expression that gives a vector",
    ),
    "expr-syntax": (
        "4:11",
        "signals.utilization.expr",
        "found no PromQL (unclosed left parenthesis), expected an expression that gives a vector",
    ),
    "forecast-model": (
        "5:23",
        "signals.utilization.forecast.model",
        "found 'holt_winters' without a season, expected detect.seasonal beside it",
    ),
    "forecast-true": (
        "5:15",
        "signals.utilization.forecast",
        "found true, expected a mapping with horizon and model, or false",
    ),
    "forecast-unknown": (
        "5:16",
        "signals.utilization.forecast.horizont",
        "found the unknown key 'horizont', expected 'horizon'",
    ),
    "forget-after": ("6:19", "signals.utilization.forget_after", "found 1h, expected at least 3 steps (1h30m)"),
    "horizon": ("6:25", "signals.utilization.forecast.horizon", "found 1h, expected a multiple of step (7m)"),
    "interval-number": (
        "5:15",
        "signals.utilization.interval",
        "found the number 60, expected a duration such as 30s, 5m or 1h30m",
    ),
    "interval": (
        "5:15",
        "signals.utilization.interval",
        "found '1500ms', expected a duration of whole seconds, at least 1s",
    ),
    "limit-text": ("5:12", "signals.utilization.limit", "found '95%', expected a number"),
    "limit": ("5:12", "signals.utilization.limit", "found the number inf, expected a finite number"),
    "link-brace": ("2:15", "links.logs", "found an open { or }, expected pairs ({{ and }} for the signs themselves)"),
    "link": ("2:15", "links.logs", "found {pod}, expected only {alert}, {service}, {signal}, {resource}"),
    "min-samples": ("3:3", "signals.utilization.min_samples", "found 10 (the default), expected at most window (5)"),
    "name": ("1:10", "service", "found 'melody meter', expected a name of letters, digits, '.', '_' and '-'"),
    "no-expr": ("3:3", "signals.up.expr", "found nothing, expected a value"),
    "no-name": ("1:1", "service", "found nothing, expected a value"),
    "nothing-watched": (
        "1:10",
        "service",
        (
            "found nothing to watch, expected at least one of signals, thresholds, slos, absent, rate_of_change, "
            "forecast_breach, alerts"
        ),
    ),
    "normal-length": ("5:13", "signals.utilization.normal", "found 1 value, expected 2"),
    "normal-nothing": (
        "5:13",
        "signals.utilization.normal",
        "found no bound, expected [low, high] with at most one of them null",
    ),
    "normal-order": (
        "5:13",
        "signals.utilization.normal",
        "found 0.8 above 0.2, expected [low, high] with low <= high",
    ),
    "relearn-never": (
        "6:34",
        "signals.utilization.alert.slow.for",
        "found 3h, expected less than 2016 steps (2h48m): the new level would be normal before it fires",
    ),
    "relearn": (
        "6:20",
        "signals.utilization.relearn_after",
        (
            "found 60 steps (1h), expected more than the alert 'slow' waits (2h): the new level would be "
            "normal before it fires"
        ),
    ),
    "season-float": (
        "5:33",
        "signals.utilization.detect.seasonal.season",
        "found the number 6.5, expected a number of slots or a duration such as 1d",
    ),
    "season-long": (
        "5:33",
        "signals.utilization.detect.seasonal.season",
        "found 40320 steps of 1m, expected 2 to 2016",
    ),
    "season-short": ("5:33", "signals.utilization.detect.seasonal.season", "found 1 steps of 1m, expected 2 to 2016"),
    "season": ("7:33", "signals.utilization.detect.seasonal.season", "found '1d', expected a multiple of step (7m)"),
    "severity": (
        "2:11",
        "severity",
        (
            "found 'P0-P4', expected 'P0-P3' (or another of tiers, P0-P3, P1-P3, high-medium-low, "
            "warning-critical, page-ticket)"
        ),
    ),
    "signal-name": ("3:3", "signals['']", "found a name of 0 characters, expected 1 to 200"),
    "slo-alert-name": (
        "6:21",
        "slos.api.alert.ticket",
        "found 'Not-a-name', expected a name of letters, digits and '_'",
    ),
    "slo-alert-twice": (
        "6:33",
        "slos.api.alert.ticket",
        "found the alert 'Burn' again, expected a name of its own ({path}:6:19 has it already)",
    ),
    "slo-all": ("4:16", "slos.api.objective", "found '100%', expected less than 1"),
    "slo-histogram": (
        "5:32",
        "slos.api.sli.latency.histogram",
        "found a name that ends in _bucket, expected the histogram's name without it",
    ),
    "slo-native": (
        "5:66",
        "slos.api.sli.latency.native",
        "found true for target.prometheus '2.42', expected at least '3.0'",
    ),
    "slo-objective": (
        "4:16",
        "slos.api.objective",
        (
            "found 0.8 over 30d, expected a stricter objective or `alert: {page: false}`: even if "
            "everything fails the budget does not burn fast enough for a page"
        ),
    ),
    "slo-period": ("5:13", "slos.api.period", "found '31d', expected '30d' (or another of 7d, 28d, 30d, 90d)"),
    "slo-rate": (
        "5:16",
        "slos.api.sli.bad",
        "found rate(), expected increase(): events are counted, not events per second",
    ),
    "slo-selector": (
        "5:16",
        "slos.api.sli.bad",
        (
            'found an expression, expected a selector such as requests_total{code=~"5.."}; or an expression '
            "with [$window] that gives a number of events"
        ),
    ),
    "slo-signal": ("7:31", "slos.api.sli.threshold.signal", "found 'laod', expected a signal of this service (load)"),
    "slo-sli-none": (
        "5:10",
        "slos.api.sli",
        "found bad, expected one of: bad and total, good and total, latency, probe, ratio, threshold",
    ),
    "slo-sli-two": (
        "5:10",
        "slos.api.sli",
        (
            "found bad and total and probe, expected one of: bad and total, good and total, latency, probe, "
            "ratio, threshold"
        ),
    ),
    "slo-threshold": ("7:22", "slos.api.sli.threshold", "found both of above and below, expected exactly one"),
    "step": ("6:11", "signals.utilization.step", "found 1m30s, expected a multiple of interval (1m)"),
    "tiers-length": ("2:16", "tiers.delta", "found 3 values, expected 4"),
    "tiers-long": ("2:12", "tiers.z", "found 5 values, expected 4"),
    "tiers-order": ("2:12", "tiers.z", "found [1.8, 2.5, 2.5, 5], expected four bounds that rise"),
    "unit": (
        "5:11",
        "signals.utilization.unit",
        "found 'percent', expected one of ratio, seconds, bytes, celsius, count, per_second, per_minute, none",
    ),
    "window-float": ("5:13", "signals.utilization.window", "found the number 60.5, expected a whole number"),
    "window": ("5:13", "signals.utilization.window", "found the number 501, expected at most 500"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_bad_service_file_is_refused_with_its_exact_fault(name: str, tmp_path: Path) -> None:
    path = TESTDATA / f"bad-service-{name}.yml"
    process = tmp_path / "tocsin.yml"
    process.write_text(f"source: {{url: http://127.0.0.1:9090}}\nservices: ['{path}']\n")
    with pytest.raises(ConfigError) as caught:
        load(process)
    place, where, message = FAULTS[name]
    assert str(caught.value) == f"{path}:{place}: {where}: {message.replace('{path}', str(path))}"


def test_every_bad_service_file_has_its_fault_in_the_table() -> None:
    files = {path.stem.removeprefix("bad-service-") for path in TESTDATA.glob("bad-service-*.yml")}
    # Two services of one name: a fault of the process file that names both.
    assert files - {"twice", "twice.service"} == set(FAULTS)
