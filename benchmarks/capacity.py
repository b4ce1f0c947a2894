"""Compare the search for saturation with servers of known capacity."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.goals import GoalFigure, at_most
from benchmarks.server import serving
from lab.arrivals import Closed, LoadModel
from lab.load.spec import LoadSpec
from lab.measure.conditions import Condition
from lab.saturation import SearchSpec, probing, saturate

__all__ = ["capacity"]

CAPACITIES = (200.0, 400.0, 1000.0)
"""Requests a second of a server with one slot and constant work: what a constant rate saturates."""
GOAL = ("p99=200ms", "errors=0")


def capacity() -> Iterator[GoalFigure]:
    """Search servers of known capacity with constant arrivals: the highest rate found, and the probes."""
    spec = SearchSpec(goal=tuple(map(Condition.parse, GOAL)), duration_s=3.0, model=LoadModel.CONSTANT)
    for known in CAPACITIES:
        with serving("queue", distribution="constant", mean_s=1 / known, seed=1, count=1_000_000) as server:
            found = saturate(spec, probing(LoadSpec(url=server.url, load=Closed(1), warmup_s=0.3)))
        off = abs((found.highest_kept or 0.0) / known - 1) * 100
        yield at_most(f"found beside {known:g} req/s", off, 3, "%")
        yield at_most(f"probes for {known:g} req/s", len(found.probes), 8)
