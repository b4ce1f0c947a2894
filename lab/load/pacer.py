"""Keeps a schedule: hands out each intended start when its time has come, and never moves one.

`PendingStarts` is the arithmetic and takes no clock; `Pacer` ties it to an alarm.
"""

from __future__ import annotations

import asyncio
import heapq
import time
from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from lab.load.timers import new_alarm

__all__ = ["Pacer", "PendingStarts"]

NEVER = 1 << 62
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
        """When the next is due; NEVER if there is none."""
        return min(self._next, self._added[0]) if self._added else self._next

    def add(self, at_ns: int) -> None:
        """Put in one more, at any time."""
        heapq.heappush(self._added, at_ns)
        self.left += 1

    def due(self, now_ns: int) -> list[int]:
        """Take out all that are due, in order. What is late keeps its intended start."""
        found = []
        while self._next <= now_ns:
            found.append(self._next)
            self._next = next(self._schedule, NEVER)
        while self._added and self._added[0] <= now_ns:
            found.append(heapq.heappop(self._added))
        self.left -= len(found)
        return sorted(found)


class Pacer:
    """Calls `issue(intended_ns)` for each intended start as it comes due, and notes how late it was."""

    __slots__ = ("_agenda", "_alarm", "_issue", "lags_ns")

    def __init__(self, agenda: PendingStarts, issue: Callable[[int], None]) -> None:
        self._agenda = agenda
        self._issue = issue
        self.lags_ns: list[tuple[int, int]] = []
        """(intended start, lag) of every call since the list was last emptied by whoever reads it."""
        self._alarm = new_alarm(asyncio.get_running_loop(), self.issue_due)

    @property
    def timer(self) -> str:
        """What it keeps time with."""
        return self._alarm.name

    def start(self) -> None:
        """Begin to call."""
        self._set()

    def add(self, at_ns: int) -> None:
        """One more call, at that time."""
        earliest = self._agenda.next_ns
        self._agenda.add(at_ns)
        if at_ns < earliest:
            self._alarm.set(at_ns)

    def issue_due(self) -> None:
        """Call for all that is due by now."""
        clock = time.monotonic_ns
        for intended in self._agenda.due(clock()):
            self.lags_ns.append((intended, clock() - intended))
            self._issue(intended)
        self._set()

    def close(self) -> None:
        """No more calls."""
        self._alarm.close()

    def _set(self) -> None:
        following = self._agenda.next_ns
        if following < NEVER:
            self._alarm.set(following)


def _numbers(intended_ns: NDArray[np.int64], start_ns: int) -> Iterator[int]:
    """Plain ints, a block at a time: all at once they would take four times the memory."""
    for begin in range(0, len(intended_ns), _BLOCK):
        yield from (intended_ns[begin : begin + _BLOCK] + start_ns).tolist()
