"""Measure what a server that stands still for a while does to response_time and service_time."""

from __future__ import annotations

import threading
from collections.abc import Iterator

from benchmarks.goals import GoalFigure, at_least, at_most
from benchmarks.server import Served, serving
from lab.arrivals import Closed, Constant
from lab.load.result import Progress
from lab.load.run import run
from lab.load.spec import LoadSpec

__all__ = ["server_stall"]

RATE, SECONDS, STOP_AT, STOP_FOR, CONNECTIONS = 200, 30, 10.0, 1.4, 8


class _Stopper:
    """Stops the server once the load has run for a while."""

    def __init__(self, server: Served) -> None:
        self._thread = threading.Thread(target=self._stop)
        self._server = server
        self.stopped_s = 0.0

    def __call__(self, progress: Progress) -> None:
        if progress.elapsed_s >= STOP_AT and self._thread.ident is None:
            self._thread.start()

    def _stop(self) -> None:
        self.stopped_s = self._server.stop(STOP_FOR)


def server_stall() -> Iterator[GoalFigure]:
    """Send a constant 200/s over 8 connections for 30 s, with the server stopped for 1.4 s.

    Requests due early in the stop wait for the rest of it and for the queue before them. Of 6,000, the 60
    slowest are those of its first 0.3 s, so the 99th percentile is 1.4 - 0.3 (1 - utilization) s.
    """
    with serving("null") as server:
        full = LoadSpec(url=server.url, load=Closed(CONNECTIONS), duration_s=2.0, warmup_s=0.5, stages=False)
        capacity = run(full).throughput_rps
        yield at_least("capacity of the server", capacity, 2000, "req/s")
        stopper = _Stopper(server)
        spec = LoadSpec(
            url=server.url,
            load=Constant(RATE),
            duration_s=SECONDS,
            warmup_s=0.0,
            max_connections=CONNECTIONS,
        )
        result = run(spec, on_progress=stopper)
    slowest = 0.01 * SECONDS
    expected_s = stopper.stopped_s - slowest * (1 - RATE / capacity)
    found_s = result.window.response_time.percentile_ns(99) / 1e9
    yield at_most("response_time p99 beside theory", abs(found_s / expected_s - 1) * 100, 5, "%")
    yield at_most("service_time p99", result.window.service_time.percentile_ns(99) / 1e6, 20, "ms")
    yield at_most("requests lost", RATE * SECONDS - result.succeeded, 0)
