"""What a trial is held against, the documents and the theory: known before it runs, judged after."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from lab.arrivals import Closed, Constant, Load, Poisson
from lab.expectations import Expectation, expected_at, judge
from lab.load.histogram import Histogram
from lab.load.result import LoadResult
from lab.measure.columns import Against, Factors
from lab.measure.percentiles import interval_ranks
from lab.measure.statistics import mean_interval
from lab.theory.prediction import Prediction, predict_closed, predict_constant, predict_poisson
from lab.topology import Topology

__all__ = ["References", "references"]

NS_PER_MS = 1e6
STRETCHES = 10
"""The stretches of a window whose rates give the throughput its interval."""


@dataclass(frozen=True, slots=True)
class References:
    """What a trial is held against: documented figures, where the documents speak of it, and a prediction."""

    expected: Expectation | None
    predicted: Prediction

    def against(self, load: LoadResult) -> Against:
        """Return the columns that hold the result of a run against these references."""
        seconds = _finite(self.predicted.response_time_s)
        theory = Against(
            predicted_throughput_rps=_finite(self.predicted.throughput_rps),
            predicted_response_time_ms=None if seconds is None else seconds * 1000,
        )
        if self.expected is None:
            return theory
        rps, ms = self.expected.throughput_rps, self.expected.response_time_ms
        return replace(
            theory,
            expected_throughput_low_rps=rps.low,
            expected_throughput_high_rps=rps.high,
            expected_response_time_low_ms=ms.low,
            expected_response_time_high_ms=ms.high,
            verdict_throughput=judge(*_throughput_interval(load), rps),
            verdict_latency=judge(*_median_interval_ms(load.window.response_time), ms),
        )


def references(load: Load, factors: Factors, topology: Topology | None = None) -> References:
    """Return what a trial of that load is held against; nothing is predicted without a topology.

    The documents speak of a closed loop without think time.
    """
    expected = None
    if isinstance(load, Closed) and load.think_time_s == 0:
        expected = expected_at(factors.topology, factors.replicas, load.concurrency)
    return References(expected, _predicted(load, topology) if topology else Prediction())


def _predicted(load: Load, topology: Topology) -> Prediction:
    match load:
        case Closed():
            return predict_closed(topology, load.concurrency, load.think_time_s)
        case Poisson():
            return predict_poisson(topology, load.rate)
        case Constant():
            return predict_constant(topology, load.rate)
    return Prediction()


def _throughput_interval(load: LoadResult) -> tuple[float, float]:
    """Return the interval within one trial, in requests a second, from ten stretches of its window.

    Each stretch runs from completion to completion, so that the few answers of a slow pipeline do not depend
    on where edges happen to fall.
    """
    rates, before_ns = [], None
    for stretch in np.array_split(np.arange(load.first_slice, load.last_slice), STRETCHES):
        succeeded = int(load.timeline.succeeded[stretch].sum())
        if succeeded:
            end_ns = int(load.timeline.last_ns[stretch].max())
            if before_ns is not None:
                rates.append(succeeded / (end_ns - before_ns) * 1e9)
            before_ns = end_ns
    interval = mean_interval(rates)
    return interval.low, interval.high


def _median_interval_ms(histogram: Histogram) -> tuple[float, float]:
    samples = len(histogram)
    ranks = interval_ranks(0.5, samples) if samples else None
    if ranks is None:
        return math.nan, math.nan
    low, high = (histogram.percentile_ns(100 * rank / samples) / NS_PER_MS for rank in ranks)
    return low, high


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
