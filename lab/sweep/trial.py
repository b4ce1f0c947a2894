"""One trial: the topology comes up afresh, is loaded by generators and measured, and goes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from lab.errors import BadParameter
from lab.load.result import LoadResult, Progress
from lab.load.run import run
from lab.load.spec import LoadSpec, PipelineBody, WarmupMode, processes_for
from lab.measure.columns import Factors
from lab.measure.factors import Combination, corpus_of, load_of, topology_of
from lab.measure.machine_watch import MachineWatch
from lab.measure.measurement import Measurement
from lab.measure.references import references
from lab.measure.row import Servers, Trial, histograms_of, measure
from lab.placement import BalancerName, PlacementName, Running, Usage, start
from lab.placement.cores import cores_beside
from services.addresses import address_of

__all__ = ["Generators", "load_spec", "place", "read_cores", "run_trial", "trial_seed", "urls_served"]


@dataclass(frozen=True, slots=True)
class Generators:
    """The load generators of a sweep, the same in every trial."""

    processes: int = 1
    """Number of processes. A closed loop of fewer users has one for each of them."""
    cores: tuple[int, ...] = ()
    """Cores that generators have to themselves, one each and in turn; without any, all run anywhere."""

    @property
    def cores_of_servers(self) -> frozenset[int]:
        """The cores that servers are kept on, apart from generators; none where all run anywhere.

        Raises BadParameter as `cores_beside` does.
        """
        return cores_beside(self.cores) if self.cores else frozenset()

    @property
    def parameters(self) -> Mapping[str, Any]:
        """The settings that differ from one generator that runs anywhere, as a sweep's parameters."""
        told = {"processes": self.processes, "cpu": list(self.cores)}
        usual = {"processes": 1, "cpu": []}
        return {name: value for name, value in told.items() if value != usual[name]}


def read_cores(value: object) -> tuple[int, ...]:
    """Return cores from `1`, `2,3` or a list; none from None. Raises BadParameter for anything else."""
    if value is None:
        return ()
    each = value.split(",") if isinstance(value, str) else value if isinstance(value, list) else [value]
    try:
        cores = tuple(dict.fromkeys(int(str(one)) for one in each))
    except ValueError:
        cores = ()
    if not cores or min(cores) < 0:
        raise BadParameter(f"cpu cannot be {value!r}: it takes numbers of cores, as 1 or 2,3")
    return cores


ANYWHERE = Generators()


def run_trial(
    trial: Trial,
    factors: Factors,
    generators: Generators = ANYWHERE,
    *,
    port_offset: int = 0,
    on_progress: Callable[[Progress], None] | None = None,
    keep: Callable[[Measurement, dict[str, Any]], None] | None = None,
    told: Callable[[LoadResult], None] | None = None,
) -> Measurement:
    """Run one trial and return its row.

    `keep` is given the row and its histograms while the servers are still up, so that one that does not stop
    costs no row; `told` is given all that was recorded. Raises what starting a topology and loading it raise.
    """
    levels = asdict(factors)
    seed = trial_seed(factors.seed or 0, trial.number)
    placed = place(levels, generators, seed=seed, port_offset=port_offset)
    spec = load_spec(factors, generators, placed.entry_url, seed)
    against = references(spec.load, factors, placed.topology)
    served = urls_served(levels, port_offset)
    machine = MachineWatch(None, *served)  # before servers start: what starts later is of the trial
    with placed as running:
        watch = _Watch(running, machine, on_progress)
        load = run(spec, on_progress=watch)
        row = measure(trial, factors, load, watch.servers(load), against=against)
        if keep:
            keep(row, histograms_of(load))
        if told:
            told(load)
    return row


def place(
    levels: Combination, generators: Generators = ANYWHERE, *, seed: int = 0, port_offset: int = 0
) -> Running:
    """Return the topology where it is to run; it comes up on entering the block.

    Raises what `lab.start` raises for what cannot be: at this call, and not when the block is entered.
    """
    return start(
        topology_of(levels, seed).shifted(port_offset),
        placement=PlacementName(levels["placement"] or PlacementName.IN_PROCESS),
        balancer=BalancerName(levels["balancer"] or BalancerName.BUILTIN),
        cores=generators.cores_of_servers,
    )


def urls_served(levels: Combination, port_offset: int = 0) -> tuple[str, ...]:
    """Return the URLs of all servers that run already before a trial; none where the trial starts them."""
    if levels["placement"] != PlacementName.REMOTE:
        return ()
    topology = topology_of(levels).shifted(port_offset)
    return tuple(f"http://{address_of(host, port)}" for _, host, port in topology.addresses())


def trial_seed(seed: int, number: int) -> int:
    """Return the seed of a trial's schedule and lots: one for each trial, the same in every cell."""
    return int(np.random.SeedSequence([seed, number]).generate_state(1)[0])


class _Watch:
    """Sampler of what the servers use while the load runs, whenever progress is told."""

    def __init__(
        self, running: Running, machine: MachineWatch, on_progress: Callable[[Progress], None] | None
    ) -> None:
        self._running = running
        self._machine = machine
        self._on_progress = on_progress
        self._samples: list[tuple[float, Usage]] = []
        self._incarnations = running.incarnations()

    def __call__(self, progress: Progress) -> None:
        self._samples.append((progress.elapsed_s, self._running.cpu_seconds()))
        self._machine(progress)
        if self._on_progress:
            self._on_progress(progress)

    def servers(self, load: LoadResult) -> Servers:
        """Return what the servers say of the measurement window; to be asked before they go."""
        topology = self._running.topology
        balanced = any(service.balancer for service in topology.services)
        return Servers(
            cpu_cores=self._cores(load, lambda usage: usage.servers_s),
            balancers_cpu_cores=self._cores(load, lambda usage: usage.balancers_s) if balanced else None,
            rss_mb=self._running.rss_mb(),
            retries=_retries(self._running),
            changed=self._running.incarnations() != self._incarnations,
            balancer_shortages=sum(self._running.shortages().values()),
            contention=self._machine.contention(load),
        )

    def _cores(self, load: LoadResult, of: Callable[[Usage], float | None]) -> float | None:
        times = [at for at, _ in self._samples]
        used = [of(usage) for _, usage in self._samples]
        known = [seconds for seconds in used if seconds is not None]
        if len(known) < max(2, len(used)):
            return None
        begin, end = load.warmup_s, load.warmup_s + load.window_s
        return float(np.interp(end, times, known) - np.interp(begin, times, known)) / load.window_s


def _retries(running: Running) -> int | None:
    """Return the attempts that failed, as every balancer counts them: no more can have been tried again.

    None without balancers. Only the built-in balancers count retries themselves, and not at /stats.
    """
    balancers = running.stats().values()
    if not balancers:
        return None
    return sum(int(instance["errors"]) for stats in balancers for instance in stats["stats"].values())


def load_spec(factors: Factors, generators: Generators, url: str, seed: int) -> LoadSpec:
    """Return what the generators of a trial are told."""
    load = load_of(asdict(factors))
    return LoadSpec(
        url=url,
        load=load,
        processes=processes_for(load, generators.processes),
        cpus=generators.cores,
        duration_s=factors.duration_s,
        warmup_s=factors.warmup_s or 0.0,
        warmup_mode=WarmupMode(factors.warmup_mode or WarmupMode.FIXED),
        seed=seed,
        method="POST",
        body=PipelineBody(factors.payload_bytes or PipelineBody().payload_bytes, corpus_of(factors.corpus)),
    )
