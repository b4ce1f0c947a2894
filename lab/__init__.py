"""A laboratory for pipelines of HTTP services.

    import lab

    with lab.start(lab.Topology.parallel()) as running:
        print(running.entry_url)

What is named here is imported when it is first asked for, so that a process that needs one part of the lab
(the load generator, the command line's help) does not pay for the others.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lab.imports import lazily, require_own

require_own("services")

if TYPE_CHECKING:
    from lab.errors import LabError
    from lab.names import TopologyName
    from lab.placement import BalancerName, PlacementName, Running, Usage, start
    from lab.topology import Balancer, Instance, Service, Topology
    from services.balancer.settings import PolicyName
    from services.names import ClientName, Distribution, ProtocolName, WorkKind
    from services.work import Work

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

__getattr__, __dir__ = lazily(
    __name__,
    {
        "lab.errors": ("LabError",),
        "lab.names": ("BalancerName", "PlacementName", "TopologyName"),
        "lab.placement": ("Running", "Usage", "start"),
        "lab.topology": ("Balancer", "Instance", "Service", "Topology"),
        "services.names": ("ClientName", "Distribution", "PolicyName", "ProtocolName", "WorkKind"),
        "services.work": ("Work",),
    },
)
