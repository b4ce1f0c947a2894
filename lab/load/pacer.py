"""The pacer of a schedule: it hands out each intended start when its time has come, and never moves one.

`PendingStarts` is the arithmetic and takes no clock; `Pacer` ties it to a timer.
"""

from __future__ import annotations

import asyncio
import heapq
import time
from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from lab.load.timers import new_timer

__all__ = ["NEVER", "Pacer", "PendingStarts"]

NEVER = 1 << 62
"""A time of the monotonic clock, in ns, that does not come."""
_BLOCK = 4096


class PendingStarts:
    """Intended starts still to come: those of a schedule, and those added one by one."""

    __slots__ = ("_added", "_next", "_schedule", "left")

    def __init__(self, intended_ns: NDArray[np.int64], start_ns: int = 0) -> None:
        self.left = len(intended_ns)
        """How many are still to come."""
        self._schedule = _numbers(intended_ns, start_ns)
        self._added: list[int] = []
        self._next = next(self._schedule, NEVER)

    @property
    def next_ns(self) -> int:
        """When the next start is due; NEVER if there is none."""
        return min(self._next, self._added[0]) if self._added else self._next

    def add(self, at_ns: int) -> None:
        """Add one more start, at any time."""
        heapq.heappush(self._added, at_ns)
        self.left += 1

    def due(self, now_ns: int) -> list[int]:
        """Take out and return all starts due at `now_ns`, in order. What is late keeps its intended start."""
        found = []
        while self._next <= now_ns:
            found.append(self._next)
            self._next = next(self._schedule, NEVER)
        while self._added and self._added[0] <= now_ns:
            found.append(heapq.heappop(self._added))
        self.left -= len(found)
        return sorted(found)


class Pacer:
    """What calls `issue(intended_ns)` for each intended start as it comes due, and notes how late it was."""

    __slots__ = ("_issue", "_starts", "_timer", "lags_ns")

    def __init__(self, starts: PendingStarts, issue: Callable[[int], None]) -> None:
        self._starts = starts
        self._issue = issue
        self.lags_ns: list[tuple[int, int]] = []
        """(intended start, lag) of every call since the list was last emptied by its reader."""
        self._timer = new_timer(asyncio.get_running_loop(), self.issue_due)

    @property
    def timer(self) -> str:
        """The name of what keeps the time."""
        return self._timer.name

    def start(self) -> None:
        """Begin to call `issue`."""
        self._set()

    def add(self, at_ns: int) -> None:
        """Add one more intended start."""
        earliest = self._starts.next_ns
        self._starts.add(at_ns)
        if at_ns < earliest:
            self._timer.set(at_ns)

    def issue_due(self) -> None:
        """Call `issue` for every start that is due by now."""
        clock = time.monotonic_ns
        for intended in self._starts.due(clock()):
            self.lags_ns.append((intended, clock() - intended))
            self._issue(intended)
        self._set()

    def close(self) -> None:
        """Make no more calls."""
        self._timer.close()

    def _set(self) -> None:
        following = self._starts.next_ns
        if following < NEVER:
            self._timer.set(following)


def _numbers(intended_ns: NDArray[np.int64], start_ns: int) -> Iterator[int]:
    """Yield plain ints, a block at a time: all at once they would take four times the memory."""
    for begin in range(0, len(intended_ns), _BLOCK):
        yield from (intended_ns[begin : begin + _BLOCK] + start_ns).tolist()
