"""What a sample may say of a percentile: the floor below which it says nothing, and the interval it gives."""

from __future__ import annotations

import math
from functools import cache

from scipy.stats import binom

from lab.load.histogram import Histogram
from lab.measure.statistics import Interval

__all__ = ["interval_ranks", "order_statistics_interval", "sample_floor"]

ASSURANCE = 0.99
"""How sure it must be that enough samples lie beyond a percentile before that percentile is printed."""
BEYOND = 2
"""How many samples must lie beyond it: one would make the estimate the maximum under another name."""


@cache
def sample_floor(quantile: float) -> int:
    """The fewest samples from which a quantile is printed: p90 64, p95 130, p99 662, p99.9 6,636.

    The smallest n with P(Binomial(n, 1 − quantile) ≥ 2) ≥ 0.99: with 99 % assurance two independent
    samples lie beyond the true quantile. This is Wilks' distribution-free tolerance limit of second order
    (S. S. Wilks, Determination of sample sizes for setting tolerance limits, 1941). From there on the
    two-sided 95 % interval of order statistics exists too, as it needs quantile**n ≤ 0.025 only.
    """
    _check(quantile)
    low, high = BEYOND, BEYOND
    while binom.cdf(BEYOND - 1, high, 1 - quantile) > 1 - ASSURANCE:
        low, high = high, high * 2
    while low < high:  # the tail falls as n grows: halve towards the first n that satisfies it
        middle = (low + high) // 2
        if binom.cdf(BEYOND - 1, middle, 1 - quantile) > 1 - ASSURANCE:
            low = middle + 1
        else:
            high = middle
    return low


def interval_ranks(quantile: float, samples: int, confidence: float = 0.95) -> tuple[int, int] | None:
    """The two ranks, 1 to `samples`, whose order statistics bracket the quantile; None for too few samples.

    How many of n independent samples lie at or below the true quantile q is Binomial(n, q), whatever the
    distribution. So [X(l), X(u)] covers it with P(l ≤ B ≤ u − 1), and each tail is kept at or below half of
    1 − confidence (H. A. David, H. N. Nagaraja, Order Statistics, 3rd ed., section 7.1).
    """
    _check(quantile)
    tail = (1 - confidence) / 2
    low = int(binom.ppf(tail, samples, quantile))
    high = int(binom.isf(tail, samples, quantile)) + 1
    return (low, high) if low >= 1 and high <= samples else None


def order_statistics_interval(
    samples: Histogram, quantile: float, effective: int | None = None, confidence: float = 0.95
) -> Interval | None:
    """That quantile of the samples in ns, with its interval; None if they are too few.

    Of samples that are not independent, `effective` says how many that were would say as much.
    """
    independent = len(samples) if effective is None else effective
    ranks = interval_ranks(quantile, independent, confidence)
    if ranks is None:
        return None
    scale = len(samples) / independent
    low, high = max(1, math.floor(ranks[0] * scale)), min(len(samples), math.ceil(ranks[1] * scale))
    estimate = samples.percentile_ns(100 * quantile)
    return Interval(estimate, samples.at_rank_ns(low), samples.at_rank_ns(high))


def _check(quantile: float) -> None:
    if not 0 < quantile < 1:
        raise ValueError(f"a quantile lies between 0 and 1, both out of reach: {quantile}")
