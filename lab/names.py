"""How a topology can come alive, and behind whose balancers.

What a load is chosen by, by name.
"""

from __future__ import annotations

from enum import StrEnum

__all__ = ["BalancerName", "LoadModel", "PlacementName", "TopologyName", "WarmupMode"]


class PlacementName(StrEnum):
    """Where the servers of a topology run."""

    IN_PROCESS = "in-process"
    """All in one background thread of this process, sharing its interpreter lock."""
    PROCESSES = "processes"
    """Each in an operating-system process of its own."""
    REMOTE = "remote"
    """Wherever they run already: they are only asked."""


class BalancerName(StrEnum):
    """Whose balancer stands before the instances of a service."""

    BUILTIN = "builtin"
    """The lab's own, `services.balancer`."""
    NGINX = "nginx"
    HAPROXY = "haproxy"
    ENVOY = "envoy"
    CADDY = "caddy"
    TRAEFIK = "traefik"


class LoadModel(StrEnum):
    """How requests come about."""

    CLOSED = "closed"
    """Each of so many users sends its next request when the last was answered."""
    CONSTANT = "constant"
    POISSON = "poisson"
    RAMP = "ramp"
    STEPS = "steps"


class WarmupMode(StrEnum):
    """Where the window begins."""

    FIXED = "fixed"
    """After `warmup_s`, and in the closed loop not before every user has had an answer."""
    AUTO = "auto"
    """Where MSER-5 says that the run has settled, at the latest after `warmup_s`."""


class TopologyName(StrEnum):
    """The documented topologies, by the name a sweep gives them."""

    SEQUENTIAL = "sequential"
    PARALLEL = "parallel"
