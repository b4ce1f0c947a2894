"""What a combination of factors stands for: a topology, a load, and a cell with a name of its own.

A combination comes from a sweep's grid, or from a row of a result that has the same columns.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from lab.arrivals import Closed, Constant, Load, LoadModel, Poisson
from lab.errors import BadParameter
from lab.measure.columns import Factors
from lab.measure.measurement import Column, Measurement
from lab.names import TopologyName
from lab.topology import Topology
from services.balancer.settings import PolicyName
from services.balancer.tuning import Tuning
from services.names import ClientName, Distribution, ProtocolName, WorkKind
from services.work import Work

__all__ = [
    "DEFAULT_CORPUS",
    "HOW_IT_WAS_MEASURED",
    "Combination",
    "cell_id",
    "corpus_of",
    "factor_columns",
    "load_of",
    "read_tuning",
    "topology_of",
]

Combination = Mapping[str, Any]
"""One level of every factor, by the column's name; None where the factor says nothing beside the others."""
DEFAULT_CORPUS = "pydoc_data.topics"
"""The prose that every Python carries; any other corpus is a path."""
HOW_IT_WAS_MEASURED = ("seed", "duration_s", "warmup_s", "warmup_mode")
"""Factors that say how well a cell was measured, and not what it is."""


def factor_columns() -> tuple[Column, ...]:
    """Return the column of every factor, in the order of the contract."""
    return tuple(column for column in Measurement.columns() if column.group == "factors")


def cell_id(factors: Factors) -> str:
    """Return a short name of the cell, the same in every sweep that has this combination of factors.

    A factor of version 1 enters the hash blank or not, a later one only where it is not blank.
    """
    levels = {column.name: getattr(factors, column.name) for column in factor_columns()}
    hashed = {c.name: levels[c.name] for c in factor_columns() if c.since == 1 or levels[c.name] is not None}
    digest = hashlib.sha256(json.dumps(hashed, sort_keys=True).encode()).hexdigest()
    load = f"c{factors.concurrency}" if factors.concurrency else f"r{factors.requested_rate:g}"
    return f"{factors.topology}-{load}-{digest[:8]}"


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
    if factors.get("tuning"):
        topology = topology.with_tuning(factors["tuning"])
    if factors["client"]:
        topology = topology.with_client(ClientName(factors["client"]))
    return topology.with_work(works).with_protocol(ProtocolName(factors.get("protocol") or ProtocolName.HTTP))


def read_tuning(given: object) -> Tuning:
    """Return a tuning from a mapping, text or None. Raises BadParameter, naming the setting."""
    try:
        return Tuning.read(given)
    except ValueError as error:
        raise BadParameter(str(error)) from None


def load_of(factors: Combination) -> Load:
    """Return the load.

    Raises BadParameter where an open loop lacks its rate or a closed one its concurrency, and for a load that
    changes within a trial.
    """
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
    """Return the path of the corpus called `name`; None for the default one."""
    return None if name in (None, DEFAULT_CORPUS) else name


def _service_times_ms(work_ms: str | None, services: int) -> tuple[float, ...]:
    """Return the mean service time of each service: from one for all, from one for each, or from none."""
    times = tuple(float(part) for part in (work_ms or "0").split(","))
    if len(times) == 1:
        return times * services
    if len(times) != services:
        raise BadParameter(f"work_ms {work_ms} names {len(times)} services, and there are {services}")
    return times
