"""The adapter for gRPC. Importing it needs grpcio, which is an optional part of the distribution."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import grpc
from grpc_health.v1 import health_pb2

from lab.errors import NotSupported, PlacementError
from lab.placement.protocol_http import ASK_S, HEALTH_S
from lab.placement.server_settings import balancer_settings, service_settings
from lab.topology import PIPELINE, Balancer, Instance, Topology
from services.addresses import address_of
from services.command import Server
from services.rpc import pipeline_pb2 as pb
from services.rpc.balancer.server import GrpcBalancerServer
from services.rpc.channels import CHANNEL_OPTIONS
from services.rpc.methods import ASK
from services.rpc.service import ServiceServer

__all__ = ["GrpcAdapter"]

_CHECK = "/grpc.health.v1.Health/Check"


class GrpcAdapter:
    """The adapter for `grpc`: servers of grpc.aio, asked over synchronous channels, which need no loop."""

    service_module = "services.rpc.__main__"
    balancer_module = "services.rpc.balancer.__main__"

    def server(self, topology: Topology, name: str, headers: list[tuple[bytes, bytes]]) -> Server:  # noqa: ARG002
        """Make an instance or balancer. Raises NotSupported for a user's application, which speaks HTTP."""
        service, server = topology.server(name)
        if service.app != PIPELINE:
            raise NotSupported(f"{service.name} runs an application of its own, which speaks HTTP: take http")
        if isinstance(server, Balancer):
            return GrpcBalancerServer(balancer_settings(topology, service))
        return ServiceServer(service_settings(topology, service, server))

    def is_healthy(self, host: str, port: int) -> bool:
        """Return whether the standard health check is answered SERVING within a second."""
        try:
            answer = _call(host, port, _CHECK, health_pb2.HealthCheckRequest().SerializeToString(), HEALTH_S)
        except grpc.RpcError:
            return False
        status = health_pb2.HealthCheckResponse.FromString(answer).status
        return bool(status == health_pb2.HealthCheckResponse.SERVING)

    def ask(
        self, server: Balancer | Instance, method: str, path: str, content: Mapping[str, Any] | None = None
    ) -> tuple[int, Any]:
        """Send the request as an AdminRequest. Return the status and the JSON of the answer.

        Raises PlacementError where the server gives no such answer.
        """
        answer = self._asked(server, method, path, content)
        try:
            return answer.status, json.loads(answer.body)
        except ValueError as error:
            raise PlacementError(f"{server.name} gave no answer to {path} ({error!r}): see its log") from None

    def read(self, server: Balancer | Instance, path: str) -> bytes:
        """Return the server's answer to GET `path`. Raises PlacementError where it gives none."""
        return bytes(self._asked(server, "GET", path).body)

    def _asked(
        self, server: Balancer | Instance, method: str, path: str, content: Mapping[str, Any] | None = None
    ) -> Any:
        body = b"" if content is None else json.dumps(content).encode()
        request = pb.AdminRequest(method=method, path=path, body=body).SerializeToString()
        try:
            return pb.AdminResponse.FromString(_call(server.host, server.port, ASK, request, ASK_S))
        except (grpc.RpcError, ValueError) as error:
            raise PlacementError(f"{server.name} gave no answer to {path} ({error!r}): see its log") from None


def _call(host: str, port: int, method: str, request: bytes, timeout_s: float) -> bytes:
    with grpc.insecure_channel(address_of(host, port), options=CHANNEL_OPTIONS) as channel:
        ask: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(method)
        return ask(request, timeout=timeout_s)
