"""How sure one run is of its percentiles: intervals of order statistics, wider where samples are alike."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from lab.load.histogram import Histogram
from lab.load.result import LoadResult
from lab.measure.percentiles import order_statistics_interval, sample_floor
from lab.measure.statistics import Interval

__all__ = ["PERCENTILES", "effective_samples", "percentile_intervals"]

PERCENTILES = (50, 95, 99)
BATCHES = 10
NS_PER_MS = 1e6


def percentile_intervals(load: LoadResult) -> dict[int, Interval]:
    """By percentile, the response_time in ms of one run with its 95 % interval.

    Left out is a percentile whose sample floor is not reached, or that too few samples tell of on their own.
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
    """How many independent samples say as much as these: who waits in one queue waits alike.

    `counts` and `sums` (ns) are of consecutive slices of the run, both of shape (slices,). By the variance of
    the means of ten batches, against what it were if samples were independent (Law, Simulation Modeling and
    Analysis, 9.5.3), and never more than there are. For so few batches it allows as Student's t does.
    """
    batches = [b for b in np.array_split(np.arange(len(counts)), BATCHES) if counts[b].sum()]
    if len(batches) < 2 or not times.variance_ns2:
        return len(times)
    sizes = np.array([counts[b].sum() for b in batches], dtype=np.float64)
    means = np.array([sums[b].sum() for b in batches]) / sizes
    freedom = len(batches) - 1
    between = float(sizes @ (means - times.mean_ns) ** 2) / freedom
    allowance = (float(stats.t.ppf(0.975, freedom)) / float(stats.norm.ppf(0.975))) ** 2
    return int(len(times) / max(1.0, allowance * between / times.variance_ns2))
