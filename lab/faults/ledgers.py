"""What the instances' ledgers say: which requests were executed, and which more than once."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from lab.topology import Service, Topology

__all__ = ["executions", "repeated"]


def executions(folder: Path, service: Service) -> Counter[str]:
    """How often each request was begun by the instances of that service, by its id."""
    counted: Counter[str] = Counter()
    # Every file of that service: instances that came or went while it ran have theirs too.
    for file in folder.glob(f"{service.name}*"):
        counted.update(file.read_text(encoding="utf-8").split())
    return counted


def repeated(folder: Path, topology: Topology) -> dict[str, int]:
    """By name of service: how many requests it began to execute more than once."""
    return {
        service.name: sum(1 for times in executions(folder, service).values() if times > 1)
        for service in topology.services
    }
