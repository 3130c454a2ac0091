"""Tiers at their boundaries: in the tier function, and through a whole grade that is exact."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import naive_models
from core_series import Driven, drive, quick, signal
from tocsin.core.settings import Seasonal
from tocsin.core.tiers import TierTable, tier_of

TABLE = TierTable()

Z_BOUNDARIES = [(1.8, 0, 1, 1), (2.5, 1, 2, 2), (3.5, 2, 3, 3), (5.0, 3, 3, 4)]
DELTA_BOUNDARIES = [(0.05, 0, 1, 1), (0.07, 1, 2, 2), (0.10, 2, 3, 3), (0.15, 3, 3, 4)]


def neighbours(edge: float) -> list[float]:
    return [math.nextafter(edge, -math.inf), edge, math.nextafter(edge, math.inf)]


@pytest.mark.parametrize(("edge", "below", "at", "above"), Z_BOUNDARIES)
def test_an_abs_z_at_a_boundary_and_one_ulp_beside_it_has_the_tier_of_the_table(
    edge: float, below: int, at: int, above: int
) -> None:
    assert tier_of(np.array(neighbours(edge)), TABLE.z).tolist() == [below, at, above]


@pytest.mark.parametrize(("edge", "below", "at", "above"), DELTA_BOUNDARIES)
def test_a_delta_at_a_boundary_and_one_ulp_beside_it_has_the_tier_of_the_table(
    edge: float, below: int, at: int, above: int
) -> None:
    assert tier_of(np.array(neighbours(edge)), TABLE.delta).tolist() == [below, at, above]


def test_five_and_fifteen_hundredths_are_tier_three_and_not_critical() -> None:
    assert tier_of(np.array([5.0]), TABLE.z).tolist() == [3]
    assert tier_of(np.array([0.15]), TABLE.delta).tolist() == [3]


def test_what_arithmetic_left_below_fifteen_hundredths_is_graded_as_it_is() -> None:
    assert 0.65 - 0.5 > 0.15
    assert 0.85 - 0.7 > 0.15
    assert 0.35 - 0.2 < 0.15
    assert tier_of(np.array([0.65 - 0.5, 0.85 - 0.7, 0.35 - 0.2]), TABLE.delta).tolist() == [4, 4, 3]


def test_nan_has_no_distance_and_infinity_is_critical() -> None:
    assert tier_of(np.array([math.nan, math.inf, 0.0]), TABLE.z).tolist() == [0, 4, 0]


@settings(quick, max_examples=100)
@given(st.lists(st.floats(min_value=0, max_value=10), max_size=50))
def test_tiers_agree_with_the_plain_comparison(distances: list[float]) -> None:
    assert tier_of(np.array(distances), TABLE.z).tolist() == [naive_models.tier_of(d, TABLE.z) for d in distances]


@settings(quick, max_examples=100)
@given(st.lists(st.floats(min_value=0, max_value=10), min_size=2, max_size=50))
def test_tiers_never_fall_as_the_distance_grows(distances: list[float]) -> None:
    tiers = tier_of(np.sort(np.array(distances)), TABLE.z)
    assert (np.diff(tiers) >= 0).all()


def flat_at_zero(**changes: object) -> Driven:
    """Twenty zeros with a deviation of exactly one: z is the value itself, without a rounding."""
    return drive(signal(min_deviation=1.0, **changes)).run(np.zeros((20, 1)))


@pytest.mark.parametrize(("edge", "below", "at", "above"), Z_BOUNDARIES)
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_a_whole_grade_keeps_the_boundaries_of_z_on_both_sides(
    edge: float, below: int, at: int, above: int, sign: float
) -> None:
    tiers = []
    for value in neighbours(edge):
        grades = flat_at_zero().feed([sign * value])
        assert grades.z.tolist() == [sign * value]
        tiers.append(int(grades.tier[0]))
    assert tiers == [below, at, above]


@pytest.mark.parametrize(("edge", "below", "at", "above"), DELTA_BOUNDARIES)
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_a_whole_grade_keeps_the_boundaries_of_the_residual_delta(
    edge: float, below: int, at: int, above: int, sign: float
) -> None:
    tiers = []
    for value in neighbours(edge):
        grades = flat_at_zero(seasonal=Seasonal(slots=2, delta_scale=1.0)).feed([sign * value])
        assert grades.delta.tolist() == [value]
        assert grades.zscore_tier.tolist() == [0]
        tiers.append(int(grades.seasonal_tier[0]))
    assert tiers == [below, at, above]


def test_a_delta_is_counted_in_units_of_the_declared_scale() -> None:
    driven = flat_at_zero(seasonal=Seasonal(slots=2, delta_scale=8.0))
    grades = driven.feed([0.125 * 8.0])
    assert grades.delta.tolist() == [0.125]
    assert grades.residual.tolist() == [1.0]
    assert grades.seasonal_tier.tolist() == [3]


def test_without_a_scale_a_delta_has_no_tier() -> None:
    grades = flat_at_zero(seasonal=Seasonal(slots=2)).feed([1.7])
    assert grades.seasonal_z.tolist() == [1.7]
    assert grades.seasonal_tier.tolist() == [0]


@pytest.mark.parametrize(("z", "tier"), [(math.nextafter(2.0, 0), 0), (2.0, 1), (3.0, 2)])
def test_a_z_below_the_threshold_is_no_anomaly_whatever_the_table_says(z: float, tier: int) -> None:
    assert flat_at_zero(zscore=2.0).feed([z]).tier.tolist() == [tier]


def test_a_threshold_below_the_table_lists_no_tier_that_the_table_does_not_have() -> None:
    assert flat_at_zero(zscore=0.5).feed([1.0]).tier.tolist() == [0]


@pytest.mark.parametrize(
    ("value", "tier"),
    [
        (math.nextafter(0.08, 0), 0),  # z below 1.8 and delta below 0.08: gated
        (0.08, 2),  # the delta opens the gate
        (1.9, 4),  # z opens it, and the delta's tier counts
    ],
)
def test_either_of_z_and_delta_opens_the_seasonal_gate(value: float, tier: int) -> None:
    driven = flat_at_zero(seasonal=Seasonal(slots=2, delta_scale=1.0, delta_threshold=0.08))
    assert driven.feed([value]).seasonal_tier.tolist() == [tier]


def test_a_z_beyond_its_threshold_lets_a_small_delta_through_by_the_z_alone() -> None:
    driven = drive(signal(min_deviation=0.01, seasonal=Seasonal(slots=2, delta_scale=1.0))).run(np.zeros((20, 1)))
    grades = driven.feed([0.03])
    assert grades.seasonal_z[0] == pytest.approx(3.0, rel=1e-15)
    assert grades.seasonal_tier.tolist() == [2]


@pytest.mark.parametrize(("direction", "up", "down"), [("both", 4, 4), ("up", 4, 0), ("down", 0, 4)])
def test_a_one_sided_signal_is_normal_on_the_other_side(direction: str, up: int, down: int) -> None:
    seasonal = Seasonal(slots=2, delta_scale=1.0)
    for value, tier in ((6.0, up), (-6.0, down)):
        grades = flat_at_zero(direction=direction, seasonal=seasonal).feed([value])
        assert grades.z.tolist() == [value]
        assert grades.delta.tolist() == [6.0]
        assert (grades.zscore_tier.tolist(), grades.seasonal_tier.tolist()) == ([tier], [tier])


def test_the_tier_table_is_data() -> None:
    table = TierTable(z=(1.0, 2.0, 3.0, 4.0))
    tiers = [int(flat_at_zero(tiers=table, zscore=1.0).feed([z]).tier[0]) for z in (1.5, 4.0, 4.5)]
    assert tiers == [1, 3, 4]


@pytest.mark.parametrize(("value", "tier"), [(0.25, 0), (0.5, 0), (math.nextafter(0.5, 1), 1), (-0.25, 1), (6.0, 4)])
def test_leaving_the_normal_range_is_at_least_informational_and_never_more_by_itself(value: float, tier: int) -> None:
    assert flat_at_zero(normal=(0.0, 0.5)).feed([value]).tier.tolist() == [tier]


def test_the_normal_range_speaks_before_any_detector_is_ready() -> None:
    driven = drive(signal(normal=(0.0, 0.5)), columns=3)
    assert driven.feed([0.25, 0.75, math.nan]).tier.tolist() == [-1, 1, -1]


def test_the_worst_ready_detector_decides() -> None:
    settings = signal(min_deviation=1.0, seasonal=Seasonal(slots=16), min_samples=10)
    driven = drive(settings).run(np.zeros((20, 1)))
    grades = driven.feed([4.0])
    assert (grades.zscore_tier.tolist(), grades.seasonal_tier.tolist(), grades.tier.tolist()) == ([3], [-1], [3])
    driven = drive(settings).run(np.zeros((60, 1)))
    driven.run(np.full((1, 1), -2.0))
    grades = driven.feed([4.0])
    assert grades.tier[0] == max(grades.zscore_tier[0], grades.seasonal_tier[0]) >= 3


def test_a_signal_without_the_z_detector_has_the_tier_of_the_seasonal_one() -> None:
    settings = signal(min_deviation=1.0, zscore=None, seasonal=Seasonal(slots=2))
    driven = drive(settings).run(np.zeros((3, 1)))
    assert driven.feed([0.0]).tier.tolist() == [-1]
    grades = driven.run(np.zeros((20, 1))).feed([2.0])
    assert (grades.zscore_tier.tolist(), grades.tier.tolist()) == ([1], [1])
