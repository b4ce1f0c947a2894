"""Check that broken answers are classed right, and counted as the server counts them."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.goals import GoalFigure, at_most
from benchmarks.server import BREAKS, serving
from lab.arrivals import Closed, Constant, Load
from lab.load.run import run
from lab.load.spec import LoadSpec

__all__ = ["answers"]

LOADS: dict[str, Load] = {"closed loop": Closed(8), "open loop": Constant(300)}


def answers() -> Iterator[GoalFigure]:
    """Break every third answer in five ways: requests classed or counted other than by the server."""
    for how in BREAKS:
        for name, load in LOADS.items():
            with serving("breaks", how=how) as server:
                spec = LoadSpec(url=server.url, load=load, duration_s=1.0, warmup_s=0.2, read_timeout_s=1.0)
                totals = run(spec).totals
                seen = server.log()
            expected = {"http_200": seen - seen // 3, how: seen // 3}
            wrong = sum(abs(totals.get(k, 0) - expected.get(k, 0)) for k in {*totals, *expected})
            yield at_most(f"{how}, {name}, of {seen:,} requests", wrong, 0)
