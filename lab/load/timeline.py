"""The run slice by slice: what throughput, drift, Little's law and the end of the warm-up are read from."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Timeline", "by_slice", "counted", "mser5"]

Column = NDArray[np.int64]


@dataclass(slots=True, eq=False)
class Timeline:
    """Columns of one figure a slice, each of shape (slices,), in whole numbers; times in ns from the start.

    A slice counts what was intended to start in it, and, apart from that, what completed in it.
    """

    slice_ns: int
    intended: Column
    """Successes intended to start here, however late they came."""
    response_ns: Column
    """Sum of their response times."""
    completed: Column
    """Requests sent that ended here, well or not."""
    service_ns: Column
    """Sum of the time they were in flight."""
    succeeded: Column
    """Successes that completed here."""
    last_ns: Column
    """The last of these completions."""
    in_flight_ns: Column
    """The integral over the slice of how many were in flight, as counted at sends and ends."""

    @classmethod
    def empty(cls, slice_ns: int, slices: int) -> Timeline:
        """Return a timeline of `slices` slices with nothing in them."""
        columns = {name: np.zeros(slices, dtype=np.int64) for name in _columns()}
        return cls(slice_ns, **columns)

    @classmethod
    def merged(cls, timelines: Iterable[Timeline]) -> Timeline:
        """Return the timeline of several generators together, as long as the longest."""
        parts = list(timelines)
        whole = cls.empty(parts[0].slice_ns, max(len(part) for part in parts))
        for part in parts:
            for name in _columns():
                column = getattr(whole, name)[: len(part)]
                merge = np.maximum if name == "last_ns" else np.add
                merge(column, getattr(part, name), out=column)
        return whole

    def __len__(self) -> int:
        """Return the number of slices."""
        return len(self.intended)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Timeline):
            return NotImplemented
        return self.to_json() == other.to_json()

    __hash__ = None  # type: ignore[assignment]

    def reach(self, position: int) -> None:
        """Make sure that there is a slice of this number, growing by doubling."""
        if position >= len(self):
            more = max(position + 1, 2 * len(self)) - len(self)
            for name in _columns():
                setattr(self, name, np.append(getattr(self, name), np.zeros(more, dtype=np.int64)))

    def add_successes(self, intended: Column, response_ns: Column, done: Column, done_ns: Column) -> None:
        """Add successes: slices of intended start and of completion, response times, times of completion."""
        self.reach(int(max(intended.max(), done.max())))
        for position, where in by_slice(intended):
            self.intended[position] += len(response_ns[where])
            self.response_ns[position] += response_ns[where].sum()
        for position, where in by_slice(done):
            times = done_ns[where]
            self.succeeded[position] += len(times)
            self.last_ns[position] = max(self.last_ns[position], times.max())

    def add_sent(self, done: Column, service_ns: Column) -> None:
        """Add requests that were sent and have ended: slices of their ends, times they were in flight."""
        self.reach(int(done.max()))
        for position, where in by_slice(done):
            self.completed[position] += len(service_ns[where])
            self.service_ns[position] += service_ns[where].sum()

    def set_in_flight(self, areas: Sequence[int]) -> None:
        """Set the integral of what was in flight, slice by slice from the first."""
        if areas:
            self.reach(len(areas) - 1)
            self.in_flight_ns[: len(areas)] = areas

    def throughput_rps(self, first: int, last: int) -> float:
        """Return successes a second from first to last completion in slices `first` to `last`, exclusive.

        Counting begins after the last completion of the first slice that has any. Instances that are given
        work together also complete together: with bunches of four, n completions span n - 4 of the intervals
        between completions and not n - 1. nan where they lie in fewer than two slices.
        """
        positions = first + np.flatnonzero(self.succeeded[first:last])
        if len(positions) < 2:
            return math.nan
        span = int(self.last_ns[positions[-1]]) - int(self.last_ns[positions[0]])
        return int(self.succeeded[positions[1:]].sum()) / span * 1e9

    def in_flight_mean(self, first: int, last: int) -> float:
        """Return the mean over time of how many were in flight, in slices `first` to `last` (exclusive)."""
        return int(self.in_flight_ns[first:last].sum()) / ((last - first) * self.slice_ns)

    def drift(self, first: int, last: int) -> float:
        """Return how much the mean response time grew from first to last third: 0.1 is 10 %, or nan."""
        third = (last - first) // 3
        before, after = self._mean_response(first, first + third), self._mean_response(last - third, last)
        return after / before - 1 if before > 0 else math.nan

    def mean_response_ns(self, first: int, last: int) -> NDArray[np.float64]:
        """Return the mean response time by slice of intended start, nan where none; shape (last - first,)."""
        counts = self.intended[first:last].astype(np.float64)
        means = np.full(len(counts), np.nan)
        np.divide(self.response_ns[first:last], counts, out=means, where=counts > 0)
        return means

    def to_json(self) -> dict[str, Any]:
        """Return plain data: a list for each column."""
        return {"slice_ns": self.slice_ns, **{name: getattr(self, name).tolist() for name in _columns()}}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Timeline:
        """Read what `to_json` gave."""
        return cls(data["slice_ns"], **{name: np.array(data[name], dtype=np.int64) for name in _columns()})

    def _mean_response(self, first: int, last: int) -> float:
        total = int(self.intended[first:last].sum())
        return int(self.response_ns[first:last].sum()) / total if total else math.nan


def by_slice(positions: Column) -> Iterator[tuple[int, slice | Column]]:
    """Yield each slice among the positions, and where it is. They are sorted for it where they are not."""
    order = None
    if len(positions) > 1 and (np.diff(positions) < 0).any():
        low, high = positions.min(), positions.max()
        narrow = high - low <= np.iinfo(np.int16).max  # whole numbers of 16 bits are sorted in one go
        order = np.argsort((positions - low).astype(np.int16) if narrow else positions, kind="stable")
        positions = positions[order]
    edges = (np.flatnonzero(np.diff(positions)) + 1).tolist()
    for begin, end in pairwise([0, *edges, len(positions)]):
        yield int(positions[begin]), slice(begin, end) if order is None else order[begin:end]


_MOST_SPAN = 8
"""Times as many as there are values: so wide a span is counted without sorting."""


def counted(values: Column) -> tuple[Column, Column]:
    """Return each whole number among the values, ascending, and how often it is there."""
    low = values.min()
    if values.max() - low > _MOST_SPAN * len(values):
        return np.unique(values, return_counts=True)
    counts = np.bincount(values - low)
    held = np.flatnonzero(counts)
    return held + low, counts[held]


def _columns() -> list[str]:
    return [field.name for field in fields(Timeline) if field.name != "slice_ns"]


_BATCH = 5


def mser5(observations: NDArray[np.float64], limit: int) -> int:
    """Return how many of the first observations to cut off: a multiple of 5 up to `limit`, or `limit`.

    The marginal standard error rule on means of batches of five (White, Cobb and Spratt 2000): cut so that
    the variance of what is kept, over how much is kept, is least. What is nan is left out of its batch.
    """
    batches = len(observations) // _BATCH
    if batches < 2:
        return 0
    table = observations[: batches * _BATCH].reshape(batches, _BATCH)
    known = ~np.isnan(table)
    counts = known.sum(axis=1)
    means = np.where(known, table, 0.0).sum(axis=1)[counts > 0] / counts[counts > 0]
    place = np.flatnonzero(counts > 0) * _BATCH
    candidates = [n for n in range(len(means) - 1) if place[n] <= limit]
    if not candidates:
        return limit if len(means) else 0
    best = min(candidates, key=lambda n: float(np.var(means[n:])) / (len(means) - n))
    return int(place[best]) if best else 0
