"""A client's connection: its requests go to instances, and their responses back in the same order."""

from __future__ import annotations

import asyncio
import json
import time
from typing import cast

from services.balancer.admin import ADMIN, Admin, AdminAccess
from services.balancer.balancer import LoadBalancer
from services.balancer.downstream_flow import PIPELINED_BYTES, DownstreamFlow
from services.balancer.forward import Forward
from services.balancer.http.request import Refusal, RequestHead
from services.balancer.http.request_reader import Expected, RequestReader
from services.balancer.http.response import local_response
from services.balancer.instances import InstanceState
from services.balancer.tunnel import ClientConnection, OnEnd, Tunnel
from services.wire import SHORTAGES, FailureKind

__all__ = ["Downstream"]


class Downstream(DownstreamFlow):
    """One client's connection: a RequestReader reads its requests, and a Forward sends each of them on.

    Three attributes say in which state the connection is. There is no enum: `_answering` and `_forward` are
    needed anyway, and a member beside them would be stored twice for every request.

    | state     | `_answering` | `_forward` | `_lingering` | goes on to |
    |-----------|--------------|------------|--------------|------------|
    | reading   | None         | None       | no           | answering; lingering (refused); closed |
    | answering | the head     | set, or None for the balancer's own | no | reading; catching up; lingering |
    | catching up | the head   | None       | no           | reading: the client has taken the response in |
    | lingering | any          | None       | yes          | closed: the client has read the last response |
    | closed    | any          | None       | any          | (`_transport` is None) |

    `_paused` (the client is not read from) and `_held_up` (the client takes nothing in) may hold in any of
    them. A Tunnel takes over where a websocket begins.
    """

    __slots__ = (
        "_address",
        "_admin",
        "_connections",
        "_forward",
        "_own_paths",
        "_provenance",
    )

    def __init__(
        self, balancer: LoadBalancer, admin: Admin, connections: dict[ClientConnection, None]
    ) -> None:
        self._balancer = balancer
        self._transport = None
        self._due = 0.0
        self._unsent = 0
        self._paused = self._lingering = self._held_up = self._upload_held = False
        self._turn = None
        self._admin = admin
        self._own_paths = admin.paths
        self._connections = connections
        self._reader = RequestReader(balancer, self)
        self._address = self._provenance = b""
        self._answering = None
        self._forward: Forward | None = None

    # What the loop calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is one in all but inheritance
        if self._balancer.closed:  # it was accepted before, and nothing would ever close it
            self.reset()
            return
        peer = transport.get_extra_info("peername")
        self._address = str(peer[0]).encode() if peer else b"unknown"
        self._provenance = b"\r\nX-Forwarded-For: " + self._address + self._balancer.via % 1
        descriptor = transport.get_extra_info("socket").fileno()
        if 3 * descriptor > self._balancer.descriptors and not self._admitted(descriptor):
            return
        self._connections[self] = None
        self._watch(self._balancer.settings.head_timeout_s)

    def data_received(self, data: bytes) -> None:
        if self._lingering:
            return
        try:
            self._reader.feed(data)
        except Refusal as refusal:
            self._refuse_midway(refusal)
        except MemoryError:
            self._balancer.fell_short(FailureKind.NO_MEMORY)
            self._refuse_midway(Refusal(503, "the balancer is out of memory"))
        reader = self._reader
        if reader.turn_over:
            self._await_turn()
        elif reader.buffer and reader.busy and len(reader.buffer) > PIPELINED_BYTES:
            self._pause_reading()

    def eof_received(self) -> bool:
        if self._answering is None and (self._reader.coming or self._reader.buffer):
            self.refuse(400, "the request ends in the middle")
            return True
        return False

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        self._connections.pop(self, None)
        self._balancer.deadlines.forget(self)
        self._transport = None
        self._reader.stop()
        self._give_up()

    def pause_writing(self) -> None:
        super().pause_writing()
        if self._forward is not None:
            self._forward.pause()

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._forward is not None:
            self._forward.resume()
        elif self._answering is not None:  # the response has ended, and now the client has it
            self.done(b"", time.monotonic())

    def on_silence(self, transport: asyncio.Transport) -> None:
        if self._answering is not None and self._reader.coming is not None and not self._paused:
            self._refuse_midway(Refusal(408, "the body did not come in time"))
        elif self._answering is not None:  # the attempt's own deadline sees to it
            self._watch(self._balancer.settings.idle_timeout_s)
        elif transport.get_write_buffer_size():  # it has not taken in its last response
            self.abort()
        elif self._reader.coming is not None:
            self.refuse(408, "the body did not come in time")
        elif self._reader.buffer:
            self.refuse(408, "the head did not come in time")
        else:
            transport.close()

    # What RequestReader calls.

    def on_request(self, head: RequestHead, body: bytes, kept: bool, whole: bool) -> None:
        """Answer a request: here if it is for the balancer itself, else by an instance."""
        self._answering = head
        path = head.path
        if path not in self._own_paths and not path.startswith(ADMIN):
            forward = self._forward = Forward(self._balancer, self, head, body, kept, whole)
            forward.start()
        elif whole:
            access = AdminAccess.of(self._address, head)
            answer = self._admin.answer(head.method, head.path, body, access)
            self._answer_here(answer.status, answer.body, answer.content_type, more=answer.more)
        else:
            self.refuse(413, "so long a body is not for the balancer itself")

    def on_body_piece(self, piece: bytes, last: bool) -> None:
        """Pass on more of a body that is sent as it comes."""
        if self._forward is not None:
            self._forward.feed(piece, last)

    def on_waiting(self, expected: Expected) -> None:
        """Give the client its time to send more."""
        settings = self._balancer.settings
        self._watch(settings.head_timeout_s if expected is Expected.HEAD else settings.body_timeout_s)

    def on_continue_expected(self) -> None:
        """Let the client send its body."""
        self.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    # What Forward calls.

    def provenance(self, head: RequestHead) -> bytes:
        """Return the header lines that say where the request comes from, up to `X-Request-ID: `."""
        if head.minor and not head.forwarded_for:
            return self._provenance
        client = head.forwarded_for + b", " + self._address if head.forwarded_for else self._address
        return b"\r\nX-Forwarded-For: " + client + self._balancer.via % head.minor

    def keeps_alive(self) -> bool:
        """Return whether the connection stays open after this response."""
        head = self._answering
        return (
            head is not None
            and head.keep_alive
            and self._reader.coming is None
            and not self._balancer.draining
        )

    def done(self, last: bytes, now: float, close: bool = False) -> None:
        """Send the last piece of a response, then go on to the next request, or close."""
        if self._transport is not None and last:
            self._transport.write(last)
        keep = not close and self.keeps_alive()
        self._forward = None
        if self._held_up and keep:
            self._pause_reading()  # the next request's turn comes when the client has caught up
            return
        self._answering = None
        if not keep:
            self._close()
            return
        self._due = now + self._balancer.idle_timeout_s
        if self._reader.buffer:
            self._reader.turn_over = True
            self._await_turn()
            return
        if self._paused:
            self._resume_reading()
        self._reader.busy = False

    def tunnel(self, head: bytes, instance: asyncio.Transport, data: bytes, on_end: OnEnd) -> None:
        """Become a Tunnel to the instance, once the client has the `head` of its 101."""
        transport, self._transport = self._transport, None
        assert transport is not None, "a client that is gone gets no response"
        transport.write(head)
        early, held_up = self._reader.buffer, self._held_up
        self._forward = self._answering = None
        self._reader.stop()
        self._connections.pop(self, None)
        self._balancer.deadlines.forget(self)
        Tunnel(self._balancer, transport, instance, self._connections, on_end).start(
            data, early, held_up=held_up
        )

    def refuse(self, status: int, detail: str, retry_after_s: int | None = None) -> None:
        """Answer with an error. The connection stays open only where the request was read to its end."""
        body = _detail(detail)
        if self._answering is None:
            # What was sent cannot be trusted, nor where it ends.
            self._balancer.counters.answered(None, status, 0.0)
            self._answer_last(status, body, retry_after_s)
            return
        self._forward = None
        self._answer_here(status, body, retry_after_s=retry_after_s)

    def abort(self) -> None:
        """Cut the connection, and give up at once what was asked for on it."""
        self._reader.stop()
        self._give_up()
        if self._transport is not None:
            self._transport.abort()

    def write(self, data: bytes) -> None:
        """Send bytes to the client, if it is still there."""
        if self._transport is not None:
            self._transport.write(data)

    # What the server calls.

    @property
    def idle(self) -> bool:
        """Whether no request is under way that has come so far as to have its head read."""
        return not (self._reader.busy or self._reader.coming)

    def vacate(self, instance: InstanceState) -> None:
        """Have the request go elsewhere if it waits for this instance, which is down."""
        if self._forward is not None:
            self._forward.vacate(instance)

    def drain(self) -> None:
        """Close if idle; otherwise let the response under way be the last one."""
        reader = self._reader
        idle = self._lingering or not (reader.busy or reader.coming or reader.buffer)
        if idle and self._transport is not None:
            self._transport.close()

    # The rest.

    def _watch(self, seconds: float) -> None:
        self._due = time.monotonic() + seconds
        self._balancer.deadlines.watch(self, self._due)

    def _admitted(self, descriptor: int) -> bool:
        """Return whether the balancer has descriptors enough for this client; turn it away if not."""
        if self._balancer.admits(descriptor, len(self._connections) + 1):
            return True
        self.refuse(503, f"the balancer is {SHORTAGES[FailureKind.NO_DESCRIPTOR]}", 1)
        if self._transport is not None:
            self._transport.close()  # at once, since what it takes up is what is short
        return False

    def _give_up(self) -> None:
        """Cancel the forward: nothing waits for its response any more."""
        forward, self._forward = self._forward, None
        if forward is not None:
            forward.cancel()

    def _refuse_midway(self, refusal: Refusal) -> None:
        """Refuse a request of which a part may be on its way to an instance already."""
        forward = self._forward
        self._answering = None
        if forward is None:
            self.refuse(refusal.status, refusal.detail)
        elif forward.passing:
            self._give_up()
            self.abort()
        else:
            self._forward = None
            forward.cancel(refusal.status)
            self._answer_last(refusal.status, _detail(refusal.detail))

    def _answer_here(
        self,
        status: int,
        body: bytes,
        content_type: str = "application/json",
        retry_after_s: int | None = None,
        more: bytes = b"",
    ) -> None:
        head = self._answering
        assert head is not None
        response = local_response(
            status,
            body,
            content_type=content_type,
            keep_alive=self.keeps_alive(),
            minor=head.minor,
            is_head=head.is_head,
            retry_after_s=retry_after_s,
            now=time.time(),
            more=more,
        )
        self.done(response, time.monotonic())

    def _answer_last(self, status: int, body: bytes, retry_after_s: int | None = None) -> None:
        now = time.time()
        self.write(local_response(status, body, keep_alive=False, retry_after_s=retry_after_s, now=now))
        self._close()

    def _close(self) -> None:
        self._reader.stop()
        super()._close()


def _detail(text: str) -> bytes:
    return json.dumps({"detail": text}).encode()
