"""Measure what a start costs, in a fresh process: `python -m lab.placement.startup parallel in-process`."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import asdict, dataclass
from importlib import import_module

from lab.names import PlacementName, TopologyName
from lab.placement.ports import free_offset
from lab.placement.server_settings import IMPORTED_LATE
from lab.placement.start import start
from lab.topology import Topology

__all__ = ["Startup", "measure_startup"]


@dataclass(frozen=True, slots=True)
class Startup:
    """The cost of bringing a topology up and down; its imports are counted apart."""

    servers: int
    import_ms: float
    start_ms: float
    stop_ms: float
    rss_mb: float | None
    """Resident memory of the servers, in 10⁶ bytes: what they added, where they share the process."""


def measure_startup(topology: Topology, placement: PlacementName) -> Startup:
    """Start the topology and stop it. The result is meaningful only where none was started before."""
    begun = time.perf_counter()
    for name in IMPORTED_LATE:
        import_module(name)
    imported = time.perf_counter()
    with start(topology, placement=placement) as running:
        up = time.perf_counter()
        rss_mb = running.rss_mb()
        leaving = time.perf_counter()
    return Startup(
        servers=len(list(topology.ports())),
        import_ms=(imported - begun) * 1000,
        start_ms=(up - imported) * 1000,
        stop_ms=(time.perf_counter() - leaving) * 1000,
        rss_mb=rss_mb,
    )


if __name__ == "__main__":
    named = Topology.named(TopologyName(sys.argv[1]))
    cost = measure_startup(named.shifted(free_offset(named)), PlacementName(sys.argv[2]))
    print(json.dumps(asdict(cost)))
