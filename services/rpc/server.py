"""A gRPC server on one port: the methods it is given, the standard health and reflection, start and stop."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, cast
from urllib.parse import unquote

import grpc
from google.protobuf.message import DecodeError
from grpc_health.v1 import health, health_pb2
from grpc_reflection.v1alpha import reflection

from services.addresses import address_of
from services.rpc.methods import service_of

__all__ = ["Answer", "Context", "GrpcServer", "Metadata", "end", "peer_address"]

Metadata = Sequence[tuple[str, str | bytes]]
Context = grpc.aio.ServicerContext[bytes, bytes]
Answer = Callable[[bytes, Context], Awaitable[bytes]]
"""What answers a unary call, bytes to bytes: it refuses itself what is no message."""

CLOSE_S = 0.5
"""How long calls that were cut may take to go."""


def peer_address(peer: str) -> str:
    """Return `127.0.0.1` of gRPC's `ipv4:127.0.0.1:50123`, and `::1` of `ipv6:%5B::1%5D:50123`."""
    return unquote(peer).partition(":")[2].rpartition(":")[0].strip("[]")


def end(context: Context, code: grpc.StatusCode, details: str, trailing: Metadata = ()) -> bytes:
    """End a call with this status, and return what its handler is then to return.

    To abort would raise an error that the context keeps: both would hold the request until garbage is next
    collected.
    """
    context.set_code(code)
    context.set_details(details)
    context.set_trailing_metadata(tuple(trailing))
    return b""


class GrpcServer:
    """A server on one port from `start` to `stop` or `abort`, all on the loop that `start` is awaited on.

    `methods` has an Answer for each full method name; `others`, if given, makes one from any other name.
    """

    def __init__(
        self,
        methods: Mapping[str, Answer],
        body_limit_bytes: int,
        others: Callable[[str], Answer] | None = None,
    ) -> None:
        self._gate = asyncio.Event()
        self._gate.set()
        self._services = list(dict.fromkeys(map(service_of, methods)))
        self._health = _Health()
        # By gRPC's defaults, two servers may share a port without knowing.
        options = [("grpc.so_reuseport", 0), ("grpc.max_receive_message_length", body_limit_bytes)]
        self._server = grpc.aio.server(options=options)
        names = (*self._services, health.SERVICE_NAME, reflection.SERVICE_NAME)
        reflection.enable_server_reflection(names, self._server)
        methods = {**methods, f"/{health.SERVICE_NAME}/Check": self._health.answer}
        # The first that knows a method has its calls.
        self._server.add_generic_rpc_handlers((self._health.watching, _Handlers(methods, others, self._gate)))
        self._ending: asyncio.Task[None] | None = None

    async def start(self, sock: socket.socket) -> None:
        """Serve where the socket listens. gRPC takes no sockets: this one is closed, and its address taken.

        Raises RuntimeError where another program took the address first.
        """
        host, port = sock.getsockname()[:2]
        sock.close()
        self._server.add_insecure_port(address_of(host, port))
        for name in self._services:
            await self._health.set(name, health_pb2.HealthCheckResponse.SERVING)
        await self._server.start()

    async def be_unready(self) -> None:
        """Answer health checks with NOT_SERVING, and go on serving."""
        await self._health.enter_graceful_shutdown()

    async def stop(self, grace_s: float) -> None:
        """Accept nothing more, let calls in flight end for `grace_s` seconds, then cut the rest."""
        if self._ending is None:
            await self.be_unready()
            self._ending = asyncio.ensure_future(self._server.stop(grace_s))
        await asyncio.wait([self._ending], timeout=grace_s + CLOSE_S)

    def abort(self) -> None:
        """Cut every call and connection, and stop listening, as a crash would; `stop` waits for the end."""
        self._gate.set()
        self._ending = asyncio.ensure_future(self._server.stop(None))

    def freeze(self) -> None:
        """Take connections and calls, and answer none until `thaw`."""
        self._gate.clear()

    def thaw(self) -> None:
        """Answer calls again, those taken while frozen too."""
        self._gate.set()


class _Handlers(grpc.GenericRpcHandler):
    """The handlers of all methods."""

    def __init__(
        self,
        methods: Mapping[str, Answer],
        others: Callable[[str], Answer] | None,
        gate: asyncio.Event,
    ) -> None:
        self._handlers = {name: _handler(answer, gate) for name, answer in methods.items()}
        self._others = others
        self._gate = gate

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Any:
        """Return the handler of a call's method, or None where there is none: gRPC asks for each call."""
        method = handler_call_details.method
        known = self._handlers.get(method)
        if known is not None or self._others is None:
            return known
        return _handler(self._others(method), self._gate)


class _Health(health.aio.HealthServicer):
    """The standard health service, whose checks are answered as any other call is."""

    @property
    def watching(self) -> grpc.GenericRpcHandler:
        """The handler of the method that streams."""
        watch = grpc.unary_stream_rpc_method_handler(
            self.Watch,
            request_deserializer=health_pb2.HealthCheckRequest.FromString,
            response_serializer=health_pb2.HealthCheckResponse.SerializeToString,
        )
        return grpc.method_handlers_generic_handler(health.SERVICE_NAME, {"Watch": watch})

    async def answer(self, request: bytes, context: Context) -> bytes:
        """Answer a check."""
        try:
            asked = health_pb2.HealthCheckRequest.FromString(request)
        except DecodeError:
            return end(context, grpc.StatusCode.INVALID_ARGUMENT, "no HealthCheckRequest in protobuf")
        answer: bytes = (await super().Check(asked, cast(Any, context))).SerializeToString()
        return answer


def _handler(answer: Answer, gate: asyncio.Event) -> Any:
    """Return the handler of a unary call.

    gRPC's own for those leaves a call without a message unanswered until its deadline, so the message is read
    here.
    """

    async def answer_unless_frozen(_: object, context: Any) -> bytes:
        if not gate.is_set():
            await gate.wait()
        request = await context.read()
        if request is grpc.aio.EOF:
            return end(context, grpc.StatusCode.INVALID_ARGUMENT, "the call ended without a message")
        return await answer(request, context)

    return grpc.stream_unary_rpc_method_handler(answer_unless_frozen)
