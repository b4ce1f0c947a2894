"""The policies, by the name a topology, a sweep and the environment give them."""

from __future__ import annotations

from enum import StrEnum

__all__ = ["PolicyName"]


class PolicyName(StrEnum):
    """How a balancer chooses the instance of a request."""

    ROUND_ROBIN = "round_robin"
