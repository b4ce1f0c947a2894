"""Drives callers along a schedule, or in a closed loop, from the first request to the last answer."""

from __future__ import annotations

import asyncio
import contextlib
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lab.arrivals import Closed, Schedule
from lab.load.endpoints import HttpEndpoint
from lab.load.outcomes import code_of_no_connection
from lab.load.pacer import NEVER, Pacer, PendingStarts
from lab.load.process_limits import ProcessUsage, read_usage
from lab.load.recorder import Recorder
from lab.load.requests import Render
from lab.load.spec import LoadSpec
from lab.load.workers import Carrier, ClosedLoopWorker, InFlight, Worker, WorkerPool
from services.wire.errors import NotConnected

if TYPE_CHECKING:
    from lab.load.grpc_endpoint import GrpcEndpoint

__all__ = ["Generator", "Share"]

_BEAT_S = 0.01
_RECONNECT_PAUSE_NS = 10_000_000
"""A closed loop's user waits so long after a connection could not be made: refusals take no time, and would
come by the ten thousand."""


@dataclass(frozen=True, slots=True)
class Share:
    """What falls to this generator of the load: `index` of `parts`."""

    index: int
    parts: int

    def of(self, whole: int) -> int:
        """This generator's share of so many."""
        return whole // self.parts + (self.index < whole % self.parts)


class Generator:
    """Issues its share of the load from `start_ns` (of the monotonic clock) on, and records it.

    The window of a closed loop begins once every user's first request has ended, those of the other
    generators too: so it has no end until `begin_window` is told.
    """

    def __init__(
        self,
        spec: LoadSpec,
        site: HttpEndpoint | GrpcEndpoint,
        share: Share,
        schedule: Schedule,
        render: Render,
        start_ns: int,
    ) -> None:
        closed = spec.load if isinstance(spec.load, Closed) else None
        slices = spec.warmup_slices + spec.slices
        self.recorder = Recorder(start_ns, spec.slice_ns, slices, journal=spec.journal)
        self.in_flight = InFlight(start_ns, spec.slice_ns)
        self.usage: list[tuple[int, ProcessUsage]] = []
        """(time since the start in ns, usage) about once a slice."""
        self.render = render
        self.read_timeout_s = spec.read_timeout_s
        self.is_head = spec.method == "HEAD"
        self.first_slice = spec.warmup_slices
        """Where the window begins, as far as is known."""
        self.turned: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        """From which slice on every user here has had an answer, once that is so; without users it is 0."""
        self.end_ns = NEVER if closed else start_ns + slices * spec.slice_ns
        self._spec = spec
        self._start_ns = start_ns
        self._users = self._turns_missing = share.of(closed.concurrency) if closed else 0
        self._think_ns = round(closed.think_time_s * 1e9) if closed else 0
        self._caller = ClosedLoopWorker if closed and not self._think_ns else Worker
        limit = self._users or share.of(spec.max_connections)
        self._crew = WorkerPool(site, limit, self.in_flight, self._hire, self._on_no_connection)
        self._pacer = Pacer(PendingStarts(schedule.part(share.index, share.parts), start_ns), self._crew.put)
        self.timer = self._pacer.timer
        self._drained = asyncio.Event()
        if not closed:
            self.turned.set_result(0)

    @property
    def elapsed_s(self) -> float:
        """Seconds since the start."""
        return (time.monotonic_ns() - self._start_ns) / 1e9

    @property
    def last_slice(self) -> int:
        """Where the window ends, that slice not included."""
        return self.first_slice + self._spec.slices

    def begin_window(self, first_slice: int) -> None:
        """Have the window begin there: what all generators of a load are told alike."""
        self.first_slice = first_slice
        self.end_ns = self._start_ns + self.last_slice * self._spec.slice_ns

    async def run(self) -> None:
        """Run to the last answer, or until the time to drain is over."""
        for user in range(self._users):
            self._pacer.add(self._start_ns + self._think_ns * user // self._users)
        self._pacer.start()
        try:
            while (now := time.monotonic_ns()) < self.end_ns:
                self._beat(now)
                await asyncio.sleep(min(_BEAT_S, (self.end_ns - now) / 1e9))
            self._pacer.issue_due()
            self.recorder.dropped.extend(self._crew.stop())
            if self.in_flight.count:
                self._drained.clear()  # nothing may have been in flight for a moment, before those just sent
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._drained.wait(), self.read_timeout_s + 1.0)
        finally:
            self._pacer.close()
            await self._crew.close()
            self._finish(time.monotonic_ns())

    def ended(self, caller: Worker, now_ns: int) -> None:
        """A caller's request is over: see to the next."""
        self.in_flight.change(-1, now_ns)
        self._crew.free(caller, now_ns)
        if self._users:
            self._next_turn(now_ns, self._think_ns)
        if now_ns >= self.end_ns and not self.in_flight.count:
            self._drained.set()

    def not_sent(self, caller: Worker, intended_ns: int, now_ns: int) -> None:
        """A request could not be put on its connection: it goes on another, and keeps its intended start."""
        self.in_flight.change(-1, now_ns)
        if caller.connection is not None:
            caller.connection.abort()
        self._crew.put_back(intended_ns)

    def lost(self, caller: Worker) -> None:
        """A caller's connection is gone."""
        self._crew.lost(caller)

    def _hire(self, connection: Carrier) -> Worker:
        return self._caller(self, connection)

    def _on_no_connection(self, intended_ns: int, error: NotConnected) -> None:
        now = time.monotonic_ns()
        self.recorder.ended.append((intended_ns, 0, now, code_of_no_connection(error.kind)))
        if self._users:
            self._next_turn(now, self._think_ns + _RECONNECT_PAUSE_NS)

    def _next_turn(self, now_ns: int, pause_ns: int) -> None:
        """A user of the closed loop will pause, and send again."""
        intended = now_ns + pause_ns
        if intended >= self.end_ns:
            return
        if pause_ns:
            self._pacer.add(intended)
        else:
            self._crew.put(intended)

    def _beat(self, now_ns: int) -> None:
        """What is done every few milliseconds, so that it need not be done for every request."""
        if not self.turned.done():
            self._look_for_turn(now_ns)
        self.recorder.lags.extend(self._pacer.lags_ns)
        self._pacer.lags_ns.clear()
        self.recorder.flush()
        elapsed = now_ns - self._start_ns
        if not self.usage or elapsed - self.usage[-1][0] >= self._spec.slice_ns:
            self.usage.append((elapsed, read_usage()))

    def _look_for_turn(self, now_ns: int) -> None:
        """See whether every user's first request has ended: then the next slice is the first of use."""
        first_requests = self._start_ns + max(self._think_ns, 1)
        self._turns_missing -= sum(1 for row in self.recorder.ended if row[0] < first_requests)
        if self._turns_missing <= 0:
            self.turned.set_result(-(-(now_ns - self._start_ns) // self._spec.slice_ns))

    def _finish(self, now_ns: int) -> None:
        self._beat(now_ns)
        self.usage.append((now_ns - self._start_ns, read_usage()))
        self.in_flight.change(0, now_ns)
        self.recorder.timeline.take_in_flight(self.in_flight.areas)
