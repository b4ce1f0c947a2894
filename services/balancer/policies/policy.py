"""What every policy is: an index over the instances that may be chosen."""

# ruff: noqa: ARG002  (what one policy does not need of the common signature, another does)
from __future__ import annotations

from abc import abstractmethod
from collections.abc import Collection
from typing import Protocol

from services.balancer.instances import Instance

__all__ = ["Policy"]


class Policy(Protocol):
    """Chooses the instance of a request. Pure: it holds no clock, no socket and no unseeded chance.

    Times are seconds on any clock that never runs backwards. Choosing takes O(log n) at most, for n
    instances, and O(k log n) where k of them were tried already: indexes are kept, nothing is scanned.
    """

    __slots__ = ()

    @abstractmethod
    def add(self, instance: Instance) -> None:
        """From now on this instance may be chosen. Adding it twice is adding it once."""

    @abstractmethod
    def remove(self, instance: Instance) -> None:
        """From now on it may not, though attempts begun there still finish. Unknown instances are ignored."""

    @abstractmethod
    def choose(self, now: float, tried: Collection[Instance] = ()) -> Instance | None:
        """The instance for a request that has been to `tried` already; None if no other may be chosen."""

    def started(self, instance: Instance, now: float) -> None:
        """An attempt begins there: `in_flight` grows by one. To be called at once after `choose`.

        It may be told of instances that are not, or no longer, to be chosen.
        """
        instance.in_flight += 1

    def finished(self, instance: Instance, now: float, elapsed_s: float | None) -> None:
        """An attempt ended: `in_flight` shrinks by one. `elapsed_s` is None if it failed or was given up.

        It may be told of instances that are not, or no longer, to be chosen.
        """
        instance.in_flight -= 1

    def full(self, instance: Instance) -> bool:
        """Whether it has as many attempts in flight as it may have. Only a limit makes it so."""
        return False

    def saturated(self, tried: Collection[Instance] = ()) -> bool:
        """Whether some instance not in `tried` is passed over only because it is full: so waiting helps."""
        return False
