"""Percentiles that a sample may print: the floor below which it prints none, and their intervals.

Intervals are those of order statistics, wider where samples are correlated, as those of one queue are.
"""

from __future__ import annotations

import math
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from lab.measure.statistics import Interval

if TYPE_CHECKING:
    from lab.load.histogram import Histogram
    from lab.load.result import LoadResult

__all__ = [
    "PERCENTILES",
    "effective_samples",
    "interval_ranks",
    "order_statistics_interval",
    "percentile_intervals",
    "sample_floor",
    "too_short_for",
]

ASSURANCE = 0.99
"""Probability that enough samples lie beyond a percentile, from which that percentile is printed."""
BEYOND = 2
"""Samples that must lie beyond a percentile: with one, the estimate would be the maximum."""


@cache
def sample_floor(quantile: float) -> int:
    """Return the fewest samples from which a quantile is printed: p90 64, p95 130, p99 662, p99.9 6,636.

    The smallest n with P(Binomial(n, 1 − quantile) ≥ 2) ≥ 0.99: with 99 % assurance two independent
    samples lie beyond the true quantile. This is Wilks' distribution-free tolerance limit of second order
    (S. S. Wilks, Determination of sample sizes for setting tolerance limits, 1941). From there on the
    two-sided 95 % interval of order statistics exists too, as it needs quantile**n ≤ 0.025 only.
    """
    _check(quantile)
    low, high = BEYOND, BEYOND
    while _at_most_one_beyond(quantile, high) > 1 - ASSURANCE:
        low, high = high, high * 2
    while low < high:  # the tail falls as n grows: halve towards the first n that satisfies it
        middle = (low + high) // 2
        if _at_most_one_beyond(quantile, middle) > 1 - ASSURANCE:
            low = middle + 1
        else:
            high = middle
    return low


def too_short_for(duration_s: float, rate: float) -> str | None:
    """Return why a window is sure to hold fewer answers than a median needs, and what to do; else None.

    `rate` is the answers a second to expect.
    """
    least = sample_floor(0.5)
    if duration_s * rate >= least * (1 - 1e-9):
        return None
    needed_s = math.ceil(10 * least / rate) / 10
    return (
        f"at {rate:.3g} answers a second it holds {duration_s * rate:.3g}, and a median needs {least}. "
        f"Take {least} / {rate:.3g} = {needed_s:g} or more"
    )


def interval_ranks(quantile: float, samples: int, confidence: float = 0.95) -> tuple[int, int] | None:
    """Return two ranks, 1 to `samples`, whose order statistics bracket the quantile; None if too few.

    How many of n independent samples lie at or below the true quantile q is Binomial(n, q), whatever the
    distribution. So [X(l), X(u)] covers it with P(l ≤ B ≤ u − 1), and each tail is kept at or below half of
    1 − confidence (H. A. David, H. N. Nagaraja, Order Statistics, 3rd ed., section 7.1).
    """
    from scipy.stats import binom  # half a second to import, so not before an interval is wanted

    _check(quantile)
    tail = (1 - confidence) / 2
    low = int(binom.ppf(tail, samples, quantile))
    high = int(binom.isf(tail, samples, quantile)) + 1
    return (low, high) if low >= 1 and high <= samples else None


def order_statistics_interval(
    samples: Histogram, quantile: float, effective: int | None = None, confidence: float = 0.95
) -> Interval | None:
    """Return a quantile of the samples in ns, with its interval; None for too few samples.

    `effective` is the number of independent samples that would say as much as correlated ones do.
    """
    independent = len(samples) if effective is None else effective
    ranks = interval_ranks(quantile, independent, confidence)
    if ranks is None:
        return None
    scale = len(samples) / independent
    low, high = max(1, math.floor(ranks[0] * scale)), min(len(samples), math.ceil(ranks[1] * scale))
    estimate = samples.percentile_ns(100 * quantile)
    return Interval(estimate, samples.at_rank_ns(low), samples.at_rank_ns(high))


def _at_most_one_beyond(quantile: float, samples: int) -> float:
    """Return P(Binomial(n, 1 − quantile) ≤ 1): that fewer than `BEYOND` samples lie beyond the quantile."""
    return float(quantile**samples + samples * (1 - quantile) * quantile ** (samples - 1))


def _check(quantile: float) -> None:
    if not 0 < quantile < 1:
        raise ValueError(f"a quantile lies between 0 and 1, both out of reach: {quantile}")


PERCENTILES = (50, 95, 99)
BATCHES = 10
NS_PER_MS = 1e6


def percentile_intervals(load: LoadResult) -> dict[int, Interval]:
    """Return the response_time in ms of one run with its 95 % interval, by percentile.

    A percentile below its sample floor, or of too few independent samples, is left out.
    """
    window = slice(load.first_slice, load.last_slice)
    times, timeline = load.window.response_time, load.timeline
    effective = effective_samples(times, timeline.intended[window], timeline.response_ns[window])
    found = {
        percentile: order_statistics_interval(times, percentile / 100, effective)
        for percentile in PERCENTILES
        if len(times) >= sample_floor(percentile / 100)
    }
    return {
        percentile: Interval(each.estimate / NS_PER_MS, each.low / NS_PER_MS, each.high / NS_PER_MS)
        for percentile, each in found.items()
        if each
    }


def effective_samples(times: Histogram, counts: NDArray[np.int64], sums: NDArray[np.int64]) -> int:
    """Return how many independent samples say as much as these: requests of one queue wait alike.

    `counts` and `sums` (ns) are of consecutive slices of the run, both of shape (slices,). The variance of
    the means of ten batches is held against that of independent samples (Law, Simulation Modeling and
    Analysis, 9.5.3), with Student's t for so few batches; the number is never more than there are.
    """
    from scipy.special import ndtri, stdtrit

    batches = [b for b in np.array_split(np.arange(len(counts)), BATCHES) if counts[b].sum()]
    if len(batches) < 2 or not times.variance_ns2:
        return len(times)
    sizes = np.array([counts[b].sum() for b in batches], dtype=np.float64)
    means = np.array([sums[b].sum() for b in batches]) / sizes
    freedom = len(batches) - 1
    between = float(sizes @ (means - times.mean_ns) ** 2) / freedom
    allowance = (float(stdtrit(freedom, 0.975)) / float(ndtri(0.975))) ** 2
    return int(len(times) / max(1.0, allowance * between / times.variance_ns2))
