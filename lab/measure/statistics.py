"""Intervals that cover, and tests that raise no false alarms: plain numbers in and out.

scipy takes half a second and more to import, so functions import it when they need it: charts and commands
that compute no interval do without.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = [
    "Interval",
    "LogRatio",
    "PooledVariance",
    "batch_means",
    "difference_p",
    "geometric_mean",
    "holm",
    "holm_levels",
    "log_interval",
    "log_ratio",
    "mann_whitney_p",
    "mean_interval",
    "pooled_variance",
    "ratio_interval",
    "smallest_p",
    "trials_to_exclude",
]


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate and the ends of its interval, in the unit of what went in; nan where unknown."""

    estimate: float
    low: float
    high: float

    def __contains__(self, value: float) -> bool:
        return self.low <= value <= self.high

    @property
    def known(self) -> bool:
        """Whether there is an interval, and not an estimate alone."""
        return not (math.isnan(self.low) or math.isnan(self.high))


def log_interval(trials: Sequence[float], confidence: float = 0.95) -> Interval:
    """Return the typical value over independent trials: geometric mean, and Student's t on the logarithms.

    Measured values are positive and scatter by factors, so their logarithms are nearer to normal, and the
    interval holds at three trials too, where a bootstrap covers 75 %. One trial gives an estimate only, none
    gives nan. Raises ValueError for a value that is not positive.
    """
    logs = _logs(trials)
    if not len(logs):
        return Interval(math.nan, math.nan, math.nan)
    middle, half = float(logs.mean()), _half_width(_variance_of_mean(logs), len(logs) - 1, confidence)
    return Interval(math.exp(middle), math.exp(middle - half), math.exp(middle + half))


def ratio_interval(
    numerator: Sequence[float], denominator: Sequence[float], confidence: float = 0.95
) -> Interval:
    """Return the ratio of two typical values over independent trials of each, by Welch's t on the logarithms.

    The interval's ends need two trials on both sides. (B. L. Welch, The generalization of Student's problem,
    1947.)
    """
    return log_ratio(numerator, denominator).interval(1 - confidence)


@dataclass(frozen=True, slots=True)
class PooledVariance:
    """The variance of the logarithms of trials, alike in many groups, and its degrees of freedom."""

    variance: float
    freedom: float


@dataclass(frozen=True, slots=True)
class LogRatio:
    """The logarithm of a ratio of two typical values, its standard error, and the degrees of freedom."""

    estimate: float
    error: float
    freedom: float

    @property
    def p(self) -> float:
        """The chance of a ratio as far from 1 where there is none, by Student's t; nan without an error."""
        if self.error == 0:
            return 1.0 if self.estimate == 0 else 0.0
        return _two_sided_p(-abs(self.estimate) / self.error, self.freedom)

    def interval(self, level: float) -> Interval:
        """Return the ratio with the interval that misses the truth with the chance `level`.

        It excludes 1 exactly where `p` is below that level.
        """
        half = _half_width(self.error**2, self.freedom, 1 - level)
        # Two trials that differ by a factor of a thousand make an end that no number holds.
        return Interval(*(float(np.exp(np.clip(self.estimate + a, -700, 700))) for a in (0.0, -half, half)))


def log_ratio(
    numerator: Sequence[float], denominator: Sequence[float], pooled: PooledVariance | None = None
) -> LogRatio:
    """Return the ratio of two typical values over independent trials of each, on the logarithms.

    Its error is Welch's, of the two alone, or that of the pooled variance. It is nan below two trials on a
    side, the estimate without a trial. Raises ValueError for a value that is not positive.
    """
    above, below = _logs(numerator), _logs(denominator)
    if not (len(above) and len(below)):
        return LogRatio(math.nan, math.nan, math.nan)
    middle = float(above.mean() - below.mean())
    variance = _variance_of_mean(above) + _variance_of_mean(below)
    if pooled is None or math.isnan(variance):
        return LogRatio(middle, math.sqrt(variance), _welch_freedom(above, below))
    error = math.sqrt(pooled.variance * (1 / len(above) + 1 / len(below)))
    return LogRatio(middle, error, pooled.freedom)


def pooled_variance(groups: Sequence[Sequence[float]], doubt: float = 0.2) -> PooledVariance | None:
    """Return the variance of the logarithms within the groups; None where Levene's test doubts there is one.

    Groups of one say nothing of it. The test's own distribution holds for many values only, so its statistic
    is held against what 2,000 sets of normal groups of these sizes give. It doubts early, since few trials
    show little: `doubt` is the share of sets with one variance that it would part.
    (H. Levene, Robust tests for equality of variances, 1960.)
    """
    logs = [group for group in map(_logs, groups) if len(group) > 1]
    sizes = tuple(map(len, logs))
    if len(logs) < 2 or max(sizes) < 3:  # in groups of two, both lie equally far from their mean
        return None
    found = _levene(np.concatenate(logs)[np.newaxis], sizes)[0]
    if np.mean(_levene_of_chance(sizes) >= found) <= doubt:
        return None
    freedom = sum(sizes) - len(sizes)
    return PooledVariance(float(sum(group.var() * len(group) for group in logs)) / freedom, freedom)


def trials_to_exclude(ratio: float, scatter: float, level: float, most: int = 1000) -> int | None:
    """Return how many trials a side make an interval so narrow that 1 and `ratio` are not both in it.

    `scatter` is the standard deviation of the trials' logarithms. None where it takes more than `most`.
    """
    for trials in range(2, most + 1):
        if 2 * _half_width(2 * scatter**2 / trials, 2 * trials - 2, 1 - level) < abs(math.log(ratio)):
            return trials
    return None


def mean_interval(values: ArrayLike, confidence: float = 0.95) -> Interval:
    """Return the mean of independent values, by Student's t. Take `batch_means` of correlated ones first."""
    array = np.asarray(values, dtype=np.float64)
    if not len(array):
        return Interval(math.nan, math.nan, math.nan)
    middle, half = float(array.mean()), _half_width(_variance_of_mean(array), len(array) - 1, confidence)
    return Interval(middle, middle - half, middle + half)


def batch_means(series: ArrayLike, batches: int = 10) -> NDArray[np.float64]:
    """Return the means of consecutive batches, nearly independent where batches are long.

    Every observation is in one batch; where they do not divide evenly, the first batches have one more.
    Fewer observations than batches stay as they are.
    (Law, Simulation Modeling and Analysis, 9.5.3. Ten: more batches are shorter and more alike.)
    """
    array = np.asarray(series, dtype=np.float64)
    parts = np.array_split(array, min(batches, len(array))) if len(array) else []
    return np.array([part.mean() for part in parts])


def difference_p(before: ArrayLike, after: ArrayLike) -> float:
    """Return the p-value of a difference of two means, by Welch's t; nan below two values on a side."""
    first, second = np.asarray(before, dtype=np.float64), np.asarray(after, dtype=np.float64)
    if len(first) < 2 or len(second) < 2:
        return math.nan
    error = math.sqrt(_variance_of_mean(first) + _variance_of_mean(second))
    gap = abs(float(first.mean() - second.mean()))
    if error == 0:
        return 1.0 if gap == 0 else 0.0
    return _two_sided_p(-gap / error, _welch_freedom(first, second))


def mann_whitney_p(first: Sequence[float], second: Sequence[float]) -> float:
    """Return the two-sided p-value of Mann and Whitney's U: how likely chance orders two samples so unevenly.

    Exact for up to 50 values a side, ties too, by counting the orders; else by the normal approximation; nan
    with an empty side.
    """
    if not (len(first) and len(second)):
        return math.nan
    if max(len(first), len(second)) <= _COUNTED:
        return _exact_rank_p(first, second)
    from scipy import stats

    return float(stats.mannwhitneyu(first, second, alternative="two-sided", method="asymptotic").pvalue)


_COUNTED = 50
"""Values a side up to which every order is counted."""


def _exact_rank_p(first: Sequence[float], second: Sequence[float]) -> float:
    """Return the share of all ways to choose as many as `first` whose rank sum is as far from the middle."""
    pooled = np.sort(np.concatenate([first, second]))
    # Twice the middle rank, a whole number: where a value begins, and where it ends.
    ranks = np.searchsorted(pooled, pooled, "left") + np.searchsorted(pooled, pooled, "right") + 1
    ways = np.zeros((len(first) + 1, int(ranks.sum()) + 1))
    ways[0, 0] = 1
    for rank in ranks:
        ways[1:, rank:] += ways[:-1, : ways.shape[1] - rank].copy()
    of_first = int(ranks[np.searchsorted(pooled, first, "left")].sum())
    sums = np.arange(ways.shape[1])
    middle = ranks.sum() * len(first) / len(pooled)
    as_far = np.abs(sums - middle) >= abs(of_first - middle) - 1e-9
    return float(ways[-1, as_far].sum() / ways[-1].sum())


def smallest_p(first: int, second: int) -> float:
    """Return the smallest p that U can reach with m = `first` and n = `second` values: 2 / C(m + n, n).

    At 3 and 3 that is 0.1.
    """
    return min(1.0, 2 / math.comb(first + second, second))


def holm(p_values: Sequence[float]) -> list[float]:
    """Return the p-values corrected so that the chance of any false alarm among them stays at the level.

    (S. Holm, A simple sequentially rejective multiple test procedure, 1979.)
    """
    order = sorted(range(len(p_values)), key=p_values.__getitem__)
    corrected = [1.0] * len(p_values)
    largest = 0.0
    for rank, place in enumerate(order):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[place]))
        corrected[place] = largest
    return corrected


def holm_levels(p_values: Sequence[float], level: float = 0.05) -> list[float]:
    """Return the level that Holm's procedure leaves each: p below it is what he rejects.

    The smallest p is held against level/n, the next against level/(n − 1), and so on up to the first that
    passes; all that follow are held against its level.
    """
    levels = [level] * len(p_values)
    left = len(p_values)
    for place in sorted(range(len(p_values)), key=p_values.__getitem__):
        levels[place] = level / left
        if p_values[place] < level / left:
            left -= 1
    return levels


def geometric_mean(values: Sequence[float]) -> float:
    """Return the geometric mean; nan of no values. Raises ValueError for a value that is not positive."""
    logs = _logs(values)
    return math.exp(float(logs.mean())) if len(logs) else math.nan


def _logs(values: Sequence[float]) -> NDArray[np.float64]:
    array = np.asarray(values, dtype=np.float64)
    if not np.all(array > 0):
        raise ValueError(f"a logarithm needs values above 0, not {array.min()}")
    logs: NDArray[np.float64] = np.log(array)
    return logs


def _variance_of_mean(values: NDArray[np.float64]) -> float:
    return float(values.var(ddof=1)) / len(values) if len(values) > 1 else math.nan


def _two_sided_p(below: float, freedom: float) -> float:
    """Return the chance of a t as far from 0 as `below`, which is not above it."""
    from scipy.special import stdtr

    return 2 * float(stdtr(freedom, below))


def _half_width(variance: float, freedom: float, confidence: float) -> float:
    if math.isnan(variance) or variance == 0:
        return variance
    from scipy.special import stdtrit

    return float(stdtrit(freedom, (1 + confidence) / 2)) * math.sqrt(variance)


def _welch_freedom(first: NDArray[np.float64], second: NDArray[np.float64]) -> float:
    """Return Welch and Satterthwaite's degrees of freedom."""
    a, b = _variance_of_mean(first), _variance_of_mean(second)
    if math.isnan(a + b) or a + b == 0:
        return math.nan
    # Scaled first: the squares of small variances vanish.
    a, b = a / (a + b), b / (a + b)
    return 1 / (a**2 / (len(first) - 1) + b**2 / (len(second) - 1))


def _levene(values: NDArray[np.float64], sizes: Sequence[int]) -> NDArray[np.float64]:
    """Return Levene's W of each row of values, cut into groups of these sizes.

    It compares how far values lie from the mean of their group: between groups, and within.
    """
    groups = np.split(values, np.cumsum(sizes)[:-1], axis=1)
    far = [np.abs(group - group.mean(axis=1, keepdims=True)) for group in groups]
    means = np.stack([each.mean(axis=1) for each in far], axis=1)
    overall = means @ np.array(sizes) / sum(sizes)
    between = (means - overall[:, np.newaxis]) ** 2 @ np.array(sizes)
    within = sum(((each - each.mean(axis=1, keepdims=True)) ** 2).sum(axis=1) for each in far)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio: NDArray[np.float64] = np.nan_to_num(between / within, nan=0.0, posinf=np.inf)
    return ratio


@cache
def _levene_of_chance(sizes: tuple[int, ...]) -> NDArray[np.float64]:
    """Return W of 2,000 sets of normal groups of these sizes, the same ones each time."""
    return _levene(np.random.default_rng(0).normal(size=(2000, sum(sizes))), sizes)
