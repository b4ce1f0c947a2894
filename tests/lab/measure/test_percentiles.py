from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom

from lab.measure.percentiles import interval_ranks, nearest_rank, order_statistics_interval, sample_floor

quantiles = st.floats(0.01, 0.999)


@pytest.mark.parametrize(
    ("quantile", "floor"), [(0.5, 11), (0.9, 64), (0.95, 130), (0.99, 662), (0.999, 6636)]
)
def test_a_percentile_has_the_documented_sample_floor(quantile: float, floor: int) -> None:
    assert sample_floor(quantile) == floor


@given(quantiles)
def test_the_floor_is_the_first_size_at_which_two_samples_lie_beyond_with_99_percent(quantile: float) -> None:
    floor = sample_floor(quantile)
    assert binom.cdf(1, floor, 1 - quantile) <= 0.01
    assert floor == 2 or binom.cdf(1, floor - 1, 1 - quantile) > 0.01


@given(st.floats(0.5, 0.999))
def test_from_the_floor_on_the_interval_of_order_statistics_exists(quantile: float) -> None:
    assert interval_ranks(quantile, sample_floor(quantile)) is not None


@given(quantiles, st.integers(1, 5000))
def test_the_ranks_bracket_the_quantile_with_the_confidence_asked_for(quantile: float, samples: int) -> None:
    ranks = interval_ranks(quantile, samples)
    if ranks is not None:
        low, high = ranks
        assert 1 <= low < high <= samples
        assert binom.cdf(high - 1, samples, quantile) - binom.cdf(low - 1, samples, quantile) >= 0.95 - 1e-9


@given(quantiles, st.integers(1, 5000))
def test_the_ranks_are_as_narrow_as_each_tail_allows(quantile: float, samples: int) -> None:
    ranks = interval_ranks(quantile, samples)
    if ranks is not None:
        low, high = ranks
        assert binom.cdf(low, samples, quantile) >= 0.025 - 1e-9
        assert binom.sf(high - 2, samples, quantile) >= 0.025 - 1e-9


@given(st.lists(st.integers(0, 100), min_size=1), st.integers(1, 99))
def test_nearest_rank_is_the_first_that_the_share_lies_at_or_below(values: list[int], percent: int) -> None:
    rank = nearest_rank(percent / 100, len(values))
    assert rank * 100 >= percent * len(values) > (rank - 1) * 100


def test_the_interval_covers_the_true_quantile_as_often_as_it_says() -> None:
    draw = random.Random(7)
    covered = 0
    for _ in range(400):
        interval = order_statistics_interval([draw.random() for _ in range(200)], 0.9)
        assert interval is not None
        covered += interval[0] <= 0.9 <= interval[1]
    assert covered >= 372


def test_too_few_samples_give_no_interval() -> None:
    assert order_statistics_interval([1.0] * 5, 0.5) is None
    assert order_statistics_interval([], 0.5) is None


@pytest.mark.parametrize("quantile", [0, 1, -0.1, 1.5])
def test_a_quantile_outside_of_0_to_1_is_refused(quantile: float) -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        sample_floor(quantile)
