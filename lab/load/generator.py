"""The generator: workers driven along a schedule or in a closed loop, from first request to last answer."""

from __future__ import annotations

import asyncio
import contextlib
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lab.arrivals import Closed, Schedule
from lab.load.endpoints import HttpEndpoint
from lab.load.outcomes import code_of, code_of_no_connection
from lab.load.pacer import NEVER, Pacer, PendingStarts
from lab.load.process_limits import ProcessUsage, read_usage
from lab.load.recorder import Recorder
from lab.load.requests import Render
from lab.load.spec import LoadSpec
from lab.load.workers import ClosedLoopWorker, Connection, InFlight, Worker, WorkerPool
from services.wire.errors import NotConnected, WireError

if TYPE_CHECKING:
    from lab.load.grpc_endpoint import GrpcEndpoint

__all__ = ["Generator", "Share"]

_BEAT_S = 0.02
_CUT_SHORT_S = 0.5
"""How long a run that is cut short waits for answers."""
_RECONNECT_PAUSE_NS = 10_000_000
"""How long a closed loop's user waits after a connection could not be made: refusals take no time, and would
come by the ten thousand."""


@dataclass(frozen=True, slots=True)
class Share:
    """A generator's share of the load: part `index`, from 0, of `parts`."""

    index: int
    parts: int

    def of(self, whole: int) -> int:
        """Return how many of `whole` fall to this generator."""
        return whole // self.parts + (self.index < whole % self.parts)


class Generator:
    """One generator: it issues its share of the load from `start_ns` (monotonic clock) on, and records it.

    The window of a closed loop begins once every user's first request has ended, in the other generators
    too: so the run has no end until `begin_window` is called.
    """

    def __init__(
        self,
        spec: LoadSpec,
        endpoint: HttpEndpoint | GrpcEndpoint,
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
        """(time since the start in ns, usage of the process), at every beat."""
        self.render = render
        self.read_timeout_s = spec.read_timeout_s
        self.is_head = spec.method == "HEAD"
        self.first_slice = spec.warmup_slices
        """Where the window begins, as far as is known."""
        self.first_answers: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        """The slice from which on every user here has had an answer, once that is so; 0 without users."""
        self.end_ns = NEVER if closed else start_ns + slices * spec.slice_ns
        self._spec = spec
        self._start_ns = start_ns
        self._users = self._first_answers_missing = share.of(closed.concurrency) if closed else 0
        self._think_ns = round(closed.think_time_s * 1e9) if closed else 0
        self._worker_type = ClosedLoopWorker if closed and not self._think_ns else Worker
        limit = self._users or share.of(spec.max_connections)
        self._pool = WorkerPool(
            endpoint,
            limit,
            self.in_flight,
            self._new_worker,
            self._on_no_connection,
            self.recorder.waited.append,
        )
        starts = PendingStarts(schedule.part(share.index, share.parts), start_ns)
        self._pacer = Pacer(starts, self._pool.put)
        self.timer = self._pacer.timer
        self._drained = asyncio.Event()
        if not closed:
            self.first_answers.set_result(0)

    @property
    def elapsed_s(self) -> float:
        """Seconds since the start."""
        return (time.monotonic_ns() - self._start_ns) / 1e9

    @property
    def last_slice(self) -> int:
        """Where the window ends, that slice not included."""
        return self.first_slice + self._spec.slices

    def begin_window(self, first_slice: int) -> None:
        """Have the window begin at that slice, the same for all generators of a load."""
        self.first_slice = first_slice
        self.end_ns = min(self.end_ns, self._start_ns + self.last_slice * self._spec.slice_ns)

    def cut_short(self, last_slice: int) -> None:
        """End the run now, in that slice or behind it, and wait only a moment for what is in flight."""
        self.end_ns = min(time.monotonic_ns(), self._start_ns + last_slice * self._spec.slice_ns)
        if not self.first_answers.done():
            self.first_answers.set_result(last_slice)
        asyncio.get_running_loop().call_later(_CUT_SHORT_S, self._drained.set)

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
            self.recorder.dropped.extend(self._pool.stop())
            if self.in_flight.count:
                self._drained.clear()  # nothing may have been in flight for a moment, before those just sent
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._drained.wait(), self.read_timeout_s + 1.0)
        finally:
            self._pacer.close()
            await self._pool.close()
            self._finish(time.monotonic_ns())

    def ended(self, worker: Worker, now_ns: int) -> None:
        """Free a worker whose request is over, and see to the user's next request."""
        self.in_flight.change(-1, now_ns)
        self._pool.release(worker, now_ns)
        if self._users:
            self._continue_user(now_ns, self._think_ns)
        if now_ns >= self.end_ns and not self.in_flight.count:
            self._drained.set()

    def not_sent(self, intended_ns: int, now_ns: int) -> None:
        """Send a request on another connection; it keeps its intended start."""
        self.in_flight.change(-1, now_ns)
        self._pool.put_back(intended_ns)

    def lost(self, worker: Worker) -> None:
        """Forget a worker whose connection is gone."""
        self._pool.lost(worker)

    def _new_worker(self, connection: Connection) -> Worker:
        return self._worker_type(self, connection)

    def _on_no_connection(self, intended_ns: int, error: WireError) -> None:
        """Record a request for which no connection was made, or one that was gone before it was of use."""
        now = time.monotonic_ns()
        sent, code = now, code_of(error.kind)
        if isinstance(error, NotConnected):
            sent, code = 0, code_of_no_connection(error)
        self.recorder.ended.append((intended_ns, sent, now, code))
        self.recorder.note_failure(code, error)
        if self._users:
            self._continue_user(now, self._think_ns + _RECONNECT_PAUSE_NS)

    def _continue_user(self, now_ns: int, pause_ns: int) -> None:
        """Have a user of the closed loop send again after a pause."""
        intended = now_ns + pause_ns
        if intended >= self.end_ns:
            return
        if pause_ns:
            self._pacer.add(intended)
        else:
            self._pool.put(intended)

    def _beat(self, now_ns: int) -> None:
        """Do every few milliseconds what then need not be done for every request."""
        if not self.first_answers.done():
            self._look_for_first_answers(now_ns)
        self.recorder.lags.extend(self._pacer.lags_ns)
        self._pacer.lags_ns.clear()
        self.recorder.flush()
        self.usage.append((now_ns - self._start_ns, read_usage()))

    def _look_for_first_answers(self, now_ns: int) -> None:
        """See whether every user's first request has ended: then the next slice is the first of use."""
        first_requests = self._start_ns + max(self._think_ns, 1)
        self._first_answers_missing -= sum(1 for row in self.recorder.ended if row[0] < first_requests)
        if self._first_answers_missing <= 0:
            self.first_answers.set_result(-(-(now_ns - self._start_ns) // self._spec.slice_ns))

    def _finish(self, now_ns: int) -> None:
        self._beat(now_ns)
        self.in_flight.change(0, now_ns)
        self.recorder.timeline.set_in_flight(self.in_flight.areas)
