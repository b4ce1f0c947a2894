"""A histogram of durations in nanoseconds, in the layout of HdrHistogram at three significant digits.

Bins are those of HdrHistogram (1 ns to 7 days), so the encoded form is read by every HdrHistogram library.
numpy fills them, many samples at a time; sum, minimum and maximum are kept exactly.
"""

from __future__ import annotations

import ctypes
import math
from collections.abc import Iterable
from typing import Any

import numpy as np
from hdrh.histogram import HdrHistogram
from numpy.typing import ArrayLike, NDArray

__all__ = ["BINS", "HIGHEST_NS", "Histogram", "bin_of"]

HIGHEST_NS = 7 * 24 * 3_600_000_000_000
"""Longer durations are counted here; sum and maximum still hold their length."""
_HALF = 1024  # sub-buckets of every power of two but the first: 1/1024 is finer than three digits
_HALF_BITS = 10
BINS = 41 * _HALF


def bin_of(durations_ns: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the bin of each duration: HdrHistogram's counts index for unit magnitude 0."""
    values = np.clip(durations_ns, 0, HIGHEST_NS)
    bits = np.frexp((values | (2 * _HALF - 1)).astype(np.float64))[1].astype(np.int64)
    bucket = bits - (_HALF_BITS + 1)
    return (bucket << _HALF_BITS) + (values >> bucket)


class Histogram:
    """Counts of durations by bin. `counts` has the shape (BINS,)."""

    __slots__ = ("counts", "max_ns", "min_ns", "sum_ns")

    def __init__(
        self, counts: NDArray[np.int64] | None = None, sum_ns: int = 0, min_ns: int = 0, max_ns: int = 0
    ) -> None:
        self.counts = np.zeros(BINS, dtype=np.int64) if counts is None else counts
        self.sum_ns = sum_ns
        self.min_ns = min_ns
        self.max_ns = max_ns

    @classmethod
    def of(cls, durations_ns: ArrayLike) -> Histogram:
        """Return the histogram of these durations; what is below 0 counts as 0."""
        values = np.maximum(np.asarray(durations_ns, dtype=np.int64), 0)
        if not len(values):
            return cls()
        counts = np.bincount(bin_of(values), minlength=BINS)
        return cls(counts, int(values.sum()), int(values.min()), int(values.max()))

    @classmethod
    def merged(cls, histograms: Iterable[Histogram]) -> Histogram:
        """Return one histogram of all samples, bit for bit the one that had been given them all."""
        together = [one for one in histograms if len(one)]
        if not together:
            return cls()
        return cls(
            np.sum([one.counts for one in together], axis=0, dtype=np.int64),
            sum(one.sum_ns for one in together),
            min(one.min_ns for one in together),
            max(one.max_ns for one in together),
        )

    def __len__(self) -> int:
        """Return the number of samples."""
        return int(self.counts.sum())

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Histogram):
            return NotImplemented
        mine, theirs = (self.sum_ns, self.min_ns, self.max_ns), (other.sum_ns, other.min_ns, other.max_ns)
        return mine == theirs and bool(np.array_equal(self.counts, other.counts))

    __hash__ = None  # type: ignore[assignment]

    @property
    def mean_ns(self) -> float:
        """The exact mean; nan without samples."""
        return self.sum_ns / len(self) if len(self) else math.nan

    @property
    def variance_ns2(self) -> float:
        """The variance of the samples as the middles of their bins, in ns²; nan without samples."""
        if not len(self):
            return math.nan
        held = np.flatnonzero(self.counts)
        away = np.array([_middle(int(index)) for index in held]) - self.mean_ns
        return float(np.average(away**2, weights=self.counts[held]))

    def percentile_ns(self, percentile: float) -> float:
        """Return the sample of rank ceil(p/100 n), within 0.05 %: the middle of its bin. nan without any."""
        total = len(self)
        return self.at_rank_ns(max(1, math.ceil(round(percentile * total / 100, 9)))) if total else math.nan

    def at_rank_ns(self, rank: int) -> float:
        """Return the sample of that rank, from 1 for the smallest, as the middle of its bin."""
        found = int(np.searchsorted(np.cumsum(self.counts), rank))
        return float(min(max(_middle(found), self.min_ns), self.max_ns))

    def encoded(self) -> str:
        """Return HdrHistogram's compressed V2 form in base64."""
        twin = HdrHistogram(1, HIGHEST_NS, 3)
        source = np.ascontiguousarray(self.counts, dtype=np.uint64)
        ctypes.memmove(ctypes.addressof(twin.counts), source.ctypes.data, source.nbytes)
        twin.total_count = len(self)
        twin.min_value, twin.max_value = self.min_ns, min(self.max_ns, HIGHEST_NS)
        return str(twin.encode().decode("ascii"))

    def to_json(self) -> dict[str, Any]:
        """Return plain data: the encoded counts, and what they do not hold exactly."""
        return {"hdr": self.encoded(), "sum_ns": self.sum_ns, "min_ns": self.min_ns, "max_ns": self.max_ns}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Histogram:
        """Read what `to_json` gave."""
        twin = HdrHistogram.decode(data["hdr"])
        counts = np.zeros(BINS, dtype=np.int64)  # of older files, which end at an hour, there are fewer
        counts[: len(twin.counts)] = np.ctypeslib.as_array(twin.counts)
        return cls(counts, data["sum_ns"], data["min_ns"], data["max_ns"])


def _middle(index: int) -> float:
    bucket = max(0, (index >> _HALF_BITS) - 1)
    lowest = (index - (bucket << _HALF_BITS)) << bucket
    return lowest + ((1 << bucket) - 1) / 2
