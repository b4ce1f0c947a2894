"""Choose instances at random: the draws that several policies share, and the policy that only draws."""

# ruff: noqa: ARG002  (the signature is the policy's)
from __future__ import annotations

import random
from collections.abc import Collection

from services.balancer.instances import InstanceState
from services.balancer.policies.policy import Policy

__all__ = ["Random", "RandomChoice"]


class RandomChoice(Policy):
    """Draws from an array of the instances, where the last one fills the place of one that leaves.

    Each object has a random generator of its own: the same seed and calls give the same choices.
    """

    __slots__ = ("_array", "_places", "_random")

    def __init__(self, seed: int = 0) -> None:
        self._random = random.Random(seed).random
        self._array: list[InstanceState] = []
        self._places: dict[InstanceState, int] = {}

    def add(self, instance: InstanceState) -> None:
        if instance not in self._places:
            self._places[instance] = len(self._array)
            self._array.append(instance)

    def remove(self, instance: InstanceState) -> None:
        place = self._places.get(instance)
        if place is not None:
            self._swap(place, len(self._array) - 1)
            self._array.pop()
            del self._places[instance]

    def draw(self, tried: Collection[InstanceState]) -> InstanceState | None:
        """Draw an instance not in `tried`, each as likely; None if there is none."""
        count = self._set_aside(tried) if tried else len(self._array)
        return self._array[int(self._random() * count)] if count else None

    def draw_two(self, tried: Collection[InstanceState]) -> tuple[InstanceState, InstanceState] | None:
        """Draw two different instances not in `tried`, each pair as likely; the only one twice."""
        count = self._set_aside(tried) if tried else len(self._array)
        if count < 2:
            return (self._array[0], self._array[0]) if count else None
        first = int(self._random() * count)
        second = int(self._random() * (count - 1))
        return self._array[first], self._array[second + (second >= first)]

    def _set_aside(self, tried: Collection[InstanceState]) -> int:
        """Move those tried to the end of the array. Return how many come before them."""
        count = len(self._array)
        for instance in tried:
            place = self._places.get(instance)
            if place is not None and place < count:
                count -= 1
                self._swap(place, count)
        return count

    def _swap(self, one: int, other: int) -> None:
        array, places = self._array, self._places
        array[one], array[other] = array[other], array[one]
        places[array[one]], places[array[other]] = one, other


class Random(RandomChoice):
    """The policy `random`, which looks at nothing, and so is the one to compare others with."""

    __slots__ = ()

    def choose(self, now: float, tried: Collection[InstanceState] = ()) -> InstanceState | None:
        return self.draw(tried)
