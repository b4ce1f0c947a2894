"""The intervals of one run's percentiles cover the truth also where its samples are no independent ones."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from lab.load.histogram import Histogram
from lab.measure.percentiles import effective_samples, order_statistics_interval

RUNS, SAMPLES, SLICES = 300, 6000, 300
MEAN_NS = 1e7


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
