"""What all calls of one balancer share: the HTTP balancer's core, with a channel to each instance.

One instance as a balancer calls it.
"""

from __future__ import annotations

import asyncio
import time

import grpc
from grpc_health.v1 import health_pb2

from services.addresses import Address, address_of
from services.balancer.balancer import LoadBalancer
from services.balancer.instances import InstanceState
from services.balancer.retries import RetryRules
from services.balancer.settings import BalancerSettings
from services.rpc.channels import open_channel
from services.rpc.methods import PATH_OF

__all__ = ["GrpcLoadBalancer", "InstanceChannel"]


class InstanceChannel:
    """One instance: its channel, and what is called on it. Belongs to the running loop."""

    def __init__(self, instance: InstanceState) -> None:
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


class GrpcLoadBalancer:
    """Instances, each with its channel and its active checks. Belongs to the running loop."""

    def __init__(self, settings: BalancerSettings) -> None:
        self.settings = settings
        self.core = LoadBalancer(settings)
        self.peers: dict[InstanceState, InstanceChannel] = {}
        self._checks: dict[InstanceState, asyncio.Task[None]] = {}
        self._closing: set[asyncio.Task[None]] = set()
        for instance in self.core.roster:
            self._meet(instance)

    def rules(self, method: str) -> RetryRules:
        """What may be done twice: the methods of routes that declare so."""
        return RetryRules(PATH_OF.get(method) in self.settings.idempotent)

    def add(self, address: Address) -> None:
        """From now on calls may go there. Raises DuplicateInstance."""
        self._meet(self.core.add(address))

    def remove(self, name: str) -> None:
        """From now on no call goes there; those in flight end. Raises UnknownInstance."""
        instance = self.core.remove(name)
        self._checks.pop(instance).cancel()
        task = asyncio.ensure_future(self._part(instance))
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    async def close(self) -> None:
        """Cut every channel, and end the checks."""
        self.core.close()
        for task in (*self._checks.values(), *self._closing):
            task.cancel()
        await asyncio.gather(*self._checks.values(), *self._closing, return_exceptions=True)
        for peer in self.peers.values():
            await peer.close()

    def _meet(self, instance: InstanceState) -> None:
        self.peers[instance] = InstanceChannel(instance)
        self._checks[instance] = asyncio.ensure_future(self._watch(instance))

    async def _part(self, instance: InstanceState) -> None:
        """Close the channel of an instance that was removed, once its calls have ended."""
        while instance.in_flight:  # noqa: ASYNC110 (rare, and nobody waits)
            await asyncio.sleep(0.05)
        await self.peers.pop(instance).close()

    async def _watch(self, instance: InstanceState) -> None:
        interval_s = self.settings.check_interval_s
        peer, roster = self.peers[instance], self.core.roster
        while interval_s:
            await asyncio.sleep(interval_s)
            well = await peer.is_healthy(self.settings.check_timeout_s)
            report = roster.check_passed if well else roster.check_failed
            report(instance, time.monotonic())
