"""The options of a topology on the command line, as one value that also travels to other shells."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace

from lab.errors import BadParameter
from lab.names import BalancerName, PlacementName, TopologyName
from lab.topology import Topology
from services.balancer.settings import PolicyName
from services.names import ClientName, Distribution, ProtocolName, WorkKind
from services.work import Work

__all__ = ["REPLICAS", "TopologyOptions"]

REPLICAS = 4
"""Instances of each service in the documented parallel topology."""


@dataclass(frozen=True, slots=True)
class TopologyOptions:
    """A documented topology and what is changed about it."""

    topology: TopologyName
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
    balancer: BalancerName = BalancerName.BUILTIN
    protocol: ProtocolName = ProtocolName.HTTP
    tuning: str = ""
    """Settings of the balancers that differ from their defaults, as `Tuning.read` reads them."""

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
        try:
            topology = Topology.named(self.topology, self.replicas).shifted(self.offset)
            topology = topology.with_policy(self.policy, self.seed).with_work(self._work(topology))
            topology = topology.with_client(self.client).with_tuning(self.tuning)
            return topology.with_protocol(self.protocol)
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
