"""Run a topology under open-loop load while its servers fail on schedule."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from lab.arrivals import Constant
from lab.errors import LoadError
from lab.faults.fault import Fault, timeline
from lab.faults.injector import FaultInjector, FaultRecord, require_targets
from lab.faults.report import FaultRun, incidents_of, repeated, requests_of
from lab.faults.watch import BalancerEvent, Watch
from lab.load.result import LoadResult, Progress
from lab.load.run import run
from lab.load.spec import LoadSpec, PipelineBody
from lab.measure.columns import Factors
from lab.measure.machine_watch import Contention, MachineWatch
from lab.measure.measurement import Measurement
from lab.measure.references import references
from lab.measure.row import Servers, Trial, factors_of, measure
from lab.measure.validity import InvalidReason
from lab.placement import BalancerName, PlacementName, Running, start
from lab.topology import Topology
from services.names import ProtocolName

__all__ = ["EXEMPT", "load_spec", "run_faults", "window_s"]

EXEMPT = frozenset(
    {
        InvalidReason.SERVERS_CHANGED,
        InvalidReason.NOT_STEADY,
        InvalidReason.LITTLES_LAW,
        InvalidReason.RATE_NOT_ACHIEVED,
    }
)
"""Reasons that faults bring about on purpose, and that do not make the run invalid."""
SETTLE_S = 4.0
"""Seconds for which the load goes on after the last fault."""
READ_TIMEOUT_S = 30.0


def run_faults(
    faults: Iterable[Fault | str],
    *,
    rate: float = 30.0,
    topology: Topology | None = None,
    placement: PlacementName = PlacementName.IN_PROCESS,
    balancer: BalancerName = BalancerName.BUILTIN,
    payload_bytes: int = 1024,
    on_progress: Callable[[Progress], None] | None = None,
) -> FaultRun:
    """Put `rate` requests a second on the topology (parallel, where none is given) and play the timeline.

    The same timeline can be played against any balancer. `on_progress` is called a few times a second. Raises
    BadParameter for faults that make no sense, and what starting and loading a topology raise.
    """
    planned = timeline(faults)
    plain = topology or Topology.parallel()
    require_targets(plain, planned)
    spec = load_spec(plain, planned, rate, payload_bytes)
    machine = MachineWatch(on_progress)  # before servers start: what starts later is of the trial
    with tempfile.TemporaryDirectory(prefix="lab-ledgers-") as folder:
        watched = plain.with_faults(folder)
        with start(watched, placement=PlacementName(placement), balancer=BalancerName(balancer)) as running:
            load, records, events = _play(running, planned, spec, machine)
            balancers_rss_mb = running.balancers_rss_mb()
        executed_twice = repeated(Path(folder), watched)
    due, origin_ns = _due(load)
    origin_s = origin_ns / 1e9
    requests = requests_of(load.journal, origin_ns)
    seen = tuple(replace(event, at_s=event.at_s - origin_s) for event in events)
    return FaultRun(
        topology=plain.name,
        balancer=str(balancer),
        placement=str(placement),
        rate=rate,
        duration_s=spec.duration_s,
        requests=requests,
        due=due,
        dropped=load.dropped_in_all,
        executed_twice=executed_twice,
        incidents=incidents_of(records, requests, seen, origin_s),
        events=seen,
        balancers_rss_mb=balancers_rss_mb,
        measurement=_row(load, plain, str(placement), str(balancer), machine.contention(load)),
    )


def window_s(faults: Iterable[Fault]) -> float:
    """Return how long the load lasts that faults are played on, in seconds."""
    return max((fault.end_s for fault in faults), default=0.0) + SETTLE_S


def load_spec(
    topology: Topology, faults: Sequence[Fault], rate: float, payload_bytes: int = 1024
) -> LoadSpec:
    """Return what the generator is told: an even load until the last fault is over, and a while longer."""
    return LoadSpec(
        url=topology.entry_url,
        load=Constant(rate),
        duration_s=window_s(faults),
        warmup_s=0.0,
        method="POST",
        body=PipelineBody(payload_bytes),
        read_timeout_s=READ_TIMEOUT_S,
        journal=True,
    )


def _play(
    running: Running, faults: tuple[Fault, ...], spec: LoadSpec, machine: MachineWatch
) -> tuple[LoadResult, tuple[FaultRecord, ...], tuple[BalancerEvent, ...]]:
    """Return the load, the faults as they were and the balancers' events, both on the monotonic clock."""
    injector, watch = FaultInjector(running, faults), Watch(running)
    watch.start()
    try:

        def on_progress(progress: Progress) -> None:
            injector.on_progress(progress)
            machine(progress)

        load = run(spec, on_progress=on_progress)
    finally:
        try:
            records = injector.close()
        finally:
            events = watch.close()
    return load, records, events


def _due(load: LoadResult) -> tuple[int, int]:
    """Return how many requests were due, and when the load began, in ns on the monotonic clock."""
    spec = load.spec
    if not load.journal:
        raise LoadError(f"no request of {spec.url} came to an end: see why its servers do not answer")
    schedule = spec.load.schedule(0.0, spec.duration_s, spec.seed)
    return len(schedule), load.journal[0].intended_ns - int(schedule.intended_ns[0])


def _row(
    load: LoadResult, topology: Topology, placement: str, balancer: str, contention: Contention | None
) -> Measurement:
    first = topology.services[0]
    known = Factors(
        topology=topology.name,
        replicas=topology.replicas,
        policy=str(first.balancer.policy) if first.balancer else None,
        balancer=balancer if first.balancer else None,
        protocol=str(topology.protocol),
        placement=placement,
        client=str(first.client) if topology.protocol is ProtocolName.HTTP else None,
        work=str(first.work.kind),
        work_distribution=str(first.work.distribution),
        slots=first.work.slots,
        tuning=(str(first.balancer.tuning) or None) if first.balancer else None,
        load_model=str(load.spec.load.model),
        duration_s=load.spec.duration_s,
    )
    factors = factors_of(load.spec, known)
    trial, servers = Trial("faults", "faults"), Servers(changed=True, contention=contention)
    against = references(load.spec.load, factors, topology)
    return measure(trial, factors, load, servers, against=against, exempt=EXEMPT)
