"""A histogram loses no sample, merges without a trace, and its percentiles are within 0.1 % of a sort."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hdrh.histogram import HdrHistogram
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from lab.load.histogram import HIGHEST_NS, Histogram, bin_of

durations = arrays(np.int64, st.integers(1, 300), elements=st.integers(0, HIGHEST_NS))


@given(durations, st.sampled_from([0.1, 25, 50, 90, 95, 99, 99.9, 100]))
def test_a_percentile_is_within_a_thousandth_of_the_nearest_rank(samples: np.ndarray, p: float) -> None:
    exact = np.sort(samples)[max(1, math.ceil(round(p * len(samples) / 100, 9))) - 1]
    assert abs(Histogram.of(samples).percentile_ns(p) - exact) <= max(1, exact / 1000)


@given(durations, st.integers(1, 6), st.randoms())
def test_merged_histograms_equal_the_single_one_bit_for_bit(samples: np.ndarray, parts: int, random) -> None:
    owner = np.array([random.randrange(parts) for _ in samples])
    merged = Histogram.merged(Histogram.of(samples[owner == part]) for part in range(parts))
    assert merged == Histogram.of(samples)
    assert merged.encoded() == Histogram.of(samples).encoded()


@given(durations)
def test_sum_mean_and_extremes_are_exact(samples: np.ndarray) -> None:
    histogram = Histogram.of(samples)
    assert (len(histogram), histogram.sum_ns) == (len(samples), sum(samples.tolist()))
    assert histogram.mean_ns == sum(samples.tolist()) / len(samples)
    assert (histogram.min_ns, histogram.max_ns) == (samples.min(), samples.max())


@given(durations)
def test_the_variance_is_that_of_the_samples_but_for_the_width_of_their_bins(samples: np.ndarray) -> None:
    found = Histogram.of(samples).variance_ns2
    assert found == pytest.approx(np.var(samples), rel=0.05, abs=float(np.max(samples) / 500) ** 2)


@given(durations)
def test_bins_are_those_of_hdrhistogram(samples: np.ndarray) -> None:
    twin = HdrHistogram(1, HIGHEST_NS, 3)
    assert bin_of(samples).tolist() == [twin._counts_index_for(value) for value in samples.tolist()]


def test_durations_of_over_an_hour_keep_their_place() -> None:
    hour = 3_600_000_000_000
    histogram = Histogram.of([hour // 2, 2 * hour, 30 * hour])
    assert histogram.percentile_ns(50) == pytest.approx(2 * hour, rel=0.001)
    assert Histogram.from_json(histogram.to_json()) == histogram


def test_a_histogram_that_ends_at_an_hour_is_read() -> None:
    old = HdrHistogram(1, 3_600_000_000_000, 3)
    for value in (1000, 2_000_000):
        old.record_value(value)
    data = {"hdr": old.encode().decode("ascii"), "sum_ns": 2_001_000, "min_ns": 1000, "max_ns": 2_000_000}
    assert Histogram.from_json(data) == Histogram.of([1000, 2_000_000])


@given(durations)
def test_hdrhistogram_reads_the_encoded_form(samples: np.ndarray) -> None:
    twin = HdrHistogram.decode(Histogram.of(samples).encoded())
    for value in samples.tolist():
        twin.record_value(value)
    assert twin.total_count == 2 * len(samples)


@given(durations)
def test_a_histogram_survives_json(samples: np.ndarray) -> None:
    histogram = Histogram.of(samples)
    assert Histogram.from_json(histogram.to_json()) == histogram


def test_one_sample_more_makes_another_histogram() -> None:
    assert Histogram.of([1, 2, 3]) != Histogram.of([1, 2, 3, 3])


def test_what_takes_longer_than_an_hour_is_counted_and_its_length_kept() -> None:
    histogram = Histogram.of([1000, 2 * HIGHEST_NS])
    assert (len(histogram), histogram.max_ns) == (2, 2 * HIGHEST_NS)
    assert histogram.mean_ns == (1000 + 2 * HIGHEST_NS) / 2


def test_an_empty_histogram_has_no_mean_and_no_percentile() -> None:
    empty = Histogram.merged([Histogram(), Histogram.of([])])
    assert len(empty) == 0
    assert math.isnan(empty.mean_ns)
    assert math.isnan(empty.percentile_ns(50))
    assert Histogram.from_json(empty.to_json()) == empty


def test_durations_below_zero_count_as_zero() -> None:
    assert Histogram.of([-5, 7]) == Histogram.of([0, 7])


def test_a_percentile_of_a_single_sample_is_that_sample() -> None:
    assert Histogram.of([1_234_567]).percentile_ns(99.9) == pytest.approx(1_234_567, rel=0)
