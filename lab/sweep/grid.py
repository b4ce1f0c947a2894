"""A grid of factors, and the cells it stands for: every combination, less what says nothing there."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from itertools import product
from typing import Any

from lab.arrivals import LoadModel
from lab.measure.columns import Factors
from lab.measure.factors import Combination
from lab.names import TopologyName
from lab.sweep.levels import Level
from services.names import Distribution, ProtocolName, WorkKind

__all__ = ["Grid"]

_OF_AN_OPEN_LOOP = ("requested_rate",)
_OF_A_CLOSED_LOOP = ("concurrency", "think_time_ms")
_OF_BALANCERS = ("policy", "balancer")
_OF_SERVICE_TIMES = ("work_ms", "work_distribution")
_OF_HTTP = ("client",)


@dataclass(frozen=True, slots=True)
class Grid:
    """The levels of each factor. What is not named has no level and is blank in the rows."""

    levels: Mapping[str, tuple[Level, ...]]

    def combinations(self) -> tuple[Combination, ...]:
        """Every combination once, in the order of the contract's columns, the last factor running fastest.

        A factor that says nothing beside the others (a policy without balancers, a concurrency in an open
        loop) is blanked, and combinations that differ in nothing else become one.
        """
        named = [f.name for f in fields(Factors) if f.name in self.levels]
        every = product(*(self.levels[name] for name in named))
        blanked = (_blanked(dict(zip(named, levels, strict=True))) for levels in every)
        return tuple({json.dumps(one): one for one in blanked}.values())

    def idle(self) -> tuple[str, ...]:
        """The factors of which no combination has a level."""
        combinations = self.combinations()
        return tuple(
            name for name, of in self.levels.items() if all(one[name] not in of for one in combinations)
        )


def _blanked(combination: dict[str, Any]) -> Combination:
    for name in _idle_in(combination):
        if name in combination:
            combination[name] = None
    if combination["topology"] == TopologyName.SEQUENTIAL and "replicas" in combination:
        combination["replicas"] = 1
    return combination


def _idle_in(combination: Combination) -> Iterator[str]:
    """What says nothing beside the rest of this combination."""
    yield from _OF_AN_OPEN_LOOP if combination["load_model"] == LoadModel.CLOSED else _OF_A_CLOSED_LOOP
    if combination["topology"] == TopologyName.SEQUENTIAL:
        yield from _OF_BALANCERS
    if combination.get("protocol") == ProtocolName.GRPC:
        yield from _OF_HTTP
    if combination["work"] == WorkKind.TEXT:
        yield from _OF_SERVICE_TIMES
    if combination["work_distribution"] == Distribution.NONE:
        yield "work_ms"
