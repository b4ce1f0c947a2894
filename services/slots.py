"""The slots of one instance, in which its work is done, and the queue of requests that wait for a slot.

A request enters (at once where a slot is free and no request waits, else by the queue in order of arrival),
does its step and spends its service time in the slot, and leaves; leaving admits the next one.
"""

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
    """Every slot is busy, and the queue is full.

    `retry_after_s` is how many seconds the queue takes to drain at the mean service time, at least 1.
    """

    def __init__(self, work: Work) -> None:
        super().__init__(f"all {work.slots} slots are busy and {work.queue_limit} requests wait")
        self.retry_after_s = max(1, math.ceil(work.queue_limit * work.mean_s / work.slots))


@dataclass(slots=True)
class SlotTimes:
    """How long one request waited for a slot and held it, in seconds. `Slots.serve` fills it in."""

    queue_s: float = 0.0
    work_s: float = 0.0


class Slots:
    """The slots of one instance. Belongs to one event loop.

    `work` can be replaced while requests are served, which is how an instance is slowed down: requests in a
    slot end as they began, later ones follow the new work.
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
        """The number of requests that wait for a slot."""
        return len(self._waiting)

    async def serve(self, step: Callable[[], T], times: SlotTimes) -> T:
        """Wait for a slot, do the step and spend the service time in it, and give the slot back.

        Raises QueueFullError at once where the queue is full, and what the step raises.
        """
        arrived = perf_counter()
        try:
            await self._enter()
        finally:
            times.queue_s = perf_counter() - arrived
        entered = perf_counter()
        try:
            result = step()
            await self._spend(next(self._times))
            return result
        finally:
            times.work_s = perf_counter() - entered
            self._leave()

    def close(self) -> None:
        """Shut the worker threads down, without waiting for what they still compute."""
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
        admitted = asyncio.get_running_loop().create_future()
        self._waiting.append(admitted)
        try:
            await admitted
        except asyncio.CancelledError:
            if admitted.cancelled():
                with contextlib.suppress(ValueError):
                    self._waiting.remove(admitted)
            else:  # the slot was given a moment before the request went away
                self._leave()
            raise

    def _leave(self) -> None:
        self.busy -= 1
        self._admit()

    def _admit(self) -> None:
        while self._waiting and self.busy < self._work.slots:
            admitted = self._waiting.popleft()
            if not admitted.done():
                self.busy += 1
                admitted.set_result(None)

    async def _spend(self, duration_s: float) -> None:
        if self._work.kind is WorkKind.CPU and duration_s > 0:
            await self._burn(duration_s)
            return
        until = perf_counter() + duration_s
        # uvloop rounds timers to milliseconds and may fire early; a service time is never cut short.
        while (left := until - perf_counter()) > 0:  # noqa: ASYNC110  # there is no event but time
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
    """Spend `duration_s` seconds of the calling thread's own CPU time, or less where `stop` is set.

    Python code burns it and holds the interpreter lock, so that more threads add no capacity in one process.
    """
    until = thread_time() + duration_s
    while thread_time() < until and not stop.is_set():
        sum(range(500))
