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

__all__ = ["PROXIES", "Place", "Profile", "Proxy", "ProxyProcess"]

PROXIES: dict[BalancerName, Proxy] = {
    proxy.name: proxy for proxy in (Nginx(), HAProxy(), Envoy(), Caddy(), Traefik())
}
"""Every real balancer, by its name."""
