"""A laboratory for pipelines of HTTP services.

    import lab

    with lab.start(lab.Topology.parallel()) as running:
        print(running.entry_url)

What is named here is imported when it is first asked for, so that a process that needs one part of the lab
(the load generator, the command line's help) does not pay for the others.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lab.errors import LabError
    from lab.placement import BalancerName, PlacementName, Running, Usage, start
    from lab.topology import Balancer, Instance, Service, Topology, TopologyName
    from services.balancer.settings import PolicyName
    from services.clients import ClientName
    from services.protocols import ProtocolName
    from services.work import Distribution, Work, WorkKind

__all__ = [
    "Balancer",
    "BalancerName",
    "ClientName",
    "Distribution",
    "Instance",
    "LabError",
    "PlacementName",
    "PolicyName",
    "ProtocolName",
    "Running",
    "Service",
    "Topology",
    "TopologyName",
    "Usage",
    "Work",
    "WorkKind",
    "start",
]

_HOMES = {
    "Balancer": "lab.topology",
    "BalancerName": "lab.placement",
    "ClientName": "services.clients",
    "Distribution": "services.work",
    "Instance": "lab.topology",
    "LabError": "lab.errors",
    "PlacementName": "lab.placement",
    "PolicyName": "services.balancer.settings",
    "ProtocolName": "services.protocols",
    "Running": "lab.placement",
    "Service": "lab.topology",
    "Topology": "lab.topology",
    "TopologyName": "lab.topology",
    "Usage": "lab.placement",
    "Work": "services.work",
    "WorkKind": "services.work",
    "start": "lab.placement",
}


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'lab' has no attribute {name!r}")
    value = getattr(import_module(home), name)
    globals()[name] = value  # the next look-up finds it without coming here
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
