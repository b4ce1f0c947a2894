"""Intervals that cover, and tests that raise no false alarms: plain numbers in and out.

scipy takes half a second and more to import, so functions import it when they need it: charts and commands
that compute no interval do without.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = [
    "Interval",
    "batch_means",
    "difference_p",
    "geometric_mean",
    "holm",
    "log_interval",
    "mann_whitney_p",
    "mean_interval",
    "ratio_interval",
    "smallest_p",
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
    above, below = _logs(numerator), _logs(denominator)
    if not (len(above) and len(below)):
        return Interval(math.nan, math.nan, math.nan)
    middle = float(above.mean() - below.mean())
    of_above, of_below = _variance_of_mean(above), _variance_of_mean(below)
    half = _half_width(of_above + of_below, _welch_freedom(above, below), confidence)
    return Interval(math.exp(middle), math.exp(middle - half), math.exp(middle + half))


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
    from scipy.special import stdtr

    return 2 * float(stdtr(_welch_freedom(first, second), -gap / error))


def mann_whitney_p(first: Sequence[float], second: Sequence[float]) -> float:
    """Return the two-sided p-value of Mann and Whitney's U: how likely chance orders two samples so unevenly.

    Exact for up to 50 values a side without ties, else by the normal approximation; nan with an empty side.
    """
    if not (len(first) and len(second)):
        return math.nan
    from scipy import stats

    distinct = len({*first, *second}) == len(first) + len(second)
    method: Literal["exact", "asymptotic"] = (
        "exact" if distinct and max(len(first), len(second)) <= 50 else "asymptotic"
    )
    return float(stats.mannwhitneyu(first, second, alternative="two-sided", method=method).pvalue)


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
