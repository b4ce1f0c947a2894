"""Requests that wait for an instance with room: first come, first served, not too many and not too long."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from itertools import islice
from typing import Generic, TypeVar

from services.balancer.events import Event, EventKind, Listener, ignore

__all__ = ["WaitingQueue"]

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
