"""Requests that wait for an instance with room: first come, first served, bounded in number and in time."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Collection
from itertools import islice
from typing import Protocol

from services.balancer.events import Event, EventKind, Listener, ignore
from services.balancer.instance_set import InstanceSet
from services.balancer.instances import InstanceState
from services.wire import Deadlines

__all__ = ["Queued", "RequestQueue"]

_REACH = 8


class Queued(Protocol):
    """A request that waits."""

    @property
    def tried(self) -> Collection[InstanceState]:
        """Instances that the request must not go to, because it was there."""

    def on_room(self, instance: InstanceState) -> None:
        """Go to `instance` at once; the request has left the queue."""

    def on_queue_timeout(self) -> None:
        """Give up: the request waited too long, and has left the queue."""


class RequestQueue:
    """The queue of one balancer: `limit` requests that each wait up to `timeout_s` seconds for room.

    Every operation takes constant time. Requests are told apart by their hash; each waits once at most.
    """

    __slots__ = ("_deadlines", "_due", "_instances", "_limit", "_on_event", "_timeout_s", "nonempty")

    def __init__(
        self,
        limit: int,
        timeout_s: float,
        instances: InstanceSet,
        deadlines: Deadlines,
        on_event: Listener = ignore,
    ) -> None:
        if limit < 0:
            raise ValueError(f"the queue's limit is {limit}: 0 (no request waits) or more")
        if not timeout_s > 0:
            raise ValueError(f"the queue's time-out is {timeout_s} s: it must be above 0")
        self._limit = limit
        self._timeout_s = timeout_s
        self._instances = instances
        self._deadlines = deadlines
        self._on_event = on_event
        # When each request has waited too long. The times grow along the queue: all may wait equally long.
        self._due: OrderedDict[Queued, float] = OrderedDict()
        self.nonempty = False
        """Whether any request waits: every request asks, so this is kept as plain data."""

    def __len__(self) -> int:
        return len(self._due)

    def join(self, request: Queued, now: float) -> bool:
        """Put the request last. Returns False, and reports an event, if the queue is full."""
        if len(self._due) >= self._limit:
            self._on_event(Event(EventKind.QUEUED_OUT, now, None, "full"))
            return False
        self._due[request] = now + self._timeout_s
        if not self.nonempty:
            self.nonempty = True
            self._set_timer()
        return True

    def leave(self, request: Queued) -> None:
        """Take the request out, because its client went away. Does nothing if the request does not wait."""
        self._due.pop(request, None)
        self.nonempty = bool(self._due)

    def dispatch(self) -> None:
        """Send as many requests as there is room for on their way, first come, first served."""
        while self.nonempty:
            found = self.take(time.monotonic())
            if found is None:
                return
            request, instance = found
            request.on_room(instance)

    def take(self, now: float) -> tuple[Queued, InstanceState] | None:
        """Take out the first request for which there is an instance with room; return both.

        A request that has tried nothing yet fits any instance with room, so only the first few are looked
        at: those that have been to the only instance with room are passed over, and keep their place.
        """
        for request in islice(self._due, _REACH):
            instance = self._instances.choose(now, request.tried)
            if instance is not None:
                self.leave(request)
                return request, instance
        return None

    def expire(self, now: float) -> list[Queued]:
        """Take out and return the requests that have waited too long, with an event for each."""
        expired = []
        while self._due:
            request, due = next(iter(self._due.items()))
            if due > now:
                break
            self.leave(request)
            expired.append(request)
            self._on_event(Event(EventKind.QUEUED_OUT, now, None, "timeout"))
        return expired

    def close(self) -> None:
        """Drop the timer."""
        self._deadlines.forget(self)

    def on_deadline(self) -> None:
        """Tell the requests that have waited too long."""
        for request in self.expire(time.monotonic() + 0.001):
            request.on_queue_timeout()
        self._set_timer()

    def _set_timer(self) -> None:
        due = next(iter(self._due.values()), None)
        if due is not None:
            self._deadlines.watch(self, due)
