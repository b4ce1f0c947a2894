"""Run closed loops on a topology that another process keeps up: one row for each trial."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from lab.arrivals import Closed
from lab.cli.topology_options import TopologyOptions
from lab.load.result import Progress
from lab.load.run import run
from lab.load.spec import LoadSpec, PipelineBody, processes_for
from lab.measure.columns import Factors
from lab.measure.measurement import Measurement
from lab.measure.references import references
from lab.measure.row import Trial, factors_of, measure
from lab.names import LoadModel
from lab.progress import seconds_bar
from lab.sweep.trial import Generators
from lab.topology import Topology
from services.names import ProtocolName

__all__ = ["run_benchmark"]

JSON = (("content-type", "application/json"),)
WARMUP_S = 1.0
NAME = "benchmark"


def run_benchmark(
    options: TopologyOptions,
    concurrencies: Sequence[int],
    duration_s: float,
    trials: int,
    generators: Generators,
) -> Iterator[Measurement]:
    """Measure every concurrency in turn, `trials` times over, so that drift of the machine hits all alike.

    Raises the LabError of a run that fails.
    """
    topology = options.build()
    plan = [(level, number) for number in range(1, trials + 1) for level in concurrencies]
    step_s = WARMUP_S + duration_s
    with seconds_bar(step_s * len(plan)) as bar:
        for level, number in plan:
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

            def progress(so_far: Progress) -> None:
                bar.within(so_far.elapsed_s, step_s)

            load = run(spec, on_progress=progress)
            factors = factors_of(spec, _topology_factors(options, topology))
            against = references(spec.load, factors, topology)
            bar.finish(step_s)
            yield measure(Trial(NAME, f"{NAME}-{level}", number), factors, load, against=against)


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
