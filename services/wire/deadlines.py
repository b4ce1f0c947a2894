"""Time-outs for many exchanges at the price of one timer.

A timer for each request costs more than the rest of its bookkeeping. Here watching is one dictionary entry,
and the single timer is moved only for a deadline before the one it is set to, which is rare where time-outs
are alike: it fires about once a time-out, calls what is late, and is set to the earliest of the others.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Protocol

__all__ = ["Deadlines", "Watched"]

RESOLUTION_S = 0.001
"""The resolution of the loop's timers: a deadline is never called late, but up to this much early."""
_NEVER = float("inf")


class Watched(Protocol):
    """An object whose deadline is watched."""

    def on_deadline(self) -> None:
        """End the wait: called once, after which the object is no longer watched."""


class Deadlines:
    """The deadlines of objects of one event loop. All times are of `clock`, in seconds.

    `clock` is not the loop's own, since uvloop's stands still between two turns of the loop.
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
        """Return the number of watched objects."""
        return len(self._due)

    def watch(self, item: Watched, at: float) -> None:
        """Call `item.on_deadline()` at `at`, instead of at any time set before."""
        self._due[item] = at
        if at < self._at:
            self._set_timer(at)

    def forget(self, item: Watched) -> None:
        """Watch the object no more, if it was watched."""
        self._due.pop(item, None)

    def close(self) -> None:
        """Forget all objects, and cancel the timer."""
        self._due.clear()
        if self._timer is not None:
            self._timer.cancel()
        self._timer, self._at = None, _NEVER

    def _set_timer(self, at: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._at = at
        self._timer = self._loop.call_later(at - self._clock() - RESOLUTION_S, self._fire)

    def _fire(self) -> None:
        self._timer, self._at = None, _NEVER
        now = self._clock() + RESOLUTION_S
        for item in [item for item, at in self._due.items() if at <= now]:
            if self._due.pop(item, None) is not None:
                item.on_deadline()
        if self._due:
            earliest = min(self._due.values())
            if earliest < self._at:
                self._set_timer(earliest)
