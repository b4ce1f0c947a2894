"""Networks of exponential servers, exactly: closed by Buzen's convolution, open by Jackson's theorem.

Exact for exponential service times and an instance chosen at random; a policy that takes turns or looks at
the queues does better than that. Times are in seconds, rates per second.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from lab.theory.bounds import Station, capacity
from lab.theory.queues import mmc_mean_response_time

__all__ = ["closed_response_time", "closed_throughput", "open_response_time"]


def closed_throughput(stations: Sequence[Station], concurrency: int, think_time_s: float = 0.0) -> float:
    """Compute X(N) = G(N − 1) / G(N), the requests a second at concurrency N; infinite without demand.

    G convolves the stations' weights (J. P. Buzen, Computational algorithms for closed queueing networks
    with exponential servers, 1973). The result is that of exact mean value analysis, and stays accurate
    with several servers a station, where mean value analysis does not. Raises ValueError for a concurrency
    below 1.
    """
    if concurrency < 1:
        raise ValueError(f"concurrency is {concurrency}: nothing happens below 1")
    busy = [station for station in stations if station.demand_s > 0]
    if not busy:
        return concurrency / think_time_s if think_time_s else math.inf
    # In units of what limits the throughput, so that no weight outgrows its bounds.
    unit = max(1 / capacity(busy), think_time_s / concurrency)
    weights = np.zeros(concurrency + 1)
    weights[0] = 1.0
    for station in busy:
        weights = _convolved(weights, _station_weights(station, unit, concurrency))
    if think_time_s:
        weights = _convolved(weights, _delay_weights(think_time_s / unit, concurrency))
    return float(weights[concurrency - 1] / weights[concurrency] / unit)


def closed_response_time(stations: Sequence[Station], concurrency: int, think_time_s: float = 0.0) -> float:
    """Compute R = N / X − Z by Little's law, the mean response time in seconds at concurrency N."""
    return concurrency / closed_throughput(stations, concurrency, think_time_s) - think_time_s


def open_response_time(stations: Sequence[Station], arrival_rate: float) -> float:
    """Compute the mean response time in seconds under Poisson arrivals: the sum over stations as if alone.

    J. R. Jackson, Networks of waiting lines, 1957. Raises ValueError at or beyond capacity.
    """
    total = 0.0
    for station in stations:
        if station.demand_s > 0:
            total += mmc_mean_response_time(arrival_rate, station.demand_s, station.servers)
    return total


def _station_weights(station: Station, unit: float, concurrency: int) -> NDArray[np.float64]:
    """Compute Dⁿ / (μ(1) ⋯ μ(n)), where min(n, servers) servers are at work on n requests."""
    at_work = np.minimum(np.arange(1, concurrency + 1), station.servers)
    return _products(math.log(station.demand_s / unit) - np.log(at_work))


def _delay_weights(think_time: float, concurrency: int) -> NDArray[np.float64]:
    """Compute Zⁿ / n!: as many servers as there are requests."""
    return _products(math.log(think_time) - np.log(np.arange(1, concurrency + 1)))


def _products(log_factors: NDArray[np.float64]) -> NDArray[np.float64]:
    """Compute 1, f1, f1 f2 …, up to a common factor, which no ratio of them shows."""
    logs = np.concatenate(([0.0], np.cumsum(log_factors)))
    products: NDArray[np.float64] = np.exp(logs - logs.max())
    return products


def _convolved(weights: NDArray[np.float64], more: NDArray[np.float64]) -> NDArray[np.float64]:
    """Convolve both, as far as they reach, up to a common factor again."""
    convolved = np.convolve(weights, more)[: len(weights)]
    scaled: NDArray[np.float64] = convolved / convolved.max()
    return scaled
