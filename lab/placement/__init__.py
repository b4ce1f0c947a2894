"""How a topology comes alive, and what can be asked of it and done to it while it runs."""

from __future__ import annotations

from lab.placement.names import BalancerName, PlacementName
from lab.placement.running import Running, Usage
from lab.placement.start import start

__all__ = ["BalancerName", "PlacementName", "Running", "Usage", "start"]
