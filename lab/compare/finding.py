"""What can be compared, and what is said of it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from enum import StrEnum

__all__ = ["LEVEL", "Finding", "Metric", "finding_of"]

LEVEL = 0.05
"""The chance of any false alarm among all cells together."""


class Metric(StrEnum):
    """What can be compared, by its column."""

    THROUGHPUT = "throughput_rps"
    RESPONSE_TIME_MEAN = "response_time_mean_ms"
    RESPONSE_TIME_P50 = "response_time_p50_ms"
    RESPONSE_TIME_P90 = "response_time_p90_ms"
    RESPONSE_TIME_P95 = "response_time_p95_ms"
    RESPONSE_TIME_P99 = "response_time_p99_ms"

    @property
    def more_is_better(self) -> bool:
        """Whether a ratio above 1 is an improvement."""
        return self is Metric.THROUGHPUT


class Finding(StrEnum):
    """What B is, beside A."""

    BETTER = "better"
    WORSE = "worse"
    NOTHING_SUCCEEDED = "nothing succeeded"
    """In no trial of B, where in A something did: there is no figure to compare."""
    FAILS_MORE = "fails more"
    """In every trial of B a larger share of requests failed than in any of A, by more than the threshold."""
    NO_DIFFERENCE_SHOWN = "no difference shown"
    TOO_FEW_TRIALS = "too few trials"
    """Even if every trial of one side beat every trial of the other, it would not show."""

    @property
    def is_regression(self) -> bool:
        """Whether B is worse than A in this way."""
        return self in (Finding.WORSE, Finding.NOTHING_SUCCEEDED, Finding.FAILS_MORE)


def finding_of(
    ratio: float, p: float, failed: tuple[Sequence[float], Sequence[float]], metric: Metric, threshold: float
) -> Finding:
    """What a cell shows. Failures come first: of what fails, the speed of the rest tells nothing.

    `ratio` is B over A, `p` corrected, nan where too few trials could tell; `failed` holds the share of the
    requests that failed in each trial of A and of B.
    """
    in_a, in_b = failed
    if min(in_b) == 1 > min(in_a):
        return Finding.NOTHING_SUCCEEDED
    if min(in_b) > max(in_a) + threshold:
        return Finding.FAILS_MORE
    if math.isnan(p):
        return Finding.TOO_FEW_TRIALS
    if p >= LEVEL or abs(math.log(ratio)) <= math.log1p(threshold):
        return Finding.NO_DIFFERENCE_SHOWN
    return Finding.BETTER if (ratio > 1) == metric.more_is_better else Finding.WORSE
