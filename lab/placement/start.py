"""The way in: from a topology and the names of a placement and a balancer to a Running."""

from __future__ import annotations

from collections.abc import Collection
from enum import StrEnum
from typing import TypeVar

from lab.errors import BadParameter, NotSupported
from lab.names import BalancerName, PlacementName
from lab.pipeline.form import Pipeline
from lab.pipeline.wiring import topology_of
from lab.placement.external import ExternalBalancers
from lab.placement.in_process import InProcess
from lab.placement.ports import require_loopback
from lab.placement.processes import Processes
from lab.placement.proxies import Profile
from lab.placement.remote import Remote
from lab.placement.running import Running
from lab.topology import Topology

__all__ = ["require_tunable", "start"]

N = TypeVar("N", bound=StrEnum)

_PLACEMENTS = {
    PlacementName.IN_PROCESS: InProcess,
    PlacementName.PROCESSES: Processes,
}


def start(
    topology: Topology | Pipeline,
    *,
    placement: PlacementName | None = None,
    balancer: BalancerName | None = None,
    profile: Profile = Profile.MATCHED,
    expose: bool = False,
    cores: Collection[int] = (),
) -> Running:
    """Return a topology that comes up on entering the block and is gone on leaving it.

        with lab.start(lab.Topology.parallel()) as running:   # or: async with
            requests.post(running.entry_url, json={"text": "The cat, the CAT", "request_id": "r1"})

    A pipeline of one's own is one too. `placement` is by default `processes` where programs of one's own run,
    else `in-process`; `balancer` is the one that the pipeline names, else the built-in one.
    `profile` says how an external load balancer is configured: to do what the built-in one does, or as it
    is shipped. `cores` are those that servers and balancers are kept on; without any they run on all.
    `expose` allows servers to listen where other machines can reach them; otherwise that is a BadParameter.

    Raises NotSupported for an external load balancer that lacks the policy or is not set up for the
    topology's protocol, for tuning of any balancer but the built-in one, and ProgramMissing where a program
    is not installed. Entering the block raises PortInUse
    or StartFailed where a server cannot come up, and leaves none running.
    """
    if not isinstance(topology, Topology | Pipeline):
        raise BadParameter(f"{topology!r} is no topology: give one, such as lab.Topology.parallel()")
    if isinstance(topology, Pipeline):
        balancer = balancer or topology.balancer
        topology = topology_of(topology)
    programs = any(service.program for service in topology.services)
    if placement is None:
        placement = PlacementName.PROCESSES if programs else PlacementName.IN_PROCESS
    placement, balancer = _choice(PlacementName, placement), _choice(BalancerName, balancer or "builtin")
    profile = _choice(Profile, profile)
    require_tunable(topology, placement, balancer)
    if placement is PlacementName.REMOTE:
        if cores:
            raise NotSupported("a remote topology cannot be kept on cores from here: leave cores out")
        return Remote(topology)
    if not expose:
        require_loopback(topology)
    if programs and placement is PlacementName.IN_PROCESS:
        raise NotSupported(f"{topology.name} runs programs of its own: take the placement processes")
    kind = _PLACEMENTS[placement]
    if balancer is BalancerName.BUILTIN:
        return kind(topology, cores=cores)
    inner = kind(topology, balancers=False, cores=cores)
    return ExternalBalancers(topology, inner, balancer, profile, cores=cores)


def require_tunable(topology: Topology, placement: PlacementName, balancer: BalancerName) -> None:
    """Raise NotSupported where the topology is tuned and its balancers cannot be: starts nothing."""
    if not topology.tuned:
        return
    if placement is PlacementName.REMOTE:
        raise NotSupported("tuning cannot reach remote balancers, which run already: leave tuning out")
    if balancer is not BalancerName.BUILTIN:
        raise NotSupported(
            f"tuning sets the built-in balancer, and {balancer} has a configuration of its own: "
            "take builtin, or leave tuning out"
        )


def _choice(names: type[N], name: str) -> N:
    try:
        return names(name)
    except ValueError:
        raise BadParameter(f"there is no {name!r}: choose from {', '.join(names)}") from None
