"""Other people's balancers: nginx, HAProxy, Envoy, Caddy and Traefik before the instances of a service."""

from __future__ import annotations

from lab.names import BalancerName
from lab.placement.proxies.caddy import Caddy
from lab.placement.proxies.envoy import Envoy
from lab.placement.proxies.haproxy import HAProxy
from lab.placement.proxies.nginx import Nginx
from lab.placement.proxies.proxy import Place, Profile, Proxy
from lab.placement.proxies.proxy_process import ProxyProcess
from lab.placement.proxies.traefik import Traefik
from services.names import ProtocolName

__all__ = ["GRPC_PROXIES", "NOT_OVER_GRPC", "PROXIES", "Place", "Profile", "Proxy", "ProxyProcess"]

PROXIES: dict[BalancerName, Proxy] = {
    proxy.name: proxy for proxy in (Nginx(), HAProxy(), Envoy(), Caddy(), Traefik())
}
"""Every real balancer, by its name."""
GRPC_PROXIES: dict[BalancerName, Proxy] = {
    proxy.name: proxy for proxy in (kind(ProtocolName.GRPC) for kind in (Nginx, HAProxy, Envoy))
}
"""Those that are set up for gRPC too.

What time a caller has left they pass on, and heed it not: instances do.
An instance killed in this process answers what is under way there with UNAVAILABLE, where a process that dies
breaks its connections: only Envoy tries such calls again.
"""
NOT_OVER_GRPC = {
    BalancerName.CADDY: "it sends again only what told its length beforehand, and calls do not",
    BalancerName.TRAEFIK: "it sends nothing again, and counts failures by statuses of HTTP",
}
"""Why the others are not: they would carry calls, and do less for them than the built-in balancer does."""
