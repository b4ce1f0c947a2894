"""What all calls of one gRPC balancer share: a LoadBalancer, and a channel to each of its instances."""

from __future__ import annotations

import asyncio
import time
from typing import Protocol

import grpc
from grpc_health.v1 import health_pb2

from services.addresses import Address, address_of
from services.balancer.balancer import LoadBalancer
from services.balancer.instances import InstanceState
from services.balancer.retries import RetryRules
from services.balancer.settings import BalancerSettings
from services.limits import answer_limit
from services.rpc.channels import open_channel
from services.rpc.methods import PATH_OF
from services.rpc.statuses import failure_of
from services.wire.errors import SHORTAGES, FailureKind

__all__ = ["GrpcLoadBalancer", "InstanceChannel"]


class InstanceChannel:
    """A channel to one instance, and what is called on it. It belongs to the running loop."""

    def __init__(self, instance: InstanceState, answer_limit_bytes: int) -> None:
        address = address_of(instance.host, instance.port)
        self._channel = open_channel(address, answer_limit_bytes=answer_limit_bytes)
        self._check = self._channel.unary_unary(
            "/grpc.health.v1.Health/Check",
            request_serializer=health_pb2.HealthCheckRequest.SerializeToString,
            response_deserializer=health_pb2.HealthCheckResponse.FromString,
        )
        self._methods: dict[str, grpc.aio.UnaryUnaryMultiCallable[bytes, bytes]] = {}

    def method(self, name: str) -> grpc.aio.UnaryUnaryMultiCallable[bytes, bytes]:
        """Return what calls the method of this full name, bytes to bytes."""
        method = self._methods.get(name)
        if method is None:
            method = self._methods[name] = self._channel.unary_unary(name)
        return method

    async def is_healthy(self, timeout_s: float) -> bool | FailureKind:
        """Return whether the standard health check is answered SERVING within `timeout_s` seconds.

        Where this side ran out of something, that tells nothing: then return what that is.
        """
        try:
            answer = await self._check(health_pb2.HealthCheckRequest(), timeout=timeout_s)
        except grpc.aio.AioRpcError as error:
            failure = failure_of(error, "")
            return failure.kind if failure is not None and failure.kind in SHORTAGES else False
        return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)

    async def close(self) -> None:
        """Cut the channel, and what is in flight on it."""
        await self._channel.close()


class _Movable(Protocol):
    def vacate(self, instance: InstanceState) -> None: ...


class GrpcLoadBalancer:
    """A LoadBalancer, and a channel and active checks for each instance. It belongs to the running loop."""

    def __init__(self, settings: BalancerSettings) -> None:
        self.settings = settings
        self.balancer = LoadBalancer(settings, self)
        self.calls: set[_Movable] = set()
        self.channels: dict[InstanceState, InstanceChannel] = {}
        self._checks: dict[InstanceState, asyncio.Task[None]] = {}
        self._closing: set[asyncio.Task[None]] = set()
        for instance in self.balancer.instances:
            self._open(instance)

    def rules(self, method: str) -> RetryRules:
        """Return what may be done twice: the methods of routes that declare so."""
        return RetryRules(PATH_OF.get(method) in self.settings.idempotent)

    def add(self, address: Address) -> None:
        """Add an instance, to which calls may go from now on. Raises DuplicateInstance."""
        self._open(self.balancer.add(address))

    def remove(self, name: str) -> None:
        """Remove an instance; calls in flight there end. Raises UnknownInstance."""
        instance = self.balancer.remove(name)
        self._checks.pop(instance).cancel()
        task = asyncio.ensure_future(self._close_when_idle(instance))
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    def shed(self) -> bool:
        """Close no client's connection: gRPC gives no hold of them."""
        return False

    def vacate(self, instance: InstanceState) -> None:
        """Have calls go elsewhere that wait for an instance which is down, where that does no harm."""
        for call in list(self.calls):
            call.vacate(instance)

    async def close(self) -> None:
        """Cut every channel, and end the checks."""
        self.balancer.close()
        for task in (*self._checks.values(), *self._closing):
            task.cancel()
        await asyncio.gather(*self._checks.values(), *self._closing, return_exceptions=True)
        for channel in self.channels.values():
            await channel.close()

    def _open(self, instance: InstanceState) -> None:
        self.channels[instance] = InstanceChannel(instance, answer_limit(self.settings.body_limit_bytes))
        self._checks[instance] = asyncio.ensure_future(self._watch(instance))

    async def _close_when_idle(self, instance: InstanceState) -> None:
        """Close the channel of an instance that was removed, once its calls have ended."""
        while instance.in_flight:  # noqa: ASYNC110 (rare, and nothing waits for it)
            await asyncio.sleep(0.05)
        await self.channels.pop(instance).close()

    async def _watch(self, instance: InstanceState) -> None:
        interval_s = self.settings.check_interval_s
        channel = self.channels[instance]
        while interval_s:
            await asyncio.sleep(interval_s)
            healthy = await channel.is_healthy(self.settings.check_timeout_s)
            if isinstance(healthy, FailureKind):
                self.balancer.fell_short(healthy)
            else:
                self.balancer.checked(instance, healthy=healthy, now=time.monotonic())
