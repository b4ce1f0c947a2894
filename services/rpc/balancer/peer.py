"""One instance as a balancer calls it."""

from __future__ import annotations

import grpc
from grpc_health.v1 import health_pb2

from services.addresses import address_of
from services.balancer.instances import Instance
from services.rpc.channels import open_channel

__all__ = ["Peer"]


class Peer:
    """One instance: its channel, and what is called on it. Belongs to the running loop."""

    def __init__(self, instance: Instance) -> None:
        self._channel = open_channel(address_of(instance.host, instance.port))
        self._check = self._channel.unary_unary(
            "/grpc.health.v1.Health/Check",
            request_serializer=health_pb2.HealthCheckRequest.SerializeToString,
            response_deserializer=health_pb2.HealthCheckResponse.FromString,
        )
        self._methods: dict[str, grpc.aio.UnaryUnaryMultiCallable[bytes, bytes]] = {}

    def method(self, name: str) -> grpc.aio.UnaryUnaryMultiCallable[bytes, bytes]:
        """What calls the method of that full name, bytes to bytes."""
        method = self._methods.get(name)
        if method is None:
            method = self._methods[name] = self._channel.unary_unary(name)
        return method

    async def is_healthy(self, timeout_s: float) -> bool:
        """Whether the standard health check is answered SERVING, in time."""
        try:
            answer = await self._check(health_pb2.HealthCheckRequest(), timeout=timeout_s)
        except grpc.aio.AioRpcError:
            return False
        return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)

    async def close(self) -> None:
        """Cut it, and what is in flight on it."""
        await self._channel.close()
