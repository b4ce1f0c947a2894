"""A percentile is printed from its sample floor on, with an interval that covers the truth."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.stats import binom

from lab.load.histogram import Histogram
from lab.measure.percentiles import effective_samples, interval_ranks, order_statistics_interval, sample_floor

quantiles = st.floats(0.01, 0.999)
RUNS, SAMPLES, SLICES = 300, 6000, 300
MEAN_NS = 1e7


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


def queue(draw: np.random.Generator, utilization: float) -> NDArray[np.float64]:
    """Response times in ns of an M/M/1 queue in steady state, by Lindley's recursion."""
    warmup = 2000
    work = draw.exponential(MEAN_NS, SAMPLES + warmup)
    growth = work[:-1] - draw.exponential(MEAN_NS / utilization, SAMPLES + warmup - 1)
    total = np.concatenate([[0.0], np.cumsum(growth)])
    return (total - np.minimum.accumulate(total) + work)[warmup:]


def sliced(times: NDArray[np.float64]) -> tuple[Histogram, NDArray[np.int64], NDArray[np.int64]]:
    """As a run keeps them: a histogram, and count and sum of each slice."""
    parts = np.array_split(times.astype(np.int64), SLICES)
    return Histogram.of(times), np.array([len(p) for p in parts]), np.array([p.sum() for p in parts])


@pytest.mark.parametrize(("utilization", "quantile"), [(0.3, 0.95), (0.5, 0.95), (0.7, 0.5), (0.5, 0.99)])
def test_the_intervals_cover_the_percentiles_of_a_queue_where_plain_ones_do_not(
    utilization: float, quantile: float
) -> None:
    truth = -math.log(1 - quantile) * MEAN_NS / (1 - utilization)
    draw, told, covered, plainly = np.random.default_rng(4), 0, 0, 0
    for _ in range(RUNS):
        times, counts, sums = sliced(queue(draw, utilization))
        plain = order_statistics_interval(times, quantile)
        plainly += plain is not None and truth in plain
        interval = order_statistics_interval(times, quantile, effective_samples(times, counts, sums))
        told += interval is not None
        covered += interval is not None and truth in interval
    assert covered >= 0.93 * told
    assert told >= 0.75 * RUNS
    assert plainly < 0.9 * RUNS


def test_independent_samples_count_nearly_in_full() -> None:
    draw = np.random.default_rng(5)
    found = [effective_samples(*sliced(draw.exponential(MEAN_NS, SAMPLES))) for _ in range(100)]
    assert max(found) == SAMPLES
    assert np.median(found) > 0.6 * SAMPLES


def test_equal_samples_count_in_full_and_so_does_a_run_without_any() -> None:
    assert effective_samples(*sliced(np.full(100, 5.0))) == 100
    assert effective_samples(*sliced(np.array([]))) == 0
