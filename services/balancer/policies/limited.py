"""At most so many attempts at once to each instance."""

from __future__ import annotations

from collections.abc import Collection

from services.balancer.instances import Instance
from services.balancer.policies.policy import Policy

__all__ = ["Limited"]


class Limited(Policy):
    """Another policy that does not see the instances that are full, until they have room again.

    A request for which `choose` finds none although `saturated` is true had better wait. So the choice is
    made late, when there is room: over least connections that is one central queue.
    """

    __slots__ = ("_full", "_limit", "_members", "_policy")

    def __init__(self, policy: Policy, limit: int) -> None:
        if limit < 1:
            raise ValueError(
                f"the limit in flight is {limit}: an instance must be allowed one attempt at least"
            )
        self._policy = policy
        self._limit = limit
        self._members: set[Instance] = set()
        self._full: set[Instance] = set()

    def add(self, instance: Instance) -> None:
        self._members.add(instance)
        self._place(instance)

    def remove(self, instance: Instance) -> None:
        self._members.discard(instance)
        self._full.discard(instance)
        self._policy.remove(instance)

    def choose(self, now: float, tried: Collection[Instance] = ()) -> Instance | None:
        return self._policy.choose(now, tried)

    def started(self, instance: Instance, now: float) -> None:
        self._policy.started(instance, now)
        if instance.in_flight == self._limit and instance in self._members:
            self._place(instance)

    def finished(self, instance: Instance, now: float, elapsed_s: float | None) -> None:
        self._policy.finished(instance, now, elapsed_s)
        if instance.in_flight == self._limit - 1 and instance in self._full:
            self._place(instance)

    def full(self, instance: Instance) -> bool:
        return instance.in_flight >= self._limit

    def saturated(self, tried: Collection[Instance] = ()) -> bool:
        return len(self._full) > sum(instance in self._full for instance in set(tried))

    def _place(self, instance: Instance) -> None:
        if self.full(instance):
            self._full.add(instance)
            self._policy.remove(instance)
        else:
            self._full.discard(instance)
            self._policy.add(instance)
