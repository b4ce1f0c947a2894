"""What no pipeline with these factors can exceed, as a curve along the axis of a chart."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from lab.measure.factors import topology_of
from lab.names import PlacementName
from lab.theory.bounds import capacity, processor, stations_of, throughput_bound, total_demand
from lab.topology import Topology, TopologyName
from services.work import WorkKind

__all__ = ["Limit", "LimitOf", "latency_limit", "throughput_limit"]

Limit = Callable[[float], float]
"""From a place on the axis to the limit there."""
LimitOf = Callable[[Mapping[str, Any], str], Limit | None]
"""From factors and the axis to the limit along it; None where theory knows none."""


def throughput_limit(factors: Mapping[str, Any], axis: str) -> Limit | None:
    """Requests a second: N/D and 1/Dmax in a closed loop, rate and 1/Dmax in an open one."""
    topology, think_time_s = _known_topology(factors), _think_time_s(factors)
    stations = stations_of(topology) if topology else []
    if topology is None or not total_demand(stations):
        return None
    most = min(capacity(stations), _capacity_of_one_process(factors, topology))
    if axis == "requested_rate":
        return lambda rate: min(most, rate)
    return lambda in_flight: min(most, throughput_bound(stations, in_flight, think_time_s))


def latency_limit(factors: Mapping[str, Any], axis: str) -> Limit | None:
    """The mean response_time in ms: D and N·Dmax − Z in a closed loop, D alone in an open one."""
    topology, think_time_s = _known_topology(factors), _think_time_s(factors)
    stations = stations_of(topology) if topology else []
    demand_s = total_demand(stations)
    if topology is None or not demand_s:
        return None
    if axis == "requested_rate":
        return lambda _: 1000 * demand_s
    most = min(capacity(stations), _capacity_of_one_process(factors, topology))
    return lambda in_flight: 1000 * max(demand_s, in_flight / most - think_time_s)


def _known_topology(factors: Mapping[str, Any]) -> Topology | None:
    """The topology that these factors stand for; None of a service that the lab did not make."""
    return topology_of(factors) if factors["topology"] in set(TopologyName) else None


def _capacity_of_one_process(factors: Mapping[str, Any], topology: Topology) -> float:
    """What one interpreter lock lets through, in requests a second; infinite where nothing shares one."""
    if factors["work"] != WorkKind.CPU or factors["placement"] != PlacementName.IN_PROCESS:
        return math.inf
    return capacity([processor(topology, cores=1)])


def _think_time_s(factors: Mapping[str, Any]) -> float:
    return float(factors["think_time_ms"] or 0) / 1000
