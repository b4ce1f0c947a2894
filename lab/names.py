"""How a topology can come alive, and behind whose balancers."""

from __future__ import annotations

from enum import StrEnum

__all__ = ["BalancerName", "PlacementName"]


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
