"""Throughput and drift are read from a timeline, and the automatic cut takes off what has not settled."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.load.timeline import Timeline, by_slice, counted, mser5

SLICE = 1_000


def _noise(length: int) -> np.ndarray:
    return np.random.default_rng(3).normal(10, 0.5, length)


def test_a_transient_is_cut_off() -> None:
    observations = _noise(200)
    observations[:30] += np.linspace(40, 1, 30)
    assert 25 <= mser5(observations, 100) <= 35


def test_a_run_that_was_steady_from_the_start_loses_little() -> None:
    assert mser5(_noise(200), 100) <= 20


def test_no_more_is_cut_than_allowed() -> None:
    observations = np.linspace(100, 1, 200)
    assert mser5(observations, 40) == 40


@given(st.lists(st.one_of(st.floats(0, 1e12), st.just(float("nan"))), max_size=80), st.integers(0, 60))
def test_any_observations_give_a_cut_within_bounds(observations: list[float], limit: int) -> None:
    assert 0 <= mser5(np.array(observations, dtype=float), limit) <= max(limit, 0)


def _completed(*done: int) -> Timeline:
    """Successes by their times of completion, in ns, all of them due at 0."""
    timeline, done_ns = Timeline.empty(SLICE, 10), np.array(done)
    timeline.add_successes(np.zeros(len(done), dtype=np.int64), done_ns, done_ns // SLICE, done_ns)
    return timeline


def test_throughput_is_counted_between_the_first_and_the_last_completion() -> None:
    assert _completed(1250, 2000, 3500, 4250).throughput_rps(1, 5) == pytest.approx(3 / 3000e-9)


def test_throughput_is_unknown_where_completions_lie_in_one_slice() -> None:
    assert np.isnan(_completed(1250, 1500).throughput_rps(0, 5))


@given(
    st.integers(1, 9), st.integers(0, 150), st.sampled_from([200, 250, 500, 1000, 3000]), st.integers(11, 60)
)
def test_throughput_is_not_flattered_by_completions_in_bunches(
    size: int, spread: int, period: int, bunches: int
) -> None:
    times = [n * period + one * spread // size for n in range(bunches) for one in range(size)]
    assert _completed(*times).throughput_rps(0, 200) == pytest.approx(size / (period * 1e-9))


def test_drift_sets_the_last_third_against_the_first() -> None:
    slices = np.arange(9)
    response_ns = np.where(slices < 6, 100, 150)
    timeline = Timeline.empty(SLICE, 60)
    timeline.add_successes(slices, response_ns, slices, slices * SLICE + response_ns)
    assert timeline.drift(0, 9) == pytest.approx(0.5)
    assert np.isnan(timeline.drift(50, 59))


wholes = st.one_of(
    st.lists(st.integers(0, 60), min_size=1, max_size=80), st.lists(st.integers(0, 2**40), min_size=1)
)


@given(wholes)
def test_every_position_is_in_its_own_slice_and_in_no_other(positions: list[int]) -> None:
    column = np.array(positions, dtype=np.int64)
    found = [(row, np.arange(len(column))[where].tolist()) for row, where in by_slice(column)]
    assert [row for row, _ in found] == sorted(set(positions))
    for row, places in found:
        assert places == [at for at, position in enumerate(positions) if position == row]


@given(wholes)
def test_whole_numbers_are_counted_whether_they_lie_close_or_far_apart(values: list[int]) -> None:
    found, counts = counted(np.array(values, dtype=np.int64))
    assert dict(zip(found.tolist(), counts.tolist(), strict=True)) == Counter(values)
    assert found.tolist() == sorted(set(values))
