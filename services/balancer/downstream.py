"""A client's connection: its requests go to instances, and their responses back in the same order."""

from __future__ import annotations

import asyncio
import json
import time
from abc import abstractmethod
from typing import cast

from services.balancer.admin import ADMIN, Admin, AdminAccess
from services.balancer.balancer import LoadBalancer
from services.balancer.forward import Forward
from services.balancer.http.request import Refusal, RequestHead
from services.balancer.http.request_reader import Expected, RequestReader
from services.balancer.http.response import local_response
from services.wire.connecting import reset_on_close

__all__ = ["Downstream", "DownstreamSocket"]

PIPELINED_BYTES = 64 * 1024
"""How much of later requests is taken in while one is being answered."""
LINGER_S = 1.0
"""How long a client may stay after the last response on its connection was sent, to read it."""


class DownstreamSocket(asyncio.Protocol):
    """The client's side below its requests: the transport, its inactivity deadline, and how it is closed."""

    __slots__ = ("_balancer", "_due", "_held_up", "_lingering", "_paused", "_transport", "_unsent")

    def __init__(self, balancer: LoadBalancer) -> None:
        self._balancer = balancer
        self._transport: asyncio.Transport | None = None
        self._due = 0.0
        """When the client will have been silent for too long."""
        self._paused = self._lingering = False
        self._held_up = False
        """Whether the client must take something in before more is written."""
        self._unsent = 0
        """How many bytes the client had still to take in when last looked at, while `_held_up`."""

    def pause_writing(self) -> None:
        self._held_up = True
        self._await_progress()

    def resume_writing(self) -> None:
        self._held_up = False
        if self._lingering:
            self._watch(LINGER_S)

    def on_deadline(self) -> None:
        """Act on a client that was silent, or slow, for too long."""
        if self._transport is None:
            return
        if self._due > time.monotonic() + 0.001:  # it was moved, which costs less than being watched anew
            self._balancer.deadlines.watch(self, self._due)
        elif self._held_up and self._transport.get_write_buffer_size() < self._unsent:
            self._await_progress()  # it is slow, but not stuck
        elif self._held_up or self._lingering:
            self.abort()
        else:
            self.on_silence(self._transport)

    @abstractmethod
    def on_silence(self, transport: asyncio.Transport) -> None:
        """Act on a client that has sent nothing in time."""

    @abstractmethod
    def abort(self) -> None:
        """Cut the connection, and give up at once what was asked for on it."""

    def write(self, data: bytes) -> None:
        """Send bytes to the client, if it is still there."""
        if self._transport is not None:
            self._transport.write(data)

    def reset(self) -> None:
        """Cut the connection with a reset, whatever is in flight, as a crash would."""
        if self._transport is not None:
            reset_on_close(self._transport)
        self.abort()

    def _close(self) -> None:
        """Close in good order: say that no more comes, and let the client read before the socket goes."""
        transport = self._transport
        self._lingering = True
        if transport is None or transport.is_closing():
            return
        if not transport.can_write_eof():
            transport.close()
            return
        self._resume_reading()
        transport.set_write_buffer_limits(0)  # so that it is held up until the very last byte is sent
        transport.write_eof()
        if not self._held_up:
            self._watch(LINGER_S)

    def _await_progress(self) -> None:
        assert self._transport is not None
        self._unsent = self._transport.get_write_buffer_size()
        self._watch(self._balancer.settings.body_timeout_s)

    def _watch(self, seconds: float) -> None:
        self._due = time.monotonic() + seconds
        self._balancer.deadlines.watch(self, self._due)

    def _pause_reading(self) -> None:
        if self._transport is not None and not self._paused and not self._lingering:
            self._paused = True
            self._transport.pause_reading()

    def _resume_reading(self) -> None:
        if self._transport is not None and self._paused:
            self._paused = False
            self._transport.resume_reading()


class Downstream(DownstreamSocket):
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
    them.
    """

    __slots__ = (
        "_address",
        "_admin",
        "_answering",
        "_connections",
        "_forward",
        "_own_paths",
        "_provenance",
        "_reader",
    )

    def __init__(self, balancer: LoadBalancer, admin: Admin, connections: set[Downstream]) -> None:
        super().__init__(balancer)
        self._admin = admin
        self._own_paths = admin.paths
        self._connections = connections
        self._reader = RequestReader(balancer, self)
        self._address = self._provenance = b""
        self._answering: RequestHead | None = None
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
        self._connections.add(self)
        self._watch(self._balancer.settings.head_timeout_s)

    def data_received(self, data: bytes) -> None:
        if self._lingering:
            return
        try:
            self._reader.feed(data)
        except Refusal as refusal:
            self._refuse_midway(refusal)
        if self._reader.buffer and self._answering is not None and len(self._reader.buffer) > PIPELINED_BYTES:
            self._pause_reading()

    def eof_received(self) -> bool:
        if self._answering is None and (self._reader.coming or self._reader.buffer):
            self.refuse(400, "the request ends in the middle")
            return True
        return False

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        self._connections.discard(self)
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
            access = AdminAccess.of(self._address, head.lines[1:])
            status, content_type, content = self._admin.answer(head.method, head.path, body, access)
            self._answer_here(status, content, content_type)
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
        if self._paused:
            self._resume_reading()
        self._reader.busy = False
        if self._reader.buffer:
            self.data_received(b"")

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

    def pause_upload(self) -> None:
        """Read no more of the body: the instance cannot take it in for now."""
        if self._reader.coming is not None:
            self._pause_reading()

    def resume_upload(self) -> None:
        """Read the body again."""
        if self._paused and self._reader.coming is not None:
            self.on_waiting(Expected.BODY)  # it was not the client that was slow
        self._resume_reading()

    # What the server calls.

    def drain(self) -> None:
        """Close if idle; otherwise let the response under way be the last one."""
        reader = self._reader
        idle = self._lingering or not (reader.busy or reader.coming or reader.buffer)
        if idle and self._transport is not None:
            self._transport.close()

    # The rest.

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
        )
        self.done(response, time.monotonic())

    def _answer_last(self, status: int, body: bytes, retry_after_s: int | None = None) -> None:
        self.write(local_response(status, body, keep_alive=False, retry_after_s=retry_after_s))
        self._close()

    def _close(self) -> None:
        self._reader.stop()
        super()._close()


def _detail(text: str) -> bytes:
    return json.dumps({"detail": text}).encode()
