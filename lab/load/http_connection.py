"""A generator's HTTP connection: it knows again an answer whose head differs in its Server-Timing alone.

Most answers of a run have the same head for a second, as long as their Date stands still, but for the value
of Server-Timing. Of such an answer all is known but that value. So it is cut out of the bytes as they came,
without a parser; it is read later, with those of many other answers.
"""

from __future__ import annotations

import asyncio
import os
from typing import cast

from lab.load.outcomes import SUCCEEDED
from services.server_timing import find_in_head
from services.wire.connection import Connection
from services.wire.deadlines import Deadlines
from services.wire.exchange import Exchange
from services.wire.heads import EMPTY_LINE, MEMORABLE_BYTES

__all__ = ["LoadConnection", "LoadExchange"]

_SURELY_WRITTEN = 16 * 1024
"""Bytes that a socket takes at once when nothing waits in it: all systems have more room."""
_NOTHING = b"\0"
"""What no answer begins with."""


class LoadExchange(Exchange):
    """What a `LoadConnection` calls beside what every connection does. Both are to be overridden."""

    __slots__ = ()

    @property
    def due_s(self) -> float:
        """The time of the loop's clock by which the request in flight must be answered."""
        raise NotImplementedError

    def on_known(self, connection: LoadConnection, status: int, timing: bytes) -> None:
        """Take a whole answer, of which only its Server-Timing is new: call `send_next` or `end_exchange`."""
        raise NotImplementedError


class LoadConnection(Connection):
    """A connection whose exchanges are `LoadExchange`s."""

    __slots__ = ("_after", "_before", "_file", "_known_status", "_rest", "_value_at", "reads_timing")

    def __init__(self, peer: str, deadlines: Deadlines, reads_timing: bool) -> None:
        super().__init__(peer, deadlines)
        self.reads_timing = reads_timing
        """Whether workers read Server-Timing."""
        self._before = _NOTHING
        """The known head up to the value of Server-Timing; the whole of it where it has none."""
        self._after = EMPTY_LINE
        """The rest of the head, and the empty line."""
        self._file = -1
        """The socket's descriptor, while all that was sent is known to be written; else below 0."""
        self._value_at = self._rest = self._known_status = 0

    def send_next(self, data: bytes) -> None:
        """Send the next request of the exchange whose answer has just been known.

        It is written at once, where nothing can be waiting to be written before it: the loop would write it
        at the end of its turn, which costs more.
        """
        if self._file >= 0:
            try:
                written = os.write(self._file, data)
            except OSError:  # full, or gone: which the loop finds out
                written = 0
            if written == len(data):
                return
            self._file = -1  # from now on, some may wait
            data = data[written:]
        assert self._transport is not None
        self._transport.write(data)

    def end_exchange(self) -> None:
        """Be idle, since the exchange whose answer has just been known has no further request."""
        self._exchange = None

    def send(
        self,
        exchange: Exchange,
        data: bytes,
        *,
        deadline: float | None = None,
        is_head: bool = False,
        more: bool = False,
    ) -> None:
        """Begin an exchange (see Connection)."""
        if len(data) > _SURELY_WRITTEN:
            self._file = -1
        Connection.send(self, exchange, data, deadline=deadline, is_head=is_head, more=more)

    # What the loop calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        Connection.connection_made(self, transport)
        sock = transport.get_extra_info("socket")
        if sock is not None and transport.get_extra_info("sslcontext") is None:
            self._file = sock.fileno()

    def data_received(self, data: bytes) -> None:
        if data.startswith(self._before) and not self._bytes_seen:
            end = data.find(b"\n", self._value_at) - 1
            if len(data) - end == self._rest and data.startswith(self._after, end):
                exchange = self._exchange
                if exchange is not None:
                    exchange.on_known(self, self._known_status, data[self._value_at : end])  # type: ignore[attr-defined]
                    return
        Connection.data_received(self, data)

    def on_deadline(self) -> None:
        """Fail the exchange, or watch the deadline of the request that was sent last."""
        if self._exchange is not None:
            self._due = cast(LoadExchange, self._exchange).due_s
        Connection.on_deadline(self)

    # The rest.

    def _remember(self) -> None:
        """Keep the head of a success whose length stands in the head alone (see Connection)."""
        head, size, status = self.raw_head, self._bytes_seen, self._parser.get_status_code()
        length = len(head) + len(EMPTY_LINE) + self._body_seen
        if self._is_head or length != size or len(head) > MEMORABLE_BYTES or status not in SUCCEEDED:
            return
        begin, end, times = find_in_head(head)
        if times > 1:
            return
        self._before = head[:begin]
        self._after = head[end:] + EMPTY_LINE
        self._value_at, self._rest, self._known_status = begin, size - end, status
