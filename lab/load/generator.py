"""Drives callers along a schedule, or in a closed loop, from the first request to the last answer."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import time
from collections import deque
from dataclasses import dataclass

from lab.errors import BadParameter
from lab.load.arrivals import Closed, Schedule
from lab.load.caller import Caller, Repeater
from lab.load.inflight import InFlight
from lab.load.outcomes import code_of
from lab.load.pacer import NEVER, Agenda, Pacer
from lab.load.recorder import Recorder
from lab.load.spec import LoadSpec
from lab.load.template import Render, split_url
from lab.load.usage import Usage, read_usage
from services.wire.connection import Connection
from services.wire.deadlines import Deadlines
from services.wire.errors import NotConnected

__all__ = ["Generator", "Share"]

_BEAT_S = 0.01
_RECONNECT_PAUSE_S = 0.01
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

    In the closed loop the window begins once the first request of every user has ended, on the next slice.
    """

    def __init__(
        self, spec: LoadSpec, share: Share, schedule: Schedule, render: Render, start_ns: int
    ) -> None:
        closed = spec.load if isinstance(spec.load, Closed) else None
        warmup_slices = -int(-spec.warmup_s * 1e9 // spec.slice_ns)
        self.recorder = Recorder(start_ns, spec.slice_ns, warmup_slices + spec.slices)
        self.in_flight = InFlight(start_ns, spec.slice_ns)
        self.usage: list[tuple[int, Usage]] = []
        """(time since the start in ns, usage) about once a slice."""
        self.render = render
        self.read_timeout_s = spec.read_timeout_s
        self.is_head = spec.method == "HEAD"
        self.first_slice = warmup_slices
        """Where the window begins, as far as is known."""
        self.turned_slice = 0
        """From where on every user of a closed loop has had an answer."""
        self.end_ns = NEVER if closed else start_ns + (warmup_slices + spec.slices) * spec.slice_ns
        self._spec = spec
        self._start_ns = start_ns
        self._users = share.of(closed.concurrency) if closed else 0
        self._think_ns = round(closed.think_time_s * 1e9) if closed else 0
        self._limit = self._users or share.of(spec.max_connections)
        self._caller = Repeater if closed and not self._think_ns else Caller
        self._ssl = _tls(spec)
        self._deadlines = Deadlines()
        self._callers: set[Caller] = set()
        self._idle: list[Caller] = []
        self._backlog: deque[int] = deque()
        self._connecting: set[asyncio.Task[None]] = set()
        self._pacer = Pacer(Agenda(schedule.part(share.index, share.parts), start_ns), self._issue)
        self.timer = self._pacer.timer
        self._stopping = False
        self._drained = asyncio.Event()
        self._turns_missing = self._users

    @property
    def elapsed_s(self) -> float:
        """Seconds since the start."""
        return (time.monotonic_ns() - self._start_ns) / 1e9

    @property
    def last_slice(self) -> int:
        """Where the window ends, that slice not included."""
        return self.first_slice + self._spec.slices

    async def run(self) -> None:
        """Run to the last answer, or until the time to drain is over."""
        for user in range(self._users):
            self._pacer.add(self._start_ns + self._think_ns * user // self._users)
        self._pacer.start()
        try:
            while (now := time.monotonic_ns()) < self.end_ns:
                self._beat(now)
                await asyncio.sleep(min(_BEAT_S, (self.end_ns - now) / 1e9))
            self._stop()
            if self.in_flight.count:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._drained.wait(), self.read_timeout_s + 1.0)
        finally:
            await self._close()

    def ended(self, caller: Caller, now_ns: int) -> None:
        """A caller's request is over: see to the next."""
        self.in_flight.change(-1, now_ns)
        if caller.connection is not None:
            if self._backlog and not self._stopping:
                self._send(caller, self._backlog.popleft(), now_ns)
            else:
                self._idle.append(caller)
        else:
            self._connect()
        if self._users:
            self._next_turn(now_ns)
        if self._stopping and not self.in_flight.count:
            self._drained.set()

    def not_sent(self, caller: Caller, intended_ns: int, now_ns: int) -> None:
        """A request could not be put on its connection: it goes on another, and keeps its intended start."""
        self.in_flight.change(-1, now_ns)
        self._backlog.appendleft(intended_ns)
        if caller.connection is not None:
            caller.connection.abort()
        self._connect()

    def lost(self, caller: Caller) -> None:
        """A caller's connection is gone."""
        self._callers.discard(caller)
        if caller in self._idle:
            self._idle.remove(caller)

    def _issue(self, intended_ns: int) -> None:
        if self._idle:
            self._send(self._idle.pop(), intended_ns, time.monotonic_ns())
        else:
            self._backlog.append(intended_ns)
            self._connect()

    def _next_turn(self, now_ns: int, pause_ns: int = 0) -> None:
        """A user of the closed loop will think, and send again."""
        intended = now_ns + self._think_ns + pause_ns
        if intended >= self.end_ns or self._stopping:
            return
        if intended > now_ns:
            self._pacer.add(intended)
        else:
            self._issue(intended)

    def _send(self, caller: Caller, intended_ns: int, now_ns: int) -> None:
        self.in_flight.change(1, now_ns)
        caller.send(intended_ns, now_ns)

    def _connect(self) -> None:
        """Open one more connection, if what waits calls for it and the limit allows it."""
        waiting = len(self._connecting)
        if waiting < len(self._backlog) and waiting + len(self._callers) < self._limit:
            task = asyncio.get_running_loop().create_task(self._open())
            self._connecting.add(task)
            task.add_done_callback(self._connect_ended)

    def _connect_ended(self, task: asyncio.Task[None]) -> None:
        self._connecting.discard(task)
        if not self._stopping:
            self._connect()

    async def _open(self) -> None:
        url = split_url(self._spec.url)
        try:
            connection = await Connection.open(
                url.hostname or "",
                url.port or (443 if self._ssl else 80),
                timeout_s=self._spec.connect_timeout_s,
                ssl=self._ssl,
                collect_headers=self._spec.stages,
                deadlines=self._deadlines,
            )
        except NotConnected as error:
            self._not_connected(error)
            return
        caller = self._caller(self, connection)
        self._callers.add(caller)
        if self._backlog and not self._stopping:
            self._send(caller, self._backlog.popleft(), time.monotonic_ns())
        else:
            self._idle.append(caller)

    def _not_connected(self, error: NotConnected) -> None:
        """The request that has waited longest has failed with this connection."""
        if not self._backlog:
            return
        now = time.monotonic_ns()
        self.recorder.ended.append((self._backlog.popleft(), 0, now, code_of(error.kind)))
        if self._users:
            self._next_turn(now, round(_RECONNECT_PAUSE_S * 1e9))

    def _beat(self, now_ns: int) -> None:
        """What is done every few milliseconds, so that it need not be done for every request."""
        if self.end_ns == NEVER:
            self._look_for_turn(now_ns)
        self.recorder.lags.extend(self._pacer.lags_ns)
        self._pacer.lags_ns.clear()
        self.recorder.gather()
        elapsed = now_ns - self._start_ns
        if not self.usage or elapsed - self.usage[-1][0] >= self._spec.slice_ns:
            self.usage.append((elapsed, read_usage()))

    def _look_for_turn(self, now_ns: int) -> None:
        """Set the window of the closed loop once every user's first request has ended."""
        first_requests = self._start_ns + max(self._think_ns, 1)
        self._turns_missing -= sum(1 for row in self.recorder.ended if row[0] < first_requests)
        if self._turns_missing <= 0:
            self.turned_slice = -(-(now_ns - self._start_ns) // self._spec.slice_ns)
            self.first_slice = max(self.first_slice, self.turned_slice)
            self.end_ns = self._start_ns + (self.first_slice + self._spec.slices) * self._spec.slice_ns

    def _stop(self) -> None:
        """Send what is due and can be sent; what cannot is dropped."""
        self._pacer.issue_due()
        self._stopping = True
        self.recorder.dropped.extend(self._backlog)
        self._backlog.clear()

    async def _close(self) -> None:
        self._stopping = True
        self._pacer.close()
        for task in list(self._connecting):
            task.cancel()
        await asyncio.gather(*self._connecting, return_exceptions=True)
        for caller in list(self._callers):
            if caller.connection is not None:
                caller.connection.abort()
        self._deadlines.close()
        self._beat(time.monotonic_ns())
        self.in_flight.change(0, time.monotonic_ns())
        areas = self.in_flight.areas
        if areas:
            self.recorder.timeline.reach(len(areas) - 1)
            self.recorder.timeline.in_flight_ns[: len(areas)] = areas


def _tls(spec: LoadSpec) -> ssl.SSLContext | None:
    if split_url(spec.url).scheme != "https":
        return None
    try:
        return ssl.create_default_context(cafile=spec.ca_file)
    except OSError as error:  # which includes ssl's own
        raise BadParameter(f"ca_file {spec.ca_file} holds no certificates to trust: {error}") from error
