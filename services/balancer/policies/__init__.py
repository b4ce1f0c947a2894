"""How a balancer chooses the instance of a request: pure objects over instance state."""

from __future__ import annotations

from services.balancer.policies.names import PolicyName
from services.balancer.policies.policy import Policy
from services.balancer.policies.round_robin import RoundRobin

__all__ = ["Policy", "PolicyName", "RoundRobin", "build"]


def build(name: PolicyName) -> Policy:
    """The policy of that name, with no instances yet."""
    match name:
        case PolicyName.ROUND_ROBIN:
            return RoundRobin()
