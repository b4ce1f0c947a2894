from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom

from lab.load.histogram import Histogram
from lab.measure.percentiles import interval_ranks, order_statistics_interval, sample_floor

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


def test_the_interval_covers_the_true_quantile_as_often_as_it_says() -> None:
    draw = np.random.default_rng(7)
    covered = 0
    for _ in range(400):
        interval = order_statistics_interval(Histogram.of(draw.integers(0, 1_000_000, 200)), 0.9)
        assert interval is not None
        assert interval.estimate in interval
        covered += 900_000 in interval
    assert covered >= 372


def test_too_few_samples_give_no_interval() -> None:
    assert order_statistics_interval(Histogram.of([1] * 5), 0.5) is None
    assert order_statistics_interval(Histogram(), 0.5) is None
    assert order_statistics_interval(Histogram.of([1] * 100), 0.5, effective=5) is None


def test_fewer_independent_samples_widen_the_interval() -> None:
    samples = Histogram.of(range(1, 1001))
    alone, alike = (order_statistics_interval(samples, 0.5, n) for n in (1000, 100))
    assert alone is not None
    assert alike is not None
    assert alike.low < alone.low < alone.high < alike.high
    assert (alike.low, alike.high) == (400, 610)


@pytest.mark.parametrize("quantile", [0, 1, -0.1, 1.5])
def test_a_quantile_outside_of_0_to_1_is_refused(quantile: float) -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        sample_floor(quantile)
