"""A histogram for every slice of a run."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lab.load.histogram import BINS, Histogram, bin_of
from lab.load.timeline import by_slice

__all__ = ["SlicedHistogram"]

Column = NDArray[np.int64]


class SlicedHistogram:
    """One histogram a slice. Rows are zeros that the system backs with memory only where they are touched."""

    def __init__(self, slices: int) -> None:
        self._counts = np.zeros((slices, BINS), dtype=np.int32)
        self._sums = np.zeros(slices, dtype=np.int64)
        self._mins = np.full(slices, np.iinfo(np.int64).max, dtype=np.int64)
        self._maxs = np.zeros(slices, dtype=np.int64)

    def record(self, position: Column, durations_ns: Column) -> None:
        """Add durations, each to the slice at its position. Slices are added as they are needed."""
        self._reach(int(position.max()))
        for row, where in by_slice(position):
            values = np.maximum(durations_ns[where], 0)
            bins, counts = np.unique(bin_of(values), return_counts=True)
            self._counts[row, bins] += counts.astype(np.int32)
            self._sums[row] += values.sum()
            self._mins[row] = min(self._mins[row], values.min())
            self._maxs[row] = max(self._maxs[row], values.max())

    def window(self, first: int, last: int) -> Histogram:
        """That of slices `first` to `last` together, the last one not included."""
        counts = self._counts[first:last].sum(axis=0, dtype=np.int64)
        if not counts.any():
            return Histogram()
        sums, mins, maxs = self._sums[first:last], self._mins[first:last], self._maxs[first:last]
        return Histogram(counts, int(sums.sum()), int(mins.min()), int(maxs.max()))

    def _reach(self, position: int) -> None:
        more = max(position + 1, 2 * len(self._sums)) - len(self._sums)
        if position >= len(self._sums):
            self._counts = np.concatenate([self._counts, np.zeros((more, BINS), dtype=np.int32)])
            self._sums = np.append(self._sums, np.zeros(more, dtype=np.int64))
            self._mins = np.append(self._mins, np.full(more, np.iinfo(np.int64).max, dtype=np.int64))
            self._maxs = np.append(self._maxs, np.zeros(more, dtype=np.int64))
