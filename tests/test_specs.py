"""Configuration -> what the engine runs: every default worked out, and equal files give equal signals."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from tocsin.config.faults import ConfigError
from tocsin.config.load import Config, load
from tocsin.config.models import Signal
from tocsin.config.signals import MAX_RELEARN_AFTER
from tocsin.core.calendar import Calendar
from tocsin.core.settings import Forecast, Seasonal, Settings
from tocsin.evaluation import Spec
from tocsin.specs import specs_of

EXAMPLES = Path(__file__).parent.parent / "examples" / "tocsin.yml"


def config(folder: Path, signal: dict[str, Any] | None = None, **process: Any) -> Config:
    service = {"service": "shop", "signals": {"load": {"expr": "load_ratio", **(signal or {})}}}
    (folder / "shop.yml").write_text(yaml.safe_dump(service))
    whole = {"source": {"url": "http://127.0.0.1:9090"}, "services": ["shop.yml"], **process}
    (folder / "tocsin.yml").write_text(yaml.safe_dump(whole))
    return load(folder / "tocsin.yml")


def spec(folder: Path, signal: dict[str, Any] | None = None, **process: Any) -> Spec:
    (found,) = specs_of(config(folder, signal, **process))
    return found


def test_a_signal_that_is_nothing_but_an_expression_has_every_default(tmp_path: Path) -> None:
    found = spec(tmp_path)
    assert (found.service, found.signal, found.expr, found.unit) == ("shop", "load", "load_ratio", "none")
    assert (found.timestamps, found.capacity, found.by) == ("timestamp(load_ratio)", None, None)
    assert found.ignored == {"job", "replica", "prometheus_replica"}
    assert (found.stale_after, found.forget_after, found.max_series) == (120, 3600, 100_000)
    assert found.settings == Settings(forecast=Forecast(horizon=60))
    assert found.warmup_steps == 120


def test_an_expression_of_more_than_one_selector_has_no_sample_times(tmp_path: Path) -> None:
    assert (two := spec(tmp_path, {"expr": "a / b"})).timestamps is None
    assert spec(tmp_path, {"expr": "a / 100"}).timestamps == "timestamp(a)"
    rate = spec(tmp_path, {"expr": "rate(a[5m])"})
    assert (two.unstamped, rate.unstamped, spec(tmp_path).unstamped) == ("many", "range", None)


@pytest.mark.parametrize(
    ("signal", "stale", "forget"),
    [
        ({"interval": "5m"}, 600, 3600),
        ({"step": "30m"}, 120, 5400),
        ({"stale_after": "20s", "forget_after": "5m"}, 20, 300),
    ],
)
def test_ages_follow_interval_and_step(tmp_path: Path, signal: dict[str, Any], stale: int, forget: int) -> None:
    found = spec(tmp_path, signal)
    assert (found.stale_after, found.forget_after) == (stale, forget)


def test_the_warm_up_covers_window_season_and_horizon(tmp_path: Path) -> None:
    seasonal = {"step": "30m", "detect": {"seasonal": {"season": "1d"}}, "forecast": {"horizon": "24h"}}
    assert spec(tmp_path, seasonal).warmup_steps == 2 * 48 + 30 + 60
    assert spec(tmp_path, {**seasonal, "forecast": {"horizon": "14d"}}).warmup_steps == 14 * 48 * 3 // 2
    assert spec(tmp_path, {**seasonal, "warmup": "3h"}).warmup_steps == 6
    assert spec(tmp_path, {"step": "30m", "warmup": "45m"}).warmup_steps == 2


@pytest.mark.parametrize(("season", "slots"), [(6, 6), ("1d", 48), ("1h30m", 3)])
def test_a_season_is_slots_or_a_duration(tmp_path: Path, season: int | str, slots: int) -> None:
    seasonal = spec(tmp_path, {"step": "30m", "detect": {"seasonal": {"season": season}}}).settings.seasonal
    assert seasonal is not None
    assert seasonal.slots == slots


SLOW = {"alert": {"slow": {"tier": 3, "for": "1h30m"}, "fast": {"tier": 4}}}


@pytest.mark.parametrize(
    ("signal", "steps"),
    [
        ({}, 60),
        ({"interval": "10s"}, 60),
        ({"interval": "5s"}, 120),
        ({"interval": "1s"}, 600),
        ({"interval": "5s", "step": "1m"}, 60),
        ({"interval": "5s", "alert": {}}, 60),
        ({"interval": "1s", "alert": {"slow": {"tier": 3, "grades": 1000}}}, 1998),
        (SLOW, 180),
        ({**SLOW, "interval": "7s"}, 1543),
        ({**SLOW, "interval": "5s"}, 2016),
        ({**SLOW, "relearn_after": 91}, 91),
    ],
)
def test_a_new_level_is_learnt_long_after_the_slowest_alert_fires(
    tmp_path: Path, signal: dict[str, Any], steps: int
) -> None:
    found = spec(tmp_path, signal)
    assert found.settings.relearn_after == steps
    assert found.warmup_steps >= steps + 60


def test_no_interval_makes_a_default_a_fault(tmp_path: Path) -> None:
    for seconds in (1, 2, 3, 5, 10, 15, 30, 60, 300, 3600):
        assert config(tmp_path, {"interval": f"{seconds}s"}).warnings == ()


def test_what_is_given_for_relearning_stays_a_fault_where_it_is_too_short(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"found 60 steps \(5m\), expected more than the alert 'action' waits \(5m\)"):
        config(tmp_path, {"interval": "5s", "relearn_after": 60})


def test_the_longest_default_for_relearning_is_the_longest_that_may_be_given() -> None:
    given, _ = Signal.model_json_schema()["properties"]["relearn_after"]["anyOf"]
    assert given["maximum"] == MAX_RELEARN_AFTER


def test_detectors_forecasts_and_tiers_reach_the_fold(tmp_path: Path) -> None:
    found = spec(
        tmp_path,
        {
            "unit": "ratio",
            "limit": 1.0,
            "direction": "up",
            "normal": [None, 0.9],
            "hold_from": 3,
            "relearn_after": 70,
            "window": 30,
            "forecast": {"horizon": "2h", "model": "smoothing"},
            "detect": {"zscore": {"threshold": 2}, "seasonal": {"season": 6, "delta_threshold": "6%", "alpha": 0.2}},
        },
    ).settings
    assert (found.zscore, found.limit, found.direction, found.normal) == (2.0, 1.0, "up", (None, 0.9))
    assert (found.hold_from, found.relearn_after, found.window) == (3, 70, 30)
    assert found.forecast == Forecast(horizon=120, model="smoothing")
    assert found.seasonal == Seasonal(slots=6, delta_threshold=0.06, delta_scale=1.0, alpha=0.2)


@pytest.mark.parametrize(
    ("signal", "scale"),
    [({"unit": "ratio"}, 1.0), ({}, None), ({"scale": 50}, 50.0), ({"unit": "ratio", "scale": 2}, 2.0)],
)
def test_deltas_are_graded_for_ratios_and_where_a_scale_is_declared(
    tmp_path: Path, signal: dict[str, Any], scale: float | None
) -> None:
    seasonal = spec(tmp_path, {**signal, "detect": {"seasonal": {"season": 6}}}).settings.seasonal
    assert seasonal is not None
    assert seasonal.delta_scale == scale


def test_no_zscore_detector_and_no_forecast_where_none_is_asked_for(tmp_path: Path) -> None:
    found = spec(tmp_path, {"detect": {"seasonal": {"season": 6}}, "forecast": False}).settings
    assert (found.zscore, found.forecast) == (None, None)


def test_calendars_and_maintenance_reach_the_signals_that_they_concern(tmp_path: Path) -> None:
    office = {"time_zone": "America/New_York", "multipliers": [{"days": "sat-sun", "times": 0.4}]}
    windows = [
        {"name": "all", "on": "first sunday of quarter", "hours": "02:00-04:00"},
        {"name": "ours", "start": "2026-03-01T02:00", "end": "2026-03-01T04:00", "services": ["shop"]},
    ]
    found = spec(tmp_path, {"calendar": "office"}, calendars={"office": office}, maintenance=windows)
    assert isinstance(found.settings.multiplier, Calendar)
    assert [window.name for window in found.windows.windows] == ["all", "ours"]
    # Saturday, 2026-03-07 12:00 in New York.
    assert found.settings.times_normal(1_772_902_800.0) == 0.4
    assert found.windows.active(1_772_330_400.0) == "ours"


def test_a_file_read_twice_gives_equal_signals_so_that_a_reload_keeps_what_was_learnt() -> None:
    first, second = specs_of(load(EXAMPLES)), specs_of(load(EXAMPLES))
    assert first == second
    assert [hash(spec) for spec in first] == [hash(spec) for spec in second]
    assert first


def test_calendars_and_maintenance_do_not_make_equal_files_differ(tmp_path: Path) -> None:
    office = {"time_zone": "Europe/Berlin", "multipliers": [{"days": "mon-fri", "hours": "09:00-17:00", "times": 3}]}
    windows = [{"name": "q", "on": "last friday of month"}, {"name": "w", "on": "sat,sun", "time_zone": "-05:00"}]
    how: dict[str, Any] = {"calendars": {"office": office}, "maintenance": windows}
    one, other = (spec(tmp_path, {"calendar": "office"}, **how) for _ in range(2))
    assert (one, hash(one)) == (other, hash(other))


@pytest.mark.parametrize(
    "change",
    [{"window": 61}, {"expr": "load_ratio * 2"}, {"limit": 2}, {"by": ["node"]}, {"interval": "30s", "step": "1m"}],
)
def test_every_change_that_matters_makes_another_signal(tmp_path: Path, change: dict[str, Any]) -> None:
    assert spec(tmp_path) != spec(tmp_path, change)


def test_what_only_alerts_and_people_read_does_not_cost_the_state(tmp_path: Path) -> None:
    assert spec(tmp_path) == spec(tmp_path, {"description": "x", "alert": {}})


def test_a_window_of_another_service_excludes_nothing_here(tmp_path: Path) -> None:
    (tmp_path / "till.yml").write_text("service: till\nsignals: {load: {expr: up}}\n")
    windows = [{"name": "till only", "on": "daily", "services": ["till"]}]
    found = specs_of(config(tmp_path, services=["shop.yml", "till.yml"], maintenance=windows))
    assert {one.service: one.windows.active(0.0) for one in found} == {"shop": None, "till": "till only"}
