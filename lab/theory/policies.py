"""What a policy makes of the mean response time, where that is known exactly.

Poisson arrivals, exponential service of mean S, alike instances of one slot with a queue each. `utilization`
is that of each instance, at least 0 and below 1. Random is M/M/1 and one central queue M/M/c: see queues.
"""

from __future__ import annotations

import math

__all__ = ["power_of_two_mean_response_time", "round_robin_mean_response_time"]


def round_robin_mean_response_time(utilization: float, service_time_s: float, instances: int) -> float:
    """S / (1 − σ), σ the root below 1 of σ = (n ρ / (n ρ + 1 − σ))^n: each of the n instances gets every n-th
    arrival, so that it is an E_n/M/1 queue (Kleinrock, Queueing Systems I, 6, for G/M/1)."""
    _check(utilization)
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
    """S × Σ ρ^(2^i − 2) over i ≥ 1, in the limit of many instances (Mitzenmacher, The Power of Two Choices in
    Randomized Load Balancing, 2001, with d = 2)."""
    _check(utilization)
    return service_time_s * math.fsum(utilization ** (2.0**i - 2) for i in range(1, 60))


def _check(utilization: float) -> None:
    if not 0 <= utilization < 1:
        raise ValueError(
            f"a utilization of {utilization} has no steady state: give 0 or more, and less than 1"
        )
