"""From a combination of factors, or a row that has them, to the topology and the load that they stand for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lab.arrivals import Closed, Constant, Load, LoadModel, Poisson
from lab.errors import BadParameter
from lab.names import TopologyName
from lab.topology import Topology
from services.balancer.settings import PolicyName
from services.names import ClientName, Distribution, ProtocolName, WorkKind
from services.work import Work

__all__ = ["DEFAULT_CORPUS", "Combination", "corpus_of", "load_of", "topology_of"]

Combination = Mapping[str, Any]
"""One level of every factor, by the column's name; None where the factor says nothing beside the others."""
DEFAULT_CORPUS = "pydoc_data.topics"
"""The prose that every Python carries; any other corpus is a path."""


def topology_of(factors: Combination, seed: int = 0) -> Topology:
    """Return the topology, on the documented ports. Random service times and policies draw from `seed`."""
    topology = Topology.named(TopologyName(factors["topology"]), factors["replicas"] or 1)
    times_ms = _service_times_ms(factors["work_ms"], len(topology.services))
    kind = WorkKind(factors["work"])
    distribution = Distribution(factors["work_distribution"] or Distribution.NONE)
    works = {
        service.name: Work(kind, mean_ms, distribution, factors["slots"], seed=seed)
        for service, mean_ms in zip(topology.services, times_ms, strict=True)
    }
    if factors["policy"]:
        topology = topology.with_policy(PolicyName(factors["policy"]), seed)
    if factors["client"]:
        topology = topology.with_client(ClientName(factors["client"]))
    return topology.with_work(works).with_protocol(ProtocolName(factors.get("protocol") or ProtocolName.HTTP))


def load_of(factors: Combination) -> Load:
    """The load. Raises BadParameter where an open loop lacks its rate, or a closed one its concurrency."""
    model = LoadModel(factors["load_model"])
    wanted = "concurrency" if model is LoadModel.CLOSED else "requested_rate"
    amount = factors.get(wanted)
    if amount is None:
        raise BadParameter(f"load_model {model} needs a {wanted}: give one, or a list")
    match model:
        case LoadModel.CLOSED:
            return Closed(amount, (factors["think_time_ms"] or 0) / 1000)
        case LoadModel.CONSTANT:
            return Constant(amount)
        case LoadModel.POISSON:
            return Poisson(amount)
    raise BadParameter(f"load_model {model} changes within a trial: a sweep drives each trial at one rate")


def corpus_of(name: str | None) -> str | None:
    """The path of the corpus of that name; None for the default one."""
    return None if name in (None, DEFAULT_CORPUS) else name


def _service_times_ms(work_ms: str | None, services: int) -> tuple[float, ...]:
    """The mean service time of each service, from one for all, from one for each, or from none."""
    times = tuple(float(part) for part in (work_ms or "0").split(","))
    if len(times) == 1:
        return times * services
    if len(times) != services:
        raise BadParameter(f"work_ms {work_ms} names {len(times)} services, and there are {services}")
    return times
