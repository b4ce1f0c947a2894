"""Compare policies in scenarios where the choice of an instance matters, on the same arrivals.

Each policy is measured under load and simulated at length: with one slow instance, and with requests of very
unlike sizes.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

import numpy as np

from lab.arrivals import Poisson
from lab.errors import BadParameter
from lab.experiment_events import Listener, TrialEnded
from lab.faults.fault import Fault, FaultKind
from lab.faults.injector import begin
from lab.load.result import LoadResult, Progress
from lab.load.run import run
from lab.load.spec import LoadSpec
from lab.measure.disturbance import DisturbanceSource
from lab.measure.factors import read_tuning
from lab.measure.machine_watch import Contention, MachineWatch
from lab.measure.measurement import Measurement
from lab.measure.percentiles import sample_floor, too_short_for
from lab.measure.row import Servers, Trial, factors_of, measure
from lab.measure.statistics import Interval, batch_means, mean_interval
from lab.measure.validity import InvalidReason
from lab.placement import start
from lab.progress import follow
from lab.sweep.levels import read_level, read_levels
from lab.sweep.plan import MOST_OFFSET, whole
from lab.theory.model import Stage, require_number, require_whole, stages_of
from lab.theory.simulator import Simulated, simulate
from lab.topology import Balancer, Instance, Service, Topology
from lab.trials import made_up_for, most_redone, run_trials, say_who_computes
from services.balancer.tuning import Tuning
from services.documented import DOCUMENTED, balancer_name
from services.names import Distribution, PolicyName
from services.work import Work

__all__ = [
    "SLOWDOWN",
    "PolicyComparison",
    "PolicyResult",
    "Scenario",
    "Setting",
    "compare_policies",
    "plan_comparison",
]

SLOWDOWN = 4.0
"""Factor on the service times of the slow instance."""
_SERVICE = DOCUMENTED[-1]
_SLOW = _SERVICE.instances[0][0]


class Scenario(StrEnum):
    """What makes the choice matter."""

    ONE_SLOW = "one instance 4× slower"
    """Service times are exponential. Weighted round robin is told: the slow one weighs a quarter."""
    HEAVY_TAILED = "heavy-tailed service times"
    """Lognormal: one request in a hundred takes some six times the mean."""


@dataclass(frozen=True, slots=True)
class Setting:
    """One scenario, made concrete.

    The service is the pipeline's last, alone behind its balancer, so that nothing else blurs the effect.
    """

    scenario: Scenario
    work_ms: float
    utilization: float
    """The arrival rate as a part of what all instances together could do."""
    seed: int = 1
    tuning: Tuning = field(default_factory=Tuning)
    """What differs from the balancer's own settings."""

    def topology(self, policy: PolicyName) -> Topology:
        """Return the topology to measure, on the documented ports of service4."""
        slow = self.scenario is Scenario.ONE_SLOW
        distribution = Distribution.EXPONENTIAL if slow else Distribution.LOGNORMAL
        instances = tuple(
            Instance(name, port, weight=1 if name == _SLOW or not slow else round(SLOWDOWN))
            for name, port in _SERVICE.instances
        )
        name, port = balancer_name(_SERVICE.name), _SERVICE.balancer_port
        service = Service(
            _SERVICE.name,
            _SERVICE.path,
            instances,
            Balancer(name, port, policy=policy, seed=self.seed, tuning=self.tuning),
            Work(mean_ms=self.work_ms, distribution=distribution, seed=self.seed, queue_limit=1000),
            faults=slow,
        )
        return Topology(str(self.scenario), (service,))

    def stage(self, policy: PolicyName) -> Stage:
        """Return the stage to simulate."""
        (stage,) = stages_of(self.topology(policy))
        return replace(stage, speeds=(1 / SLOWDOWN,)) if self.scenario is Scenario.ONE_SLOW else stage

    @property
    def slow_instance(self) -> str | None:
        """Name of the slower instance; None where there is none."""
        return _SLOW if self.scenario is Scenario.ONE_SLOW else None

    @property
    def rate(self) -> float:
        """Arrivals a second."""
        return self.utilization * self.stage(PolicyName.ROUND_ROBIN).capacity_rps


EXEMPT = frozenset({InvalidReason.NOT_STEADY, InvalidReason.LITTLES_LAW})
"""Reasons that a long queue brings about in a short window: the interval by batch means allows for it."""
WARMUP_S = 1.0
SIMULATED_WARMUP = 10_000
_BODY = json.dumps(
    {"analysis": {"word_count": 1, "top_words": [["a", 1]], "unique_words": 1}, "request_id": "r"}
).encode()


@dataclass(frozen=True, slots=True)
class PolicyResult:
    """How one policy did in one scenario. Times are in ms, None where there are too few answers."""

    scenario: Scenario
    policy: PolicyName
    measured: Interval
    """The mean response_time with its 95 % interval by batch means."""
    measured_p95_ms: float | None
    simulated_ms: float
    """The mean response_time of a long run."""
    simulated_p95_ms: float
    share_of_first: float
    """Part of the measured requests that went to the first instance: the slow one, if there is one."""
    answers: int
    failed: int
    invalid_reason: str | None = None
    """Why the measured times cannot be believed; None where they can."""

    @property
    def counts(self) -> bool:
        """Whether the measured times can be believed, and there is an interval of their mean."""
        return self.invalid_reason is None and self.measured.known


@dataclass(frozen=True, slots=True)
class PolicyComparison:
    """The policies and settings to compare."""

    settings: tuple[Setting, ...]
    policies: tuple[PolicyName, ...]
    duration_s: float
    simulated_requests: int
    port_offset: int = 0
    redo_invalid: bool | int = True
    """How many further runs may make up for those that others spoilt: True stands for a third of all."""

    @property
    def most_redone(self) -> int:
        """How many further runs may make up for those that others spoilt."""
        return most_redone(self.redo_invalid, len(self.settings) * len(self.policies))

    @property
    def seed(self) -> int:
        """The seed of arrivals and service times, the same in every setting."""
        return self.settings[0].seed

    @property
    def expected_s(self) -> float:
        """About how long the comparison takes, in seconds."""
        each = self.duration_s + WARMUP_S + 1.0 + self.simulated_requests / 100_000
        return each * len(self.settings) * len(self.policies)

    def __str__(self) -> str:
        lines = [
            f"- {s.scenario}: {s.rate:.0f} req/s, {s.utilization:.0%} of what all instances could do"
            for s in self.settings
        ]
        policies = ", ".join(self.policies)
        tuned = f"; tuning {self.settings[0].tuning}" if self.settings[0].tuning else ""
        return "\n".join(lines) + f"\n\n{policies}{tuned}; about {self.expected_s:.0f} s"

    def _repr_markdown_(self) -> str:
        return str(self)


def plan_comparison(
    *,
    policies: Sequence[str] | str | None = None,
    work_ms: float = 20.0,
    utilization_one_slow: float = 0.25,
    utilization_heavy_tailed: float = 0.7,
    duration_s: float = 10.0,
    simulated_requests: int = 200_000,
    seed: int = 1,
    port_offset: int = 0,
    tuning: Mapping[str, object] | str | None = None,
    redo_invalid: bool | int = True,
) -> PolicyComparison:
    """Plan a comparison, and start nothing. Raises BadParameter, naming what makes no sense."""
    parts = {
        Scenario.ONE_SLOW: utilization_one_slow,
        Scenario.HEAVY_TAILED: utilization_heavy_tailed,
    }
    require_number("work_ms", work_ms, "milliseconds", zero=False)
    require_number("duration_s", duration_s, "seconds", zero=False)
    require_whole("simulated_requests", simulated_requests, SIMULATED_WARMUP)
    for scenario, utilization in parts.items():
        require_number(f"the utilization of {scenario}", utilization, "parts of what all could do")
        if not 0 < utilization < 1:
            raise BadParameter(f"the utilization of {scenario} is {utilization}: give a part between 0 and 1")
    slowest = min(Setting(scenario, float(work_ms), part).rate for scenario, part in parts.items())
    if why := too_short_for(duration_s, slowest):
        raise BadParameter(f"duration_s {duration_s:g} is too short: {why}")
    every = list(PolicyName) if policies is None else policies
    chosen = tuple(PolicyName(str(name)) for name in read_levels("policy", every))
    tuned, sown = read_tuning(tuning), int(read_level("seed", seed))
    settings = tuple(Setting(scenario, float(work_ms), part, sown, tuned) for scenario, part in parts.items())
    offset = whole("port_offset", port_offset, 0, MOST_OFFSET)
    plan = PolicyComparison(settings, chosen, float(duration_s), simulated_requests, offset, redo_invalid)
    for setting in settings:
        _require_sustained(setting, chosen)
        _spec(plan, setting, setting.topology(chosen[0]).shifted(offset)).check()
    _ = plan.most_redone  # refuses what it cannot be
    return plan


def _require_sustained(setting: Setting, policies: Sequence[PolicyName]) -> None:
    """Raise BadParameter for a policy under which a queue would grow for ever."""
    for policy in policies:
        most = setting.stage(policy).sustained_rps / setting.stage(policy).capacity_rps
        if setting.utilization >= most:
            raise BadParameter(
                f"{policy} lets a queue grow for ever with {setting.scenario} at a utilization of "
                f"{setting.utilization:g}: give less than {most:.3g}, or leave the policy out"
            )


def compare_policies(plan: PolicyComparison, *listeners: Listener) -> tuple[PolicyResult, ...]:
    """Measure and simulate each policy in each setting, on fresh topologies.

    What others spoilt is measured again, as often as the plan allows; the last measurement counts. The first
    interrupt ends the comparison after the present trial, a second one at once; either way the results that
    there are are returned. `listeners` are told what happens. Raises what starting and loading a topology
    raise.
    """
    results: dict[tuple[Setting, PolicyName], PolicyResult] = {}
    planned = [(setting, policy) for setting in plan.settings for policy in plan.policies]

    def run_one(each: tuple[Setting, PolicyName]) -> str | None:
        setting, policy = each
        begun = course.begin(f"{policy}, {setting.scenario}", plan.expected_s / len(planned))
        results[each], row = _result(plan, setting, policy, course.on_progress(begun))
        course.tell(TrialEnded(begun, row, results[each]))
        return results[each].invalid_reason

    with follow(plan, len(planned), plan.expected_s, listeners) as course:
        say_who_computes(made_up_for(plan.most_redone))
        run_trials(planned, run_one, plan.most_redone, stopping=lambda: course.stopping)
    return tuple(results.values())


def _result(
    plan: PolicyComparison, setting: Setting, policy: PolicyName, on_progress: Callable[[Progress], None]
) -> tuple[PolicyResult, Measurement]:
    load, share, contention = _measured(plan, setting, policy, on_progress)
    simulated = _simulated(plan, setting, policy)
    begin_ns = load.journal[0].intended_ns + WARMUP_S * 1e9
    times = [1000 * e.response_time_s for e in load.journal if e.succeeded and e.intended_ns >= begin_ns]
    mean = mean_interval(batch_means(times))
    trial = Trial("policies", f"{setting.scenario}-{policy}")
    row = measure(trial, factors_of(load.spec), load, Servers(contention=contention), exempt=EXEMPT)
    result = PolicyResult(
        scenario=setting.scenario,
        policy=policy,
        measured=Interval(mean.estimate, max(0.0, mean.low), mean.high),
        measured_p95_ms=float(np.quantile(times, 0.95)) if len(times) >= sample_floor(0.95) else None,
        simulated_ms=1000 * simulated.mean_s,
        simulated_p95_ms=1000 * simulated.quantile_s(0.95),
        share_of_first=share,
        answers=len(times),
        failed=load.failed,
        invalid_reason=_doubt(row),
    )
    return result, row


def _doubt(row: Measurement) -> str | None:
    """Say why the mean of a run cannot be believed, by the rules for every row."""
    if row.health.valid and row.outcome.response_time_mean_ms is None:
        by_others = row.health.disturbed_by == DisturbanceSource.OTHERS
        return InvalidReason.MACHINE_BUSY if by_others else InvalidReason.GENERATOR_BOUND
    return row.health.invalid_reason


def _spec(plan: PolicyComparison, setting: Setting, topology: Topology) -> LoadSpec:
    return LoadSpec(
        url=topology.entry_url,
        load=Poisson(setting.rate),
        duration_s=plan.duration_s,
        warmup_s=WARMUP_S,
        seed=setting.seed,
        method="POST",
        headers=(("content-type", "application/json"),),
        body=_BODY,
        journal=True,
    )


def _measured(
    plan: PolicyComparison, setting: Setting, policy: PolicyName, on_progress: Callable[[Progress], None]
) -> tuple[LoadResult, float, Contention | None]:
    """Return the load's result, the first instance's share of the requests, and who used the processor."""
    topology = setting.topology(policy).shifted(plan.port_offset)
    spec = _spec(plan, setting, topology)
    machine = MachineWatch(on_progress)  # before servers start: what starts later is of the trial
    with start(topology) as running:
        if setting.slow_instance:
            begin(running, Fault(1.0, FaultKind.SLOW, setting.slow_instance, plan.duration_s, SLOWDOWN))
        load = run(spec, on_progress=machine)
        counts = [each["requests"] for stats in running.stats().values() for each in stats["stats"].values()]
    return load, counts[0] / sum(counts), machine.contention(load)


def _simulated(plan: PolicyComparison, setting: Setting, policy: PolicyName) -> Simulated:
    return simulate(
        setting.stage(policy),
        Poisson(setting.rate),
        requests=plan.simulated_requests,
        warmup=SIMULATED_WARMUP,
        seed=setting.seed,
    )
