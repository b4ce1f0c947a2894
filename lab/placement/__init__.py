"""How a topology comes alive, and what can be asked of it and done to it while it runs.

What is named here is imported when it is first asked for: who only wants the names need not import servers.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lab.placement.names import BalancerName, PlacementName
    from lab.placement.running import Running, Usage
    from lab.placement.starting import start

__all__ = ["BalancerName", "PlacementName", "Running", "Usage", "start"]

_HOMES = {
    "BalancerName": "lab.placement.names",
    "PlacementName": "lab.placement.names",
    "Running": "lab.placement.running",
    "Usage": "lab.placement.running",
    "start": "lab.placement.starting",
}


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'lab.placement' has no attribute {name!r}")
    value = getattr(import_module(home), name)
    globals()[name] = value  # the next look-up finds it without coming here
    return value
