"""A client's connection: its requests go to instances, and their answers back in the same order."""

from __future__ import annotations

import asyncio
import json
import time
from typing import cast

from services.balancer.admin import ADMIN, Admin, AdminAccess
from services.balancer.balancer import LoadBalancer
from services.balancer.downstream_socket import DownstreamSocket
from services.balancer.forward import Forward
from services.balancer.http.request_head import Refusal, RequestHead
from services.balancer.http.request_reader import Expected, RequestReader
from services.balancer.http.response_head import local_answer

__all__ = ["Downstream"]

PIPELINED_BYTES = 64 * 1024
"""So much of later requests is taken in while one is being answered."""


class Downstream(DownstreamSocket):
    """One connection: a RequestReader reads its requests, and a Forward sends each of them on."""

    __slots__ = (
        "_address",
        "_admin",
        "_answering",
        "_connections",
        "_forward",
        "_intake",
        "_own",
        "_provenance",
    )

    def __init__(self, core: LoadBalancer, admin: Admin, connections: set[Downstream]) -> None:
        super().__init__(core)
        self._admin = admin
        self._own = admin.paths
        self._connections = connections
        self._intake = RequestReader(core, self)
        self._address = self._provenance = b""
        self._answering: RequestHead | None = None
        self._forward: Forward | None = None

    # What the loop calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is one in all but inheritance
        if self._core.closed:  # it was accepted before, and nobody would ever close it
            self.reset()
            return
        peer = transport.get_extra_info("peername")
        self._address = str(peer[0]).encode() if peer else b"unknown"
        self._provenance = b"\r\nX-Forwarded-For: " + self._address + self._core.via % 1
        self._connections.add(self)
        self._watch(self._core.settings.head_timeout_s)

    def data_received(self, data: bytes) -> None:
        if self._lingering:
            return
        try:
            self._intake.feed(data)
        except Refusal as refusal:
            self._refuse_midway(refusal)
        if self._intake.buffer and self._answering is not None and len(self._intake.buffer) > PIPELINED_BYTES:
            self._pause_reading()

    def eof_received(self) -> bool:
        if self._answering is None and (self._intake.coming or self._intake.buffer):
            self.refuse(400, "the request ends in the middle")
            return True
        return False

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        self._connections.discard(self)
        self._core.deadlines.forget(self)
        self._transport = None
        self._intake.stop()
        self._give_up()

    def pause_writing(self) -> None:
        super().pause_writing()
        if self._forward is not None:
            self._forward.pause()

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._forward is not None:
            self._forward.resume()
        elif self._answering is not None:  # by an answer that is over meanwhile
            self.done(b"", time.monotonic())

    def on_silence(self, transport: asyncio.Transport) -> None:
        if self._answering is not None and self._intake.coming is not None and not self._paused:
            self._refuse_midway(Refusal(408, "the body did not come in time"))
        elif self._answering is not None:  # the attempt's own deadline sees to it
            self._watch(self._core.settings.idle_timeout_s)
        elif transport.get_write_buffer_size():  # it has not taken in its last answer
            self.abort()
        elif self._intake.coming is not None:
            self.refuse(408, "the body did not come in time")
        elif self._intake.buffer:
            self.refuse(408, "the head did not come in time")
        else:
            transport.close()

    # What RequestReader calls.

    def on_request(self, head: RequestHead, body: bytes, kept: bool, whole: bool) -> None:
        """Answer a request: here if it is for the balancer itself, else by an instance."""
        self._answering = head
        path = head.path
        if path not in self._own and not path.startswith(ADMIN):
            forward = self._forward = Forward(self._core, self, head, body, kept, whole)
            forward.start()
        elif whole:
            caller = AdminAccess.of(self._address, head.lines[1:])
            status, content_type, answer = self._admin.answer(head.method, head.path, body, caller)
            self._answer_here(status, answer, content_type)
        else:
            self.refuse(413, "so long a body is not for the balancer itself")

    def on_more(self, piece: bytes, last: bool) -> None:
        """More of a body that is passed on as it comes."""
        if self._forward is not None:
            self._forward.feed(piece, last)

    def on_awaited(self, what: Expected) -> None:
        """The client has so long to send more."""
        settings = self._core.settings
        self._watch(settings.head_timeout_s if what is Expected.HEAD else settings.body_timeout_s)

    def on_expectation(self) -> None:
        """Let the client send its body."""
        self.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    # What Forward calls.

    def provenance(self, head: RequestHead) -> bytes:
        """The header lines that say where the request comes from and on what ways, up to `X-Request-ID: `."""
        if head.minor and not head.forwarded_for:
            return self._provenance
        client = head.forwarded_for + b", " + self._address if head.forwarded_for else self._address
        return b"\r\nX-Forwarded-For: " + client + self._core.via % head.minor

    def keeps_alive(self) -> bool:
        """Whether the connection stays open after this answer."""
        head = self._answering
        return (
            head is not None and head.keep_alive and self._intake.coming is None and not self._core.draining
        )

    def done(self, last: bytes, now: float, close: bool = False) -> None:
        """Send the last piece of an answer, then on to the next request, or the end."""
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
        self._due = now + self._core.idle_timeout_s
        if self._paused:
            self._resume_reading()
        self._intake.busy = False
        if self._intake.buffer:
            self.data_received(b"")

    def refuse(self, status: int, detail: str, retry_after_s: int | None = None) -> None:
        """Answer with an error. The connection stays open only where the request was read to its end."""
        body = _detail(detail)
        if self._answering is None:
            # What was sent cannot be trusted, nor where it ends.
            self._core.counts.answered(None, status, 0.0)
            self._answer_last(status, body, retry_after_s)
            return
        self._forward = None
        self._answer_here(status, body, retry_after_s=retry_after_s)

    def abort(self) -> None:
        """Cut the connection, and give up at once what was asked for on it."""
        self._intake.stop()
        self._give_up()
        if self._transport is not None:
            self._transport.abort()

    def pause_upload(self) -> None:
        """The instance cannot take in more of the body for now."""
        if self._intake.coming is not None:
            self._pause_reading()

    def resume_upload(self) -> None:
        """It can again."""
        if self._paused and self._intake.coming is not None:
            self.on_awaited(Expected.BODY)  # it was not the client who was slow
        self._resume_reading()

    # What the server calls.

    def drain(self) -> None:
        """Close if idle; otherwise the answer in the making is the last one."""
        intake = self._intake
        idle = self._lingering or not (intake.busy or intake.coming or intake.buffer)
        if idle and self._transport is not None:
            self._transport.close()

    # The rest.

    def _give_up(self) -> None:
        """Nobody waits for the answer any more."""
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
        answer = local_answer(
            status,
            body,
            content_type=content_type,
            keep_alive=self.keeps_alive(),
            minor=head.minor,
            is_head=head.is_head,
            retry_after_s=retry_after_s,
        )
        self.done(answer, time.monotonic())

    def _answer_last(self, status: int, body: bytes, retry_after_s: int | None = None) -> None:
        self.write(local_answer(status, body, keep_alive=False, retry_after_s=retry_after_s))
        self._close()

    def _close(self) -> None:
        self._intake.stop()
        super()._close()


def _detail(text: str) -> bytes:
    return json.dumps({"detail": text}).encode()
