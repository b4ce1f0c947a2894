"""Check histograms and intervals against the samples behind them."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from benchmarks.goals import GoalFigure, at_least, at_most
from lab.load.histogram import Histogram
from lab.measure.statistics import log_interval, ratio_interval

__all__ = ["histograms", "intervals"]

PERCENTILES = (50, 90, 95, 99, 99.9)
RUNS = 1000


def histograms() -> Iterator[GoalFigure]:
    """Compare four merged histograms with a single one, and percentiles with an exact sort."""
    stream = np.random.default_rng(1)
    differing, worst = 0, 0.0
    for _ in range(200):
        scale = 10 ** stream.uniform(3, 10)
        samples = np.rint(stream.lognormal(0, 1.5, int(stream.integers(4, 5000))) * scale).astype(np.int64)
        whole = Histogram.of(samples)
        merged = Histogram.merged(Histogram.of(samples[part::4]) for part in range(4))
        differing += merged != whole or merged.encoded() != whole.encoded()
        ordered = np.sort(samples)
        for percentile in PERCENTILES:
            exact = int(ordered[math.ceil(round(percentile * len(samples) / 100, 9)) - 1])
            worst = max(worst, abs(whole.percentile_ns(percentile) / exact - 1))
    yield at_most("merged histograms that differ from the single one, of 200", differing, 0)
    yield at_most("worst percentile beside the nearest rank", worst * 100, 0.1, "%")


def intervals() -> Iterator[GoalFigure]:
    """Count how often the 95 % intervals cover the truth, over 1,000 simulated runs each."""
    stream = np.random.default_rng(2)
    for trials in (3, 5, 10):
        covered = ratios = 0
        for _ in range(RUNS):
            one, other = np.exp(stream.normal(math.log(100), 0.08, (2, trials)))
            covered += 100 in log_interval(one.tolist())
            ratios += 3.5 in ratio_interval((3.5 * one).tolist(), other.tolist())
        yield at_least(f"covered at {trials} trials", covered / RUNS * 100, 93, "%")
        yield at_least(f"ratio covered at {trials} trials a side", ratios / RUNS * 100, 93, "%")
