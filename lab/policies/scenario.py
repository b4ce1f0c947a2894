"""What makes a choice of instance matter: one that is slow, or requests of very unlike sizes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

from lab.theory.model import Stage, stages_of
from lab.topology import Balancer, Instance, Service, Topology
from services.names import PolicyName
from services.work import Distribution, Work

__all__ = ["SLOWDOWN", "Scenario", "Setting"]

SLOWDOWN = 4.0
"""How many times as long the slow instance takes."""
_REPLICAS = 4
_PORTS = (8054, 8066, 8068, 8070)


class Scenario(StrEnum):
    """What is unlike."""

    ONE_SLOW = "one instance 4× slower"
    """Service times are exponential. Weighted round robin is told: the slow one weighs a quarter."""
    HEAVY_TAILED = "heavy-tailed service times"
    """Lognormal: one request in a hundred takes some six times the mean."""


@dataclass(frozen=True, slots=True)
class Setting:
    """One scenario, made concrete. The service is the pipeline's last, alone behind its balancer, so that
    nothing else blurs what the choice does."""

    scenario: Scenario
    work_ms: float
    utilization: float
    """Of all instances together: the arrival rate as a part of what they could do."""
    seed: int = 1

    def topology(self, policy: PolicyName) -> Topology:
        """What is measured, on the documented ports of service4."""
        slow = self.scenario is Scenario.ONE_SLOW
        distribution = Distribution.EXPONENTIAL if slow else Distribution.LOGNORMAL
        instances = tuple(
            Instance(f"service4{letter}", port, weight=1 if letter == "a" or not slow else round(SLOWDOWN))
            for letter, port in zip("abcd", _PORTS, strict=True)
        )
        service = Service(
            "service4",
            "/report",
            instances,
            Balancer("service4-loadbalancer", 8064, policy=policy),
            Work(mean_ms=self.work_ms, distribution=distribution, seed=self.seed, queue_limit=1000),
            faults=slow,
        )
        return Topology(str(self.scenario), (service,))

    def stage(self, policy: PolicyName) -> Stage:
        """The same for the simulation."""
        (stage,) = stages_of(self.topology(policy))
        return replace(stage, speeds=(1 / SLOWDOWN,)) if self.scenario is Scenario.ONE_SLOW else stage

    @property
    def slow_instance(self) -> str | None:
        """The one that is slower, by name."""
        return "service4a" if self.scenario is Scenario.ONE_SLOW else None

    @property
    def rate(self) -> float:
        """Arrivals a second."""
        return self.utilization * self.stage(PolicyName.ROUND_ROBIN).capacity_rps
