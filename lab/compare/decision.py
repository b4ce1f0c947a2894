"""What a cell shows: one rule decides, and it is the interval of the ratio that is printed."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from statistics import median
from typing import TYPE_CHECKING

from lab.measure.statistics import (
    Interval,
    LogRatio,
    PooledVariance,
    holm,
    holm_levels,
    log_ratio,
    mann_whitney_p,
    pooled_variance,
    smallest_p,
    trials_to_exclude,
)

if TYPE_CHECKING:  # pandas is slow to import, and a mistyped metric is to be refused at once
    from lab.compare.cells import Key, Sides

__all__ = ["LEVEL", "Change", "Metric", "Shown", "finding_of", "rank_p_values", "shown"]

LEVEL = 0.05
"""The chance of any false alarm among all cells together."""
HALVING = 0.5
"""Who cannot exclude this of a throughput, or its double of a time, has compared nothing."""


class Metric(StrEnum):
    """A figure that can be compared, by its column."""

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

    @property
    def twice_as_bad(self) -> float:
        """The ratio of a B that is twice as bad as A."""
        return HALVING if self.more_is_better else 1 / HALVING


class Change(StrEnum):
    """What a cell of B is, compared with A."""

    BETTER = "better"
    WORSE = "worse"
    NOTHING_SUCCEEDED = "nothing succeeded"
    """No request of any trial of B succeeded, where in A some did: there is no figure to compare."""
    FAILS_MORE = "fails more"
    """In every trial of B a larger share of requests failed than in any of A, by more than the threshold."""
    NO_DIFFERENCE_SHOWN = "no difference shown"
    TOO_FEW_TRIALS = "too few trials"
    """There is no interval, or one that also contains a B twice as bad: nothing was really compared."""

    @property
    def is_regression(self) -> bool:
        """Whether B is worse than A in this way."""
        return self in (Change.WORSE, Change.NOTHING_SUCCEEDED, Change.FAILS_MORE)


@dataclass(frozen=True, slots=True)
class Shown:
    """The ratio of B to A in a cell, and what its interval rests on."""

    ratio: Interval
    level: float = LEVEL
    """The chance, left by Holm's procedure to this cell, that its interval misses the truth."""
    enough: int | None = None
    """Trials a side that would tell a B twice as bad from none; None where no scatter is known."""


def shown(trials: Mapping[Key, Sides]) -> dict[Key, Shown]:
    """Return what the trials of each cell show, A's and B's.

    The interval is Welch's on the logarithms, at the level that Holm leaves the cell; where Levene's test
    does not object, the variance is that of all cells together.
    """
    pooled = pooled_variance([side for sides in trials.values() for side in sides])
    ratios = {key: log_ratio(b, a, pooled) for key, (a, b) in trials.items()}
    known = [key for key, ratio in ratios.items() if not math.isnan(ratio.error)]
    levels = dict(zip(known, holm_levels([ratios[key].p for key in known], LEVEL), strict=True))
    scatters = {key: _scatter(ratios[key], trials[key], pooled) for key in known}
    usual = median(scatters.values()) if scatters else math.nan
    return {
        key: Shown(
            ratio.interval(levels.get(key, LEVEL)),
            levels.get(key, LEVEL),
            _enough(scatters.get(key, usual), levels.get(key, LEVEL / len(trials)), trials[key]),
        )
        for key, ratio in ratios.items()
    }


def finding_of(
    ratio: Interval, failed: tuple[Sequence[float], Sequence[float]], metric: Metric, threshold: float
) -> Change:
    """Return what a cell shows. Failures come first: beside them the speed of the rest tells nothing.

    `ratio` is B over A; `failed` holds the share of the requests that failed in each trial of A and of B.
    """
    in_a, in_b = failed
    if min(in_b) == 1 > min(in_a):
        return Change.NOTHING_SUCCEEDED
    if min(in_b) > max(in_a) + threshold:
        return Change.FAILS_MORE
    if not ratio.known:
        return Change.TOO_FEW_TRIALS
    if 1 not in ratio and abs(math.log(ratio.estimate)) > math.log1p(threshold):
        return Change.BETTER if (ratio.estimate > 1) == metric.more_is_better else Change.WORSE
    return Change.TOO_FEW_TRIALS if metric.twice_as_bad in ratio else Change.NO_DIFFERENCE_SHOWN


def rank_p_values(trials: Mapping[Key, Sides]) -> dict[Key, float]:
    """Return the p-value of Mann and Whitney's U, corrected by Holm, of the cells in which it could decide.

    Cells with too few trials ever to reach the level are told apart by their numbers alone, and burden no
    other. (R. E. Tarone, A modified Bonferroni method for discrete data, 1990.)
    """
    smallest = {key: smallest_p(len(a), len(b)) for key, (a, b) in trials.items()}
    able: list[Key] = []
    for burden in range(1, len(smallest) + 1):
        able = [key for key, p in smallest.items() if p * burden <= LEVEL]
        if len(able) <= burden:
            break
    return dict(zip(able, holm([mann_whitney_p(*trials[key]) for key in able]), strict=True))


def _scatter(ratio: LogRatio, sides: Sides, pooled: PooledVariance | None) -> float:
    """Return the standard deviation of one trial's logarithm, from the error of the ratio."""
    return math.sqrt(pooled.variance) if pooled else ratio.error / math.sqrt(sum(1 / len(s) for s in sides))


def _enough(scatter: float, level: float, sides: Sides) -> int | None:
    needed = None if math.isnan(scatter) else trials_to_exclude(HALVING, scatter, level)
    return max(needed, 1 + min(map(len, sides))) if needed else None
