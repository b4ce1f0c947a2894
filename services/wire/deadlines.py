"""Time-outs for many exchanges at the price of one timer.

A timer a request costs more than the rest of its bookkeeping. Here watching is one dictionary entry, and the
single timer is moved only when a deadline comes before the one it is set to, which with like time-outs is
rare: it fires about once a time-out, finds who is late, and sets itself to the earliest of the others.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Protocol

__all__ = ["Deadlines", "Watched"]

FINENESS_S = 0.001
"""Timers are no finer than that. Nobody is kept waiting longer than was said, but perhaps this much less."""
_NEVER = float("inf")


class Watched(Protocol):
    """What can be told that its time is up."""

    def on_deadline(self) -> None:
        """Called once, after which it is no longer watched."""


class Deadlines:
    """Watches objects of one event loop. All times are of `clock`, in seconds.

    It is not the loop's own clock, since uvloop's stands still between two turns of the loop.
    """

    __slots__ = ("_at", "_clock", "_due", "_loop", "_timer")

    def __init__(
        self, loop: asyncio.AbstractEventLoop | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._loop = loop or asyncio.get_running_loop()
        self._clock = clock
        self._due: dict[Watched, float] = {}
        self._at = _NEVER
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        """How many objects are watched."""
        return len(self._due)

    def watch(self, item: Watched, at: float) -> None:
        """Call `item.on_deadline()` at that time, instead of whenever it was to be called before."""
        self._due[item] = at
        if at < self._at:
            self._set_timer(at)

    def forget(self, item: Watched) -> None:
        """Never mind: the object is done, or was never watched."""
        self._due.pop(item, None)

    def close(self) -> None:
        """Forget all, and leave no timer behind."""
        self._due.clear()
        if self._timer is not None:
            self._timer.cancel()
        self._timer, self._at = None, _NEVER

    def _set_timer(self, at: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._at = at
        self._timer = self._loop.call_later(at - self._clock() - FINENESS_S, self._fire)

    def _fire(self) -> None:
        self._timer, self._at = None, _NEVER
        now = self._clock() + FINENESS_S
        for item in [item for item, at in self._due.items() if at <= now]:
            if self._due.pop(item, None) is not None:
                item.on_deadline()
        if self._due:
            earliest = min(self._due.values())
            if earliest < self._at:
                self._set_timer(earliest)
