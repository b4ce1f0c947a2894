"""Faults of an instance, set while it runs, for experiments: only where its settings allow them."""

from __future__ import annotations

import json
import random
from dataclasses import asdict, replace

import grpc

from services.addresses import is_loopback
from services.fault_injection import FAULTS_PATH, Faults
from services.rpc import pipeline_pb2 as pb
from services.rpc.codec import MalformedError, parse
from services.rpc.server import Answer, Context, end, peer_address
from services.rpc.statuses import ANSWERED_BY
from services.slots import Slots

__all__ = ["FaultyAnswer"]


class FaultyAnswer:
    """An Answer that fails as often as its faults say, as FaultyApp does over HTTP.

    Errors are INTERNAL and not executed; a drop is executed, and then ends as a connection that broke.
    """

    def __init__(self, answer: Answer, slots: Slots, seed: int) -> None:
        self.faults = Faults()
        self._answer = answer
        self._slots = slots
        self._draw = random.Random(seed).random
        self._mean_ms = slots.work.mean_ms

    async def answer(self, request: bytes, context: Context) -> bytes:
        """Answer a call, or fail it."""
        if self._draw() < self.faults.errors:
            signed = ((ANSWERED_BY, self._slots.name),)
            return end(context, grpc.StatusCode.INTERNAL, "a fault was asked for", signed)
        drops = self._draw() < self.faults.drops
        body = await self._answer(request, context)
        if drops:
            return end(context, grpc.StatusCode.UNAVAILABLE, "a fault was asked for")
        return body

    async def ask(self, request: bytes, context: Context) -> bytes:
        """Answer POST /faults, which sets the faults, from this machine only."""
        if not _is_on_this_machine(context.peer()):
            return end(context, grpc.StatusCode.PERMISSION_DENIED, "faults are set from this machine only")
        try:
            asked = parse(pb.AdminRequest(), request)
        except MalformedError as error:
            return end(context, grpc.StatusCode.INVALID_ARGUMENT, str(error))
        if (asked.method, asked.path) != ("POST", FAULTS_PATH):
            return _said(404, {"detail": f"there is no {asked.method} {asked.path}"})
        try:
            self.faults = Faults(**json.loads(asked.body))
        except (TypeError, ValueError) as error:
            return _said(422, {"detail": f"no faults: {error}"})
        mean_ms = self._mean_ms * self.faults.slowdown
        if self._slots.work.mean_ms != mean_ms:
            self._slots.work = replace(self._slots.work, mean_ms=mean_ms)
        return _said(200, asdict(self.faults))


def _is_on_this_machine(peer: str) -> bool:
    """Return whether a peer as gRPC writes it, such as `ipv6:%5B::1%5D:1234`, is on this machine."""
    return peer.startswith("unix:") or is_loopback(peer_address(peer))


def _said(status: int, content: object) -> bytes:
    body = json.dumps(content).encode()
    return pb.AdminResponse(status=status, content_type="application/json", body=body).SerializeToString()
