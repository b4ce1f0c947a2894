"""A client's connection: requests are read one after the other, and answered in that order."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
import time
from typing import TYPE_CHECKING, cast

from services.balancer.chunks import ChunkDecoder
from services.balancer.core import Core
from services.balancer.forward import Forward
from services.balancer.framing import CHUNKED, Refusal, RequestHead, parse_head
from services.balancer.rewriting import local_answer

if TYPE_CHECKING:
    from services.balancer.admin import Admin

__all__ = ["Downstream"]

LINGER_S = 1.0
"""How long a client may go on sending after the last answer on its connection, so that it gets to read it."""
PIPELINED_BYTES = 64 * 1024
"""So much of later requests is taken in while one is being answered."""

_CR = 0x0D
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class Downstream(asyncio.Protocol):
    """Reads requests, hands them to instances through Forward, and writes the answers.

    A body of up to `replay_limit_bytes` is read in full before an instance is chosen, so that a slow sender
    holds none; a longer one is passed on as it comes.
    """

    __slots__ = (
        "_address",
        "_admin",
        "_answering",
        "_body",
        "_buffer",
        "_closing",
        "_connections",
        "_core",
        "_decoder",
        "_due",
        "_forward",
        "_head",
        "_head_begun",
        "_left",
        "_lingering",
        "_paused",
        "_provenance",
        "_reading",
        "_size",
        "_transport",
    )

    def __init__(self, core: Core, admin: Admin, connections: set[Downstream]) -> None:
        self._core = core
        self._admin = admin
        self._connections = connections
        self._address = self._provenance = b""
        self._transport: asyncio.Transport | None = None
        self._buffer = b""
        self._due = 0.0
        """When the client will have been silent for too long."""
        self._reading = False
        self._paused = False
        self._closing = False
        self._lingering = False
        self._head_begun = False
        self._answering: RequestHead | None = None
        """The request that is being answered."""
        self._forward: Forward | None = None
        self._head: RequestHead | None = None
        """The request whose body is still coming: none, or that which is being answered."""
        self._decoder: ChunkDecoder | None = None
        self._body: list[bytes] = []
        self._size = 0
        self._left = 0

    @property
    def busy(self) -> bool:
        """Whether a request has begun to come, or is being answered."""
        return self._answering is not None or self._head is not None or bool(self._buffer)

    # What the loop calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        peer = transport.get_extra_info("peername")
        self._address = str(peer[0]).encode() if peer else b"unknown"
        self._provenance = b"\r\nX-Forwarded-For: " + self._address + self._core.via % 1
        self._connections.add(self)
        self._watch(self._core.settings.head_timeout_s)

    def data_received(self, data: bytes) -> None:
        if self._lingering:
            return
        self._buffer = self._buffer + data if self._buffer else data
        if not self._reading:
            self._read()

    def eof_received(self) -> bool:
        if self.busy and self._answering is None:
            self.refuse(400, "the request ends in the middle")
            return True
        return False

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        self._connections.discard(self)
        self._core.deadlines.forget(self)
        self._transport = None
        self._closing = True
        self._buffer = b""
        forward, self._forward = self._forward, None
        if forward is not None:
            forward.cancel()

    def pause_writing(self) -> None:
        if self._forward is not None:
            self._forward.pause()
        self._watch(self._core.settings.body_timeout_s)

    def resume_writing(self) -> None:
        if self._forward is not None:
            self._forward.resume()

    def on_deadline(self) -> None:
        """The client was silent, or slow, for too long."""
        if self._transport is None:
            return
        if self._due > time.monotonic() + 0.001:  # moved meanwhile, which costs less than being watched anew
            self._core.deadlines.watch(self, self._due)
        elif self._lingering or self._transport.get_write_buffer_size():
            self.abort()
        elif self._head is not None and self._answering is None:
            self.refuse(408, "the body did not come in time")
        elif self._answering is not None:  # the attempt's own deadline sees to it
            self._watch(self._core.settings.idle_timeout_s)
        elif self._buffer:
            self.refuse(408, "the head did not come in time")
        else:
            self._transport.close()

    # Reading.

    def _read(self) -> None:
        """Take from the buffer what is whole in it."""
        self._reading = True
        try:
            while self._buffer and not self._closing:
                if self._head is not None:
                    more = self._take_body(self._head)
                elif self._answering is None:
                    more = self._take_head()
                else:
                    more = False
                if not more:
                    break
        except Refusal as refusal:
            self._refuse_midway(refusal)
        finally:
            self._reading = False
        if self._buffer and self._answering is not None and len(self._buffer) > PIPELINED_BYTES:
            self._pause_reading()

    def _take_head(self) -> bool:
        buffer, core = self._buffer, self._core
        end = buffer.find(b"\r\n\r\n")
        if not 0 < end <= core.head_limit or buffer[0] == _CR:
            return self._no_head_yet(end)
        self._head_begun = False
        head = parse_head(buffer[:end])
        length = head.length
        body = end + 4
        if 0 <= length <= core.replay_limit and length <= core.body_limit and len(buffer) - body >= length:
            self._buffer = buffer[body + length :]
            self._begin(head, buffer[body : body + length])
            return True
        self._buffer = buffer[body:]
        if length > core.body_limit:
            raise Refusal(413, f"the body is over {core.body_limit} bytes")
        self._expect_body(head)
        return True

    def _no_head_yet(self, end: int) -> bool:
        """The buffer does not begin with a whole head of fitting length. Whether there is more to look at."""
        buffer, limit = self._buffer, self._core.head_limit
        if buffer.startswith(b"\r\n"):  # an empty line before a request is to be ignored (RFC 9112, 2.2)
            self._buffer = buffer[2:]
            return True
        if end > limit or (end < 0 and len(buffer) > limit):
            raise Refusal(431, f"the head is over {limit} bytes")
        text = 0x20 < buffer[0] < 0x7F or buffer == b"\r"
        if not text or buffer.count(b"\n") != buffer.count(b"\r\n"):
            raise Refusal(400, "this is no HTTP, or its lines do not end in CR LF")
        if not self._head_begun:
            self._head_begun = True
            self._watch(self._core.settings.head_timeout_s)
        return False

    def _expect_body(self, head: RequestHead) -> None:
        self._head = head
        self._left = head.length
        self._size = 0
        self._body = []
        self._decoder = ChunkDecoder() if head.length == CHUNKED else None
        if head.expects_continue and not self._buffer:
            self.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        self._watch(self._core.settings.body_timeout_s)

    def _take_body(self, head: RequestHead) -> bool:
        if self._decoder is not None:
            piece = self._decoder.feed(self._buffer)
            self._buffer = self._decoder.rest
            last = self._decoder.done
        else:
            piece, self._buffer = self._buffer[: self._left], self._buffer[self._left :]
            self._left -= len(piece)
            last = not self._left
        self._size += len(piece)
        core = self._core
        if self._size > core.body_limit:
            raise Refusal(413, f"the body is over {core.body_limit} bytes")
        if last:
            self._head = None
        else:
            self._watch(core.settings.body_timeout_s)
        if self._answering is not None:
            if self._forward is not None:
                self._forward.feed(piece, last=last)
            return True
        self._body.append(piece)
        kept = self._size <= core.replay_limit
        if last or not kept:
            body = b"".join(self._body)
            self._body = []
            self._begin(head, body, kept=kept, uploaded=last)
        return True

    def _refuse_midway(self, refusal: Refusal) -> None:
        """Refuse a request of which a part may be on its way to an instance already."""
        forward, self._forward = self._forward, None
        self._answering = None
        if forward is not None:
            forward.cancel()
        if forward is not None and forward.passing:
            self.abort()
        else:
            self.refuse(refusal.status, refusal.detail)

    def _begin(self, head: RequestHead, body: bytes, *, kept: bool = True, uploaded: bool = True) -> None:
        """Answer a request: here if it is for the balancer itself, else by an instance."""
        self._answering = head
        if not self._admin.answers(head.path):
            self._forward = Forward(self._core, self, head, body, kept, uploaded)
            self._forward.start()
            return
        status, content_type, answer = self._admin.answer(head.method, head.path, body)
        self._answer_here(status, answer, content_type)

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
        return head is not None and head.keep_alive and self._head is None and not self._core.draining

    def write(self, data: bytes) -> None:
        """Send something to the client."""
        if self._transport is not None:
            self._transport.write(data)

    def done(self, last: bytes, now: float) -> None:
        """Send the last piece of an answer, then on to the next request, or the end."""
        if self._transport is not None and last:
            self._transport.write(last)
        keep = self.keeps_alive()
        self._forward = self._answering = None
        if not keep:
            self._close()
            return
        self._due = now + self._core.idle_timeout_s
        if self._paused:
            self._resume_reading()
        if self._buffer and not self._reading:
            self._read()

    def refuse(self, status: int, detail: str, retry_after_s: int | None = None) -> None:
        """Answer with an error. The connection stays open only where the request was read to its end."""
        body = json.dumps({"detail": detail}).encode()
        if self._answering is None:
            # What was sent cannot be trusted, nor where it ends.
            self._core.counts.answered(None, status, 0.0)
            self.write(local_answer(status, body, keep_alive=False, retry_after_s=retry_after_s))
            self._close()
            return
        self._forward = None
        self._answer_here(status, body, retry_after_s=retry_after_s)

    def abort(self) -> None:
        """Cut the connection."""
        self._closing = True
        if self._transport is not None:
            self._transport.abort()

    def pause_upload(self) -> None:
        """The instance cannot take in more of the body for now."""
        if self._head is not None:
            self._pause_reading()

    def resume_upload(self) -> None:
        """It can again."""
        self._resume_reading()

    # The rest.

    def reset(self) -> None:
        """Cut the connection with a reset, whatever is in flight, as a crash would."""
        if self._transport is not None:
            sock = self._transport.get_extra_info("socket")
            if sock is not None:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        self.abort()

    def drain(self) -> None:
        """Close if idle; otherwise the answer in the making is the last one."""
        if not self.busy and self._transport is not None:
            self._closing = True
            self._transport.close()

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
            is_head=head.method == b"HEAD",
            retry_after_s=retry_after_s,
        )
        self.done(answer, time.monotonic())

    def _close(self) -> None:
        """Close in good order: say that no more comes, and let the client read before the socket goes."""
        self._closing = self._lingering = True
        self._buffer = b""
        self._head = None
        if self._transport is None:
            return
        if self._transport.can_write_eof():
            self._resume_reading()
            self._transport.write_eof()
            self._watch(LINGER_S)
        else:
            self._transport.close()

    def _watch(self, seconds: float) -> None:
        self._due = time.monotonic() + seconds
        self._core.deadlines.watch(self, self._due)

    def _pause_reading(self) -> None:
        if self._transport is not None and not self._paused and not self._lingering:
            self._paused = True
            self._transport.pause_reading()

    def _resume_reading(self) -> None:
        if self._transport is not None and self._paused:
            self._paused = False
            self._transport.resume_reading()
