"""Measure how far CPU work scales over processes, beside the most that the cores allow."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.goals import GoalFigure, at_least, reference
from benchmarks.sweeping import median_ratio, swept
from lab.machine import usable_cores
from lab.theory.bounds import scaling_bound
from lab.topology import Topology
from services.names import WorkKind
from services.work import Work

__all__ = ["scaling"]

WORK_MS = {"all services": "40", "one service": "0,0,40,0"}
SHARE = 0.85
TRIALS = 5


def scaling() -> Iterator[GoalFigure]:
    """Drive CPU work in processes, 16 in flight: parallel over sequential throughput, beside the bound."""
    cores = usable_cores()
    rows = swept(
        placement="processes",
        client="wire",
        work="cpu",
        work_ms=list(WORK_MS.values()),
        concurrency=16,
        warmup_s=1.5,
        duration_s=5.0,
        trials=TRIALS,
    )
    for where, times in WORK_MS.items():
        own = rows[rows["work_ms"] == times]
        sequential, parallel = (own[own["topology"] == name] for name in ("sequential", "parallel"))
        bound, ratio = _bound(times, cores), median_ratio(parallel, sequential)
        for name, part in (("sequential", sequential), ("parallel", parallel)):
            yield reference(f"{where}, {name}, median of {TRIALS}", part["throughput_rps"].median(), "req/s")
        yield reference(f"{where}, parallel / sequential; the bound is {bound:.3g} on {cores:g} cores", ratio)
        yield at_least(f"{where}, that ratio / the bound", ratio / bound, SHARE)


def _bound(times_ms: str, cores: float) -> float:
    times = [float(part) for part in times_ms.split(",")]
    works = {f"service{n}": Work(WorkKind.CPU, mean_ms=times[(n - 1) % len(times)]) for n in range(1, 5)}
    before, after = (topology.with_work(works) for topology in (Topology.sequential(), Topology.parallel()))
    return scaling_bound(before, after, cores)
