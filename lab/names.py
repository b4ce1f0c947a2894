"""What the lab chooses by name: topology, placement, balancer, load model, where the window begins.

Names stand apart from what they name, so that reading options and parameters imports no servers.
"""

from __future__ import annotations

from enum import StrEnum

__all__ = ["BalancerName", "LoadModel", "PlacementName", "TopologyName", "WarmupMode"]


class PlacementName(StrEnum):
    """Where the servers of a topology run."""

    IN_PROCESS = "in-process"
    """In one background thread of this process, sharing its interpreter lock."""
    PROCESSES = "processes"
    """In an operating-system process for each server."""
    REMOTE = "remote"
    """Wherever they run already: they are neither started nor stopped."""


class BalancerName(StrEnum):
    """The program that balances the instances of a service."""

    BUILTIN = "builtin"
    """The lab's own, `services.balancer`."""
    NGINX = "nginx"
    HAPROXY = "haproxy"
    ENVOY = "envoy"
    CADDY = "caddy"
    TRAEFIK = "traefik"


class LoadModel(StrEnum):
    """What makes requests start: answers, in the closed loop, or a schedule."""

    CLOSED = "closed"
    """Each of `concurrency` users sends its next request when the last was answered."""
    CONSTANT = "constant"
    POISSON = "poisson"
    RAMP = "ramp"
    STEPS = "steps"


class WarmupMode(StrEnum):
    """Where the measurement window begins."""

    FIXED = "fixed"
    """After `warmup_s`; in the closed loop not before every user has had an answer."""
    AUTO = "auto"
    """Where the run has settled by MSER-5, at the latest after `warmup_s`."""


class TopologyName(StrEnum):
    """The documented topologies, by the name a sweep gives them."""

    SEQUENTIAL = "sequential"
    PARALLEL = "parallel"
