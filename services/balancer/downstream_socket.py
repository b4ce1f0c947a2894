"""A client's connection below its requests: bytes out, how long anything may take, and the end."""

from __future__ import annotations

import asyncio
import time
from abc import abstractmethod

from services.balancer.balancer import LoadBalancer
from services.wire.connecting import reset_on_close

__all__ = ["DownstreamSocket"]

LINGER_S = 1.0
"""How long a client may stay once the last answer on its connection was sent, so that it gets to read it."""


class DownstreamSocket(asyncio.Protocol):
    """Holds the transport, and a date by which the client must have moved."""

    __slots__ = ("_core", "_due", "_held_up", "_lingering", "_paused", "_transport", "_unsent")

    def __init__(self, core: LoadBalancer) -> None:
        self._core = core
        self._transport: asyncio.Transport | None = None
        self._due = 0.0
        """When the client will have been silent for too long."""
        self._paused = self._lingering = False
        self._held_up = False
        """Whether the client is to take something in before more is written."""
        self._unsent = 0
        """How many bytes it had still to take in when last looked at, while `_held_up`."""

    def pause_writing(self) -> None:
        self._held_up = True
        self._wait_for_it()

    def resume_writing(self) -> None:
        self._held_up = False
        if self._lingering:
            self._watch(LINGER_S)

    def on_deadline(self) -> None:
        """The client was silent, or slow, for too long."""
        if self._transport is None:
            return
        if self._due > time.monotonic() + 0.001:  # moved meanwhile, which costs less than being watched anew
            self._core.deadlines.watch(self, self._due)
        elif self._held_up and self._transport.get_write_buffer_size() < self._unsent:
            self._wait_for_it()  # it is slow, but not stuck
        elif self._held_up or self._lingering:
            self.abort()
        else:
            self.on_silence(self._transport)

    @abstractmethod
    def on_silence(self, transport: asyncio.Transport) -> None:
        """The client has sent nothing in time."""

    @abstractmethod
    def abort(self) -> None:
        """Cut the connection, and give up at once what was asked for on it."""

    def write(self, data: bytes) -> None:
        """Send something to the client."""
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

    def _wait_for_it(self) -> None:
        assert self._transport is not None
        self._unsent = self._transport.get_write_buffer_size()
        self._watch(self._core.settings.body_timeout_s)

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
