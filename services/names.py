"""The policies, by the name a topology, a sweep and the environment give them."""

from __future__ import annotations

from enum import StrEnum

__all__ = ["PolicyName"]


class PolicyName(StrEnum):
    """How a balancer chooses the instance of a request."""

    ROUND_ROBIN = "round_robin"
    """Each in its turn."""
    WEIGHTED_ROUND_ROBIN = "weighted_round_robin"
    """Each in its turn, a heavier one more often, its turns spread out. The only one that heeds weights."""
    LEAST_CONNECTIONS = "least_connections"
    """The one with the fewest attempts in flight."""
    RANDOM = "random"
    """Any, each as likely."""
    POWER_OF_TWO = "power_of_two"
    """The less busy of two drawn at random."""
    PEAK_EWMA = "peak_ewma"
    """Of two drawn at random the one that would answer sooner, by recent times and attempts in flight."""
    CENTRAL_QUEUE = "central_queue"
    """Whichever has room, few at a time each; who comes meanwhile waits in one queue before all of them."""
