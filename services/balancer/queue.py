"""Requests that wait for an instance with room: first come, first served, not too many and not too long.

The requests that stand in line for an instance with room, and the timers that send them away.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Collection
from itertools import islice
from typing import Generic, Protocol, TypeVar

from services.balancer.events import Event, EventKind, Listener, ignore
from services.balancer.instance_set import InstanceSet
from services.balancer.instances import InstanceState
from services.wire import Deadlines

__all__ = ["Queued", "RequestQueue", "WaitingQueue"]

Waiting = TypeVar("Waiting")
Found = TypeVar("Found")


class WaitingQueue(Generic[Waiting]):
    """A bounded queue with a time-out, as pure state: it is told the time, in seconds.

    Every operation takes constant time. What waits is told apart by its hash; each may wait once.
    """

    def __init__(self, limit: int, timeout_s: float, on_event: Listener = ignore) -> None:
        if limit < 0:
            raise ValueError(f"the queue's limit is {limit}: 0 (nobody waits) or more")
        if not timeout_s > 0:
            raise ValueError(f"the queue's time-out is {timeout_s} s: it must be above 0")
        self._limit = limit
        self._timeout_s = timeout_s
        self._on_event = on_event
        # The times grow along the queue, since all may wait equally long.
        self._deadlines: OrderedDict[Waiting, float] = OrderedDict()

    def __len__(self) -> int:
        return len(self._deadlines)

    @property
    def deadline(self) -> float | None:
        """When `expire` will next have something to do; None while nobody waits."""
        return next(iter(self._deadlines.values()), None)

    def offer(self, waiting: Waiting, now: float) -> bool:
        """Queue up, last. False, and an event, if the queue is full."""
        if len(self._deadlines) >= self._limit:
            self._on_event(Event(EventKind.QUEUED_OUT, now, None, "full"))
            return False
        self._deadlines[waiting] = now + self._timeout_s
        return True

    def take(self, find: Callable[[Waiting], Found | None]) -> tuple[Waiting, Found] | None:
        """The first for whom `find` finds an instance, who leaves the queue, and that instance.

        Whoever has tried nothing yet fits any instance with room, so only the first few are asked: those
        who have been to the only one with room are passed over, and keep their place.
        """
        for waiting in islice(self._deadlines, _REACH):
            found = find(waiting)
            if found is not None:
                del self._deadlines[waiting]
                return waiting, found
        return None

    def withdraw(self, waiting: Waiting) -> None:
        """Leave the queue, because the client went away. Who does not wait is ignored."""
        self._deadlines.pop(waiting, None)

    def expire(self, now: float) -> list[Waiting]:
        """Those who have waited too long, who leave the queue, with an event for each."""
        expired = []
        while self._deadlines:
            waiting, deadline = next(iter(self._deadlines.items()))
            if deadline > now:
                break
            del self._deadlines[waiting]
            expired.append(waiting)
            self._on_event(Event(EventKind.QUEUED_OUT, now, None, "timeout"))
        return expired


_REACH = 8


class Queued(Protocol):
    """A request that waits."""

    @property
    def tried(self) -> Collection[InstanceState]:
        """Where it is not to go, for it has been there."""

    def on_room(self, instance: InstanceState) -> None:
        """There is room there; it is out of the line, and goes there at once."""

    def on_queued_out(self) -> None:
        """It has waited too long, and is out of the line."""


class RequestQueue:
    """The waiting queue of one balancer, moved on whenever there is room."""

    __slots__ = ("_deadlines", "_queue", "_roster", "anyone")

    def __init__(self, queue: WaitingQueue[Queued], roster: InstanceSet, deadlines: Deadlines) -> None:
        self._queue = queue
        self._roster = roster
        self._deadlines = deadlines
        self.anyone = False
        """Whether anyone waits: every request asks, so it is kept as plain data."""

    def __len__(self) -> int:
        return len(self._queue)

    def join(self, waiting: Queued) -> bool:
        """Wait for room. False if too many do already."""
        if not self._queue.offer(waiting, time.monotonic()):
            return False
        if not self.anyone:
            self.anyone = True
            self._set_timer()
        return True

    def leave(self, waiting: Queued) -> None:
        """It gave up."""
        self._queue.withdraw(waiting)
        self.anyone = bool(self._queue)

    def move(self) -> None:
        """Send as many as there is room for on their way, first come, first served."""
        while self.anyone:
            found = self._queue.take(self._find)
            if found is None:
                return
            self.anyone = bool(self._queue)
            waiting, instance = found
            waiting.on_room(instance)

    def _find(self, waiting: Queued) -> InstanceState | None:
        return self._roster.choose(time.monotonic(), waiting.tried)

    def close(self) -> None:
        """Forget the timer."""
        self._deadlines.forget(self)

    def on_deadline(self) -> None:
        """Send away who has waited too long."""
        expired = self._queue.expire(time.monotonic() + 0.001)
        self.anyone = bool(self._queue)
        for waiting in expired:
            waiting.on_queued_out()
        self._set_timer()

    def _set_timer(self) -> None:
        deadline = self._queue.deadline
        if deadline is not None:
            self._deadlines.watch(self, deadline)
