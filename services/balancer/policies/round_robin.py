"""Choose the instances in turn, all alike or each by its weight."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection
from heapq import heapify, heappop, heappush, heapreplace
from math import gcd
from typing import NamedTuple

from services.balancer.instances import InstanceState
from services.balancer.policies.policy import Policy

__all__ = ["RoundRobin", "WeightedRoundRobin"]

# ruff: noqa: ARG002  (the signature is the policy's)


class WeightedRoundRobin(Policy):
    """The policy `weighted_round_robin`, smooth and exact.

    In any window of W choices over a stable set whose weights add up to W, an instance of weight w is chosen
    w times, and its turns lie evenly apart.

    Each instance has its turns at equal distances of 1/w on an axis of virtual time, and the choices are
    all those turns in order (the earliest deadline first, as in Envoy's scheduler). An interval of length 1
    holds w turns of each, wherever it lies, and that is the law. The axis is counted in whole numbers, so no
    rounding disturbs it. Where an instance's first turn falls is spread by the golden ratio (Fibonacci
    hashing, Knuth, The Art of Computer Programming 3, 6.4), so that many light ones do not come in one burst.

    A change of the set costs no other instance its place. One that is passed over because it was tried
    already loses its turn.
    """

    __slots__ = ("_cycle", "_listed", "_members", "_now", "_order", "_turns")

    def __init__(self) -> None:
        self._turns: list[_Turn] = []
        """A heap: the next turn of each listed instance."""
        self._members: set[InstanceState] = set()
        self._listed: set[InstanceState] = set()
        """Members, and removed instances whose turn has not come up yet: they are dropped when it does."""
        self._cycle = _FINENESS
        """The count that 1 of virtual time is: a multiple of every weight seen."""
        self._now = 0
        self._order = 0

    def add(self, instance: InstanceState) -> None:
        self._members.add(instance)
        if instance in self._listed:
            return
        if self._cycle % instance.weight:
            self._refine(instance.weight // gcd(self._cycle, instance.weight))
        distance = self._cycle // instance.weight
        self._order += 1
        first = self._now + ((self._order * _GOLDEN & _MASK) * distance >> _BITS)
        heappush(self._turns, _Turn(first, self._order, instance))
        self._listed.add(instance)

    def remove(self, instance: InstanceState) -> None:
        self._members.discard(instance)
        if len(self._listed) > 2 * len(self._members) + _STALE:
            self._turns = [turn for turn in self._turns if turn.instance in self._members]
            heapify(self._turns)
            self._listed = set(self._members)

    def choose(self, now: float, tried: Collection[InstanceState] = ()) -> InstanceState | None:
        turns, members, cycle = self._turns, self._members, self._cycle
        passed_over = []
        chosen = None
        while turns and chosen is None:
            at, order, instance = turns[0]
            if instance not in members:
                heappop(turns)
                self._listed.discard(instance)
                continue
            following = _Turn(at + cycle // instance.weight, order, instance)
            if instance in tried:
                heappop(turns)
                passed_over.append(following)
            else:
                heapreplace(turns, following)
                self._now = at
                chosen = instance
        for turn in passed_over:
            heappush(turns, turn)
        return chosen

    def _refine(self, factor: int) -> None:
        """Count virtual time in units `factor` times smaller. The order of turns, and so the heap, stays."""
        self._cycle *= factor
        self._now *= factor
        self._turns = [turn._replace(at=turn.at * factor) for turn in self._turns]


class _Turn(NamedTuple):
    at: int
    order: int
    instance: InstanceState


_FINENESS = 1 << 16
_BITS = 32
_MASK = (1 << _BITS) - 1
_GOLDEN = 2654435769
"""2^32 divided by the golden ratio."""
_STALE = 64


class RoundRobin(Policy):
    """The policy `round_robin`: each instance in turn, a new one last. Weights do not count.

    In any window over a stable set, no instance is chosen more than once more often than another. One that
    is passed over because it was tried already loses its turn.
    """

    __slots__ = ("_turns",)

    def __init__(self) -> None:
        # The first has waited longest. A dict would do but for the holes that taking from its front leaves.
        self._turns: OrderedDict[InstanceState, None] = OrderedDict()

    def add(self, instance: InstanceState) -> None:
        self._turns.setdefault(instance)

    def remove(self, instance: InstanceState) -> None:
        self._turns.pop(instance, None)

    def choose(self, now: float, tried: Collection[InstanceState] = ()) -> InstanceState | None:
        turns = self._turns
        passed_over = 0
        while passed_over < len(turns):
            instance = next(iter(turns))
            turns.move_to_end(instance)
            if instance not in tried:
                return instance
            passed_over += 1
        return None
