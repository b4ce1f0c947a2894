"""What can be set about a balancer, and the environment variables that set it."""

from __future__ import annotations

from enum import StrEnum

__all__ = ["PolicyName"]


class PolicyName(StrEnum):
    """How a balancer chooses the instance of a request."""

    ROUND_ROBIN = "round_robin"
