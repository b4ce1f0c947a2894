"""Make a plan of what a person sets: the faults, and the topologies they are played on. Then play it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lab.errors import BadParameter
from lab.faults.experiment import SETTLE_S, run_faults
from lab.faults.fault import Fault, timeline
from lab.faults.injector import require_targets
from lab.faults.report import FaultRun
from lab.placement import BalancerName, PlacementName, start
from lab.topology import Topology
from services.names import ClientName, PolicyName, ProtocolName
from services.work import Work

__all__ = ["FaultPlan", "plan_faults", "play"]


@dataclass(frozen=True, slots=True)
class FaultPlan:
    """Faults to be played on one topology, behind each balancer in turn."""

    faults: tuple[Fault, ...]
    topology: Topology
    balancers: tuple[BalancerName, ...]
    placement: PlacementName
    rate: float

    @property
    def expected_s(self) -> float:
        """About how long playing takes, in seconds."""
        once = max((fault.end_s for fault in self.faults), default=0.0) + SETTLE_S + START_S
        return once * len(self.balancers)

    def __str__(self) -> str:
        faults = "\n".join(f"- {fault}" for fault in self.faults)
        behind = ", then ".join(self.balancers)
        first = self.topology.services[0].balancer
        tuned = f", tuning {first.tuning}" if first and first.tuning else ""
        return f"{faults}\n\nat {self.rate:g} req/s, behind {behind}{tuned}: about {self.expected_s:.0f} s"

    def _repr_markdown_(self) -> str:
        return str(self)


START_S = 1.0


def plan_faults(
    faults: Sequence[str],
    *,
    rate: float = 30.0,
    replicas: int = 4,
    work_ms: float = 20.0,
    timeout_s: float = 0.5,
    policy: str = PolicyName.ROUND_ROBIN,
    client: str = ClientName.WIRE,
    protocol: str = ProtocolName.HTTP,
    placement: str = PlacementName.IN_PROCESS,
    balancers: Sequence[str] | str = (BalancerName.BUILTIN,),
    port_offset: int = 0,
    tuning: Mapping[str, object] | str | None = None,
) -> FaultPlan:
    """Plan what is to be played, and start nothing.

    Raises BadParameter, naming what makes no sense, and NotSupported or ProgramMissing for what a balancer
    lacks.
    """
    names = [balancers] if isinstance(balancers, str) else balancers
    try:
        work = Work(mean_ms=work_ms, slots=2)
        topology = Topology.parallel(replicas).with_work(work).with_policy(PolicyName(policy))
        topology = topology.with_client(ClientName(client)).with_timeout(timeout_s)
        topology = topology.with_tuning(tuning).with_protocol(ProtocolName(protocol))
        plan = FaultPlan(
            timeline(faults),
            topology.shifted(port_offset),
            tuple(BalancerName(name) for name in names),
            PlacementName(placement),
            float(rate),
        )
    except (TypeError, ValueError) as error:
        raise BadParameter(str(error)) from None
    require_targets(plan.topology, plan.faults)
    if not (plan.balancers and rate > 0 and timeout_s > 0):
        raise BadParameter("it takes a balancer, and a rate and timeout_s above 0: give all three")
    for balancer in plan.balancers:
        start(plan.topology, placement=plan.placement, balancer=balancer)  # says what it lacks, and no more
    return plan


def play(plan: FaultPlan) -> tuple[FaultRun, ...]:
    """Play the timeline once behind each balancer, each time on a fresh topology. Raises as `run_faults`."""
    return tuple(
        run_faults(
            plan.faults,
            rate=plan.rate,
            topology=plan.topology,
            placement=plan.placement,
            balancer=balancer,
        )
        for balancer in plan.balancers
    )
