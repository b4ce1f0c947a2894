"""Facts about this machine for `lab doctor`: which documented ports are busy, and what a start costs."""

from __future__ import annotations

import json
import subprocess

from tqdm import tqdm

from lab.children import child_command
from lab.errors import StartFailed
from lab.machine import Fact
from lab.names import PlacementName, TopologyName
from lab.placement.ports import holders
from lab.topology import Topology

__all__ = ["busy_ports", "startups"]

LIMITS = {PlacementName.IN_PROCESS: (300, 60), PlacementName.PROCESSES: (3000, 800)}
"""Milliseconds and megabytes beyond which a start is reported as slow."""
MEASURE_S = 60.0


def busy_ports() -> Fact:
    """Return which of the documented ports are taken, and by which process."""
    wanted = {port: name for topology in map(Topology.named, TopologyName) for name, port in topology.ports()}
    busy = {port: holder for port, holder in holders().items() if port in wanted}
    if not busy:
        return Fact("documented ports", "all free")
    named = "\n".join(f"{port} {holder}" for port, holder in sorted(busy.items()))
    return Fact("documented ports", named, "end that, or use --offset")


def startups() -> list[Fact]:
    """Start each topology in each placement, in a fresh process each, and return what that costs."""
    starts = [(name, placement) for name in TopologyName for placement in LIMITS]
    with tqdm(starts, desc="starting each", leave=False) as bar:
        return [_startup(name, placement) for name, placement in bar]


def _startup(name: TopologyName, placement: PlacementName) -> Fact:
    command = child_command("lab.placement.startup", name, placement)
    done = subprocess.run(command, capture_output=True, text=True, timeout=MEASURE_S, check=False)
    if done.returncode:
        raise StartFailed(f"{name} did not start: {done.stderr.strip().splitlines()[-1]}")
    cost = json.loads(done.stdout)
    value = (
        f"{cost['servers']} servers in {cost['start_ms']:.0f} ms and {cost['rss_mb']:.1f} MB, "
        f"gone in {cost['stop_ms']:.0f} ms"
    )
    limit_ms, limit_mb = LIMITS[placement]
    slow = cost["start_ms"] > limit_ms or cost["rss_mb"] > limit_mb
    remedy = f"more than {limit_ms} ms or {limit_mb} MB: is something else computing?"
    return Fact(f"starting {name} ({placement})", value, remedy if slow else None)
