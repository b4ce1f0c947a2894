"""Schedules are what their models say, to the last request, and always the same for the same seed."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from lab.arrivals import Closed, Constant, Load, Poisson, Ramp, Steps, load_from_json, load_to_json
from lab.errors import BadParameter

rates = st.floats(0.5, 3000)
seconds = st.floats(0.1, 20)
loads = st.one_of(
    st.builds(Closed, st.integers(1, 100), st.floats(0, 10)),
    st.builds(Constant, rates),
    st.builds(Poisson, rates),
    st.builds(Ramp, rates, rates),
    st.builds(Steps, st.lists(rates, min_size=1, max_size=5).map(tuple)),
)


@given(loads, seconds, seconds, st.integers(0, 1000))
def test_intended_starts_ascend_and_lie_within_the_run(
    load: Load, warmup_s: float, duration_s: float, seed: int
) -> None:
    times = load.schedule(warmup_s, duration_s, seed).intended_ns
    assert (np.diff(times) >= 0).all()
    assert len(times) == 0 or (times[0] >= 0 and times[-1] <= (warmup_s + duration_s) * 1e9)


@given(loads, seconds, st.integers(0, 1000))
def test_the_same_seed_gives_the_same_schedule_and_digest(load: Load, duration_s: float, seed: int) -> None:
    one, other = load.schedule(0, duration_s, seed), load.schedule(0, duration_s, seed)
    assert one.digest == other.digest
    assert np.array_equal(one.intended_ns, other.intended_ns)


def test_another_seed_model_parameter_or_length_gives_another_digest() -> None:
    schedules = [
        Poisson(100).schedule(0, 2, 1),
        Poisson(100).schedule(0, 2, 2),
        Poisson(101).schedule(0, 2, 1),
        Poisson(100).schedule(0, 3, 1),
        Poisson(100).schedule(1, 2, 1),
        Constant(100).schedule(0, 2, 1),
        Closed(100).schedule(0, 2, 1),
        Closed(100, 0.5).schedule(0, 2, 1),
    ]
    assert len({schedule.digest for schedule in schedules}) == len(schedules)


@given(loads, seconds, st.integers(1, 5))
def test_the_parts_of_several_generators_are_the_whole(load: Load, duration_s: float, parts: int) -> None:
    schedule = load.schedule(0, duration_s)
    together = np.concatenate([schedule.part(index, parts) for index in range(parts)])
    assert np.array_equal(np.sort(together), schedule.intended_ns)


@given(loads)
def test_a_load_survives_json(load: Load) -> None:
    assert load_from_json(load_to_json(load)) == load


@pytest.mark.parametrize("rate", [1, 7, 200, 2000, 10_000, 333.3])
def test_a_constant_rate_is_exact_to_the_request_and_does_not_drift(rate: float) -> None:
    times = Constant(rate).schedule(0, 60).intended_ns
    assert len(times) == round(rate * 60)
    assert np.abs(times - np.arange(len(times)) * 1e9 / rate).max() <= 1


@given(rates, rates, seconds, st.floats(0, 5))
def test_a_ramp_has_as_many_requests_as_its_mean_rate_says(
    start: float, end: float, duration_s: float, warmup_s: float
) -> None:
    expected = start * warmup_s + (start + end) / 2 * duration_s
    assert abs(len(Ramp(start, end).schedule(warmup_s, duration_s)) - expected) <= 1


def test_a_ramp_gets_denser_in_proportion() -> None:
    times = Ramp(100, 300).schedule(0, 10).intended_ns / 1e9
    for second in range(10):
        found = ((times >= second) & (times < second + 1)).sum()
        assert abs(found - (100 + 20 * (second + 0.5))) <= 1


def test_a_ramp_that_goes_nowhere_is_a_constant_rate() -> None:
    assert np.array_equal(Ramp(50, 50).schedule(1, 4).intended_ns, Constant(50).schedule(1, 4).intended_ns)


def test_steps_take_equal_shares_of_the_window_after_a_warmup_at_the_first() -> None:
    times = Steps((10, 40, 20)).schedule(2, 6).intended_ns
    assert np.histogram(times, [0, 2e9, 4e9, 6e9, 8e9])[0].tolist() == [20, 20, 80, 40]


def test_the_gaps_of_poisson_arrivals_are_exponential_for_nearly_all_seeds() -> None:
    passed = 0
    for seed in range(100):
        gaps = np.diff(Poisson(500).schedule(0, 10, seed).intended_ns)
        passed += stats.kstest(gaps, "expon", args=(0, 1e9 / 500)).pvalue > 0.01
    assert passed >= 96


@pytest.mark.parametrize("rate", [1e-300, 1e-10, 1e-6])
def test_poisson_arrivals_are_none_where_the_first_is_due_after_the_end(rate: float) -> None:
    assert len(Poisson(rate).schedule(1, 10)) == 0


def test_poisson_arrivals_are_independent_of_each_other() -> None:
    gaps = np.diff(Poisson(1000).schedule(0, 60, 5).intended_ns)
    assert abs(np.corrcoef(gaps[:-1], gaps[1:])[0, 1]) < 0.02  # 1/sqrt(60,000) is 0.004


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (lambda: Closed(0), "concurrency"),
        (lambda: Closed(2.5), "concurrency is 2.5: it must be a whole number from 1 to 1,000,000"),
        (lambda: Closed(10**9), "concurrency"),
        (lambda: Closed(float("nan")), "concurrency"),
        (lambda: Closed(float("inf")), "concurrency"),
        (lambda: Closed(1, -1), "think_time_s"),
        (lambda: Closed(1, float("inf")), "think_time_s is inf: it must be a number of seconds, 0 or more"),
        (lambda: Closed(1, float("nan")), "think_time_s"),
        (lambda: Closed(1, 1e300), "think_time_s"),
        (lambda: Constant(float("inf")), "rate"),
        (lambda: Constant(1e300).schedule(1, 10), "rate is 1e.300: that makes 1.1e.301 requests"),
        (lambda: Poisson(1e300).schedule(1, 10), "rate"),
        (lambda: Ramp(1, 1e300).schedule(1, 10), "rate"),
        (lambda: Steps((1, 1e300)).schedule(1, 10), "rate"),
        (lambda: Poisson(5).schedule(0, float("inf")), "duration_s is inf"),
        (lambda: Constant(5).schedule(float("nan"), 1), "warmup_s is nan"),
        (lambda: Closed(5).schedule(0, -1), "duration_s is -1"),
        (lambda: Constant(0), "rate"),
        (lambda: Poisson(float("nan")), "rate"),
        (lambda: Ramp(1, -1), "end_rate"),
        (lambda: Steps(()), "rates"),
        (lambda: load_from_json({"model": "sinus"}), "sinus"),
        (lambda: load_from_json({"model": "poisson", "pace": 3}), "pace"),
        (lambda: load_from_json({"model": "poisson"}), "rate"),
    ],
)
def test_a_parameter_that_makes_no_sense_is_named(make, name: str) -> None:
    with pytest.raises(BadParameter, match=name):
        make()
