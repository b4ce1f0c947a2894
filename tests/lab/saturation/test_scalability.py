from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.saturation.scalability import ScalabilityLaw


@given(st.floats(1, 1000), st.floats(0, 0.9), st.floats(1e-5, 0.1))
def test_no_concurrency_does_better_than_the_peak(rate: float, contention: float, coherence: float) -> None:
    law = ScalabilityLaw(rate, contention, coherence)
    around = law.peak_concurrency * np.array([0.5, 0.9, 0.99, 1.01, 1.1, 2.0])
    assert np.all(law.throughput(around) <= law.peak_throughput * (1 + 1e-9))


@given(st.floats(1, 1000), st.floats(0, 1), st.floats(0, 1))
def test_alone_a_request_has_the_rate_of_one(rate: float, contention: float, coherence: float) -> None:
    assert ScalabilityLaw(rate, contention, coherence).throughput(1) == pytest.approx(rate)


def test_without_coherence_it_is_amdahls_law() -> None:
    law = ScalabilityLaw(10, 0.1, 0)
    assert law.throughput(1e9) == pytest.approx(100)
    assert (law.peak_concurrency, law.peak_throughput) == (math.inf, 100)


def test_without_either_it_is_a_straight_line() -> None:
    law = ScalabilityLaw(10, 0, 0)
    assert law.throughput([1, 2, 50]).tolist() == [10, 20, 500]
    assert law.peak_throughput == math.inf
