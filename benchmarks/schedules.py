"""Test that Poisson schedules are Poisson."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from scipy import stats

from benchmarks.goals import GoalFigure, at_least
from lab.arrivals import Poisson

__all__ = ["schedules"]


def schedules() -> Iterator[GoalFigure]:
    """Test the gaps of 100 seeds against the exponential distribution (Kolmogorov and Smirnov)."""
    rate = 200.0
    gaps = (np.diff(Poisson(rate).schedule(0, 30, seed).intended_ns) / 1e9 for seed in range(100))
    p_values = [float(stats.kstest(one, "expon", args=(0, 1 / rate)).pvalue) for one in gaps]
    yield at_least("seeds with p above 0.01, of 100", sum(p > 0.01 for p in p_values), 96)
