"""A gRPC balancer as a server: what it answers itself, and what it forwards."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from functools import partial
from typing import Any

import grpc

from services.balancer.admin import Admin, AdminAccess, is_relayed
from services.balancer.settings import BalancerSettings
from services.rpc import pipeline_pb2 as pb
from services.rpc.balancer.balancer import GrpcLoadBalancer
from services.rpc.balancer.call import GrpcForward
from services.rpc.codec import parse
from services.rpc.methods import ASK
from services.rpc.server import Context, GrpcServer, Metadata, end, peer_address
from services.rpc.statuses import ANSWERED_BY, RefusedError, text_metadata

__all__ = ["GrpcBalancerServer"]

STATS = "/pipeline.Balancer/Stats"
_logger = logging.getLogger(__name__)
_OF_THE_CONNECTION = frozenset(("user-agent", "te", "content-type"))
_PREFIXES_OF_THE_CONNECTION = ("grpc-", ":")


class GrpcBalancerServer(GrpcServer):
    """One balancer, which forwards calls of any method but its own. It belongs to the running loop."""

    def __init__(self, settings: BalancerSettings) -> None:
        self.settings = settings
        self._grpc_balancer = GrpcLoadBalancer(settings)
        self._balancer = self._grpc_balancer.balancer
        self._admin = Admin(self._balancer, self._grpc_balancer.add, self._grpc_balancer.remove)
        methods = {STATS: self._stats, ASK: self._ask}
        super().__init__(methods, settings.request_limit_bytes, lambda method: partial(self._forward, method))

    async def stop(self, grace_s: float) -> None:
        """Be unready for `unready_s` of the settings, let calls in flight end for `grace_s`, cut the rest."""
        self._balancer.draining = True
        if self.settings.unready_s and self._ending is None:
            await self.be_unready()
            await asyncio.sleep(self.settings.unready_s)
        await super().stop(grace_s)
        await self._grpc_balancer.close()

    @property
    def in_flight(self) -> int:
        """Attempts begun and not ended."""
        return sum(instance.in_flight for instance in self._balancer.instances)

    @property
    def waiting(self) -> int:
        """Calls that wait for an instance with room."""
        return len(self._balancer.queue)

    def stats(self) -> dict[str, object]:
        """Return the documented answer to GET /stats."""
        return self._balancer.stats()

    async def _forward(self, method: str, request: bytes, context: Context) -> bytes:
        metadata = _passed_on(context.invocation_metadata())
        forward = GrpcForward(self._grpc_balancer, method, request, metadata, context.time_remaining())
        try:
            outcome = await forward.answer()
        except RefusedError as refused:
            return end(context, refused.code, refused.details, tuple(refused.metadata.items()))
        except Exception as error:
            _logger.exception("%s failed", self.settings.name)
            signed = ((ANSWERED_BY, self.settings.name),)
            details = f"{self.settings.name} failed: {type(error).__name__}"
            return end(context, grpc.StatusCode.INTERNAL, details, signed)
        initial = _passed_on(outcome.initial)
        if initial:
            await context.send_initial_metadata(initial)
        if outcome.code is not grpc.StatusCode.OK:
            return end(context, outcome.code, outcome.details, outcome.trailing)
        context.set_trailing_metadata(tuple(outcome.trailing))
        return outcome.body

    async def _stats(self, _: bytes, __: Context) -> bytes:
        stats: Any = self.stats()
        attempts = {label: pb.Attempts(**counts) for label, counts in stats["stats"].items()}
        return pb.StatsResponse(instances=stats["instances"], stats=attempts).SerializeToString()

    async def _ask(self, request: bytes, context: Context) -> bytes:
        try:
            asked = parse(pb.AdminRequest(), request)
            method, path = asked.method.encode("ascii"), asked.path.encode("ascii")
        except ValueError as error:
            return end(context, grpc.StatusCode.INVALID_ARGUMENT, str(error))
        metadata = text_metadata(context.invocation_metadata())
        access = AdminAccess(
            peer_address(context.peer()),
            relayed=is_relayed(metadata),
            authorization=metadata.get("authorization", ""),
        )
        answer = self._admin.answer(method, path, asked.body, access)
        return pb.AdminResponse(
            status=answer.status, content_type=answer.content_type, body=answer.body
        ).SerializeToString()


def _passed_on(metadata: Iterable[tuple[str, str | bytes]] | None) -> Metadata:
    """Return the metadata without what concerns only the connection it came on."""
    return tuple(
        (key, value)
        for key, value in metadata or ()
        if key not in _OF_THE_CONNECTION and not key.startswith(_PREFIXES_OF_THE_CONNECTION)
    )
