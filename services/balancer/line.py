"""The requests that stand in line for an instance with room, and the timers that send them away."""

from __future__ import annotations

import time
from collections.abc import Collection
from typing import Protocol

from services.balancer.instance_set import Roster
from services.balancer.instances import Instance
from services.balancer.queue import WaitingQueue
from services.wire import Deadlines

__all__ = ["InLine", "Line"]


class InLine(Protocol):
    """A request that waits."""

    @property
    def tried(self) -> Collection[Instance]:
        """Where it is not to go, for it has been there."""

    def on_room(self, instance: Instance) -> None:
        """There is room there; it is out of the line, and goes there at once."""

    def on_queued_out(self) -> None:
        """It has waited too long, and is out of the line."""


class Line:
    """The waiting queue of one balancer, moved on whenever there is room."""

    __slots__ = ("_deadlines", "_queue", "_roster", "anyone")

    def __init__(self, queue: WaitingQueue[InLine], roster: Roster, deadlines: Deadlines) -> None:
        self._queue = queue
        self._roster = roster
        self._deadlines = deadlines
        self.anyone = False
        """Whether anyone waits: every request asks, so it is kept as plain data."""

    def __len__(self) -> int:
        return len(self._queue)

    def join(self, waiting: InLine) -> bool:
        """Wait for room. False if too many do already."""
        if not self._queue.offer(waiting, time.monotonic()):
            return False
        if not self.anyone:
            self.anyone = True
            self._set_timer()
        return True

    def leave(self, waiting: InLine) -> None:
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

    def _find(self, waiting: InLine) -> Instance | None:
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
