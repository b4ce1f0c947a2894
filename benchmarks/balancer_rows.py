"""Check that every balancer gives valid rows."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.goals import GoalFigure, at_most, reference
from benchmarks.sweeping import swept
from lab.names import BalancerName

__all__ = ["balancer_rows"]

LOADS = {
    "documented work, in one process": {"placement": "in-process", "concurrency": [3, 32]},
    "text flat out, in processes": {
        "placement": "processes",
        "work": "text",
        "client": "wire",
        "concurrency": [1, 16],
    },
}


def balancer_rows() -> Iterator[GoalFigure]:
    """Sweep all six balancers, interleaved: count invalid rows and failed requests."""
    for what, factors in LOADS.items():
        rows = swept("quickstart", topology="parallel", balancer=list(BalancerName), trials=3, **factors)
        for name in BalancerName:
            own = rows[rows["balancer"] == name]
            why = " ".join(own["invalid_reason"].dropna())
            invalid = int((~own["valid"]).sum())
            yield at_most(
                f"{what}, {name}, invalid of {len(own)} rows{f' ({why})' if why else ''}", invalid, 0
            )
            yield at_most(
                f"{what}, {name}, failed of {own['requests'].sum()} requests", own["failed"].sum(), 0
            )
            most = own[own["concurrency"] == own["concurrency"].max()]
            yield reference(
                f"{what}, {name}, throughput with most in flight", most["throughput_rps"].median(), "req/s"
            )
