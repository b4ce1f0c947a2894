"""One connection's part in the load: it sends a request, takes down what became of it, and is free again.

This is the hot loop: what is done here is done for every request.
"""

from __future__ import annotations

import time
from typing import Protocol

from lab.load.carrier import Carrier
from lab.load.outcomes import SUCCEEDED, code_of
from lab.load.recorder import Recorder
from lab.load.requests import Render
from services.server_timing import find
from services.wire.errors import NotSent, WireError
from services.wire.exchange import Exchange, Headers

__all__ = ["Caller", "Repeater", "Turns"]

_clock = time.monotonic_ns


class Turns(Protocol):
    """Who decides what a caller does next."""

    end_ns: int
    """From then on nothing new is sent."""
    recorder: Recorder
    render: Render
    read_timeout_s: float
    is_head: bool

    def ended(self, caller: Caller, now_ns: int) -> None:
        """The caller's request is over and taken down."""

    def not_sent(self, caller: Caller, intended_ns: int, now_ns: int) -> None:
        """The caller's connection turned out to be useless before anything was written on it."""

    def lost(self, caller: Caller) -> None:
        """The caller's connection is gone; if a request was in flight on it, `ended` follows."""


class Caller(Exchange):
    """Sends one request at a time over its connection."""

    __slots__ = (
        "_answers",
        "_intended_ns",
        "_sent_ns",
        "_status",
        "_timing",
        "_timings",
        "_turns",
        "connection",
    )

    def __init__(self, turns: Turns, connection: Carrier) -> None:
        self.connection: Carrier | None = connection
        self._turns = turns
        self._answers = turns.recorder.ended.append
        self._timings = turns.recorder.timings.append
        self._intended_ns = self._sent_ns = self._status = 0
        self._timing = b""
        connection.on_closed = self._on_closed

    def send(self, intended_ns: int, now_ns: int) -> None:
        """Send the next request, which was intended to start at `intended_ns`."""
        assert self.connection is not None
        turns = self._turns
        self._intended_ns = intended_ns
        self._sent_ns = now_ns
        deadline = now_ns * 1e-9 + turns.read_timeout_s  # the loop's clock is this one, in seconds
        if turns.is_head:
            self.connection.send(self, turns.render(), deadline=deadline, is_head=True)
        else:
            self.connection.send(self, turns.render(), deadline=deadline)

    def on_head(self, status: int, headers: Headers) -> None:
        """The answer has begun: note its status and, where headers are read, its Server-Timing."""
        self._status = status
        if headers and status in SUCCEEDED:
            self._timing = find(headers)

    def on_complete(self) -> None:
        """The answer is whole: take it down, with its three times in ns of the monotonic clock."""
        now = _clock()
        self._answers((self._intended_ns, self._sent_ns, now, self._status))
        if self._timing:
            self._tell_timing()
        self._turns.ended(self, now)

    def on_failure(self, error: WireError) -> None:
        """There will be none: take down why, unless the request was never sent and goes elsewhere."""
        now = _clock()
        self._timing = b""
        if isinstance(error, NotSent):  # an idle connection that was going: nobody saw the request
            self._turns.not_sent(self, self._intended_ns, now)
        else:
            self._answers((self._intended_ns, self._sent_ns, now, code_of(error.kind)))
            self._turns.ended(self, now)

    def _tell_timing(self) -> None:
        """Where the time went, once that is known to have been a success's, and whole."""
        self._timings((self._intended_ns, self._timing))
        self._timing = b""

    def _on_closed(self, _: Carrier) -> None:
        self.connection = None
        self._turns.lost(self)


class Repeater(Caller):
    """A caller of a closed loop without think time: an answer is the intended start of its next request."""

    __slots__ = ()

    def on_complete(self) -> None:
        """The answer is whole: take it down, and send the next request in the same step."""
        now = _clock()
        self._answers((self._intended_ns, self._sent_ns, now, self._status))
        if self._timing:
            self._tell_timing()
        if now < self._turns.end_ns and self.connection is not None:
            self.send(now, now)
        else:
            self._turns.ended(self, now)
