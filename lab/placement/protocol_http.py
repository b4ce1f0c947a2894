"""The adapter for HTTP, and its questions to servers as functions, for external load balancers too."""

from __future__ import annotations

import http.client
import json
from collections.abc import Mapping
from typing import Any

from lab.errors import PlacementError
from lab.placement.app_server import AppServer
from lab.placement.server_settings import balancer_settings, create_app, service_settings
from lab.topology import Balancer, Instance, Topology
from services.balancer.server import BalancerServer
from services.command import Server

__all__ = ["HttpAdapter", "ask_balancer", "is_healthy"]

ASK_S = 5.0
"""How long a server may take to answer."""
HEALTH_S = 1.0
"""How long a health check may take."""


def is_healthy(host: str, port: int) -> bool:
    """Return whether GET /health is answered with 200 within a second."""
    connection = http.client.HTTPConnection(host, port, timeout=HEALTH_S)
    try:
        connection.request("GET", "/health")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def ask_balancer(
    balancer: Balancer | Instance, method: str, path: str, content: Mapping[str, Any] | None = None
) -> tuple[int, Any]:
    """Send a balancer a request, with `content` as JSON. Return the status and the JSON of its answer.

    Raises PlacementError where the balancer gives no such answer.
    """
    try:
        status, body = _exchanged(balancer, method, path, content)
        return status, json.loads(body)
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise PlacementError(f"{balancer.name} gave no answer to {path} ({error!r}): see its log") from None


def _exchanged(
    server: Balancer | Instance, method: str, path: str, content: Mapping[str, Any] | None = None
) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection(server.host, server.port, timeout=ASK_S)
    try:
        if content is None:
            connection.request(method, path)
        else:
            connection.request(method, path, json.dumps(content), {"Content-Type": "application/json"})
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


class HttpAdapter:
    """The adapter for `http`: uvicorn's protocol for services, the lab's own for balancers."""

    service_module = "services.__main__"
    balancer_module = "services.balancer.__main__"

    def server(self, topology: Topology, name: str, headers: list[tuple[bytes, bytes]]) -> Server:
        """Make an instance or balancer. Raises BadParameter for an application that does not exist."""
        service, server = topology.server(name)
        if isinstance(server, Balancer):
            return BalancerServer(balancer_settings(topology, service))
        return AppServer(create_app(service, service_settings(topology, service, server)), headers)

    def is_healthy(self, host: str, port: int) -> bool:
        """Return whether GET /health is answered with 200 within a second."""
        return is_healthy(host, port)

    def read(self, server: Balancer | Instance, path: str) -> bytes:
        """Return the server's answer to GET `path`. Raises PlacementError where it gives none."""
        try:
            return _exchanged(server, "GET", path)[1]
        except (OSError, http.client.HTTPException) as error:
            raise PlacementError(f"{server.name} gave no answer to {path} ({error!r}): see its log") from None

    def ask(
        self, server: Balancer | Instance, method: str, path: str, content: Mapping[str, Any] | None = None
    ) -> tuple[int, Any]:
        """Send the server a request. Return the status and the JSON of its answer, as `ask_balancer` does."""
        return ask_balancer(server, method, path, content)
