"""Load over gRPC: what a worker takes for its own connection is one call at a time on a shared channel.

So everything else about a run, from its schedule to its rows, is as over HTTP. The speed is that of grpc.aio.
`rpc_messages` makes the pipeline's first message in protobuf, ready to be numbered.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Sequence

import grpc

from lab.load.addresses import race
from lab.load.outcomes import RPC_STATUSES
from lab.load.requests import ID_DIGITS, MARK
from services.messages import TextRequest
from services.rpc.channels import open_channel
from services.rpc.codec import encode
from services.rpc.statuses import failure_of, text_metadata
from services.server_timing import SERVER_TIMING
from services.wire.deadlines import Deadlines
from services.wire.errors import FailureKind, NoAnswer, NotConnected, WireError
from services.wire.exchange import Exchange, Headers

__all__ = ["GrpcConnection", "GrpcEndpoint", "rpc_messages"]

_OK = 200


class GrpcEndpoint:
    """One method of one server, and the channels to the server, each opened when it is first needed.

    `targets` are the addresses, as `host:port`, that the server's name stands for, at least one; `authority`
    is that name and the port, which calls carry whichever address they go to.
    """

    def __init__(
        self,
        targets: Sequence[str],
        authority: str,
        method: str,
        connect_timeout_s: float,
        collect_headers: bool,
    ) -> None:
        self.authority = authority
        self.method = method
        self.collect_headers = collect_headers
        self._targets = targets
        self._connect_timeout_s = connect_timeout_s
        self._channels: dict[str, grpc.aio.Channel] = {}

    async def connect(self, _: Deadlines) -> GrpcConnection:
        """Return a connection to the first address whose channel gets ready. Raises NotConnected."""
        try:
            async with asyncio.timeout(self._connect_timeout_s):
                winner, channel = await race(self._targets, self._ready, lambda _: None)
        except TimeoutError as error:
            raise NotConnected(FailureKind.CONNECT_TIMEOUT, self.authority) from error
        if winner != self._targets[0]:
            self._targets = (winner, *(each for each in self._targets if each != winner))
        return GrpcConnection(self, channel.unary_unary(self.method))

    async def _ready(self, target: str) -> grpc.aio.Channel:
        channel = self._channels.get(target)
        if channel is None:
            channel = self._channels[target] = open_channel(target, self.authority)
        while (state := channel.get_state(try_to_connect=True)) is not grpc.ChannelConnectivity.READY:
            if state is grpc.ChannelConnectivity.TRANSIENT_FAILURE:
                raise NotConnected(FailureKind.REFUSED, target)
            await channel.wait_for_state_change(state)
        return channel


class GrpcConnection:
    """What makes one call at a time, and tells the exchange of each exactly once how it ended."""

    def __init__(self, endpoint: GrpcEndpoint, call: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes]) -> None:
        self.on_closed: Callable[[GrpcConnection], None] | None = None
        """Called once when the connection is of no more use, before an exchange in flight is told."""
        self.closed_by: WireError | None = None
        """Never set: a channel that was made connects again by itself."""
        self._endpoint = endpoint
        self._call = call
        self._task: asyncio.Task[None] | None = None

    def send(
        self,
        exchange: Exchange,
        data: bytes,
        *,
        deadline: float,
        is_head: bool = False,  # noqa: ARG002
    ) -> None:
        """Call with this message. `deadline` is on the monotonic clock, in seconds."""
        self._task = asyncio.ensure_future(self._exchange(exchange, data, deadline))

    def abort(self) -> None:
        """Give up the call in flight, and close the connection."""
        self._close()
        if self._task is not None:
            self._task.cancel()

    async def _exchange(self, exchange: Exchange, data: bytes, deadline: float) -> None:
        call = self._call(data, timeout=deadline - time.monotonic())
        try:
            await call
            trailing = text_metadata(await call.trailing_metadata())
        except grpc.aio.AioRpcError as error:
            failure = failure_of(error, self._endpoint.authority)
            if failure is not None:
                self._fail(exchange, failure)
                return
            trailing = text_metadata(error.trailing_metadata())
            exchange.on_head(RPC_STATUSES + int(error.code().value[0]), self._headers(trailing))
        except asyncio.CancelledError:
            self._fail(exchange, NoAnswer(FailureKind.ABORTED, self._endpoint.authority))
            raise
        else:
            exchange.on_head(_OK, self._headers(trailing))
        exchange.on_complete()

    def _headers(self, trailing: dict[str, str]) -> Headers:
        timing = trailing.get(SERVER_TIMING)
        return (
            [(SERVER_TIMING.encode(), timing.encode())] if timing and self._endpoint.collect_headers else []
        )

    def _fail(self, exchange: Exchange, failure: WireError) -> None:
        if isinstance(failure, NotConnected):
            self._close()
        exchange.on_failure(failure)

    def _close(self) -> None:
        on_closed, self.on_closed = self.on_closed, None
        if on_closed is not None:
            on_closed(self)


def rpc_messages(texts: Iterable[str], prefix: str) -> list[bytes]:
    """Return a message for each text, with the mark in place of its request_id.

    Protobuf writes a field's length before it: here the length of the id that will replace the mark.
    """
    request_id = f"{prefix}-{'0' * ID_DIGITS}".encode()
    messages = []
    for text in texts:
        message = encode(TextRequest(text=text, request_id=request_id.decode()))
        assert message.endswith(request_id), "the request_id is the last field"
        messages.append(message.removesuffix(request_id) + MARK.encode())
    return messages
