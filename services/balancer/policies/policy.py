"""What every policy is, an index over the instances that may be chosen; and a limit around any policy."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Collection
from typing import Protocol

from services.balancer.instances import InstanceState

__all__ = ["Limited", "Policy"]

# ruff: noqa: ARG002  (what one policy does not need of the common signature, another does)


class Policy(Protocol):
    """A choice of the instance of a request. Pure: it holds no clock, no socket and no unseeded chance.

    Times are seconds on any clock that never runs backwards. Choosing takes O(log n) at most, for n
    instances, and O(k log n) where k of them were tried already: indexes are kept, nothing is scanned.
    """

    __slots__ = ()

    @abstractmethod
    def add(self, instance: InstanceState) -> None:
        """Add an instance, which may be chosen from now on. Adding it twice is adding it once."""

    @abstractmethod
    def remove(self, instance: InstanceState) -> None:
        """Choose the instance no more, though attempts begun there still finish. Ignores unknown ones."""

    @abstractmethod
    def choose(self, now: float, tried: Collection[InstanceState] = ()) -> InstanceState | None:
        """Choose the instance for a request that has been to `tried`. Returns None if there is no other."""

    def started(self, instance: InstanceState, now: float) -> None:
        """Count an attempt that begins: `in_flight` grows by one. Call it at once after `choose`.

        The instance may be one that is not, or no longer, to be chosen.
        """
        instance.in_flight += 1

    def finished(self, instance: InstanceState, now: float, elapsed_s: float | None) -> None:
        """Count an attempt that ended: `in_flight` shrinks by one.

        `elapsed_s` is how long the attempt took; None if it failed or was given up. The instance may be one
        that is not, or no longer, to be chosen.
        """
        instance.in_flight -= 1

    def full(self, instance: InstanceState) -> bool:
        """Return whether the instance has as many attempts in flight as it may have, by a limit."""
        return False

    def saturated(self, tried: Collection[InstanceState] = ()) -> bool:
        """Return whether an instance not in `tried` is passed over only because it is full: waiting helps."""
        return False


class Limited(Policy):
    """A policy around another, which does not see the instances that are full until they have room again.

    A request for which `choose` finds none although `saturated` is true had better wait. So the choice is
    made late, when there is room: around least connections that is one central queue.
    """

    __slots__ = ("_full", "_limit", "_members", "_policy")

    def __init__(self, policy: Policy, limit: int) -> None:
        if limit < 1:
            raise ValueError(
                f"the limit in flight is {limit}: an instance must be allowed one attempt at least"
            )
        self._policy = policy
        self._limit = limit
        self._members: set[InstanceState] = set()
        self._full: set[InstanceState] = set()

    def add(self, instance: InstanceState) -> None:
        self._members.add(instance)
        self._place(instance)

    def remove(self, instance: InstanceState) -> None:
        self._members.discard(instance)
        self._full.discard(instance)
        self._policy.remove(instance)

    def choose(self, now: float, tried: Collection[InstanceState] = ()) -> InstanceState | None:
        return self._policy.choose(now, tried)

    def started(self, instance: InstanceState, now: float) -> None:
        self._policy.started(instance, now)
        if instance.in_flight == self._limit and instance in self._members:
            self._place(instance)

    def finished(self, instance: InstanceState, now: float, elapsed_s: float | None) -> None:
        self._policy.finished(instance, now, elapsed_s)
        if instance.in_flight == self._limit - 1 and instance in self._full:
            self._place(instance)

    def full(self, instance: InstanceState) -> bool:
        return instance.in_flight >= self._limit

    def saturated(self, tried: Collection[InstanceState] = ()) -> bool:
        return len(self._full) > sum(instance in self._full for instance in set(tried))

    def _place(self, instance: InstanceState) -> None:
        if self.full(instance):
            self._full.add(instance)
            self._policy.remove(instance)
        else:
            self._full.discard(instance)
            self._policy.add(instance)
