"""External load balancers: nginx, HAProxy, Envoy, Caddy and Traefik before the instances of a service.

A Proxy (proxy.py) describes one of them and holds no state: its program, its policies, and how the
BalancerSettings of one balancer become its configuration. Each has a file: nginx.py, haproxy.py, envoy.py,
caddy.py, traefik.py; what their configurations have in common is in formatting.py.

ExternalBalancers (lab/placement/external.py) makes a ProxyProcess (proxy_process.py) for each balancer of a
topology. Its `start` makes a folder and writes there what `Proxy.render` returns, binds the port once to see
that it is free, and starts the program under watchdog.py, which ends the program when the lab ends, however
that may be. The balancer is up once its /health answers.

/health a balancer answers by itself where it can. /stats it passes on to a StatsServer (stats_server.py) in
this process, which asks `ProxyProcess.stats`, which asks the Proxy's Counter. HAProxy, Envoy and Traefik
count by instance; nginx and Caddy write an access log, which access_log.py counts.

A ProxyProcess is started once: new ─start─▶ up ─stop, kill or its own end─▶ ended.
"""

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
"""Every external load balancer, by its name."""
GRPC_PROXIES: dict[BalancerName, Proxy] = {
    proxy.name: proxy for proxy in (kind(ProtocolName.GRPC) for kind in (Nginx, HAProxy, Envoy))
}
"""Those that are set up for gRPC too, by their names.

They pass on the time a caller has left and do not obey it themselves; instances do. An instance killed in
this process answers its calls with UNAVAILABLE, where a process that dies breaks its connections: only
Envoy tries such calls again.
"""
NOT_OVER_GRPC = {
    BalancerName.CADDY: "it retries only requests that state their length, and calls do not",
    BalancerName.TRAEFIK: "it retries nothing that was sent, and counts failures by HTTP statuses",
}
"""Why the others are not: they would carry calls, and do less for them than the built-in balancer does."""
