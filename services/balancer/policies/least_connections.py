"""Choose the instance with the fewest attempts in flight."""

# ruff: noqa: ARG002  (the signature is the policy's)
from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection
from heapq import heappop, heappush

from services.balancer.instances import InstanceState
from services.balancer.policies.policy import Policy

__all__ = ["LeastConnections"]


class LeastConnections(Policy):
    """The policy `least_connections`: the instance with the fewest attempts in flight.

    Among equals it takes the one that has been equal longest, so that idle instances take turns. Instances
    lie in buckets by their load; a heap holds the loads that have a bucket.
    """

    __slots__ = ("_buckets", "_loads")

    def __init__(self) -> None:
        self._buckets: dict[int, OrderedDict[InstanceState, None]] = {}
        self._loads: list[int] = []

    def add(self, instance: InstanceState) -> None:
        load = instance.in_flight
        bucket = self._buckets.get(load)
        if bucket is None:
            bucket = self._buckets[load] = OrderedDict()
            heappush(self._loads, load)
        bucket.setdefault(instance)

    def remove(self, instance: InstanceState) -> None:
        bucket = self._buckets.get(instance.in_flight)
        if bucket is not None:
            bucket.pop(instance, None)

    def choose(self, now: float, tried: Collection[InstanceState] = ()) -> InstanceState | None:
        if not tried:
            return self._least()
        aside = [instance for instance in tried if instance in self._buckets.get(instance.in_flight, ())]
        for instance in aside:
            self.remove(instance)
        chosen = self._least()
        for instance in aside:
            self.add(instance)
        return chosen

    def started(self, instance: InstanceState, now: float) -> None:
        self._move(instance, 1)

    def finished(self, instance: InstanceState, now: float, elapsed_s: float | None) -> None:
        self._move(instance, -1)

    def _move(self, instance: InstanceState, change: int) -> None:
        bucket = self._buckets.get(instance.in_flight)
        instance.in_flight += change
        if bucket is not None and instance in bucket:
            del bucket[instance]
            self.add(instance)

    def _least(self) -> InstanceState | None:
        loads, buckets = self._loads, self._buckets
        while loads:
            bucket = buckets[loads[0]]
            if bucket:
                return next(iter(bucket))
            del buckets[heappop(loads)]
        return None
