"""How a client's connection is held back, for itself, an instance or other clients, and how it is closed."""

from __future__ import annotations

import asyncio
import time
from abc import abstractmethod

from services.balancer.balancer import LoadBalancer
from services.balancer.http.request import RequestHead
from services.balancer.http.request_reader import Expected, RequestReader
from services.wire.connecting import reset_on_close

__all__ = ["PIPELINED_BYTES", "DownstreamFlow"]

PIPELINED_BYTES = 64 * 1024
"""How much of later requests is taken in while one is being answered."""
LINGER_S = 1.0
"""How long a client may stay after the last response on its connection was sent, to read it."""


class DownstreamFlow(asyncio.Protocol):
    """What of a client's connection a first short request needs nothing of.

    It acts on a client that is silent or slow to read, on an upload that its instance cannot take in, and on
    a client that sends more than its turn: of small chunks, or of requests in advance. Of these there is one
    portion in each turn of the loop, so that no client keeps the others waiting.
    """

    __slots__ = (
        "_answering",
        "_balancer",
        "_due",
        "_held_up",
        "_lingering",
        "_paused",
        "_reader",
        "_transport",
        "_turn",
        "_unsent",
        "_upload_held",
    )

    _balancer: LoadBalancer
    _reader: RequestReader
    _answering: RequestHead | None
    _transport: asyncio.Transport | None
    _due: float
    """When the client will have been silent for too long."""
    _paused: bool
    _lingering: bool
    _held_up: bool
    """Whether the client must take something in before more is written."""
    _unsent: int
    """How many bytes the client had still to take in when last looked at, while `_held_up`."""
    _upload_held: bool
    """Whether the instance must take in more of the body before more of it is read."""
    _turn: asyncio.Handle | None
    """The client's next turn, if it waits for one."""

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

    def pause_upload(self) -> None:
        """Read no more of the body: the instance cannot take it in for now."""
        if self._reader.coming is not None:
            self._upload_held = True
            self._pause_reading()

    def resume_upload(self) -> None:
        """Read the body again."""
        self._upload_held = False
        if self._paused and self._reader.coming is not None:
            self.on_waiting(Expected.BODY)  # it was not the client that was slow
        if self._reader.turn_over:
            self._await_turn()
        else:
            self._resume_reading()

    @abstractmethod
    def on_silence(self, transport: asyncio.Transport) -> None:
        """Act on a client that has sent nothing in time."""

    @abstractmethod
    def abort(self) -> None:
        """Cut the connection, and give up at once what was asked for on it."""

    def reset(self) -> None:
        """Cut the connection with a reset, whatever is in flight, as a crash would."""
        if self._transport is not None:
            reset_on_close(self._transport)
        self.abort()

    @abstractmethod
    def on_waiting(self, expected: Expected) -> None:
        """Give the client its time to send more."""

    @abstractmethod
    def _watch(self, seconds: float) -> None:
        """Let the client be silent for that long from now on."""

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

    def _pause_reading(self) -> None:
        if self._transport is not None and not self._paused and not self._lingering:
            self._paused = True
            self._transport.pause_reading()

    def _resume_reading(self) -> None:
        if self._transport is not None and self._paused:
            self._paused = False
            self._transport.resume_reading()

    def _await_turn(self) -> None:
        """Take no more from this client, and read no more, until all others had their turn."""
        self._pause_reading()
        if self._turn is None and not self._upload_held:  # else it goes on when the instance has caught up
            self._turn = self._balancer.loop.call_soon(self._take_turn)

    def _take_turn(self) -> None:
        self._turn = None
        reader = self._reader
        if not reader.turn_over or self._upload_held or self._transport is None:
            return
        if self._answering is None and reader.coming is None:  # the next request's turn
            reader.busy = False
        self.data_received(b"")
        waits = reader.busy and (self._held_up or len(reader.buffer) > PIPELINED_BYTES)
        if not waits and not self._reads_later():
            self._resume_reading()

    def _reads_later(self) -> bool:
        """Return whether the client is read from again only in its next turn, or when its instance reads."""
        return self._reader.turn_over or self._upload_held
