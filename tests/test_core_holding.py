"""An incident must not become its own baseline, and a level that has moved must become it."""

import copy
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from core_series import Driven, Floats, assert_same, column, drive, noise, signal
from tocsin.core.calendar import Calendar
from tocsin.core.settings import Seasonal, Settings

SLOTS = 12


def calm(length: int = 60, level: float = 100.0) -> Floats:
    """One deviation up, one down: a mean and a spread that are plain to see."""
    return column(level + np.where(np.arange(length) % 2, 1.0, -1.0))


def season(length: int, start: int = 0) -> Floats:
    """A season of twelve slots around 100 with a little noise."""
    t = np.arange(start, start + length)
    return column(100 + 5 * np.sin(2 * np.pi * t / SLOTS) + noise(start, length, level=0.0, sigma=0.2))


def both(length: int, start: int = 0) -> Floats:
    """Noise that both detectors know."""
    return column(noise(start, length))


BOTH = signal(seasonal=Seasonal(slots=SLOTS))
SEASONAL = signal(zscore=None, seasonal=Seasonal(slots=SLOTS))


def critical(driven: Driven, values: Floats) -> int:
    """For how many samples, from the first on, the tier is 4."""
    tiers = [int(driven.feed(row).tier[0]) for row in values]
    return next((i for i, tier in enumerate(tiers) if tier < 4), len(tiers))


# ------------------------------------------------------------------------------------------------------------- numbers


def test_a_window_that_learns_everything_calls_a_step_of_ten_deviations_critical_for_two_samples() -> None:
    assert critical(drive(signal(hold_from=5)).run(calm()), calm(level=110.0)) == 2


@pytest.mark.parametrize("relearn_after", [20, 60, 100])
def test_a_window_that_holds_calls_it_critical_until_it_relearns(relearn_after: int) -> None:
    driven = drive(signal(relearn_after=relearn_after)).run(calm())
    assert critical(driven, calm(300, level=110.0)) == relearn_after
    assert driven.state.shifts.tolist() == [1]


def test_fast_holt_winters_that_holds_does_not_learn_a_ramp() -> None:
    fast = signal(zscore=None, seasonal=Seasonal(slots=2, alpha=0.8, beta=0.5, gamma=0.1))
    ramp = column(100 + 5.0 * np.arange(1, 9))  # eight samples, then it stays
    driven = drive(fast).run(calm(80))
    during = [int(driven.feed(row).tier[0]) for row in [*ramp, *calm(40, level=140.0)]]
    after = [int(driven.feed(row).tier[0]) for row in calm(60)]
    assert during[1:] == [4] * 47
    assert after[2:] == [0] * 58


# ------------------------------------------------------------------------------------------------------------- surges


@pytest.mark.parametrize("settings", [signal(), SEASONAL, BOTH], ids=["zscore", "seasonal", "both"])
def test_a_surge_that_lasts_stays_critical_until_relearned_and_then_is_the_baseline(settings: Settings) -> None:
    driven = drive(settings).run(both(100))
    assert driven.of("tier")[-10:].max() < 4
    surge = both(200, start=1000) + 60
    tiers = [int(driven.feed(row).tier[0]) for row in surge]
    assert tiers[:60] == [4] * 60
    assert max(tiers[60:]) <= 3
    assert np.mean(np.array(tiers[60:]) == 0) > 0.85
    assert driven.state.shifts.tolist() == [1]
    assert driven.state.shifted_k.tolist() == [100 + 59]
    last = driven.grades[-1]
    assert last.mean[0] == pytest.approx(160, abs=1)
    if settings.seasonal:
        assert last.expectation[0] == pytest.approx(160, abs=3)


def test_after_a_relearn_the_window_is_the_held_run_and_nothing_else() -> None:
    driven = drive(signal(relearn_after=25)).run(calm())
    surge = both(25, start=7) + 60
    driven.run(surge)
    grades = driven.feed([160.0])
    assert grades.n.tolist() == [25]
    assert grades.mean[0] == pytest.approx(surge.mean(), rel=1e-9)
    assert grades.stddev[0] == pytest.approx(surge.std(ddof=1), rel=1e-6)


def test_a_held_run_longer_than_the_window_leaves_its_last_samples() -> None:
    driven = drive(signal(window=20, relearn_after=50)).run(calm(20))
    surge = both(50, start=7) + 60
    driven.run(surge)
    grades = driven.feed([160.0])
    assert grades.n.tolist() == [20]
    assert grades.mean[0] == pytest.approx(surge[-20:].mean(), rel=1e-9)


def test_relearned_holt_winters_takes_the_level_of_the_held_run_and_keeps_its_season() -> None:
    driven = drive(SEASONAL).run(season(120))
    model = driven.state.holt_winters
    assert model is not None
    kept = model.season.copy()
    driven.run(season(60, start=120) + 40)
    assert driven.state.shifts.tolist() == [1]
    assert np.array_equal(model.season, kept)
    held = (season(60, start=120) + 40)[:, 0] - kept[np.arange(120, 180) % SLOTS, 0]
    assert model.level[0] == pytest.approx(held.mean(), rel=1e-12)
    assert model.trend.tolist() == [0.0]
    after = driven.run(season(60, start=180) + 40).of("tier")[-60:]
    assert after.max() <= 2
    assert driven.grades[180].residual_n.tolist() == [60]


def test_the_residuals_after_a_relearn_are_those_of_the_held_run() -> None:
    driven = drive(SEASONAL).run(season(120))
    model = driven.state.holt_winters
    assert model is not None
    driven.run(season(60, start=120) + 40)
    held = (season(60, start=120) + 40)[:, 0] - model.season[np.arange(120, 180) % SLOTS, 0]
    residuals = held - held.mean()
    grades = driven.feed([140.0])
    expected = (140.0 - grades.expectation[0] - residuals.mean()) / max(residuals.std(ddof=1), 0.01 * grades.mean[0])
    assert grades.seasonal_z[0] == pytest.approx(expected, rel=1e-6)


# ---------------------------------------------------------------------------------------------------------- incidents


@pytest.mark.parametrize("length", [1, 30, 59])
def test_an_incident_shorter_than_relearn_after_leaves_the_baseline_untouched(length: int) -> None:
    driven = drive(BOTH).run(both(100))
    before = copy.deepcopy(driven.state)
    driven.run(both(length, start=500) + 60)
    for part in ("window", "residuals", "smoothing", "drift_errors"):
        assert_same(getattr(driven.state, part), getattr(before, part))
    assert driven.state.holt_winters is not None
    assert before.holt_winters is not None
    for part in ("level", "trend", "season"):
        assert_same(getattr(driven.state.holt_winters, part), getattr(before.holt_winters, part))
    assert driven.feed([100.0]).tier.tolist() == [0]
    assert driven.state.shifts.tolist() == [0]


def test_one_normal_sample_ends_a_run_of_held_ones() -> None:
    driven = drive(signal()).run(calm())
    for _ in range(3):
        assert critical(driven, calm(59, level=160.0)) == 59
        assert driven.feed([100.0]).tier.tolist() == [0]
    assert driven.state.shifts.tolist() == [0]


def test_gaps_and_excluded_times_neither_count_nor_end_a_run_of_held_samples() -> None:
    driven = drive(signal()).run(calm())
    for _ in range(59):
        driven.feed([160.0])
        driven.feed([np.nan])
        driven.feed([100.0], excluded=True)
        driven.feed([160.0], excluded=True)
    assert driven.state.shifts.tolist() == [0]
    assert driven.feed([160.0]).tier.tolist() == [4]
    assert driven.state.shifts.tolist() == [1]
    assert driven.feed([160.0]).tier.tolist() == [0]


def test_an_incident_that_is_excluded_is_graded_and_never_becomes_the_baseline() -> None:
    driven = drive(BOTH).run(both(100))
    tiers = [int(driven.feed([160.0], excluded=True).tier[0]) for _ in range(300)]
    assert tiers == [4] * 300
    assert driven.feed([100.0]).tier.tolist() == [0]


@pytest.mark.parametrize(("hold_from", "held"), [(2, True), (3, True), (4, False)])
def test_the_window_holds_from_the_tier_that_was_asked_for(hold_from: int, held: bool) -> None:
    driven = drive(signal(hold_from=hold_from)).run(calm())
    before = driven.feed([100.0 + 4.2]).n
    assert driven.grades[-1].tier.tolist() == [3]
    assert (driven.state.window_held.run.tolist() == [1]) is held
    assert before.tolist() == [60]


def test_a_tier_of_action_is_learnt_as_a_residual_and_not_as_a_level() -> None:
    driven = drive(signal(zscore=None, seasonal=Seasonal(slots=2), window=200)).run(calm(80))
    model = driven.state.holt_winters
    assert model is not None
    level, count = model.level[0], driven.feed([np.nan]).residual_n[0]
    grades = driven.feed([100 + 1 + 4.2])
    assert grades.seasonal_tier.tolist() == [3]
    assert model.level[0] == level
    assert driven.feed([np.nan]).residual_n[0] == count + 1


def test_the_z_window_is_held_by_its_own_tier_also_where_only_the_season_is_asked_for() -> None:
    driven = drive(SEASONAL).run(both(100))
    before = driven.feed([np.nan])
    driven.run(np.full((30, 1), 160.0))
    after = driven.feed([np.nan])
    assert after.mean.tolist() == before.mean.tolist()


def test_two_resources_relearn_each_at_its_own_time() -> None:
    driven = drive(signal(relearn_after=20), columns=2).run(np.concatenate([calm(), calm()], axis=1))
    values = np.full((70, 2), 100.0)
    values[5:, 0] = 160.0
    values[30:, 1] = 40.0
    driven.run(values)
    assert driven.state.shifted_k.tolist() == [60 + 5 + 19, 60 + 30 + 19]
    assert driven.of("tier", 0)[60:].tolist() == [0] * 5 + [4] * 20 + [0] * 45
    assert driven.of("tier", 1)[60:].tolist() == [0] * 30 + [4] * 20 + [0] * 20


# ----------------------------------------------------------------------------------------------------------- calendar

NEW_YORK = ZoneInfo("America/New_York")
HALF_HOUR = 1800


def local(t: float) -> datetime:
    return datetime.fromtimestamp(t, NEW_YORK)


def at_peak(t: float) -> bool:
    return 9 <= local(t).hour < 17


@pytest.mark.parametrize("day", ["2025-03-09", "2025-11-02", "2024-03-10", "2024-11-03"])
def test_peak_hours_of_three_times_normal_are_no_anomaly_and_at_three_at_night_they_are(day: str) -> None:
    calendar = Calendar.of("America/New_York", [], [("daily", "09:00-17:00", 3.0)])
    settings = signal(interval=HALF_HOUR, step=HALF_HOUR, multiplier=calendar.multiplier)
    morning = datetime.fromisoformat(f"{day}T00:00:00").replace(tzinfo=NEW_YORK)
    begin = int((morning - timedelta(days=3)).timestamp()) // HALF_HOUR * HALF_HOUR
    driven = drive(settings, start=begin)
    peaks = nights = 0
    while local(driven.t).date() <= morning.date():
        t, normal = driven.t, 100.0 + (1 if driven.t // HALF_HOUR % 2 else -1)
        today, now = local(t).date() == morning.date(), local(t)
        if today and now.hour == 3 and now.minute == 0:
            assert driven.feed([300.0], excluded=True).tier.tolist() == [4]
            nights += 1
            continue
        grades = driven.feed([normal * (3 if at_peak(t) else 1)])
        if today:
            peaks += at_peak(t)
            assert grades.tier.tolist() == [0], now
            if at_peak(t):
                assert grades.lower[0] > 290
                assert grades.upper[0] < 310
    assert (peaks, nights) == (16, 1)


def test_the_same_hour_of_utc_is_peak_on_one_side_of_the_change_and_not_on_the_other() -> None:
    calendar = Calendar.of("America/New_York", [], [("daily", "09:00-17:00", 3.0)])
    settings = signal(interval=HALF_HOUR, step=HALF_HOUR, multiplier=calendar.multiplier)
    for day, tier in (("2025-03-08", 4), ("2025-03-09", 0)):  # 13:00 UTC: 08:00 and, a day later, 09:00
        t = int(datetime.fromisoformat(f"{day}T13:00:00+00:00").timestamp())
        driven = drive(settings, start=t - 60 * HALF_HOUR)
        while driven.t < t:
            normal = 100.0 + (1 if driven.t // HALF_HOUR % 2 else -1)
            driven.feed([normal * (3 if at_peak(driven.t) else 1)])
        assert driven.feed([300.0]).tier.tolist() == [tier]
