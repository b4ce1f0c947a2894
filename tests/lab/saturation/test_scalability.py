"""Throughput against concurrency has a knee, and a law where one fits."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.errors import BadParameter
from lab.saturation.scalability import ScalabilityFit, ScalabilityLaw, fit_scalability, knee
from lab.theory.bounds import response_time_bound, stations_of, throughput_bound
from lab.topology import Topology

LEVELS = [1, 2, 3, 4, 8, 16, 32]


@pytest.mark.parametrize(("topology", "where"), [(Topology.sequential(), 4), (Topology.parallel(), 16)])
def test_the_knee_of_asymptotic_bounds_is_where_they_meet(topology: Topology, where: int) -> None:
    stations = stations_of(topology)
    assert (
        knee(
            LEVELS,
            [throughput_bound(stations, n) for n in LEVELS],
            [response_time_bound(stations, n) for n in LEVELS],
        )
        == where
    )


def test_without_levels_there_is_no_knee() -> None:
    with pytest.raises(BadParameter, match="at least one"):
        knee([], [], [])


def fit(law: ScalabilityLaw, draw: np.random.Generator, spread: float, trials: int = 3) -> ScalabilityFit:
    levels = np.repeat(LEVELS, trials).astype(float)
    measured = law.throughput(levels) * np.exp(draw.normal(0, spread, len(levels)))
    return fit_scalability(levels.tolist(), measured.tolist())


@pytest.mark.parametrize("law", [ScalabilityLaw(25, 0.05, 0.002), ScalabilityLaw(1000, 0.3, 0.0)])
def test_without_noise_the_law_is_found_again(law: ScalabilityLaw) -> None:
    found = fit(law, np.random.default_rng(0), 0.0).law
    assert found.rate == pytest.approx(law.rate, rel=1e-4)
    assert found.contention == pytest.approx(law.contention, abs=1e-4)
    assert found.coherence == pytest.approx(law.coherence, abs=1e-5)


def test_the_intervals_of_a_fit_cover_the_truth() -> None:
    law, draw = ScalabilityLaw(25, 0.05, 0.002), np.random.default_rng(1)
    fits = [fit(law, draw, 0.05) for _ in range(300)]
    for covered in (
        [law.rate in f.rate for f in fits],
        [law.contention in f.contention for f in fits],
        [law.coherence in f.coherence for f in fits],
        *([float(law.throughput(n)) in f.throughput(n) for f in fits] for n in LEVELS),
    ):
        assert sum(covered) >= 0.93 * len(fits)


@pytest.mark.parametrize("spread", [0.05, 0.15])
def test_a_peak_is_shown_only_where_its_interval_covers(spread: float) -> None:
    law, draw = ScalabilityLaw(25, 0.05, 0.01), np.random.default_rng(1)
    fits = [fit(law, draw, spread) for _ in range(200)]
    shown = [f for f in fits if f.peak_concurrency.known]
    assert [f.peak_throughput.known for f in fits] == [f.peak_concurrency.known for f in fits]
    assert len(shown) > 5
    assert sum(law.peak_concurrency in f.peak_concurrency for f in shown) >= 0.9 * len(shown)
    assert sum(law.peak_throughput in f.peak_throughput for f in shown) >= 0.9 * len(shown)


def test_a_peak_beyond_what_was_measured_is_not_shown() -> None:
    law = ScalabilityLaw(25, 0.02, 0.0002)
    assert law.peak_concurrency > max(LEVELS)
    fits = [fit(law, np.random.default_rng(seed), 0.02) for seed in range(20)]
    assert not any(f.peak_concurrency.known for f in fits)


def test_a_law_that_does_not_fit_is_no_surer_for_more_trials() -> None:
    """Constant work bends at a corner, which the law cannot: in its fit the throughput falls after it."""
    draw, stations = np.random.default_rng(3), stations_of(Topology.sequential())
    levels = np.repeat(LEVELS, 100).astype(float)
    corner = np.array([throughput_bound(stations, n) for n in levels])
    found = fit_scalability(levels.tolist(), (corner * np.exp(draw.normal(0, 0.01, len(levels)))).tolist())
    assert found.contradicted
    assert found.coherence.estimate > 0
    assert 0 in found.coherence
    assert not found.peak_concurrency.known
    assert all(throughput_bound(stations, n) in found.throughput(n) for n in LEVELS)


def test_a_peak_that_the_trials_do_not_show_has_no_interval() -> None:
    found = fit(ScalabilityLaw(25, 0.05, 0.0), np.random.default_rng(2), 0.05)
    assert math.isnan(found.peak_throughput.low)


@pytest.mark.parametrize(
    ("levels", "throughputs"),
    [([1, 2, 3], [1, 2, 3]), ([1, 1, 2, 2], [1, 1, 2, 2]), ([1, 2, 3, 4], [1, 2, 3, 0])],
)
def test_too_little_to_fit_is_refused(levels: list[float], throughputs: list[float]) -> None:
    with pytest.raises(BadParameter):
        fit_scalability(levels, throughputs)


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
