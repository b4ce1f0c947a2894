"""Server-Timing of a run's answers: kept as text while the run goes on, added up once it is over.

Of most servers the values differ in some digits alone. So values of one shape are added up digit by digit,
column after column of all of them together: some 40 ns a value, where reading each takes ten times as long.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from services.server_timing import durations_in, totals

__all__ = ["TimingValues", "sums"]

Octets = NDArray[np.uint8]
Sums = dict[bytes, tuple[float, int]]

_MOST_BYTES = 1 << 25
"""Bytes of text beyond which some is added up while the run goes on."""
_PIECE_BYTES = 1 << 18
"""Bytes of text added up at a time: what the caches hold."""
_TEXT_BYTES = 128
"""Bytes that a text takes beside its own."""
_LEAST_ALIKE = 100
"""Fewer values of one shape are read one by one."""
_MOST_SHAPES = 32
"""Of the values of one length; what is left then is read one by one."""
_MOST_DIGITS = 18
"""Of a number that is added up digit by digit; no sum of such is too large."""
_ZERO, _NINE, _POINT, _LINE_END = b"09.\n"


class TimingValues:
    """The values of a run that begins at `start_ns` (monotonic clock), in slices of `slice_ns`."""

    def __init__(self, start_ns: int, slice_ns: int) -> None:
        self._start_ns = start_ns
        self._slice_ns = slice_ns
        self._texts: deque[tuple[int, bytes]] = deque()
        """(slice, values, one a line)."""
        self._bytes = 0
        self._sums: dict[int, Sums] = {}

    def append(self, intended_ns: list[int], values: list[bytes]) -> None:
        """Keep values, each of the slice of its request's intended start, and empty both lists."""
        first, last = (self._slice(each) for each in (min(intended_ns), max(intended_ns)))
        by_slice: dict[int, list[bytes]] = {first: values}
        if first != last:
            by_slice = {}
            for at_ns, value in zip(intended_ns, values, strict=True):
                by_slice.setdefault(self._slice(at_ns), []).append(value)
        for position, those in by_slice.items():
            text = b"\n".join(those)
            self._texts.append((position, text))
            self._bytes += len(text) + _TEXT_BYTES
        intended_ns.clear()
        values.clear()
        while self._bytes > _MOST_BYTES:
            self._add_up_oldest()

    def window(self, first: int, last: int) -> dict[str, tuple[float, int]]:
        """Return for each metric its ms in slices `first` to `last` (exclusive), and how many named it."""
        while self._texts:
            self._add_up_oldest()
        found: Sums = {}
        for position, of_slice in self._sums.items():
            if first <= position < last:
                _add(found, of_slice)
        return {name.decode("ascii"): each for name, each in found.items()}

    def _slice(self, at_ns: int) -> int:
        return (at_ns - self._start_ns) // self._slice_ns

    def _add_up_oldest(self) -> None:
        """Add up the oldest texts that are of one slice, up to a size."""
        position = self._texts[0][0]
        found, size = [], 0
        while self._texts and self._texts[0][0] == position and size < _PIECE_BYTES:
            found.append(self._texts.popleft()[1])
            size += len(found[-1])
        self._bytes -= size + _TEXT_BYTES * len(found)
        _add(self._sums.setdefault(position, {}), sums(b"\n".join(found)))


def sums(text: bytes) -> Sums:
    """Return for each metric its milliseconds in all values of a text, one a line, and how many name it."""
    if text.count(b"\n") < _LEAST_ALIKE:
        return totals(text.split(b"\n"))
    octets = np.frombuffer(text + b"\n", np.uint8)
    (ends,) = np.nonzero(octets == _LINE_END)
    begins = np.append(0, ends[:-1] + 1)
    lengths = ends - begins
    found: Sums = {}
    for length in np.flatnonzero(np.bincount(lengths)).tolist():
        if length:  # else no answer of these has a value
            values = np.lib.stride_tricks.sliding_window_view(octets, length)[begins[lengths == length]]
            for alike in _shapes(np.ascontiguousarray(values.T)):
                added = _sums_of_alike(alike)
                _add(found, totals(_values(alike)) if added is None else added)
    return found


def _shapes(columns: Octets) -> Iterator[Octets]:
    """Yield values, of shape (length, values), apart by where they have digits and what else they hold."""
    groups = [columns]
    for _ in range(_MOST_SHAPES):
        if not groups:
            return
        group = groups.pop()
        mixed = _mixed(group)
        if mixed is None or group.shape[1] < _LEAST_ALIKE:
            yield group
            continue
        kinds = np.where((group[mixed] >= _ZERO) & (group[mixed] <= _NINE), _ZERO, group[mixed])
        first = kinds == kinds[0]
        groups += [group[:, first], group[:, ~first]]
    yield from groups


def _mixed(columns: Octets) -> int | None:
    """Return which place holds neither digits alone nor one other octet in all values; None without any."""
    low, high = columns.min(axis=1), columns.max(axis=1)
    (mixed,) = np.nonzero((low != high) & ~((low >= _ZERO) & (high <= _NINE)))
    return int(mixed[0]) if len(mixed) else None


def _sums_of_alike(columns: Octets) -> Sums | None:
    """Add up values of one shape digit by digit; None where they are few, or differ not in digits alone.

    Whole numbers are added, so nothing is rounded before the end.
    """
    number = columns.shape[1]
    if number < _LEAST_ALIKE or _mixed(columns) is not None:
        return None
    differs = columns.min(axis=1) != columns.max(axis=1)
    digits = columns.sum(axis=1, dtype=np.int64) - _ZERO * number
    found: Sums = {}
    for name, begin, end in durations_in(columns[:, 0].tobytes()):
        text = columns[begin:end, 0].tobytes()
        whole, _, decimals = text.partition(b".")
        if not (whole + decimals).isdigit() or len(text) > _MOST_DIGITS:
            return None
        total = 0
        for place, octet in enumerate(text):
            total = total if octet == _POINT else 10 * total + int(digits[begin + place])
        _add(found, {name: (total / 10 ** len(decimals), number)})
        differs[begin:end] = False
    return None if differs.any() else found


def _values(columns: Octets) -> list[bytes]:
    length = len(columns)
    data = columns.T.tobytes()
    return [data[at : at + length] for at in range(0, len(data), length)]


def _add(sums_so_far: Sums, more: Sums) -> None:
    for name, (total, count) in more.items():
        before, counted = sums_so_far.get(name, (0.0, 0))
        sums_so_far[name] = (before + total, counted + count)
