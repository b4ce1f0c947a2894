"""Facts about this machine that only starting something tells: busy ports, and what a start costs."""

from __future__ import annotations

import json
import subprocess
import sys

from lab.errors import StartFailed
from lab.machine import Fact
from lab.placement.ports import holders
from lab.topology import Topology, TopologyName

__all__ = ["busy_ports", "startups"]

START_GOAL_MS = 300
MEMORY_GOAL_MB = 60
MEASURE_S = 60.0


def busy_ports() -> Fact:
    """Which of the documented ports somebody listens on, and who."""
    wanted = {port: name for topology in map(Topology.named, TopologyName) for name, port in topology.ports()}
    busy = {port: holder for port, holder in holders().items() if port in wanted}
    if not busy:
        return Fact("documented ports", "all free")
    named = "\n".join(f"{port} {holder}" for port, holder in sorted(busy.items()))
    return Fact("documented ports", named, "end that, or use --offset")


def startups() -> list[Fact]:
    """What starting each topology costs, each in a fresh process."""
    return [_startup(name) for name in TopologyName]


def _startup(name: TopologyName) -> Fact:
    command = [sys.executable, "-m", "lab.placement.startup", name]
    done = subprocess.run(command, capture_output=True, text=True, timeout=MEASURE_S, check=False)
    if done.returncode:
        raise StartFailed(f"{name} did not start: {done.stderr.strip().splitlines()[-1]}")
    cost = json.loads(done.stdout)
    value = (
        f"{cost['servers']} servers in {cost['start_ms']:.0f} ms and {cost['rss_mb']:.1f} MB, "
        f"gone in {cost['stop_ms']:.0f} ms"
    )
    slow = cost["start_ms"] > START_GOAL_MS or cost["rss_mb"] > MEMORY_GOAL_MB
    remedy = f"more than {START_GOAL_MS} ms or {MEMORY_GOAL_MB} MB: is something else computing?"
    return Fact(f"starting {name}", value, remedy if slow else None)
