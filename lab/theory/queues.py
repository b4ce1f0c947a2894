"""Single queues in closed form, Lindley's recursion, and policies whose mean response time is known exactly.

Times are in seconds, rates per second. `utilization` is arrival rate × service time / servers, at least 0
and below 1: at 1 there is no steady state, and functions raise ValueError.

Of policies over several instances, each with one slot and a queue of its own, under Poisson arrivals with
exponential service: random is M/M/1 at each, one central queue is M/M/c, and round robin and the power of
two have functions.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = [
    "erlang_c",
    "lindley_waits",
    "md1_mean_response_time",
    "md1_response_time_quantile",
    "mm1_mean_response_time",
    "mm1_response_time_quantile",
    "mmc_mean_response_time",
    "power_of_two_mean_response_time",
    "round_robin_mean_response_time",
]


def mm1_mean_response_time(arrival_rate: float, service_time_s: float) -> float:
    """Compute S / (1 − ρ): Poisson arrivals, exponential service, one server.

    (Kleinrock, Queueing Systems I, 3.2.)
    """
    return service_time_s / (1 - _utilization(arrival_rate, service_time_s))


def mm1_response_time_quantile(arrival_rate: float, service_time_s: float, quantile: float) -> float:
    """Compute a quantile of M/M/1, whose response time is itself exponential (Kleinrock I, 5.118)."""
    _require_quantile(quantile)
    return -math.log1p(-quantile) * mm1_mean_response_time(arrival_rate, service_time_s)


def md1_mean_response_time(arrival_rate: float, service_time_s: float) -> float:
    """Compute S (1 + ρ / (2 (1 − ρ))): Poisson arrivals, constant service, one server.

    By Pollaczek and Khinchine's formula (Kleinrock I, 5.63).
    """
    utilization = _utilization(arrival_rate, service_time_s)
    return service_time_s * (1 + utilization / (2 * (1 - utilization)))


def md1_response_time_quantile(arrival_rate: float, service_time_s: float, quantile: float) -> float:
    """Compute a quantile of M/D/1, to a millionth of the service time, by bisection."""
    _require_quantile(quantile)
    utilization = _utilization(arrival_rate, service_time_s)
    waiting = _md1_at_most(utilization)
    low, high = 0.0, 1.0
    while _md1_wait_below(waiting, utilization, high) < quantile:
        high *= 2
    while high - low > 1e-6:
        middle = (low + high) / 2
        low, high = (
            (middle, high) if _md1_wait_below(waiting, utilization, middle) < quantile else (low, middle)
        )
    return service_time_s * (1 + high)


def erlang_c(offered_load: float, servers: int) -> float:
    """Compute the probability that a request of Poisson arrivals waits at `servers` exponential servers.

    `offered_load` is arrival rate × service time, in erlangs. By the stable recursion of Erlang's B formula
    (Cooper, Introduction to Queueing Theory, 3.4).
    """
    if servers < 1:
        raise ValueError(f"servers is {servers!r}: a queue needs one at least")
    _utilization(offered_load, 1 / servers)
    blocked = 1.0
    for busy in range(1, servers + 1):
        blocked = offered_load * blocked / (busy + offered_load * blocked)
    return blocked / (1 - offered_load / servers * (1 - blocked))


def mmc_mean_response_time(arrival_rate: float, service_time_s: float, servers: int) -> float:
    """Compute S + C(c, a) · S / (c − a), the mean of M/M/c, with a = arrival rate × S (Cooper, 3.4)."""
    offered = arrival_rate * service_time_s
    return service_time_s * (1 + erlang_c(offered, servers) / (servers - offered))


def lindley_waits(arrivals_s: ArrayLike, service_times_s: ArrayLike, servers: int = 1) -> NDArray[np.float64]:
    """Compute how long each request waits, first come, first served, from its arrival and its service time.

    One server: W(n+1) = max(0, W(n) + S(n) − A(n)) (Lindley 1952). More: Kiefer and Wolfowitz's recursion,
    by the server that is free first (1955). Both arrays have the shape (requests,). Raises ValueError for
    arrivals that decrease, and for arrays of unlike shapes.
    """
    arrivals = np.asarray(arrivals_s, dtype=np.float64)
    services = np.asarray(service_times_s, dtype=np.float64)
    if arrivals.shape != services.shape or arrivals.ndim != 1:
        raise ValueError(f"each arrival needs one service time: {arrivals.shape} and {services.shape}")
    if np.any(np.diff(arrivals) < 0):
        raise ValueError("arrivals must be in order of time")
    if servers > 1:
        return _many_servers(arrivals.tolist(), services.tolist(), servers)
    if not len(arrivals):
        return np.empty(0)
    # Unrolled, the recursion is a walk less its lowest point so far.
    walk = np.concatenate(([0.0], np.cumsum(services[:-1] - np.diff(arrivals))))
    waits: NDArray[np.float64] = walk - np.minimum.accumulate(walk)
    return waits


def _many_servers(arrivals: Sequence[float], services: Sequence[float], servers: int) -> NDArray[np.float64]:
    free_at = [-math.inf] * servers
    waits = np.empty(len(arrivals))
    for number, (arrival, service) in enumerate(zip(arrivals, services, strict=True)):
        start = max(arrival, free_at[0])
        heapq.heapreplace(free_at, start + service)
        waits[number] = start - arrival
    return waits


def _utilization(arrival_rate: float, service_time_s: float) -> float:
    utilization = arrival_rate * service_time_s
    _require_steady(utilization)
    return utilization


def _md1_at_most(utilization: float) -> NDArray[np.float64]:
    """Compute P(at most n wait), n = 0, 1 …, in M/D/1.

    The generating function of the number present, (1−ρ)(1−z) A(z) / (A(z) − z) with A(z) = exp(ρ(z−1)), is
    inverted on roots of unity. What lies beyond the last root folds back; the tail falls about as
    exp(−2(1−ρ)n), so that is below 1e−16.
    """
    roots = 1 << math.ceil(math.log2(32 / (1 - utilization) + 64))
    z = np.exp(-2j * np.pi * np.arange(1, roots) / roots)
    arrivals = np.exp(utilization * (z - 1))
    transform = np.concatenate(([1.0], (1 - utilization) * (1 - z) * arrivals / (arrivals - z)))
    present = np.clip(np.fft.ifft(transform).real, 0, None)
    at_most: NDArray[np.float64] = np.cumsum(present)[1:]  # with n + 1 present, n wait
    return np.minimum(at_most, 1.0)


def _md1_wait_below(at_most: NDArray[np.float64], utilization: float, wait: float) -> float:
    """Compute P(W ≤ wait) in M/D/1, with `wait` in units of the service time.

    By a sum of positive terms (G. J. Franx, A simple solution for the M/D/c waiting time distribution,
    2001), where the terms of Erlang's own of 1909 cancel.
    """
    slots = math.floor(wait) + 1
    mean = utilization * (slots - wait)
    terms = np.arange(slots)
    poisson = (
        np.exp(-mean + terms * math.log(mean) - _log_factorials(slots)) if mean > 0 else (terms == 0) * 1.0
    )
    padded = at_most[np.minimum(slots - 1 - terms, len(at_most) - 1)]
    return float(np.dot(padded, poisson))


def _log_factorials(count: int) -> NDArray[np.float64]:
    return np.concatenate(([0.0], np.cumsum(np.log(np.arange(1, count)))))[:count]


def round_robin_mean_response_time(utilization: float, service_time_s: float, instances: int) -> float:
    """Compute S / (1 − σ), σ the root below 1 of σ = (n ρ / (n ρ + 1 − σ))^n: round robin over n instances.

    Each instance gets every n-th arrival and so is an E_n/M/1 queue (Kleinrock, Queueing Systems I, 6, for
    G/M/1).
    """
    _require_steady(utilization)
    offered = instances * utilization
    low, high = 0.0, 1.0 - 1e-12
    if not offered:
        return service_time_s
    while high - low > 1e-12:
        middle = (low + high) / 2
        below = (offered / (offered + 1 - middle)) ** instances < middle
        low, high = (low, middle) if below else (middle, high)
    return service_time_s / (1 - low)


def power_of_two_mean_response_time(utilization: float, service_time_s: float) -> float:
    """Compute S × Σ ρ^(2^i − 2) over i ≥ 1: the power of two, in the limit of many instances.

    (Mitzenmacher, The Power of Two Choices in Randomized Load Balancing, 2001, with d = 2.)
    """
    _require_steady(utilization)
    return service_time_s * math.fsum(utilization ** (2.0**i - 2) for i in range(1, 60))


def _require_quantile(quantile: float) -> None:
    if not 0 <= quantile < 1:
        raise ValueError(f"quantile is {quantile!r}: it is a part, from 0 to below 1, as 0.99")


def _require_steady(utilization: float) -> None:
    if not 0 <= utilization < 1:
        raise ValueError(f"no steady state at utilization {utilization:g}: it must lie from 0 to below 1")
