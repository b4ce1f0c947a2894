"""One connection's part in the load: it sends a request, takes down what became of it, and is free again.

This is the hot loop: what is done here is done for every request.

The callers there are, and the requests that wait for one.

How many requests are in flight, integrated over time as they come and go.

Counted apart from the recorded times, so that Little's law sets two measurements against each other.

What carries requests, one at a time: a connection of HTTP/1.1, or a call on a channel of gRPC.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol, TypeAlias, Union

from lab.load.endpoints import HttpEndpoint
from lab.load.outcomes import SUCCEEDED, code_of
from lab.load.recorder import Recorder
from lab.load.requests import Render
from services.server_timing import find
from services.wire.connection import Connection
from services.wire.deadlines import Deadlines
from services.wire.errors import NotConnected, NotSent, WireError
from services.wire.exchange import Exchange, Headers

if TYPE_CHECKING:
    from lab.load.grpc_endpoint import GrpcConnection, GrpcEndpoint

__all__ = ["Carrier", "ClosedLoopWorker", "InFlight", "Worker", "WorkerEvents", "WorkerPool"]

Carrier: TypeAlias = Union[Connection, "GrpcConnection"]


_clock = time.monotonic_ns


class WorkerEvents(Protocol):
    """Who decides what a caller does next."""

    end_ns: int
    """From then on nothing new is sent."""
    recorder: Recorder
    render: Render
    read_timeout_s: float
    is_head: bool

    def ended(self, caller: Worker, now_ns: int) -> None:
        """The caller's request is over and taken down."""

    def not_sent(self, caller: Worker, intended_ns: int, now_ns: int) -> None:
        """The caller's connection turned out to be useless before anything was written on it."""

    def lost(self, caller: Worker) -> None:
        """The caller's connection is gone; if a request was in flight on it, `ended` follows."""


class Worker(Exchange):
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

    def __init__(self, turns: WorkerEvents, connection: Carrier) -> None:
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


class ClosedLoopWorker(Worker):
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


class InFlight:
    """A counter with its integral, slice by slice. Times are the monotonic clock's, in ns."""

    __slots__ = ("_area", "_edge", "_last", "_slice_ns", "areas", "count", "peak")

    def __init__(self, start_ns: int, slice_ns: int) -> None:
        self.count = 0
        self.peak = 0
        self.areas: list[int] = []
        """The integral over each slice that is over, in requests times ns."""
        self._area = 0
        self._last = start_ns
        self._edge = start_ns + slice_ns
        self._slice_ns = slice_ns

    def change(self, by: int, now_ns: int) -> None:
        """So many more, or fewer, from now on."""
        if now_ns >= self._edge:
            self._roll(now_ns)
        self._area += self.count * (now_ns - self._last)
        self._last = now_ns
        self.count += by
        self.peak = max(self.peak, self.count)

    def _roll(self, now_ns: int) -> None:
        while now_ns >= self._edge:
            self.areas.append(self._area + self.count * (self._edge - self._last))
            self._area = 0
            self._last = self._edge
            self._edge += self._slice_ns


class WorkerPool:
    """Gives each request to an idle caller, or hires one more, up to `limit`; beyond that requests wait.

    A connection in the making belongs to no request: whichever comes first, an idle caller or a new one,
    takes the request that has waited longest, and if no connection can be made, that is the one that fails.
    """

    def __init__(
        self,
        site: HttpEndpoint | GrpcEndpoint,
        limit: int,
        in_flight: InFlight,
        hire: Callable[[Carrier], Worker],
        on_no_connection: Callable[[int, NotConnected], None],
    ) -> None:
        self._site = site
        self._limit = limit
        self._in_flight = in_flight
        self._hire = hire
        self._on_no_connection = on_no_connection
        self._deadlines = Deadlines()
        self._callers: set[Worker] = set()
        self._idle: list[Worker] = []
        self._waiting: deque[int] = deque()
        self._connecting: set[asyncio.Task[None]] = set()
        self._accepting = True

    def put(self, intended_ns: int) -> None:
        """Send a request as soon as there is a caller for it: now, if one is idle."""
        if self._idle:
            self._send(self._idle.pop(), intended_ns, time.monotonic_ns())
        else:
            self._waiting.append(intended_ns)
            self._connect()

    def put_back(self, intended_ns: int) -> None:
        """Send a request before all others that wait."""
        self._waiting.appendleft(intended_ns)
        self._connect()

    def free(self, caller: Worker, now_ns: int) -> None:
        """A caller's request is over: it takes the next, unless its connection went with the last."""
        if caller.connection is None:
            self._connect()
        elif self._waiting:
            self._send(caller, self._waiting.popleft(), now_ns)
        else:
            self._idle.append(caller)

    def lost(self, caller: Worker) -> None:
        """A caller's connection is gone."""
        self._callers.discard(caller)
        if caller in self._idle:
            self._idle.remove(caller)

    def stop(self) -> Sequence[int]:
        """Send nothing more. Gives the intended starts of what still waited."""
        self._accepting = False
        unsent = list(self._waiting)
        self._waiting.clear()
        return unsent

    async def close(self) -> None:
        """Close every connection. What is still in flight on one fails as unanswered."""
        self.stop()
        for task in self._connecting:
            task.cancel()
        await asyncio.gather(*self._connecting, return_exceptions=True)
        for caller in list(self._callers):
            if caller.connection is not None:
                caller.connection.abort()
        self._deadlines.close()

    def _send(self, caller: Worker, intended_ns: int, now_ns: int) -> None:
        self._in_flight.change(1, now_ns)
        caller.send(intended_ns, now_ns)

    def _connect(self) -> None:
        """Make one more connection, if what waits calls for it and the limit allows it."""
        making = len(self._connecting)
        if self._accepting and making < len(self._waiting) and making + len(self._callers) < self._limit:
            task = asyncio.get_running_loop().create_task(self._open())
            self._connecting.add(task)
            task.add_done_callback(self._connected)

    def _connected(self, task: asyncio.Task[None]) -> None:
        self._connecting.discard(task)
        self._connect()

    async def _open(self) -> None:
        try:
            connection = await self._site.connect(self._deadlines)
        except NotConnected as error:
            if self._waiting:
                self._on_no_connection(self._waiting.popleft(), error)
            return
        caller = self._hire(connection)
        self._callers.add(caller)
        self.free(caller, time.monotonic_ns())
