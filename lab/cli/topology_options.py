"""The options of a topology on the command line, as one value that also travels to other shells.

A topology is a documented one, by its name, or a pipeline file of one's own, by its path.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING

from lab.errors import BadParameter
from lab.names import BalancerName, PlacementName, TopologyName
from lab.topology import Topology
from services.balancer.settings import PolicyName
from services.names import ClientName, Distribution, ProtocolName, WorkKind, nearest
from services.work import Work

if TYPE_CHECKING:
    from lab.pipeline import Pipeline

__all__ = ["REPLICAS", "TopologyOptions", "is_file", "read_topology"]

REPLICAS = 4
"""Instances of each service in the documented parallel topology."""


@dataclass(frozen=True, slots=True)
class TopologyOptions:
    """A documented topology, or a pipeline file's, and what is changed about it."""

    topology: str
    """Its name, or the absolute path of the file."""
    replicas: int = REPLICAS
    policy: PolicyName = PolicyName.ROUND_ROBIN
    client: ClientName = ClientName.WIRE
    work: WorkKind = WorkKind.IO
    work_ms: tuple[float, ...] = (40.0,)
    """One mean service time in ms for all services, or one for each."""
    work_distribution: Distribution = Distribution.CONSTANT
    slots: int = 1
    seed: int = 0
    offset: int = 0
    """Added to every documented port."""
    placement: PlacementName = PlacementName.IN_PROCESS
    """Programs of one's own run in processes, whatever this says."""
    balancer: BalancerName = BalancerName.BUILTIN
    protocol: ProtocolName = ProtocolName.HTTP
    tuning: str = ""
    """Settings of the balancers that differ from their defaults, as `Tuning.read` reads them."""

    @property
    def name(self) -> str:
        """The name of the topology; of a pipeline file, its own without folder and ending."""
        return Path(self.topology).stem if is_file(self.topology) else self.topology

    @property
    def pipeline(self) -> Pipeline | None:
        """The pipeline that the file describes, read anew; None for a documented topology."""
        if not is_file(self.topology):
            return None
        from lab.pipeline import read_pipeline  # pydantic's models take a while

        return read_pipeline(self.topology)

    def arguments(self) -> list[str]:
        """Return the words of a command line that gives these options: only what differs from a default."""
        words = [str(self.topology)]
        for option in fields(self)[1:]:
            value = getattr(self, option.name)
            if value == option.default:
                continue
            text = ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
            words += [f"--{option.name.replace('_', '-')}", text]
        return words

    def build(self) -> Topology:
        """Return the topology. Raises BadParameter for values that make none."""
        if is_file(self.topology):
            return self._build_own()
        try:
            topology = Topology.named(TopologyName(self.topology), self.replicas).shifted(self.offset)
            topology = topology.with_policy(self.policy, self.seed).with_work(self._work(topology))
            topology = topology.with_client(self.client).with_tuning(self.tuning)
            return topology.with_protocol(self.protocol)
        except ValueError as error:
            raise BadParameter(str(error)) from None

    def _build_own(self) -> Topology:
        from lab.pipeline.wiring import topology_of

        given = [name for name in _OF_THE_LABS if getattr(self, name) != _DEFAULTS[name]]
        if given:
            options = ", ".join(f"--{name.replace('_', '-')}" for name in given)
            raise BadParameter(
                f"{options} set the lab's own services, and {self.name} has others: leave it out"
            )
        if self.replicas != REPLICAS:
            raise BadParameter("--replicas is for parallel: a pipeline file says `replicas` of each service")
        pipeline = self.pipeline
        assert pipeline is not None
        topology = topology_of(pipeline).shifted(self.offset)
        try:
            if self.policy is not PolicyName.ROUND_ROBIN or self.seed:
                topology = topology.with_policy(self.policy, self.seed)
            return topology.with_tuning(self.tuning) if self.tuning else topology
        except ValueError as error:
            raise BadParameter(str(error)) from None

    def _work(self, topology: Topology) -> dict[str, Work]:
        names = [service.name for service in topology.services]
        if len(self.work_ms) not in (1, len(names)):
            raise BadParameter(
                f"--work-ms has {len(self.work_ms)} numbers: give one for all services, or {len(names)}"
            )
        for mean_ms in self.work_ms:
            if not (math.isfinite(mean_ms) and mean_ms >= 0):
                raise BadParameter(f"--work-ms has {mean_ms:g}: a service time is 0 ms or more")
        every = Work(self.work, self.work_ms[0], self.work_distribution, self.slots, seed=self.seed)
        means = self.work_ms * len(names) if len(self.work_ms) == 1 else self.work_ms
        return {name: replace(every, mean_ms=mean) for name, mean in zip(names, means, strict=True)}


_OF_THE_LABS = ("client", "work", "work_ms", "work_distribution", "slots", "protocol")
"""Options of the lab's own services."""
_DEFAULTS = {option.name: option.default for option in fields(TopologyOptions)}


def is_file(topology: str) -> bool:
    """Tell whether this names a pipeline file: by its ending, or by a slash where there is no scheme."""
    return topology.endswith((".yml", ".yaml", ".json")) or ("/" in topology and "://" not in topology)


def read_topology(text: str) -> str:
    """Return a documented topology's name as it is, and a file's as an absolute path.

    Raises BadParameter with the nearest name for any other text.
    """
    if is_file(text):
        return str(Path(text).absolute())
    if text in tuple(TopologyName):
        return text
    near = nearest(text, TopologyName)
    hint = (
        f"did you mean {near}?"
        if near
        else f"give {' or '.join(TopologyName)}, or a pipeline file (shop.yml)"
    )
    raise BadParameter(f"there is no topology {text!r}: {hint}; see `lab up --help`")
