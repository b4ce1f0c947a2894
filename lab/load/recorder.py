"""The recorder: every request of one generator, and from them the figures of any window of the run.

The hot loop appends tuples to plain lists, which costs it some 40 ns a request. Every few milliseconds
`flush` packs them into arrays (`PackedRows`), which takes microseconds. Binning them, into a histogram for
every slice (`SlicedHistogram`), takes milliseconds: so it waits until the run is over, or until there are so
many rows that memory is the greater worry.

Time is cut into slices, and a window is a range of slices. A request belongs to the slice of its intended
start, wherever it ended: one that a stalled server holds beyond the end of the window is not lost to it.
Completions are counted in the slice in which they happened, for throughput.
"""

from __future__ import annotations

from collections import Counter, deque
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lab.load.histogram import BINS, Histogram, bin_of
from lab.load.outcomes import SUCCEEDED, name_of, text_of
from lab.load.result import MeasurementWindow, ServiceTimes
from lab.load.timeline import Timeline, by_slice, counted
from lab.load.timing_values import TimingValues
from services.wire.errors import WireError

__all__ = ["PackedRows", "Recorder", "SlicedHistogram"]

Column = NDArray[np.int64]


class SlicedHistogram:
    """One histogram a slice. Its rows are zeros that take memory only where they are touched."""

    def __init__(self, slices: int) -> None:
        self._counts = np.zeros((slices, BINS), dtype=np.int32)
        self._sums = np.zeros(slices, dtype=np.int64)
        self._mins = np.full(slices, np.iinfo(np.int64).max, dtype=np.int64)
        self._maxs = np.zeros(slices, dtype=np.int64)

    def record(self, position: Column, durations_ns: Column) -> None:
        """Add durations in ns, each to the slice at its position. Slices are made as they are needed."""
        self._reach(int(position.max()))
        durations_ns = np.maximum(durations_ns, 0)
        all_bins = bin_of(durations_ns)
        for row, where in by_slice(position):
            values = durations_ns[where]
            bins, counts = counted(all_bins[where])
            self._counts[row, bins] += counts.astype(np.int32)
            self._sums[row] += values.sum()
            self._mins[row] = min(self._mins[row], values.min())
            self._maxs[row] = max(self._maxs[row], values.max())

    def window(self, first: int, last: int) -> Histogram:
        """Return one histogram of slices `first` to `last`, the last one not included."""
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


class PackedRows:
    """A queue of rows of whole numbers, packed into arrays as they come."""

    def __init__(self) -> None:
        self.rows = 0
        self._arrays: deque[NDArray[np.int64]] = deque()

    def append(self, rows: list[Any]) -> NDArray[np.int64]:
        """Pack the rows of a list, and empty the list. Returns the packed rows."""
        numbers = chain.from_iterable(rows)  # np.array would take three times as long
        packed = np.fromiter(numbers, np.int64, len(rows) * len(rows[0])).reshape(len(rows), -1)
        rows.clear()
        self._arrays.append(packed)
        self.rows += len(packed)
        return packed

    def latest(self, most: int) -> NDArray[np.int64]:
        """Return up to so many of the newest rows, of four columns, and leave them there."""
        found: list[NDArray[np.int64]] = []
        for packed in reversed(self._arrays):
            if most <= 0:
                break
            found.append(packed[-most:])
            most -= len(packed)
        return np.concatenate([np.empty((0, 4), dtype=np.int64), *reversed(found)])

    def pop(self, least: int) -> NDArray[np.int64]:
        """Take out and return the oldest rows: `least` or a few more, or all where there are fewer."""
        found, rows = [], 0
        while self._arrays and rows < least:
            found.append(self._arrays.popleft())
            rows += len(found[-1])
        self.rows -= rows
        return np.concatenate(found)


_MOST_ROWS = 1 << 21
"""Rows (64 MB) beyond which some are binned while the run goes on."""
_LATEST = 200
"""Rows that tell how long answers take just now."""
_PIECE = 1 << 13
"""Rows binned at a time then: a pause of three or four milliseconds."""
_LARGE_PIECE = 1 << 16
"""Rows binned at a time after the run: what the caches hold."""
_CODES = 2048  # from -1024 to 1023, as outcomes' codes lie


class Recorder:
    """The record of a run from `start_ns` (monotonic clock) on, in `slices` or more slices of `slice_ns`."""

    def __init__(self, start_ns: int, slice_ns: int, slices: int, *, journal: bool = False) -> None:
        self.ended: list[tuple[int, int, int, int]] = []
        """(intended start, send or 0, end, outcome's code): for appending, as are the next lists."""
        self.lags: list[tuple[int, int]] = []
        """(intended start, lag)."""
        self.dropped: list[int] = []
        """Intended starts; so is `waited`, of what waited while all connections were in use."""
        self.waited: list[int] = []
        self.errors: dict[int, str] = {}
        """By outcome's code, what the first such failure was about."""
        self.timings: list[bytes] = []
        """Values of Server-Timing, of successes."""
        self.timed: list[int] = []
        """The intended start that each of them belongs to."""
        self.succeeded = 0
        """As of the last `flush`; so is `failed`."""
        self.failed = 0
        self._start_ns = start_ns
        self._packed_ended = PackedRows()
        self._packed_lags = PackedRows()
        self._request_log: list[Column] | None = [] if journal else None
        self._timeline = Timeline.empty(slice_ns, slices)
        self._response = SlicedHistogram(slices)
        self._service = SlicedHistogram(slices)
        self._lag = SlicedHistogram(slices)
        self._service_times = ServiceTimes()
        self._outcomes: Counter[tuple[int, int]] = Counter()
        self._timing_values = TimingValues(start_ns, slice_ns)

    @property
    def timeline(self) -> Timeline:
        """The run slice by slice, with all that was recorded so far."""
        self._bin_all()
        return self._timeline

    @property
    def service_times(self) -> ServiceTimes:
        """The service times of the run, before and after all connections were first in use."""
        self._bin_all()
        return self._service_times

    @property
    def totals(self) -> Counter[str]:
        """The number of requests that ended so far, by name of outcome."""
        self._bin_all()
        totals: Counter[str] = Counter()
        for (_, code), count in self._outcomes.items():
            totals[name_of(code)] += count
        return totals

    @property
    def journal(self) -> list[list[int]]:
        """Every row of `ended` so far; none unless the request log was asked for."""
        self._bin_all()
        return [row for rows in self._request_log or () for row in rows.tolist()]

    @property
    def latest_p50_ms(self) -> float | None:
        """Return the median response_time in ms of some of the latest successes; None without any."""
        return self._latest_ms(0.5)

    @property
    def latest_p99_ms(self) -> float | None:
        """Return the 99th percentile of the same response times in ms, however few they are."""
        return self._latest_ms(0.99)

    def _latest_ms(self, quantile: float) -> float | None:
        ended = self._packed_ended.latest(_LATEST)
        times = (ended[:, 2] - ended[:, 0])[_are_successes(ended[:, 3])]
        return float(np.quantile(times, quantile)) / 1e6 if len(times) else None

    def flush(self) -> None:
        """Pack what was appended. The lists are emptied in place, so bound appends stay good."""
        if self.ended:
            ended = self._packed_ended.append(self.ended)
            good = int(np.count_nonzero(_are_successes(ended[:, 3])))
            self.succeeded += good
            self.failed += len(ended) - good
        if self.lags:
            self._packed_lags.append(self.lags)
        if self.timings:
            self._timing_values.append(self.timed, self.timings)
        if self._packed_ended.rows > _MOST_ROWS:
            self._bin_ended(self._packed_ended.pop(_PIECE))
        if self._packed_lags.rows > _MOST_ROWS:
            self._bin_lags(self._packed_lags.pop(_PIECE))

    def window(self, first: int, last: int) -> MeasurementWindow:
        """Return what was recorded in slices `first` to `last`, the last one not included."""
        self._bin_all()
        outcomes: Counter[str] = Counter()
        for (position, code), count in self._outcomes.items():
            if first <= position < last:
                outcomes[name_of(code)] += count
        return MeasurementWindow(
            outcomes=dict(outcomes),
            dropped=self._count_between(self.dropped, first, last),
            waited=self._count_between(self.waited, first, last),
            response_time=self._response.window(first, last),
            service_time=self._service.window(first, last),
            schedule_lag=self._lag.window(first, last),
            stages=self._timing_values.window(first, last),
        )

    def note_failure(self, code: int, error: WireError) -> None:
        """Keep what a failure was about, if it is the first of its class."""
        if code not in self.errors:
            self.errors[code] = text_of(error)

    def _count_between(self, times_ns: list[int], first: int, last: int) -> int:
        positions = self._slices(np.array(times_ns, dtype=np.int64))
        return int(np.count_nonzero((positions >= first) & (positions < last)))

    def _bin_all(self) -> None:
        self.flush()
        while self._packed_ended.rows:
            self._bin_ended(self._packed_ended.pop(_LARGE_PIECE))
        while self._packed_lags.rows:
            self._bin_lags(self._packed_lags.pop(_LARGE_PIECE))

    def _slices(self, times_ns: Column) -> Column:
        return np.maximum((times_ns - self._start_ns) // self._timeline.slice_ns, 0)

    def _bin_lags(self, lags: Column) -> None:
        self._lag.record(self._slices(lags[:, 0]), lags[:, 1])

    def _bin_ended(self, ended: Column) -> None:
        if self._request_log is not None:
            self._request_log.append(ended)
        columns = np.ascontiguousarray(ended.T)
        self._count(self._slices(columns[0]), columns[3])
        sent = _where(columns[1] > 0, columns)
        if sent.size:
            self._timeline.add_sent(self._slices(sent[2]), sent[2] - sent[1])
        good = _where(_are_successes(columns[3]), columns)
        if good.size:
            self._bin_successes(*good[:3])

    def _bin_successes(self, intended_ns: Column, sent_ns: Column, ended_ns: Column) -> None:
        intended, done = self._slices(intended_ns), self._slices(ended_ns)
        response_ns, service_ns = ended_ns - intended_ns, ended_ns - sent_ns
        self._response.record(intended, response_ns)
        self._service.record(intended, service_ns)
        self._service_times.add(sent_ns, service_ns, self.waited[0] if self.waited else None)
        self._timeline.add_successes(intended, response_ns, done, ended_ns - self._start_ns)

    def _count(self, intended: Column, codes: Column) -> None:
        kinds, counts = counted(intended * _CODES + codes + _CODES // 2)
        for kind, count in zip(kinds.tolist(), counts.tolist(), strict=True):
            position, code = divmod(kind, _CODES)
            self._outcomes[position, code - _CODES // 2] += count


def _where(mask: NDArray[np.bool_], columns: Column) -> Column:
    """Return the rows of columns where a mask says so; without a copy where that is all of them."""
    return columns if mask.all() else columns[:, mask]


def _are_successes(codes: Column) -> NDArray[np.bool_]:
    return (codes >= SUCCEEDED.start) & (codes < SUCCEEDED.stop)
