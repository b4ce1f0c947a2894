"""Run closed loops on a topology that another process keeps up: one row for each trial."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from lab.arrivals import Closed
from lab.cli.state import Upkeep
from lab.cli.topology_options import TopologyOptions
from lab.errors import BadParameter
from lab.load.run import run
from lab.load.spec import LoadSpec, PipelineBody, processes_for
from lab.measure.columns import Factors
from lab.measure.machine_watch import MachineWatch
from lab.measure.measurement import Measurement
from lab.measure.percentiles import too_short_for
from lab.measure.references import references
from lab.measure.row import Servers, Trial, factors_of, measure
from lab.names import LoadModel
from lab.progress import seconds_bar
from lab.sweep.trial import Generators
from lab.theory.prediction import predict_closed
from lab.topology import Topology
from lab.trials import made_up_for, most_redone, run_trials, say_who_computes
from services.names import ProtocolName

__all__ = ["run_benchmark"]

JSON = (("content-type", "application/json"),)
WARMUP_S = 1.0
NAME = "benchmark"


def run_benchmark(
    upkeep: Upkeep,
    concurrencies: Sequence[int],
    duration_s: float,
    trials: int,
    generators: Generators,
    keep: Callable[[Measurement], None],
    *,
    redo_invalid: bool | int = True,
) -> None:
    """Measure every concurrency in turn, `trials` times over, so that drift of the machine hits all alike.

    `keep` is called with each row. Further trials make up for those that others spoilt: `redo_invalid` at
    most, where True stands for a third of all. Raises BadParameter for a window that is too short, and the
    LabError of a run that fails.
    """
    options, topology = upkeep.options, upkeep.options.build()
    for level in concurrencies:
        _require_answers(topology, level, duration_s)
    plan = [(level, number) for number in range(1, trials + 1) for level in concurrencies]
    numbers, step_s = dict.fromkeys(concurrencies, trials), WARMUP_S + duration_s

    def run_one(planned: tuple[int, int]) -> str | None:
        level, number = planned
        bar.say(f"{options.topology}, {level} in flight, trial {number}")
        spec = LoadSpec(
            url=topology.entry_url,
            load=Closed(level),
            processes=processes_for(Closed(level), generators.processes),
            cpus=generators.cores,
            duration_s=duration_s,
            warmup_s=WARMUP_S,
            seed=number,
            method="POST",
            headers=JSON,
            body=PipelineBody(),
        )
        watch = MachineWatch(
            lambda so_far: bar.within(so_far.elapsed_s, step_s), spec.url, servers=[upkeep.pid]
        )
        load = run(spec, on_progress=watch)
        factors = factors_of(spec, _topology_factors(options, topology))
        row = measure(
            Trial(NAME, f"{NAME}-{level}", number),
            factors,
            load,
            Servers(contention=watch.contention(load)),
            against=references(spec.load, factors, topology),
        )
        bar.finish(step_s)
        keep(row)
        return row.health.invalid_reason

    def again(planned: tuple[int, int]) -> tuple[int, int]:
        level, _ = planned
        numbers[level] += 1
        return level, numbers[level]

    most = most_redone(redo_invalid, len(plan))
    say_who_computes(made_up_for(most), topology.entry_url, servers=[upkeep.pid])
    with seconds_bar(step_s * len(plan)) as bar:
        run_trials(plan, run_one, most, again)


def _require_answers(topology: Topology, level: int, duration_s: float) -> None:
    """Refuse a window that is sure to be invalid."""
    rate = predict_closed(topology, level).throughput_rps
    if rate and (why := too_short_for(duration_s, rate)):
        raise BadParameter(f"--duration {duration_s:g}s is too short for {topology.name} at {level}: {why}")


def _topology_factors(options: TopologyOptions, topology: Topology) -> Factors:
    """Return the factors of the topology; `factors_of` adds those of the load."""
    balanced = any(service.balancer for service in topology.services)
    return Factors(
        topology=options.topology,
        replicas=topology.replicas,
        policy=options.policy if balanced else None,
        balancer=options.balancer if balanced else None,
        protocol=options.protocol,
        placement=options.placement,
        client=options.client if options.protocol is ProtocolName.HTTP else None,
        work=options.work,
        work_ms=",".join(f"{mean:g}" for mean in options.work_ms),
        work_distribution=options.work_distribution,
        slots=options.slots,
        tuning=options.tuning or None,
        load_model=LoadModel.CLOSED,
        duration_s=0.0,
    )
