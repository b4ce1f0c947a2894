"""The one way in: a topology and where it should run."""

from __future__ import annotations

from collections.abc import Collection
from enum import StrEnum
from typing import TypeVar

from lab.errors import BadParameter, NotSupported
from lab.names import BalancerName, PlacementName
from lab.placement.external import ExternalBalancers
from lab.placement.in_process import InProcess
from lab.placement.ports import require_loopback
from lab.placement.processes import Processes
from lab.placement.proxies import Profile
from lab.placement.remote import Remote
from lab.placement.running import Running
from lab.topology import Topology

__all__ = ["start"]

N = TypeVar("N", bound=StrEnum)

_PLACEMENTS = {
    PlacementName.IN_PROCESS: InProcess,
    PlacementName.PROCESSES: Processes,
}


def start(
    topology: Topology,
    *,
    placement: PlacementName = PlacementName.IN_PROCESS,
    balancer: BalancerName = BalancerName.BUILTIN,
    profile: Profile = Profile.MATCHED,
    expose: bool = False,
    cores: Collection[int] = (),
) -> Running:
    """A topology that comes up on entering the block and is gone on leaving it.

        with lab.start(lab.Topology.parallel()) as running:   # or: async with
            requests.post(running.entry_url, json={"text": "The cat, the CAT", "request_id": "r1"})

    `profile` says how a real balancer is configured: to do what the built-in one does, or as it is shipped.
    `cores` are those that servers and balancers are kept on; without any they run wherever they are put.
    `expose` allows servers to listen where other machines can reach them; otherwise that is a BadParameter.
    Raises NotSupported for real balancers that lack the policy or are not set up for the topology's protocol,
    and ProgramMissing where they are not installed. Entering the block raises PortInUse or StartFailed where
    a server cannot come up, and leaves none running.
    """
    if not isinstance(topology, Topology):
        raise BadParameter(f"{topology!r} is no topology: give one, such as lab.Topology.parallel()")
    where, whose = _named(PlacementName, placement), _named(BalancerName, balancer)
    how = _named(Profile, profile)
    if where is PlacementName.REMOTE:
        if cores:
            raise NotSupported("what is remote cannot be kept on cores from here: leave them out")
        return Remote(topology)
    if not expose:
        require_loopback(topology)
    kind = _PLACEMENTS[where]
    if whose is BalancerName.BUILTIN:
        return kind(topology, cores=cores)
    inner = kind(topology, balancers=False, cores=cores)
    return ExternalBalancers(topology, inner, whose, how, cores=cores)


def _named(names: type[N], name: str) -> N:
    try:
        return names(name)
    except ValueError:
        raise BadParameter(f"there is no {name!r}: choose from {', '.join(names)}") from None
