"""Measure what the generator adds to the time of the server."""

from __future__ import annotations

import statistics
from collections.abc import Iterator

from benchmarks.goals import GoalFigure, at_most
from benchmarks.server import serving
from lab.arrivals import Constant
from lab.load.run import run
from lab.load.spec import LoadSpec

__all__ = ["delay"]


def delay() -> Iterator[GoalFigure]:
    """Load servers of a fixed delay: median response time less the median that the server measured."""
    for ms in (10, 50, 200):
        with serving("delay", ms=ms) as server:
            result = run(LoadSpec(url=server.url, load=Constant(50), duration_s=8.0, warmup_s=1.0))
            took_ns = statistics.median(server.log())
        added_ms = (result.window.response_time.percentile_ns(50) - took_ns) / 1e6
        yield at_most(f"added to {ms} ms", added_ms, 0.5, "ms")
