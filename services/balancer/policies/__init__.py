"""How a balancer chooses the instance of a request: one pure object per policy, which a simulator uses too.

`build` makes the object of a PolicyName. An InstanceSet, or the simulator, `add`s the instances that may be
chosen and `remove`s those that may not (ejected ones, or full ones through Limited). For each request it
calls `choose`, then `started` with the instance chosen, and `finished` once the attempt has ended; these two
keep `InstanceState.in_flight`. Policies hold no clock and no socket, and draw from a seed they are given.

- policy.py: what a policy is (Policy), and a limit of attempts in flight around any of them (Limited);
- round_robin.py: RoundRobin, and WeightedRoundRobin, the only one that looks at weights;
- least_connections.py: LeastConnections, which with a limit is `central_queue`;
- random_choice.py: Random, and the array that random policies draw from (RandomChoice);
- two_choices.py: PowerOfTwo and PeakEwma, each of which takes the better of two drawn.

To add a policy: a name in services/names.py, a class here, and its case in `build`.
"""

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
    """Build the policy of this name, with no instances yet.

    `limit` is how many attempts each instance may have in flight. None means any number, and for the central
    queue one, since a queue before the instances needs them to be full at some point. `seed` decides what
    random policies draw.
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
