"""One HTTP/1.1 client connection: requests go out as bytes, answers come back through callbacks."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from ssl import SSLContext, SSLError
from typing import ClassVar, cast

from httptools import HttpParserCallbackError, HttpParserError, HttpParserUpgrade, HttpResponseParser

from services.wire.connecting import connect, shortage_of, tls_text
from services.wire.deadlines import Deadlines
from services.wire.errors import BrokenAnswer, FailureKind, NoAnswer, NotSent, WireError
from services.wire.exchange import Exchange, Headers
from services.wire.heads import MAX_HEAD_BYTES, RepeatedHead, final_head, has_length, head_is_within, quoted

__all__ = ["Connection", "HeaderConnection"]

_NEVER = float("inf")
_CLOSED = HttpResponseParser(object())
"""The parser of connections that are closed: it is never fed."""


class Connection(asyncio.Protocol):
    """One kept-alive connection, which carries one exchange at a time.

    The class itself collects no headers, which is a load generator's fast path; `HeaderConnection` does.
    Bytes that follow a complete answer unasked make the connection useless, so that no byte of one answer can
    end up in another.
    """

    __slots__ = (
        "_body_seen",
        "_bytes_seen",
        "_close_delimited",
        "_closed",
        "_complete",
        "_deadlines",
        "_due",
        "_exchange",
        "_head_done",
        "_head_seen",
        "_headers",
        "_interim",
        "_is_head",
        "_keep_alive",
        "_lenient",
        "_parser",
        "_raw_head",
        "_repeated_head",
        "_sent_all",
        "_spoiled",
        "_transport",
        "_watched_until",
        "closed_by",
        "on_closed",
        "peer",
        "sends_close",
    )

    collects_headers: ClassVar[bool] = False

    def __init__(self, peer: str, deadlines: Deadlines) -> None:
        self.peer = peer
        self.on_closed: Callable[[Connection], None] | None = None
        """Called once when the connection is gone, before the exchange in flight, if any, is told."""
        self.sends_close = False
        """Whether requests say `Connection: close`, so that the first is the last."""
        self.closed_by: WireError | None = None
        """Why the connection was closed; None while it is open, and where an exchange was in flight."""
        self._deadlines = deadlines
        self._due: float | None = None
        self._watched_until = _NEVER
        self._transport: asyncio.Transport | None = None
        self._parser = HttpResponseParser(self)
        self._exchange: Exchange | None = None
        self._headers: Headers = []
        self._head_seen = self._raw_head = b""
        self._repeated_head = RepeatedHead()
        self._closed = self._spoiled = self._interim = self._is_head = self._lenient = False
        self._keep_alive = self._sent_all = True
        self._complete = self._head_done = self._close_delimited = False
        self._bytes_seen = self._body_seen = 0

    @classmethod
    async def open(
        cls,
        host: str,
        port: int,
        *,
        timeout_s: float,
        ssl: SSLContext | None = None,
        collect_headers: bool = True,
        deadlines: Deadlines | None = None,
    ) -> Connection:
        """Connect within `timeout_s` seconds. Connections of one loop do well to share their `deadlines`.

        Raises NotConnected, and nothing else, when no connection can be made.
        """
        kind = HeaderConnection if collect_headers else Connection
        watch = deadlines or Deadlines()
        return await connect(lambda: kind(f"{host}:{port}", watch), host, port, timeout_s=timeout_s, ssl=ssl)

    @property
    def idle(self) -> bool:
        """Whether a request can be sent now."""
        return self._exchange is None and not self._closed  # what is out of step is closed at once

    @property
    def answer_begun(self) -> bool:
        """Whether anything of the present answer has come."""
        return self._bytes_seen > 0

    @property
    def raw_head(self) -> bytes:
        """The final answer's head as it came, without the empty line. Valid in `on_head` only."""
        if not self._raw_head:
            self._raw_head = final_head(self._head_seen)
        return self._raw_head

    @property
    def heads_seen(self) -> bytes:
        """All heads that have come, interim ones too. Valid in `on_informational` and `on_switched` only."""
        return self._head_seen

    def detach(self, at: int) -> tuple[asyncio.Transport, bytes]:
        """Hand over the transport, as if it were closed, and what has come from `at` in `heads_seen` on."""
        transport, self._transport = self._transport, None
        assert transport is not None, "there is no answer without a transport"
        rest, self._exchange = self._head_seen[at:], None
        self._shut()
        return transport, rest

    def allow_any_trailer(self) -> None:
        """Let a trailer be a Content-Length, which means nothing there. Valid in `on_head` only."""
        self._lenient = True
        self._parser.set_dangerous_leniencies(lenient_chunked_length=True)

    def send(
        self,
        exchange: Exchange,
        data: bytes,
        *,
        deadline: float | None = None,
        is_head: bool = False,
        more: bool = False,
    ) -> None:
        """Begin an exchange with the bytes of a request, or with the first of them if there is `more`.

        `deadline` is the time, of `time.monotonic`, by which the answer must be complete; `is_head` says that
        the method is HEAD. Raises RuntimeError if an exchange is in flight; the exchange is told of any other
        failure.
        """
        if self._exchange is not None:
            raise RuntimeError(f"{self.peer}: an exchange is in flight on this connection")
        transport = self._transport
        if self._closed or transport is None or transport.is_closing():
            exchange.on_failure(NotSent(FailureKind.CLOSED_EARLY, self.peer, "closed while idle"))
            return
        self._exchange = exchange
        self._is_head = is_head
        self._sent_all = not more
        self._due = deadline
        if deadline is not None and deadline < self._watched_until:
            self._watch(deadline)
        transport.write(data)

    def write(self, data: bytes) -> None:
        """Write more of the request; once the exchange is over, do nothing."""
        if self._exchange is not None and self._transport is not None:
            self._transport.write(data)

    def finish(self) -> None:
        """Note that the request is written in full."""
        self._sent_all = True

    def set_deadline(self, deadline: float | None) -> None:
        """Move the deadline of the exchange in flight, or lift it."""
        self._due = deadline
        if deadline is not None and deadline < self._watched_until:
            self._watch(deadline)

    def pause_reading(self) -> None:
        """Read no more of the answer for now, so that the peer is held back."""
        if self._transport is not None and not self._closed:
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        """Read the answer again."""
        if self._transport is not None and not self._closed:
            self._transport.resume_reading()

    def abort(self) -> None:
        """Close the connection at once. An exchange in flight fails with `aborted` before this returns."""
        self._fail(FailureKind.ABORTED)

    def close(self) -> None:
        """Close an idle connection; for a busy one, `abort`."""
        self.abort()

    # What the loop calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is one in all but inheritance

    def data_received(self, data: bytes) -> None:
        exchange = self._exchange
        if exchange is None:  # unasked: a farewell such as a 408, or confusion
            self._fail(FailureKind.PROTOCOL_ERROR, f"it spoke unasked, and began {quoted(data)}")
            return
        if not self._bytes_seen and self._repeated_head.begins(data) and not self._is_head:
            self._take(exchange, data)
            return
        self._bytes_seen += len(data)
        if not self._head_done:
            self._head_seen = self._head_seen + data if self._head_seen else data
            if self._bytes_seen > MAX_HEAD_BYTES and not head_is_within(self._head_seen):
                self._fail(FailureKind.TOO_LARGE, f"head is over {MAX_HEAD_BYTES} bytes")
                return
        problem = ""
        try:
            self._parser.feed_data(data)
        except HttpParserCallbackError as error:
            # Not `aborted`, since the answer was wanted: it could not be dealt with.
            kind = shortage_of(error.__context__) or FailureKind.PROTOCOL_ERROR
            self._fail(kind, "an exchange's callback raised")
            raise
        except HttpParserUpgrade:
            if self._exchange is exchange and exchange.on_switched():
                return
            problem = "protocol was switched unasked"
        except HttpParserError as error:
            problem = str(error)
        if self._exchange is not exchange:  # a callback aborted
            return
        if self._complete:
            self._spoiled = self._spoiled or bool(problem)
            if self._repeated_head.worth(self._bytes_seen):
                self._remember()
            self._succeed(exchange)
        elif problem or self._spoiled:
            begun = "" if self._head_done else f"; it began {quoted(self._head_seen or data)}"
            self._fail(FailureKind.PROTOCOL_ERROR, (problem or "a status that nobody asked for") + begun)
        else:
            exchange.on_flush()

    def eof_received(self) -> None:
        if self._exchange is not None and self._head_done and self._close_delimited:
            self._succeed(self._exchange)
        else:
            self._lost(None)

    def connection_lost(self, exc: Exception | None) -> None:
        self._lost(exc)
        self._transport = None

    def pause_writing(self) -> None:
        if self._exchange is not None:
            self._exchange.pause_writing()

    def resume_writing(self) -> None:
        if self._exchange is not None:
            self._exchange.resume_writing()

    def on_deadline(self) -> None:
        """Fail the exchange, or watch its new deadline: moving it at once would cost more."""
        self._watched_until = _NEVER
        if self._exchange is None or self._due is None:
            return
        if self._due > time.monotonic() + 0.001:
            self._watch(self._due)
        else:
            self._fail(FailureKind.READ_TIMEOUT)

    # What the parser calls.

    def on_message_begin(self) -> None:
        if self._complete:
            self._spoiled = True

    def on_headers_complete(self) -> None:
        exchange = self._exchange
        if self._complete or exchange is None:
            return
        status = self._parser.get_status_code()
        if headers := self._headers:
            self._headers = []  # trailers will not end up among them
        if status < 200:
            self._interim = True
            self._spoiled = status < 100 or status == 101
            if not self._spoiled:
                exchange.on_informational(status)
            return
        self._head_done = True
        self._keep_alive = self._parser.should_keep_alive() and not self.sends_close
        if not self._keep_alive:
            self._close_delimited = not has_length(self.raw_head)
        self._complete = self._is_head
        exchange.on_head(status, headers)

    def on_body(self, chunk: bytes) -> None:
        if self._complete:  # a body after the answer to HEAD
            self._spoiled = True
        elif self._exchange is not None:
            self._body_seen += len(chunk)
            self._exchange.on_body(chunk)

    def on_message_complete(self) -> None:
        self._complete = self._complete or not self._interim
        self._interim = False

    # The rest.

    def _watch(self, deadline: float) -> None:
        self._watched_until = deadline
        self._deadlines.watch(self, deadline)

    def _take(self, exchange: Exchange, data: bytes) -> None:
        """Hand over a whole answer of which all is known but the body."""
        repeated = self._repeated_head
        body = data[repeated.body_at :]
        if self._sent_all:
            self._exchange = None
            if exchange.on_whole(repeated.status, repeated.head, body):
                return
            self._exchange = exchange
        self._bytes_seen = len(data)
        self._raw_head = repeated.head
        exchange.on_head(repeated.status, [])
        if body and self._exchange is exchange:  # else a callback aborted
            exchange.on_body(body)
        if self._exchange is exchange:
            self._succeed(exchange)

    def _remember(self) -> None:
        """Keep the head of the answer that has come, to know the next by (lab.load keeps another part)."""
        if not (self._is_head or self.collects_headers):
            status, size = self._parser.get_status_code(), self._bytes_seen
            self._repeated_head.keep(self.raw_head, status, size, self._body_seen)

    def _succeed(self, exchange: Exchange) -> None:
        self._exchange = None
        self._complete = self._head_done = self._close_delimited = False
        self._bytes_seen = self._body_seen = 0
        self._head_seen = self._raw_head = b""
        self._headers.clear()  # trailers
        if self._spoiled or not (self._keep_alive and self._sent_all):
            self._shut()
        elif self._is_head:  # the parser waits for a body that never comes
            self._parser = HttpResponseParser(self)
        elif self._lenient:
            self._lenient = False
            self._parser.set_dangerous_leniencies(lenient_chunked_length=False)
        exchange.on_complete()

    def _lost(self, exc: Exception | None) -> None:
        if isinstance(exc, SSLError):
            self._fail(FailureKind.TLS, tls_text(exc))
        elif exc is not None:
            self._fail(shortage_of(exc) or FailureKind.RESET)
        else:
            self._fail(FailureKind.SHORT_BODY if self._head_done else FailureKind.CLOSED_EARLY)

    def _fail(self, kind: FailureKind, detail: str = "") -> None:
        if self._closed:
            return
        exchange, self._exchange = self._exchange, None
        error: WireError = (BrokenAnswer if self._bytes_seen else NoAnswer)(kind, self.peer, detail)
        if exchange is None:
            self.closed_by = error
        self._shut()
        if exchange is not None:
            exchange.on_failure(error)

    def _shut(self) -> None:
        if self._closed:
            return
        self._closed = True
        self._deadlines.forget(self)
        self._parser = _CLOSED  # its own holds this connection: a cycle, which would hold what came
        self._head_seen = self._raw_head = b""
        if self._transport is not None:
            self._transport.abort()
        if self.on_closed is not None:
            self.on_closed(self)
            self.on_closed = None


class HeaderConnection(Connection):
    """A connection that collects the headers of answers."""

    __slots__ = ()

    collects_headers: ClassVar[bool] = True

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers.append((name, value))
