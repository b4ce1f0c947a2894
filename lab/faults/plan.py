"""Make a plan of what a person sets: the faults, and the topologies they are played on. Then play it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lab.errors import BadParameter
from lab.experiment_events import Listener, TrialEnded
from lab.faults.experiment import load_spec, run_faults, window_s
from lab.faults.fault import Fault, timeline
from lab.faults.injector import require_targets
from lab.faults.report import FaultRun
from lab.measure.percentiles import sample_floor
from lab.placement import BalancerName, PlacementName, start
from lab.progress import follow
from lab.sweep.levels import read_level, read_levels
from lab.sweep.plan import MOST_OFFSET, whole
from lab.theory.model import require_number
from lab.topology import Topology
from lab.trials import made_up_for, most_redone, run_trials, say_who_computes
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
    redo_invalid: bool | int = True
    """How many further runs may make up for those that others spoilt: True stands for a third of all."""

    @property
    def most_redone(self) -> int:
        """How many further runs may make up for those that others spoilt."""
        return most_redone(self.redo_invalid, len(self.balancers))

    @property
    def window_s(self) -> float:
        """How long the load of one run lasts, in seconds."""
        return window_s(self.faults)

    @property
    def expected_s(self) -> float:
        """About how long playing takes, in seconds."""
        return (self.window_s + START_S) * len(self.balancers)

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
    faults: Sequence[str] | str,
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
    redo_invalid: bool | int = True,
) -> FaultPlan:
    """Plan what is to be played, and start nothing; one fault may be given as it is.

    Raises BadParameter, naming what makes no sense, and NotSupported or ProgramMissing for what a balancer
    lacks.
    """
    require_number("rate", rate, "requests a second", zero=False)
    require_number("timeout_s", timeout_s, "seconds", zero=False)
    require_number("work_ms", work_ms, "milliseconds")
    try:
        topology = Topology.parallel(int(read_level("replicas", replicas)))
        topology = topology.with_work(Work(mean_ms=work_ms, slots=2)).with_timeout(timeout_s)
        topology = topology.with_policy(PolicyName(str(read_level("policy", policy))))
        topology = topology.with_client(ClientName(str(read_level("client", client)))).with_tuning(tuning)
        topology = topology.with_protocol(ProtocolName(str(read_level("protocol", protocol))))
        plan = FaultPlan(
            timeline([faults] if isinstance(faults, str) else faults),
            topology.shifted(whole("port_offset", port_offset, 0, MOST_OFFSET)),
            tuple(BalancerName(str(name)) for name in read_levels("balancer", balancers)),
            PlacementName(str(read_level("placement", placement))),
            float(rate),
            redo_invalid,
        )
    except (TypeError, ValueError) as error:
        raise BadParameter(str(error)) from None
    require_targets(plan.topology, plan.faults)
    _ = plan.most_redone  # refuses what it cannot be
    least = sample_floor(0.5)
    if plan.window_s * rate < least:
        raise BadParameter(
            f"rate {rate:g} is too low: in the {plan.window_s:g} s that the faults take it makes "
            f"{plan.window_s * rate:.2g} requests, and a median needs {least}. Take {least} / "
            f"{plan.window_s:g} = {math.ceil(10 * least / plan.window_s) / 10:g} or more"
        )
    load_spec(plan.topology, plan.faults, plan.rate).check()
    for balancer in plan.balancers:
        start(plan.topology, placement=plan.placement, balancer=balancer)  # says what it lacks, and no more
    return plan


def play(plan: FaultPlan, *listeners: Listener) -> tuple[FaultRun, ...]:
    """Play the timeline once behind each balancer, each time on a fresh topology. Raises as `run_faults`.

    A run that others spoilt is played again, as often as the plan allows; the last one counts. The first
    interrupt ends it after the present run, a second one at once; either way the runs that there are are
    returned. `listeners` are told what happens.
    """
    played: dict[BalancerName, FaultRun] = {}
    each_s = plan.expected_s / len(plan.balancers)

    def run_one(balancer: BalancerName) -> str | None:
        begun = course.begin(f"{len(plan.faults)} faults behind {balancer}", each_s, cell_id=str(balancer))
        run = run_faults(
            plan.faults,
            rate=plan.rate,
            topology=plan.topology,
            placement=plan.placement,
            balancer=balancer,
            on_progress=course.on_progress(begun),
        )
        played[balancer] = run
        course.tell(TrialEnded(begun, run.measurement, run))
        return run.measurement.health.invalid_reason

    with follow(plan, len(plan.balancers), plan.expected_s, listeners) as course:
        say_who_computes(made_up_for(plan.most_redone))
        run_trials(plan.balancers, run_one, plan.most_redone, stopping=lambda: course.stopping)
    return tuple(played.values())
