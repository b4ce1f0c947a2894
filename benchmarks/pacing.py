"""Measure how punctual the generator is."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.goals import GoalFigure, at_most, reference
from benchmarks.server import serving
from lab.arrivals import Constant
from lab.load.run import run
from lab.load.spec import LoadSpec

__all__ = ["pacing"]

P99_LIMIT_MS = {2_000: 0.2, 10_000: 0.5}
P50_LIMIT_MS = {2_000: 0.05}
SECONDS = 60


def pacing() -> Iterator[GoalFigure]:
    """Measure the schedule lag of a constant rate, and whether every request of the schedule was sent."""
    for rate, limit in P99_LIMIT_MS.items():
        with serving("null") as server:
            load = Constant(rate)
            result = run(LoadSpec(url=server.url, load=load, duration_s=SECONDS, warmup_s=0.0, stages=False))
            seen = server.log()
        lag = result.window.schedule_lag
        if rate in P50_LIMIT_MS:
            yield at_most(f"lag p50 at {rate:,}/s", lag.percentile_ns(50) / 1e6, P50_LIMIT_MS[rate], "ms")
        else:
            yield reference(f"lag p50 at {rate:,}/s", lag.percentile_ns(50) / 1e6, "ms")
        yield at_most(f"lag p99 at {rate:,}/s", lag.percentile_ns(99) / 1e6, limit, "ms")
        missing = abs(rate * SECONDS - result.sent_in_all) + abs(result.sent_in_all - seen)
        yield at_most(f"requests not as scheduled in {SECONDS} s at {rate:,}/s", missing, 0)
        yield reference("run delay of the generator", result.generators[0].run_delay or 0.0, "s/s")
