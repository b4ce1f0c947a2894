"""How a balancer chooses the instance of a request: pure objects over instance state."""

from __future__ import annotations

from services.balancer.policies.least_connections import LeastConnections
from services.balancer.policies.policy import Limited, Policy
from services.balancer.policies.random_choice import Random
from services.balancer.policies.round_robin import RoundRobin, WeightedRoundRobin
from services.balancer.policies.two_choices import PeakEwma, PowerOfTwo
from services.names import PolicyName

__all__ = [
    "LeastConnections",
    "Limited",
    "PeakEwma",
    "Policy",
    "PolicyName",
    "PowerOfTwo",
    "Random",
    "RoundRobin",
    "WeightedRoundRobin",
    "build",
]


def build(name: PolicyName, *, limit: int | None = None, seed: int = 0) -> Policy:
    """The policy of that name, with no instances yet.

    `limit` is how many attempts each instance may have in flight: None for any number, which for the
    central queue means one, since a queue before the instances needs them to have an end.
    """
    if name is PolicyName.CENTRAL_QUEUE:
        return Limited(LeastConnections(), 1 if limit is None else limit)
    policy = _unlimited(name, seed)
    return policy if limit is None else Limited(policy, limit)


def _unlimited(name: PolicyName, seed: int) -> Policy:
    match name:
        case PolicyName.ROUND_ROBIN:
            return RoundRobin()
        case PolicyName.WEIGHTED_ROUND_ROBIN:
            return WeightedRoundRobin()
        case PolicyName.LEAST_CONNECTIONS | PolicyName.CENTRAL_QUEUE:
            return LeastConnections()
        case PolicyName.RANDOM:
            return Random(seed)
        case PolicyName.POWER_OF_TWO:
            return PowerOfTwo(seed)
        case PolicyName.PEAK_EWMA:
            return PeakEwma(seed)
