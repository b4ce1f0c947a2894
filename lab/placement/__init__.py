"""How a topology comes alive, and what can be asked of it and done to it while it runs.

What is named here is imported when it is first asked for: who only wants the names need not import servers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lab.imports import lazily

if TYPE_CHECKING:
    from lab.names import BalancerName, PlacementName
    from lab.placement.running import Running, Usage
    from lab.placement.start import start

__all__ = ["BalancerName", "PlacementName", "Running", "Usage", "start"]

__getattr__, __dir__ = lazily(
    __name__,
    {
        "lab.names": ("BalancerName", "PlacementName"),
        "lab.placement.running": ("Running", "Usage"),
        "lab.placement.start": ("start",),
    },
)
