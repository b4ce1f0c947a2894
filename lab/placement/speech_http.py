"""How servers are made and asked that speak HTTP."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lab.placement.app_server import AppServer
from lab.placement.protocol import Server
from lab.placement.protocol_http import ask_balancer, is_healthy
from lab.placement.server_settings import balancer_settings, create_app, service_settings
from lab.topology import Balancer, Instance, Topology
from services.balancer.server import BalancerServer

__all__ = ["HttpSpeech"]


class HttpSpeech:
    """`http`: uvicorn's protocol for services, the lab's own for balancers."""

    service_module = "services.__main__"
    balancer_module = "services.balancer.__main__"

    def server(self, topology: Topology, name: str, headers: list[tuple[bytes, bytes]]) -> Server:
        """See Speech."""
        service, server = topology.server(name)
        if isinstance(server, Balancer):
            return BalancerServer(balancer_settings(topology, service))
        return AppServer(create_app(service, service_settings(topology, service, server)), headers)

    def is_healthy(self, host: str, port: int) -> bool:
        """Whether GET /health is answered with 200, soon."""
        return is_healthy(host, port)

    def ask(
        self, server: Balancer | Instance, method: str, path: str, content: Mapping[str, Any] | None = None
    ) -> tuple[int, Any]:
        """See Speech."""
        return ask_balancer(server, method, path, content)
