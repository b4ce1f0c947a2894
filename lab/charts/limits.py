"""What no pipeline with these factors can exceed, as a curve along the axis of a chart."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from lab.placement.names import PlacementName
from lab.sweep.building import topology_of
from lab.theory.bounds import (
    Station,
    capacity,
    processor,
    response_time_bound,
    stations_of,
    throughput_bound,
    total_demand,
)
from services.work import WorkKind

__all__ = ["Limit", "latency_limit", "throughput_limit"]

Limit = Callable[[Mapping[str, Any], str, float], float | None]
"""From factors, the axis and a place on it to a limit; None where theory knows none."""


def throughput_limit(factors: Mapping[str, Any], axis: str, x: float) -> float | None:
    """Requests a second: N/D and 1/Dmax in a closed loop, rate and 1/Dmax in an open one."""
    stations = _stations(factors)
    if stations is None:
        return None
    most = min(capacity(stations), _capacity_of_one_process(factors))
    return min(most, x if axis == "requested_rate" else throughput_bound(stations, x, _think_time_s(factors)))


def latency_limit(factors: Mapping[str, Any], axis: str, x: float) -> float | None:
    """The mean response_time in ms: D and N·Dmax − Z in a closed loop, D alone in an open one."""
    stations = _stations(factors)
    if stations is None:
        return None
    if axis == "requested_rate":
        return 1000 * total_demand(stations)
    think_time_s = _think_time_s(factors)
    in_one_process_s = x / _capacity_of_one_process(factors) - think_time_s
    return 1000 * max(response_time_bound(stations, x, think_time_s), in_one_process_s)


def _stations(factors: Mapping[str, Any]) -> list[Station] | None:
    stations = stations_of(topology_of(factors))
    return stations if total_demand(stations) > 0 else None


def _capacity_of_one_process(factors: Mapping[str, Any]) -> float:
    """What one interpreter lock lets through, in requests a second; infinite where nothing shares one."""
    if factors["work"] != WorkKind.CPU or factors["placement"] != PlacementName.IN_PROCESS:
        return math.inf
    return capacity([processor(topology_of(factors), cores=1)])


def _think_time_s(factors: Mapping[str, Any]) -> float:
    return float(factors["think_time_ms"] or 0) / 1000
