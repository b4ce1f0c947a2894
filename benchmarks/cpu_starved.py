"""Check that a generator without a core of its own says so."""

from __future__ import annotations

import os
from collections.abc import Iterator

from benchmarks.goals import GoalFigure, at_least, at_most, reference
from benchmarks.neighbour_programs import busy_on
from benchmarks.server import serving
from lab.arrivals import Poisson
from lab.load.run import run
from lab.load.spec import LoadSpec
from lab.measure.columns import Factors
from lab.measure.disturbance import DisturbanceSource
from lab.measure.machine_watch import MachineWatch
from lab.measure.measurement import Measurement
from lab.measure.row import Servers, Trial, measure

__all__ = ["cpu_starved"]

RUNS = 20
SECONDS = 5.0
"""Long enough for one stall of the machine underneath, tens of ms, to stay below a hundredth of it."""


def cpu_starved() -> Iterator[GoalFigure]:
    """Run a generator on a core that a neighbour burns, and alone on that core, 20 times each."""
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    if len(cores) < 2:
        yield reference("cores to keep generator and server apart, so nothing is measured", len(cores))
        return
    with serving("null", cpu=cores[0]) as server:
        rate = _rate_of_half_a_core(server.url, cores[-1])
        yield reference("load that takes the generator half a core", rate, "req/s")
        with busy_on(cores[-1]):
            rows = [_row(server.url, cores[-1], rate, seed) for seed in range(RUNS)]
        disturbed = sum(row.health.disturbed_by == DisturbanceSource.OTHERS for row in rows)
        yield at_least("runs beside the neighbour that say they were disturbed, of 20", disturbed, RUNS)
        spoken = sum(row.outcome.response_time_p50_ms is not None for row in rows)
        yield at_most("runs beside the neighbour that print a percentile", spoken, 0)
        alone = [_row(server.url, cores[-1], rate, seed) for seed in range(RUNS)]
        why = " ".join(sorted({row.health.invalid_reason for row in alone if row.health.invalid_reason}))
        alarms = sum(not row.health.valid for row in alone)
        yield at_most(f"false alarms without the neighbour, of 20{f' ({why})' if why else ''}", alarms, 0)


def _row(url: str, core: int, rate: float, seed: int) -> Measurement:
    spec = LoadSpec(
        url=url,
        load=Poisson(rate),
        duration_s=SECONDS,
        warmup_s=0.3,
        seed=seed,
        cpus=(core,),
        stages=False,
    )
    factors = Factors(load_model=spec.load.model, requested_rate=rate, duration_s=SECONDS)
    watch = MachineWatch(None, url)
    load = run(spec, on_progress=watch)
    servers = Servers(contention=watch.contention(load))
    return measure(Trial("starved", f"rate {rate:g}", seed + 1), factors, load, servers)


def _rate_of_half_a_core(url: str, core: int) -> float:
    """Return the rate in req/s that takes half a core, from a run at 4,000/s: CPU grows with the rate."""
    probe = LoadSpec(url=url, load=Poisson(4000), duration_s=2.0, warmup_s=0.3, cpus=(core,), stages=False)
    return round(4000 * 0.5 / run(probe).generators[0].cpu_cores, -2)
