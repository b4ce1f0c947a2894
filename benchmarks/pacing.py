"""Measure how punctual the generator is."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import median

from benchmarks.goals import GoalFigure, at_most, reference
from benchmarks.server import serving
from lab.arrivals import Constant
from lab.load.result import LoadResult
from lab.load.run import run
from lab.load.spec import LoadSpec

__all__ = ["pacing"]

P99_LIMIT_MS = {2_000: 0.12, 10_000: 0.5}
P50_LIMIT_MS = {2_000: 0.05}
RUNS = 5
SECONDS = 12


def pacing() -> Iterator[GoalFigure]:
    """Measure the schedule lag of a constant rate, and whether every request of the schedule was sent."""
    for rate, limit in P99_LIMIT_MS.items():
        runs = [_run(rate) for _ in range(RUNS)]
        half, most = (median(_lag_ms(result, p) for result, _ in runs) for p in (50, 99))
        what = f"at {rate:,}/s, median of {RUNS} runs"
        if rate in P50_LIMIT_MS:
            yield at_most(f"lag p50 {what}", half, P50_LIMIT_MS[rate], "ms")
        else:
            yield reference(f"lag p50 {what}", half, "ms")
        yield at_most(f"lag p99 {what}", most, limit, "ms")
        missing = sum(_missing(rate, result, seen) for result, seen in runs)
        yield at_most(f"requests not as scheduled in {RUNS} times {SECONDS} s at {rate:,}/s", missing, 0)
        delay = median(result.generators[0].run_delay or 0.0 for result, _ in runs)
        yield reference("run delay of the generator", delay, "s/s")
        yield reference("CPU of the generator", median(r.generators[0].cpu_cores for r, _ in runs), "cores")


def _run(rate: int) -> tuple[LoadResult, int]:
    """Return what a run gave in the default mode, and how many requests the server saw."""
    with serving("null") as server:
        spec = LoadSpec(url=server.url, load=Constant(rate), duration_s=SECONDS, warmup_s=0.0)
        return run(spec), server.log()


def _lag_ms(result: LoadResult, percentile: float) -> float:
    return result.window.schedule_lag.percentile_ns(percentile) / 1e6


def _missing(rate: int, result: LoadResult, seen: int) -> int:
    return abs(rate * SECONDS - result.sent_in_all) + abs(result.sent_in_all - seen)
