"""The less busy of two drawn at random."""

# ruff: noqa: ARG002  (the signature is the policy's)
from __future__ import annotations

from collections.abc import Collection

from services.balancer.instances import Instance
from services.balancer.policies.random_choice import Drawing

__all__ = ["PowerOfTwo"]


class PowerOfTwo(Drawing):
    """Draws two different instances and takes the one with fewer attempts in flight.

    Mitzenmacher, The Power of Two Choices in Randomized Load Balancing (2001): nearly as good as knowing
    the least busy of all, without the herd that follows it when several balancers know it.
    """

    __slots__ = ()

    def choose(self, now: float, tried: Collection[Instance] = ()) -> Instance | None:
        drawn = self.draw_two(tried)
        if drawn is None:
            return None
        one, other = drawn
        return one if one.in_flight <= other.in_flight else other
