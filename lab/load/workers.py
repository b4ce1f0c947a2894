"""Workers, each with one connection and at most one request in flight, and the pool that they belong to.

`Worker` is the hot loop: what is done in it is done for every request. `WorkerPool` gives requests to idle
workers, makes new ones up to a limit, and lets requests wait for one. `InFlight` counts what workers have
sent and not yet seen the end of; it is apart from the recorded times, so that Little's law sets two
measurements against each other.

A worker's state is told by what is there already, not by an enum, which would cost every request two writes:

    idle      has a connection, lies in the pool's `_idle`    busy by `send`, gone by `_on_closed`
    busy      has a connection, and a request in flight       busy again or idle by `on_complete`,
                                                              closing by `_on_closed`
    closing   has no connection; the request's end follows    gone by `on_complete` or `on_failure`
    gone      has no connection, and no place in the pool     – (what waits has a new worker made)
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol, TypeAlias, Union

from lab.load.endpoints import HttpEndpoint
from lab.load.http_connection import LoadConnection, LoadExchange
from lab.load.outcomes import SUCCEEDED, code_of
from lab.load.recorder import Recorder
from lab.load.requests import Render
from services.server_timing import find, values_in_head
from services.wire.deadlines import Deadlines
from services.wire.errors import NotConnected, NotSent, WireError
from services.wire.exchange import Headers

if TYPE_CHECKING:
    from lab.load.grpc_endpoint import GrpcConnection, GrpcEndpoint

__all__ = ["ClosedLoopWorker", "Connection", "InFlight", "Worker", "WorkerEvents", "WorkerPool"]

Connection: TypeAlias = Union[LoadConnection, "GrpcConnection"]
"""What carries requests, one at a time: a connection of HTTP/1.1, or calls on a channel of gRPC."""

_clock = time.monotonic_ns


class WorkerEvents(Protocol):
    """What a worker reads for each request, and whom it tells how the request ended."""

    end_ns: int
    """From then on nothing new is sent."""
    recorder: Recorder
    render: Render
    read_timeout_s: float
    is_head: bool

    def ended(self, worker: Worker, now_ns: int) -> None:
        """See to what follows a request of the worker that is over and recorded."""

    def not_sent(self, intended_ns: int, now_ns: int) -> None:
        """Send a request elsewhere: its worker's connection was gone before anything was written on it."""

    def lost(self, worker: Worker) -> None:
        """Forget a worker whose connection is gone. If a request was in flight on it, `ended` follows."""


class Worker(LoadExchange):
    """What sends one request at a time over its connection, and records what became of it."""

    __slots__ = (
        "_events",
        "_intended_ns",
        "_record",
        "_record_timed",
        "_record_timing",
        "_render",
        "_sent_ns",
        "_status",
        "_timing",
        "connection",
    )

    def __init__(self, events: WorkerEvents, connection: Connection) -> None:
        self.connection: Connection | None = connection
        self._events = events
        self._record = events.recorder.ended.append
        self._record_timing = events.recorder.timings.append
        self._record_timed = events.recorder.timed.append
        self._render = events.render
        self._intended_ns = self._sent_ns = self._status = 0
        self._timing = b""
        connection.on_closed = self._on_closed

    @property
    def due_s(self) -> float:
        """The time of the loop's clock by which the request in flight must be answered."""
        return self._sent_ns * 1e-9 + self._events.read_timeout_s

    def send(self, intended_ns: int, now_ns: int) -> None:
        """Send the next request, which was intended to start at `intended_ns`."""
        assert self.connection is not None
        events = self._events
        self._intended_ns = intended_ns
        self._sent_ns = now_ns
        deadline = now_ns * 1e-9 + events.read_timeout_s  # the loop's clock is this one, in seconds
        if events.is_head:
            self.connection.send(self, self._render(), deadline=deadline, is_head=True)
        else:
            self.connection.send(self, self._render(), deadline=deadline)

    def on_head(self, status: int, headers: Headers) -> None:
        """Note the status of the answer that begins and, where it is read, its Server-Timing."""
        self._status = status
        if status in SUCCEEDED:
            if headers:
                self._timing = find(headers)
            elif isinstance(self.connection, LoadConnection) and self.connection.reads_timing:
                self._timing = values_in_head(self.connection.raw_head)

    def on_known(self, connection: LoadConnection, status: int, timing: bytes) -> None:
        """Record an answer that is whole, and known but for its Server-Timing."""
        now = _clock()
        connection.end_exchange()
        self._record((self._intended_ns, self._sent_ns, now, status))
        if timing and connection.reads_timing:
            self._record_timing(timing)
            self._record_timed(self._intended_ns)
        self._events.ended(self, now)

    def on_complete(self) -> None:
        """Record the answer, which is whole, with its three times in ns of the monotonic clock."""
        now = _clock()
        self._record((self._intended_ns, self._sent_ns, now, self._status))
        if self._timing:
            self._flush_timing()
        self._events.ended(self, now)

    def on_failure(self, error: WireError) -> None:
        """Record why no answer will come, unless the request was never sent and goes elsewhere."""
        now = _clock()
        self._timing = b""
        if isinstance(error, NotSent):
            if self.connection is not None:
                self.connection.abort()
            if self._status:  # it was closing while idle: no server saw the request
                self._events.not_sent(self._intended_ns, now)
                return
        code = code_of(error.kind)
        self._record((self._intended_ns, self._sent_ns, now, code))
        self._events.recorder.note_failure(code, error)
        self._events.ended(self, now)

    def _flush_timing(self) -> None:
        """Record the Server-Timing of an answer, once it is known to be a success's, and whole."""
        self._record_timing(self._timing)
        self._record_timed(self._intended_ns)
        self._timing = b""

    def _on_closed(self, _: Connection) -> None:
        self.connection = None
        self._events.lost(self)


class ClosedLoopWorker(Worker):
    """A worker of a closed loop without think time: an answer is the intended start of its next request."""

    __slots__ = ()

    def on_complete(self) -> None:
        """Record the answer, which is whole, and send the next request in the same step."""
        now = _clock()
        self._record((self._intended_ns, self._sent_ns, now, self._status))
        if self._timing:
            self._flush_timing()
        if now < self._events.end_ns and self.connection is not None:
            self.send(now, now)
        else:
            self._events.ended(self, now)

    def on_known(self, connection: LoadConnection, status: int, timing: bytes) -> None:
        """Record an answer that is whole, and send the next request in the same step."""
        now = _clock()
        self._record((self._intended_ns, self._sent_ns, now, status))
        if timing and connection.reads_timing:
            self._record_timing(timing)
            self._record_timed(self._intended_ns)
        if now < self._events.end_ns:
            self._intended_ns = self._sent_ns = now
            connection.send_next(self._render())
        else:
            connection.end_exchange()
            self._events.ended(self, now)


class InFlight:
    """A counter with its integral over time, slice by slice. Times are the monotonic clock's, in ns."""

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
        """Change the count by `by` at `now_ns`."""
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
    """Gives each request to an idle worker, or spawns one more, up to `limit`; beyond that requests wait.

    A connection in the making belongs to no request: whichever comes first, an idle worker or a new one,
    takes the request that has waited longest, and if no connection can be made, that is the one that fails.
    """

    def __init__(
        self,
        endpoint: HttpEndpoint | GrpcEndpoint,
        limit: int,
        in_flight: InFlight,
        new_worker: Callable[[Connection], Worker],
        on_no_connection: Callable[[int, WireError], None],
        on_all_in_use: Callable[[int], None],
    ) -> None:
        self._endpoint = endpoint
        self._limit = limit
        self._in_flight = in_flight
        self._new_worker = new_worker
        self._on_no_connection = on_no_connection
        self._on_all_in_use = on_all_in_use
        self._deadlines = Deadlines()
        self._workers: set[Worker] = set()
        self._idle: list[Worker] = []
        self._waiting: deque[int] = deque()
        self._spawning: set[asyncio.Task[None]] = set()
        self._accepting = True

    def put(self, intended_ns: int) -> None:
        """Send a request as soon as there is a worker for it: now, if one is idle."""
        if self._idle:
            self._send(self._idle.pop(), intended_ns, time.monotonic_ns())
        else:
            self._waiting.append(intended_ns)
            self._spawn_if_needed()
            if len(self._waiting) > len(self._spawning):
                self._on_all_in_use(intended_ns)

    def put_back(self, intended_ns: int) -> None:
        """Send a request before all others that wait."""
        self._waiting.appendleft(intended_ns)
        self._spawn_if_needed()

    def release(self, worker: Worker, now_ns: int) -> None:
        """Give a worker whose request is over the next one, unless its connection went with the last."""
        if worker.connection is None:
            self._spawn_if_needed()
        elif self._waiting:
            self._send(worker, self._waiting.popleft(), now_ns)
        else:
            self._idle.append(worker)

    def lost(self, worker: Worker) -> None:
        """Forget a worker whose connection is gone."""
        self._workers.discard(worker)
        if worker in self._idle:
            self._idle.remove(worker)

    def stop(self) -> Sequence[int]:
        """Send nothing more. Returns the intended starts of what still waited."""
        self._accepting = False
        unsent = list(self._waiting)
        self._waiting.clear()
        return unsent

    async def close(self) -> None:
        """Close every connection. What is still in flight on one fails as unanswered."""
        self.stop()
        for task in self._spawning:
            task.cancel()
        await asyncio.gather(*self._spawning, return_exceptions=True)
        for worker in list(self._workers):
            if worker.connection is not None:
                worker.connection.abort()
        self._deadlines.close()

    def _send(self, worker: Worker, intended_ns: int, now_ns: int) -> None:
        self._in_flight.change(1, now_ns)
        worker.send(intended_ns, now_ns)

    def _spawn_if_needed(self) -> None:
        """Begin to make one more worker, if what waits calls for it and the limit allows it."""
        making = len(self._spawning)
        if self._accepting and making < len(self._waiting) and making + len(self._workers) < self._limit:
            task = asyncio.get_running_loop().create_task(self._spawn())
            self._spawning.add(task)
            task.add_done_callback(self._spawned)

    def _spawned(self, task: asyncio.Task[None]) -> None:
        self._spawning.discard(task)
        self._spawn_if_needed()

    async def _spawn(self) -> None:
        error: WireError | None
        try:
            connection = await self._endpoint.connect(self._deadlines)
            error = connection.closed_by  # before it was of any use
        except NotConnected as not_made:
            error = not_made
        if error is not None:
            if self._waiting:
                self._on_no_connection(self._waiting.popleft(), error)
            return
        worker = self._new_worker(connection)
        self._workers.add(worker)
        self.release(worker, time.monotonic_ns())
