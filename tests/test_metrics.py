"""Snapshot -> page: what is published, under which names, and that no label can break it."""

import asyncio
import math
from collections.abc import Mapping
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from scripted import T0, Scripted, Signal, spec, steady
from tocsin import names
from tocsin.core.resources import Identity
from tocsin.core.settings import Forecast, Seasonal
from tocsin.core.snapshot import Sight, SignalView, Snapshot
from tocsin.evaluation import Evaluation
from tocsin.metrics import Exposition, escape, format_values
from tocsin.telemetry import Telemetry

Sample = tuple[str, tuple[tuple[str, str], ...]]


def evaluated(*series: tuple[Mapping[str, str] | str, Signal], **changes: object) -> SignalView:
    evaluation = Evaluation(spec(**changes), Scripted(*series), lambda: 1000)

    async def run() -> None:
        await evaluation.fill(T0)
        await evaluation.cycle(T0)

    asyncio.run(run())
    assert evaluation.view is not None
    return evaluation.view


@cache
def rich() -> SignalView:
    """Every detector and every model, with a resource that has a breach, one that has no value and one that is new."""
    seasonal, forecast = Seasonal(slots=6, delta_scale=1.0), Forecast(horizon=20)
    more = {"seasonal": seasonal, "forecast": forecast, "limit": 20.0, "direction": "up"}
    return evaluated(
        ("piano", steady()),
        ("ramp", lambda t: 10.0 + (t - T0) / 6000 + steady(0, 0.001)(t)),
        ("gone", lambda t: steady()(t) if t < T0 else None),
        ("new", lambda t: 5.0 if t >= T0 else None),
        **more,
    )


def page(*views: SignalView, publish: str = "essential", openmetrics: bool = False) -> str:
    made = Exposition(CollectorRegistry(), publish)
    return b"".join(made.page(Snapshot(T0, views), openmetrics=openmetrics)).decode()


def samples(text: str) -> dict[Sample, float]:
    found: dict[Sample, float] = {}
    for family in parse_text(text):
        for sample in family.samples:
            key = (sample.name, tuple(sorted(sample.labels.items())))
            assert key not in found
            found[key] = sample.value
    return found


def of(view: SignalView, resource: str, short: str, publish: str = "essential", **own: str) -> float | None:
    """The published value of one family of one resource, None when it has no line."""
    labels = {"tocsin_service": "svc", "signal": "sig", "resource": resource, **own}
    return samples(page(view, publish=publish)).get((names.metric(short), tuple(sorted(labels.items()))))


def column(view: SignalView, resource: str) -> int:
    return next(i for i, r in enumerate(view.resources) if r is not None and r.resource == resource)


# ------------------------------------------------------------------------------------------------ what is published


def test_the_page_says_what_the_snapshot_says() -> None:
    view, found = rich(), samples(page(rich()))
    labels = (("resource", "piano"), ("signal", "sig"), ("tocsin_service", "svc"))
    c, g = column(view, "piano"), view.grades
    expected = {"value": g.x, "expected_lower": g.lower, "expected_upper": g.upper, "zscore": g.z}
    for short, values in expected.items():
        assert found[names.metric(short), labels] == values[c]
    assert found["tocsin_severity_level", labels] == float(g.tier[c])
    f = view.forecasts
    assert f is not None
    at = (("horizon", "20m"), *labels)
    assert found["tocsin_forecast_value", at] == f.point[f.model[c], c]
    assert found["tocsin_forecast_upper", at] == pytest.approx(f.point[f.model[c], c] + f.half[f.model[c], c])


ESSENTIAL = {
    "value",
    "expected_lower",
    "expected_upper",
    "zscore",
    "severity_level",
    "forecast_value",
    "forecast_upper",
    "breach_timestamp_seconds",
    "no_breach",
    "held_samples",
    "tier_run_start_timestamp_seconds",
}
FULL = ESSENTIAL | {
    "baseline_mean",
    "baseline_mean_lower",
    "baseline_mean_upper",
    "baseline_stddev",
    "baseline_samples",
    "baseline_mature",
    "seasonal_residual",
    "residual_delta",
    "seasonal_zscore",
    "coefficient_of_variation",
    "detector_severity_level",
    "model_forecast_value",
    "forecast_lower",
    "breach_earliest_timestamp_seconds",
    "breach_latest_timestamp_seconds",
    "forecast_error_ratio",
    "forecast_coverage_ratio",
}


def shown() -> SignalView:
    """The rich view with a breach and a run put in, whatever the models think of it."""
    view = rich()
    assert view.forecasts is not None
    since = view.since.copy()
    since[2:, 0] = T0 - 60
    soon = np.full(len(view.resources), T0 + 60)
    return replace(view, since=since, forecasts=replace(view.forecasts, breach=soon, earliest=soon, latest=soon))


@pytest.mark.parametrize(("publish", "shorts"), [("essential", ESSENTIAL), ("full", FULL)])
def test_each_set_has_its_families_and_no_other(publish: str, shorts: set[str]) -> None:
    found = {name for name, _ in samples(page(shown(), publish=publish))}
    assert found == {names.metric(short) for short in shorts}
    assert {short for short, family in names.FAMILIES.items() if family.publish == "essential"} == ESSENTIAL
    assert set(names.FAMILIES) == FULL


@pytest.mark.parametrize("publish", ["essential", "full"])
def test_every_family_has_its_help_and_type_once_and_before_its_lines(publish: str) -> None:
    telemetry = Telemetry()
    telemetry.count("source_requests_total", "ok")
    made = Exposition(telemetry.registry, publish)
    lines = b"".join(made.page(Snapshot(T0, (shown(), replace(rich(), signal="other"))))).decode().splitlines()
    helps = [line.split()[2] for line in lines if line.startswith("# HELP")]
    types = [line.split()[2] for line in lines if line.startswith("# TYPE")]
    assert helps == types
    assert len(set(helps)) == len(helps)
    assert set(helps) <= {f.name for f in (*names.FAMILIES.values(), *names.OWN.values())}
    family = ""
    for line in lines:
        if line.startswith("# TYPE"):
            family = line.split()[2]
        elif not line.startswith("#"):
            assert line.partition("{")[0].partition(" ")[0] == family


def test_what_is_not_known_has_no_line() -> None:
    view = rich()
    assert of(view, "gone", "value") is None
    assert of(view, "gone", "expected_upper") is None
    assert of(view, "gone", "severity_level") == -1.0
    assert of(view, "gone", "no_breach", reason="stale") == 1.0
    assert of(view, "new", "value") == 5.0
    assert of(view, "new", "zscore") is None
    assert of(view, "new", "severity_level") == -1.0
    assert "NaN" not in page(view, publish="full")
    assert "null" not in page(view, publish="full")


def test_exactly_one_reason_holds_where_there_is_no_breach() -> None:
    found = samples(page(rich()))
    for resource in ("piano", "ramp", "gone", "new"):
        reasons = [k for k in found if k[0] == "tocsin_no_breach" and ("resource", resource) in k[1]]
        breach = [k for k in found if k[0] == "tocsin_breach_timestamp_seconds" and ("resource", resource) in k[1]]
        assert len(reasons) + len(breach) == 1


def test_infinities_are_written_as_prometheus_reads_them() -> None:
    assert format_values(np.array([np.inf, -np.inf, 1.5])) == [b"+Inf", b"-Inf", b"1.5"]
    view = rich()
    c = column(view, "piano")
    z = view.grades.z.copy()
    z[c] = np.inf
    assert of(replace(view, grades=replace(view.grades, z=z)), "piano", "zscore") == math.inf


@given(st.lists(st.floats(allow_nan=False), min_size=1, max_size=20))
def test_every_number_survives(values: list[float]) -> None:
    assert [float(text) for text in format_values(np.array(values))] == values


def test_identity_labels_come_with_their_exported_names() -> None:
    view = evaluated(({"instance": "a:1", "zone.id": "z/1"}, steady()))
    labels = {"tocsin_instance": "a:1", "zone_id": "z/1"}
    assert of(view, r"a:1/z\/1", "severity_level", **labels) == 0.0


def test_the_tier_run_says_since_when_at_tiers_3_and_4() -> None:
    view = rich()
    since = np.full_like(view.since, np.nan)
    c = column(view, "piano")
    since[:, c] = [T0 - 400, T0 - 300, T0 - 200, T0 - 100]
    view = replace(view, since=since)
    assert of(view, "piano", "tier_run_start_timestamp_seconds", tier="3") == T0 - 200
    assert of(view, "piano", "tier_run_start_timestamp_seconds", tier="4") == T0 - 100
    assert of(view, "piano", "tier_run_start_timestamp_seconds", tier="2") is None


def test_detectors_are_told_apart_in_full() -> None:
    view, c = rich(), column(rich(), "piano")
    assert of(view, "piano", "detector_severity_level", "full", detector="zscore") == view.grades.zscore_tier[c]
    assert of(view, "piano", "detector_severity_level", "full", detector="seasonal") == view.grades.seasonal_tier[c]


# ------------------------------------------------------------------------------------------------ blind and gone


@pytest.mark.parametrize("publish", ["essential", "full"])
def test_a_blind_signal_publishes_nothing_but_minus_one(publish: str) -> None:
    found = samples(page(replace(rich(), sight=Sight.BLIND), publish=publish))
    assert {name for name, _ in found} == {"tocsin_severity_level"}
    assert list(found.values()) == [-1.0] * 4


def test_a_signal_that_is_gone_publishes_nothing() -> None:
    assert page(replace(rich(), sight=Sight.GONE)) == ""


def test_one_blind_signal_does_not_touch_another() -> None:
    found = samples(page(replace(rich(), sight=Sight.BLIND, signal="blind"), rich()))
    assert {dict(labels)["signal"] for name, labels in found if name == "tocsin_value"} == {"sig"}


# ------------------------------------------------------------------------------------------------ templates


def live_page(made: Exposition, view: SignalView) -> dict[Sample, float]:
    return samples(b"".join(made.page(Snapshot(T0, (view,)))).decode())


def test_values_change_from_page_to_page_under_the_same_template() -> None:
    made, view = Exposition(CollectorRegistry(), "essential"), rich()
    first = live_page(made, view)
    moved = replace(view, grades=replace(view.grades, x=view.grades.x + 1.0))
    second = live_page(made, moved)
    assert second == {k: v + 1.0 if k[0] == "tocsin_value" else v for k, v in first.items()}
    assert live_page(made, view) == first


def test_a_page_made_with_a_history_is_the_page_made_fresh() -> None:
    """Resources come, go and change columns between pages; no label may stay behind."""
    now = {"names": ["a", "b", "c"]}
    source = Scripted()
    evaluation = Evaluation(spec(forget_after=180), source, lambda: 1000)
    made = Exposition(CollectorRegistry(), "full")

    async def run() -> None:
        script = [["a", "b", "c"], ["a", "c"], ["c", "d"], ["d", "e", "f"], ["a"], [], ["g", "a"], ["h"], ["h", "a"]]
        t = T0
        for present in [p for p in script for _ in range(3)]:
            now["names"] = present
            source.series["m"] = [(name, steady()) for name in present]
            if evaluation.behind(t):
                await evaluation.fill(t)
            await evaluation.cycle(t)
            assert evaluation.view is not None
            fresh = live_page(Exposition(CollectorRegistry(), "full"), evaluation.view)
            assert live_page(made, evaluation.view) == fresh
            values = {dict(labels)["resource"] for name, labels in fresh if name == "tocsin_value"}
            assert values == set(present)
            t += 60

    asyncio.run(run())


def test_a_signal_that_is_configured_away_leaves_nothing() -> None:
    made = Exposition(CollectorRegistry(), "essential")
    assert live_page(made, rich())
    assert b"".join(made.page(Snapshot(T0))) == b""
    assert made._signals == {}


# ------------------------------------------------------------------------------------------------ hostile labels

HOSTILE = [
    'quote " inside',
    "line\nbreak",
    "back\\slash",
    "\\n",
    '\\"',
    "%b %s %% %(x)s",
    "{a='b'}",
    '"} 1\ntocsin_severity_level{resource="x"} 4',
    "# HELP x y",
    "Ünïcödé Ελληνικά русский עברית العربية हिन्दी ไทย 中文 日本語 한국어 🎹",
    "\u2028\u2029\x85\x0b\x0c\r",
    "\x00\x01\x7f",
    "   ",
    "a" * 4096,
]


@pytest.mark.parametrize("value", HOSTILE)
def test_a_hostile_label_value_survives_and_injects_nothing(value: str) -> None:
    view = evaluated(({"x": value}, steady()), ({"x": "calm"}, steady()))
    found = samples(page(view, publish="full"))
    labels = {"tocsin_service": "svc", "signal": "sig", "resource": value, "x": value}
    assert ("tocsin_value", tuple(sorted(labels.items()))) in found
    assert {dict(labels).get("x") for _, labels in found} == {value, "calm"}


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30))
@settings(max_examples=60)
def test_any_label_value_survives_the_text_format(value: str) -> None:
    view = replace(rich(), resources=tuple(Identity(value + str(i), (("x", value),)) for i in range(4)))
    assert {dict(labels)["x"] for _, labels in samples(page(view))} == {value}
    assert {dict(labels)["resource"] for _, labels in samples(page(view))} == {value + str(i) for i in range(4)}


@pytest.mark.parametrize("name", ["service\nname", 'sig"nal', "100%"])
def test_names_of_services_and_signals_are_escaped_too(name: str) -> None:
    found = samples(page(replace(rich(), service=name, signal=name)))
    assert {(dict(labels)["tocsin_service"], dict(labels)["signal"]) for _, labels in found} == {(name, name)}


def test_lone_surrogates_cannot_break_the_page() -> None:
    view = replace(rich(), service="a\ud800b", resources=tuple(Identity(f"\udfff{i}", ()) for i in range(4)))
    assert {dict(labels)["resource"] for _, labels in samples(page(view))} == {"?0", "?1", "?2", "?3"}


@given(st.text(max_size=10))
def test_escaped_text_has_no_line_break_and_no_bare_quote(value: str) -> None:
    text = escape(value)
    assert "\n" not in text
    assert '"' not in text.replace("\\\\", "").replace('\\"', "")


# ------------------------------------------------------------------------------------------------ OpenMetrics


@pytest.mark.parametrize("publish", ["essential", "full"])
def test_the_openmetrics_page_parses_and_says_the_same(publish: str) -> None:
    telemetry = Telemetry()
    telemetry.count("source_requests_total", "ok", by=3)
    made = Exposition(telemetry.registry, publish)
    snapshot = Snapshot(T0, (shown(),))
    text = b"".join(made.page(snapshot, openmetrics=True)).decode()
    assert text.endswith("# EOF\n")
    assert text.count("# EOF") == 1
    found = {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in parse_openmetrics(text)
        for sample in family.samples
    }
    assert found == samples(b"".join(made.page(snapshot)).decode())
    assert found["tocsin_source_requests_total", (("class", "ok"),)] == 3.0


def test_a_hostile_label_survives_openmetrics() -> None:
    value = '"} 1\n# EOF\n%b'
    text = page(evaluated(({"x": value}, steady())), openmetrics=True)
    assert {sample.labels["x"] for family in parse_openmetrics(text) for sample in family.samples} == {value}


def test_no_line_has_a_timestamp() -> None:
    for family in parse_text(page(shown(), publish="full")):
        assert all(sample.timestamp is None for sample in family.samples)
