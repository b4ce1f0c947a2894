"""A laboratory for pipelines of HTTP services.

    import lab

    with lab.start(lab.Topology.parallel()) as running:
        print(running.entry_url)

Names are imported on first use, so that a process that needs one part of the lab (the load generator, the
command line's help) does not pay for the others.

The parts, each of which imports only those after it:

- `cli` (the command `lab`) and `notebook` (runs notebooks without a browser) are what people start.
- `sweep`, `saturation`, `faults`, `policy_comparison`, `protocol_costs` and `compare` are the experiments,
  `charts` what they come to, `progress` what is said on the way. A notebook calls these and holds no logic
  of its own.
- `measure` turns one run of load into one row, `results` keeps rows in a CSV with its sidecar.
- `load` drives a URL from a process of its own, `placement` starts a topology's servers and balancers.
- `theory` predicts, `expectations` holds the documented figures, `topology` says what a pipeline is,
  `arrivals` what load is; `machine`, `names`, `imports`, `children` and `errors` serve all.
- `services` is the pipeline itself, what is measured. It imports nothing of the lab.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lab.imports import lazily, require_own

require_own("services")

if TYPE_CHECKING:
    from lab.errors import LabError as LabError
    from lab.names import BalancerName as BalancerName
    from lab.names import PlacementName as PlacementName
    from lab.names import TopologyName as TopologyName
    from lab.placement import Running as Running
    from lab.placement import Usage as Usage
    from lab.placement import start
    from lab.topology import Balancer as Balancer
    from lab.topology import Instance as Instance
    from lab.topology import Service as Service
    from lab.topology import Topology
    from services.names import ClientName as ClientName
    from services.names import Distribution as Distribution
    from services.names import PolicyName as PolicyName
    from services.names import ProtocolName as ProtocolName
    from services.names import WorkKind as WorkKind
    from services.work import Work as Work

__all__ = ["Topology", "start"]

# Names beyond `__all__` can be had too: scripts written before have them from here, and not from their homes.
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
