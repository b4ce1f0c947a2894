"""Other people's balancers: nginx, HAProxy, Envoy, Caddy and Traefik before the instances of a service."""

from __future__ import annotations

from lab.placement.names import BalancerName
from lab.placement.proxies.caddy import Caddy
from lab.placement.proxies.envoy import Envoy
from lab.placement.proxies.haproxy import HAProxy
from lab.placement.proxies.nginx import Nginx
from lab.placement.proxies.process import ProxyProcess
from lab.placement.proxies.proxy import Place, Profile, Proxy
from lab.placement.proxies.traefik import Traefik
from services.protocols import ProtocolName

__all__ = ["GRPC_PROXIES", "PROXIES", "Place", "Profile", "Proxy", "ProxyProcess"]

PROXIES: dict[BalancerName, Proxy] = {
    proxy.name: proxy for proxy in (Nginx(), HAProxy(), Envoy(), Caddy(), Traefik())
}
"""Every real balancer, by its name."""
GRPC_PROXIES: dict[BalancerName, Proxy] = {
    proxy.name: proxy for proxy in (kind(ProtocolName.GRPC) for kind in (Nginx, HAProxy, Envoy))
}
"""Those that are set up for gRPC too; the others say why not.

What time a caller has left they pass on, and heed it not: instances do.
"""
