"""Where the work of one instance is done: its slots, and the queue before them."""

from __future__ import annotations

import asyncio
import contextlib
import math
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from time import perf_counter, thread_time
from typing import TypeVar

from services.names import WorkKind
from services.work import Work, service_times

__all__ = ["QueueFullError", "SlotTimes", "Slots", "burn"]

T = TypeVar("T")


class QueueFullError(Exception):
    """Every slot is busy and the queue before them is full.

    `retry_after_s` is how long the queue would take to drain at the mean service time, at least 1.
    """

    def __init__(self, work: Work) -> None:
        super().__init__(f"all {work.slots} slots are busy and {work.queue_limit} requests wait")
        self.retry_after_s = max(1, math.ceil(work.queue_limit * work.mean_s / work.slots))


@dataclass(slots=True)
class SlotTimes:
    """How long one request waited for a slot and held it, in seconds; filled in by the station."""

    queue_s: float = 0.0
    work_s: float = 0.0


class Slots:
    """The slots of one instance. Belongs to one event loop.

    `work` can be replaced while requests are served, which is how an instance is slowed down: what is
    already in a slot ends as it began, the rest follows the new work.
    """

    def __init__(self, work: Work, name: str) -> None:
        self.name = name
        self.busy = 0
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._executor: ThreadPoolExecutor | None = None
        self._set(work)

    @property
    def work(self) -> Work:
        """What a request costs from now on."""
        return self._work

    @work.setter
    def work(self, work: Work) -> None:
        self.close()
        self._set(work)
        self._admit()

    @property
    def waiting(self) -> int:
        """How many requests wait for a slot."""
        return len(self._waiting)

    async def serve(self, step: Callable[[], T], visit: SlotTimes) -> T:
        """Waits for a slot, does the step and spends the service time in it, and gives the slot back.

        Raises QueueFullError at once where the queue is full, and whatever the step raises.
        """
        arrived = perf_counter()
        try:
            await self._enter()
        finally:
            visit.queue_s = perf_counter() - arrived
        entered = perf_counter()
        try:
            result = step()
            await self._spend(next(self._times))
            return result
        finally:
            visit.work_s = perf_counter() - entered
            self._leave()

    def close(self) -> None:
        """Lets the worker threads go; they end when what they burn is burnt."""
        if self._executor is not None:
            self._executor.shutdown(wait=False)
            self._executor = None

    def _set(self, work: Work) -> None:
        self._work = work
        self._times = service_times(work, self.name)

    async def _enter(self) -> None:
        if self.busy < self._work.slots and not self._waiting:
            self.busy += 1
            return
        if len(self._waiting) >= self._work.queue_limit:
            raise QueueFullError(self._work)
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.cancelled():
                with contextlib.suppress(ValueError):
                    self._waiting.remove(turn)
            else:  # The slot was given a moment before the request went away.
                self._leave()
            raise

    def _leave(self) -> None:
        self.busy -= 1
        self._admit()

    def _admit(self) -> None:
        while self._waiting and self.busy < self._work.slots:
            turn = self._waiting.popleft()
            if not turn.done():
                self.busy += 1
                turn.set_result(None)

    async def _spend(self, duration_s: float) -> None:
        if self._work.kind is WorkKind.CPU and duration_s > 0:
            await self._burn(duration_s)
            return
        until = perf_counter() + duration_s
        # uvloop rounds timers to milliseconds and may fire early; a service time is never cut short.
        while (left := until - perf_counter()) > 0:  # noqa: ASYNC110  # it is time that is waited for
            await asyncio.sleep(left)

    async def _burn(self, duration_s: float) -> None:
        if self._executor is None:
            self._executor = ThreadPoolExecutor(self._work.slots, thread_name_prefix=f"{self.name}-work")
        stop = threading.Event()
        try:
            await asyncio.get_running_loop().run_in_executor(self._executor, burn, duration_s, stop)
        finally:
            stop.set()


def burn(duration_s: float, stop: threading.Event) -> None:
    """Spends that much of the calling thread's own CPU time, or less where `stop` is set.

    Runs Python code and holds the interpreter lock as such code does: in one process it adds no capacity.
    """
    until = thread_time() + duration_s
    while thread_time() < until and not stop.is_set():
        sum(range(500))
