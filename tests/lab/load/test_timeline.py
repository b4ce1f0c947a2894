"""The automatic cut takes the transient off and leaves what has settled."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from lab.load.timeline import mser5


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
