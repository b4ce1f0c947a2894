"""Each in its turn."""

# ruff: noqa: ARG002  (the signature is the policy's)
from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection

from services.balancer.instances import Instance
from services.balancer.policies.policy import Policy

__all__ = ["RoundRobin"]


class RoundRobin(Policy):
    """Every instance in turn; a new one comes last. Weights say nothing.

    In any window over a stable set, no instance is chosen more than once more often than another. One that
    is passed over because it was tried already loses its turn.
    """

    __slots__ = ("_turns",)

    def __init__(self) -> None:
        # The first has waited longest. A dict would do but for the holes that taking from its front leaves.
        self._turns: OrderedDict[Instance, None] = OrderedDict()

    def add(self, instance: Instance) -> None:
        self._turns.setdefault(instance)

    def remove(self, instance: Instance) -> None:
        self._turns.pop(instance, None)

    def choose(self, now: float, tried: Collection[Instance] = ()) -> Instance | None:
        turns = self._turns
        passed_over = 0
        while passed_over < len(turns):
            instance = next(iter(turns))
            turns.move_to_end(instance)
            if instance not in tried:
                return instance
            passed_over += 1
        return None
