"""Measure what the HTTP client of a service costs, and what balancers cost beside the cheapest."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.goals import GoalFigure, at_least, at_most, reference
from benchmarks.sweeping import median_ratio, swept
from services.names import ClientName

__all__ = ["clients"]

TIMES = 30.0
MOST_LOST = 0.25
TRIALS = 7
IN_FLIGHT = 16


def clients() -> Iterator[GoalFigure]:
    """Drive clients flat out in one process, text of 1 KiB: ratios to httpx-per-request, and balancers."""
    rows = swept(
        client=list(ClientName),
        work="text",
        payload_bytes=1024,
        concurrency=IN_FLIGHT,
        warmup_s=1.0,  # the parallel topology has four times the connections to open and the code to warm
        duration_s=4.0,
        trials=TRIALS,
    )
    fastest = {}
    for topology in ("sequential", "parallel"):
        own = {name: rows[(rows["topology"] == topology) & (rows["client"] == name)] for name in ClientName}
        for name, part in own.items():
            yield reference(
                f"{topology}, {name}, median of {TRIALS}", part["throughput_rps"].median(), "req/s"
            )
        best = max(own, key=lambda name, own=own: own[name]["throughput_rps"].median())
        ratio = median_ratio(own[best], own[ClientName.HTTPX_PER_REQUEST])
        yield at_least(f"{topology}, {best} / httpx-per-request, median of trials", ratio, TIMES)
        fastest[topology] = own[best]
    lost = 1 - median_ratio(fastest["parallel"], fastest["sequential"])
    yield at_most(
        "share of the sequential throughput that four balancers cost, median of trials", lost, MOST_LOST
    )
