"""How many requests are in flight, integrated over time as they come and go.

Counted apart from the recorded times, so that Little's law sets two measurements against each other.
"""

from __future__ import annotations

__all__ = ["InFlight"]


class InFlight:
    """A counter with its integral, slice by slice. Times are the monotonic clock's, in ns."""

    __slots__ = ("_area", "_edge", "_last", "_slice_ns", "areas", "count", "peak")

    def __init__(self, start_ns: int, slice_ns: int) -> None:
        self.count = 0
        self.peak = 0
        self.areas: list[int] = []
        """The integral over each slice that is over, in requests times ns."""
        self._area = 0
        self._last = start_ns
        self._edge = start_ns + slice_ns
        self._slice_ns = slice_ns

    def change(self, by: int, now_ns: int) -> None:
        """So many more, or fewer, from now on."""
        if now_ns >= self._edge:
            self._roll(now_ns)
        self._area += self.count * (now_ns - self._last)
        self._last = now_ns
        self.count += by
        self.peak = max(self.peak, self.count)

    def _roll(self, now_ns: int) -> None:
        while now_ns >= self._edge:
            self.areas.append(self._area + self.count * (self._edge - self._last))
            self._area = 0
            self._last = self._edge
            self._edge += self._slice_ns
