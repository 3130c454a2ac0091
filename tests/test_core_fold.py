"""The whole fold against the oracle: every field of every grade and forecast, over long and ugly series."""

import itertools
import math
from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from core_series import Floats, drive, signal
from naive import Graded, NaiveSignal, run_start
from naive_models import MODELS
from tocsin.core.fold import forecast, grade
from tocsin.core.forecast import REASONS, Forecasts
from tocsin.core.grades import Grades
from tocsin.core.settings import Forecast, ModelChoice, Seasonal, Settings

LENGTH = 240
NAN = math.nan


def ugly(seed: int) -> tuple[list[str], Floats]:
    """Named series of every kind that a source has been seen to send, (LENGTH, C)."""
    rng = np.random.default_rng(seed)
    t = np.arange(LENGTH)
    base = rng.normal(100.0, 1.0, LENGTH)
    season = 10 * np.sin(2 * np.pi * t / 24)
    series = {
        "noise": base,
        "season": base + season,
        "ratio": 0.5 + 0.002 * rng.normal(size=LENGTH) + 0.01 * season,
        "gaps": np.where(rng.random(LENGTH) < 0.2, NAN, base),
        "long gap": np.where((t > 90) & (t < 150), NAN, base + season),
        "infinite": np.where(rng.random(LENGTH) < 0.05, rng.choice([math.inf, -math.inf, NAN], LENGTH), base),
        "step": base + 30 * (t >= 120),
        "step and back": base + 30 * ((t >= 120) & (t < 150)),
        "spikes": base + 50 * (rng.random(LENGTH) < 0.03),
        "ramp": base + 0.05 * t,
        "steep ramp": base + np.maximum(0, t - 100) * 2.0,
        "constant": np.full(LENGTH, 42.0),
        "floating constant": np.full(LENGTH, 0.1),
        "nearly constant": 0.1 + 1e-16 * rng.integers(-1, 2, LENGTH),
        "zeros": np.zeros(LENGTH),
        "zeros and one": 1.0 * (t % 97 == 96),
        "huge": 1e12 * base,
        "huge level": 1e9 + rng.uniform(-1, 1, LENGTH),
        "tiny": 1e-12 * base,
        "negative": -base - season,
        "walk": 50 + np.cumsum(rng.normal(0.05, 0.3, LENGTH)),
        "nothing": np.full(LENGTH, NAN),
        "late": np.where(t < 77, NAN, base + season),
        "vanishes": np.where(t > 200, NAN, base + season),
    }
    return list(series), np.stack(list(series.values()), axis=1)


def peak(t: float) -> float:
    """Three times normal in a quarter of the hours, less at the end of a week of fifty hours."""
    hour = int(t // 3600)
    return 0.4 if hour % 50 > 40 else 3.0 if hour % 24 in range(9, 15) else 1.0


SETTINGS: dict[str, Settings] = {
    "plain": signal(),
    "pure z": signal(min_deviation_ratio=0.0),
    "up": signal(direction="up", min_deviation=0.5),
    "down": signal(direction="down", seasonal=Seasonal(slots=24, delta_scale=100.0)),
    "seasonal": signal(seasonal=Seasonal(slots=24)),
    "seasonal alone": signal(zscore=None, seasonal=Seasonal(slots=12, delta_scale=1.0, alpha=0.5, beta=0.2, gamma=0.1)),
    "ratio": signal(seasonal=Seasonal(slots=24, delta_scale=1.0), normal=(0.0, 1.0), min_samples=5),
    "holds soon": signal(hold_from=2, relearn_after=20, seasonal=Seasonal(slots=24, threshold=2.2)),
    "holds at action": signal(hold_from=3, relearn_after=35, window=25, seasonal=Seasonal(slots=7)),
    "long window": signal(window=200, relearn_after=30, zscore=3.0),
    "long hold": signal(window=20, relearn_after=70, seasonal=Seasonal(slots=24)),
    "calendar": signal(step=1800, interval=1800, multiplier=peak, seasonal=Seasonal(slots=48), normal=(50.0, None)),
    "forecast": signal(forecast=Forecast(horizon=12), limit=110.0, seasonal=Seasonal(slots=24)),
    "far forecast": signal(forecast=Forecast(horizon=100), limit=120.0, window=40),
    "forecast down": signal(
        forecast=Forecast(horizon=30, model="smoothing"), limit=90.0, direction="down", step=1800, multiplier=peak
    ),
    "drift": signal(forecast=Forecast(horizon=7, model="heuristic"), limit=104.0),
    "holt winters": signal(
        forecast=Forecast(horizon=60, model="holt_winters"), limit=115.0, seasonal=Seasonal(slots=24), relearn_after=40
    ),
}


class Comparison:
    """Compares what the fold says with the oracle, to the digits that a ring of single precision leaves."""

    def __init__(self, name: str, reference: NaiveSignal, resource: int) -> None:
        self.name, self.reference, self.resource = name, reference, resource
        self.seen: list[float] = []
        self.compared: Counter[str] = Counter()

    def close(self, what: str, got: float, expected: float, tolerance: float) -> None:
        assert math.isnan(got) == math.isnan(expected), f"{self.name} {what}: {got} and not {expected}"
        if not math.isnan(expected) and got != expected:
            assert abs(got - expected) <= tolerance + 1e-11 * abs(expected), (
                f"{self.name} {what}: {got} and not {expected}, beyond {tolerance}"
            )

    def digits(self) -> float:
        """What single precision leaves of the distances between the values so far, and double of their size."""
        self.seen += [v for _, v in self.reference.window[-1:] + self.reference.held[-1:]]
        low, high = min(self.seen, default=0.0), max(self.seen, default=0.0)
        return 1e-6 * (high - low) + 1e-15 * max(abs(low), abs(high))

    def grades(self, grades: Grades, expected: Graded, times: float) -> None:
        digits, i = self.digits(), self.resource
        ready = expected.n >= max(2, self.reference.settings.min_samples)
        got: dict[str, Any] = {
            name: getattr(grades, name)[i]
            for name in Graded.__dataclass_fields__
            if hasattr(grades, name) and name != "t"
        }
        for name in ("n", "residual_n", "mature"):
            assert got[name] == getattr(expected, name), f"{self.name} {name}"
        self.close("expectation", got["expectation"], expected.expectation, digits * times)
        self.close("residual", got["residual"], expected.residual, digits * times + 1e-11 * abs(expected.x))
        for name in ("mean", "stddev", "mean_lower", "mean_upper") if ready else ():
            self.close(name, got[name], getattr(expected, name), 3 * digits * times)
        for name in ("lower", "upper"):
            self.close(name, got[name], getattr(expected, name), 10 * digits * times)
        if expected.zscore_tier >= 0:
            self.close("scale", got["scale"], expected.scale * times, 3 * digits * times)
        if expected.seasonal_tier >= 0:
            self.close("seasonal scale", got["seasonal_scale"], expected.seasonal_scale * times, 3 * digits * times)
        if ready and expected.mean > 1e-3 * digits:
            self.close("cv", got["cv"], expected.cv, digits / (expected.mean / times))
        of_z = (1 + abs(expected.z)) * 2 * digits / expected.scale if expected.scale else 0.0
        self.close("z", got["z"], expected.z, of_z)
        of_s = (1 + abs(expected.seasonal_z)) * 2 * digits / expected.seasonal_scale if expected.seasonal_scale else 0.0
        rounding = 1e-12 * abs(expected.x / times) / expected.seasonal_scale if expected.seasonal_scale else 0.0
        self.close("seasonal z", got["seasonal_z"], expected.seasonal_z, of_s + rounding)
        self.close("delta", abs(got["delta"]), expected.delta, 2 * digits + 1e-11 * abs(expected.x / times))
        for name in ("tier", "zscore_tier", "seasonal_tier"):
            assert got[name] == getattr(expected, name), f"{self.name} {name}: {got[name]}, {expected}"

    def forecasts(self, got: Forecasts, x: float) -> None:
        model, i, reference = self.reference.published(), self.resource, self.reference
        close = self.digits()
        assert reference.settings.forecast is not None
        for row, name in enumerate(MODELS):
            score, path = reference.scores[name], reference.path(name, x)
            assert got.scored[row, i] == score.error.count, f"{self.name} {name} scored"
            if score.error.count and score.naive.value > 1e3 * close:
                self.close("ratio", got.ratio[row, i], score.ratio, 3e-6 * score.ratio + close / score.naive.value)
            if score.margin > close:
                expected = score.inside.value if score.error.count else NAN
                self.close("coverage", got.coverage[row, i], expected, 1e-9)
                self.compared["coverage"] += score.error.count > 0
            _, point, lower, upper = path.points[-1] if path.points else (0, NAN, NAN, NAN)
            far = reference.settings.forecast.horizon if name == "heuristic" else 1
            self.close(f"{name} point", got.point[row, i], point, 3 * far * close)
            self.close(f"{name} half", got.half[row, i], (upper - lower) / 2, 10 * far * close)
        if reference.scores[model].error.count and 0 < reference.scores[model].naive.value <= 1e3 * close:
            return  # what is compared with the limit, and how good it was, is rounding
        if MODELS[got.model[i]] != model:  # two models that are equally good but for rounding
            ratios = [reference.scores[m].ratio for m in (model, MODELS[got.model[i]])]
            assert ratios[0] == pytest.approx(ratios[1], rel=1e-5), f"{self.name} published {model}"
            return
        path = reference.path(model, x)
        if path.reason == "poor_fit" and abs(reference.scores[model].ratio - 1) < 1e-5:
            return
        reason = REASONS[got.reason[i]] if got.reason[i] >= 0 else ""
        assert reason == path.reason, f"{self.name} at {got.origin}: {reason} and not {path.reason}"
        step = reference.settings.step
        for name in ("breach", "earliest", "latest"):
            self.close(name, getattr(got, name)[i], getattr(path, name), 0.01 * step)
            self.compared[name] += not math.isnan(getattr(path, name))
        self.compared[path.reason] += 1


@pytest.mark.parametrize("name", SETTINGS)
def test_the_fold_agrees_with_the_oracle_over_every_kind_of_series(name: str) -> None:
    settings = SETTINGS[name]
    labels, values = ugly(seed=list(SETTINGS).index(name))
    start = 1_700_000_000 // settings.step * settings.step
    driven = drive(settings, columns=len(labels), start=start)
    compared = {i: Comparison(label, NaiveSignal(settings), i) for i, label in enumerate(labels)}
    history: dict[int, list[Graded]] = {i: [] for i in compared}
    rounding = 0
    for row in values:
        t = driven.t
        grades = driven.feed(row)
        for i, comparison in list(compared.items()):
            expected = comparison.reference.feed(t, float(row[i]))
            history[i].append(expected)
            if 0 < expected.margin < 1e-6 and expected.tier >= 0:  # rounding decides: they may part here
                rounding += 1
                del compared[i]
                continue
            comparison.grades(grades, expected, settings.times_normal(t))
            if len(history[i]) % 20 == 0:
                started = [run_start(history[i], tier) for tier in range(1, 5)]
                assert np.array_equal(driven.runs.since[:, i], started, equal_nan=True)
        if settings.forecast and t % (7 * settings.step) == 0:
            forecasts = forecast(driven.state, row, t, settings)
            assert forecasts is not None
            for i, comparison in compared.items():
                comparison.forecasts(forecasts, float(row[i]))
    assert rounding <= 2


def test_grades_between_grid_times_agree_with_the_oracle() -> None:
    settings = replace(SETTINGS["seasonal"], interval=15, multiplier=peak)
    labels, values = ugly(seed=100)
    driven = drive(settings, columns=len(labels))
    references = [Comparison(label, NaiveSignal(settings), i) for i, label in enumerate(labels)]
    compared = 0
    for now, ahead in itertools.pairwise(values[:151]):
        for comparison, x in zip(references, now, strict=True):
            comparison.reference.feed(driven.t, float(x))
        driven.feed(now)
        for part in (15, 30, 45):
            t = driven.t - 60.0 + part
            x = ahead if part == 30 else now * (1 + part / 1000)
            grades = grade(driven.state, x, t, settings)
            for comparison in references:
                expected = comparison.reference.grade(t, float(x[comparison.resource]))
                if expected.margin > 1e-6 or expected.tier < 0:
                    comparison.grades(grades, expected, settings.times_normal(t))
                    compared += 1
    assert compared > 0.9 * 150 * 3 * len(labels)


@pytest.mark.parametrize("name", ["seasonal", "holt winters", "holds at action", "forecast"])
def test_excluded_times_and_changes_of_capacity_agree_with_the_oracle(name: str) -> None:
    settings = SETTINGS[name]
    rng = np.random.default_rng(7)
    labels, values = ugly(seed=101)
    excluded = (np.arange(LENGTH) % 90 > 80) | (rng.random(LENGTH) < 0.02)
    factors = np.ones_like(values)
    factors[60, ::2] = 0.5
    factors[100, 1::2] = 0.8  # old over new: a quarter more room
    factors[133] = 3.0
    factors[190, ::3] = 1 / 3
    values = values * np.cumprod(factors, axis=0)
    driven = drive(settings, columns=len(labels))
    compared = {i: Comparison(label, NaiveSignal(settings), i) for i, label in enumerate(labels)}
    for k, row in enumerate(values):
        t, hidden = driven.t, bool(excluded[k])
        grades = driven.feed(row, excluded=hidden, factors=factors[k])
        for i, comparison in list(compared.items()):
            comparison.seen = [v * factors[k, i] for v in comparison.seen]
            expected = comparison.reference.feed(t, float(row[i]), excluded=hidden, factor=float(factors[k, i]))
            if 0 < expected.margin < 1e-6 and expected.tier >= 0:
                del compared[i]
                continue
            comparison.grades(grades, expected, 1.0)
        if settings.forecast and k % 7 == 0:
            forecasts = forecast(driven.state, row, t, settings)
            assert forecasts is not None
            for i, comparison in compared.items():
                comparison.forecasts(forecasts, float(row[i]))
    assert len(compared) >= len(labels) - 2


def test_breaches_of_trending_resources_agree_with_the_oracle() -> None:
    rng = np.random.default_rng(9)
    columns, t = 16, np.arange(180)[:, None]
    values = 100 + t * rng.uniform(0.1, 0.5, columns) + rng.normal(0, 0.2, (180, columns))
    values[rng.random(values.shape) < 0.05] = NAN
    compared: Counter[str] = Counter()
    choices: tuple[ModelChoice, ...] = ("auto", "heuristic", "smoothing", "holt_winters")
    for model in choices:
        how = Forecast(horizon=60, model=model)
        settings = signal(forecast=how, limit=155.0, seasonal=Seasonal(slots=12), min_samples=1_000_000)
        driven = drive(settings, columns=columns)
        references = [Comparison(f"{model} {i}", NaiveSignal(settings), i) for i in range(columns)]
        for k, row in enumerate(values):
            driven.feed(row)
            for comparison, x in zip(references, row, strict=True):
                comparison.reference.feed(60.0 * k, float(x))
                comparison.digits()
            if k > 100 and k % 9 == 0:
                forecasts = forecast(driven.state, row, 60.0 * k, settings)
                assert forecasts is not None
                for comparison, x in zip(references, row, strict=True):
                    comparison.forecasts(forecasts, float(x))
        compared.update(sum((comparison.compared for comparison in references), Counter()))
    for what in ("breach", "earliest", "latest", "no_breach", "already_breached"):
        assert compared[what] > 20, f"only {compared[what]} of {what} were drawn"
