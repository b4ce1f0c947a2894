"""Asymptotic bounds of a closed pipeline: at most N/D and 1/Dmax, whatever the distribution and the policy.

J. P. Buzen and P. J. Denning's operational laws; see Lazowska et al., Quantitative System Performance, ch. 5.
Times are in seconds, rates per second.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from lab.topology import Topology
from services.names import WorkKind

__all__ = [
    "Station",
    "capacity",
    "capacity_on",
    "knee",
    "processor",
    "response_time_bound",
    "scaling_bound",
    "stations_of",
    "throughput_bound",
    "total_demand",
]


@dataclass(frozen=True, slots=True)
class Station:
    """One queue and the servers that share it.

    `demand_s` is what an average request needs of the servers in all: the service time, times the share of
    requests that come here.
    """

    demand_s: float
    servers: int = 1


def stations_of(topology: Topology) -> list[Station]:
    """Make a station of each instance; balancers spread requests evenly.

    Its servers are its slots, or as many of them as its balancer ever gives work at once.

    The text's own processing counts as nothing: under `text` work every demand is 0.
    """
    return [
        Station(
            service.work.mean_s / len(service.instances),
            min(service.work.slots, service.in_flight_limit or service.work.slots),
        )
        for service in topology.services
        for _ in service.instances
    ]


def processor(topology: Topology, cores: int) -> Station:
    """Make one more station of the machine's cores, with the `cpu` work of all services as its demand.

    This station limits the throughput only: its demand is the instances' own over again, so leave it out of
    N/D.
    """
    burnt = sum(service.work.mean_s for service in topology.services if service.work.kind is WorkKind.CPU)
    return Station(burnt, cores)


def total_demand(stations: Sequence[Station]) -> float:
    """Compute D, the response time in seconds of a request that never queues."""
    return math.fsum(station.demand_s for station in stations)


def capacity(stations: Sequence[Station]) -> float:
    """Compute 1/Dmax, the requests a second that keep the busiest station busy; infinite without demand."""
    return min((s.servers / s.demand_s for s in stations if s.demand_s > 0), default=math.inf)


def capacity_on(topology: Topology, cores: float) -> float:
    """Compute the most requests a second on `cores` cores where every instance is a process of its own.

    Infinite where no service takes time. The cost of hops is left out.
    """
    return min(capacity(stations_of(topology)), cores * capacity([processor(topology, cores=1)]))


def scaling_bound(before: Topology, after: Topology, cores: float) -> float:
    """Compute how many times the capacity of `before` that of `after` can be, each instance a process.

    With one slot an instance and `cpu` work on C cores, four instances a service after one: min(16, C) /
    min(4, C) with the same work in all four services, min(4, C) with work in one only. Not a number where
    neither takes time.
    """
    limits = capacity_on(after, cores), capacity_on(before, cores)
    return math.nan if math.isinf(min(limits)) else limits[0] / limits[1]


def knee(stations: Sequence[Station], think_time_s: float = 0.0) -> float:
    """Compute N*, the concurrency at which the two bounds meet: above it some requests must queue."""
    demand = total_demand(stations)
    return capacity(stations) * (demand + think_time_s) if demand else math.inf


def throughput_bound(stations: Sequence[Station], concurrency: float, think_time_s: float = 0.0) -> float:
    """Compute the most requests a second at a closed-loop concurrency N: min(N / (D + Z), 1/Dmax)."""
    turn = total_demand(stations) + think_time_s
    return min(concurrency / turn if turn else math.inf, capacity(stations))


def response_time_bound(stations: Sequence[Station], concurrency: float, think_time_s: float = 0.0) -> float:
    """Compute the least mean response time in seconds at a closed-loop concurrency N: max(D, N·Dmax − Z)."""
    return max(total_demand(stations), concurrency / capacity(stations) - think_time_s)
