from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.theory.bounds import Station, capacity, throughput_bound
from lab.theory.product_form import closed_response_time, closed_throughput, open_response_time

demands = st.floats(0.001, 1)
single = st.lists(st.builds(Station, demands), min_size=1, max_size=8)
multiple = st.lists(st.builds(Station, demands, st.integers(1, 5)), min_size=1, max_size=8)
populations = st.integers(1, 60)
think_times = st.floats(0, 3, allow_subnormal=False)


def mean_value_analysis(stations: list[Station], concurrency: int, think_time_s: float) -> float:
    """Reiser and Lavenberg's recursion, for single servers: an independent way to the same figure."""
    queues = [0.0] * len(stations)
    throughput = 0.0
    for customers in range(1, concurrency + 1):
        times = [s.demand_s * (1 + queue) for s, queue in zip(stations, queues, strict=True)]
        throughput = customers / (think_time_s + sum(times))
        queues = [throughput * time for time in times]
    return throughput


@given(single, populations, think_times)
def test_convolution_agrees_with_mean_value_analysis(
    stations: list[Station], concurrency: int, think_time_s: float
) -> None:
    expected = mean_value_analysis(stations, concurrency, think_time_s)
    assert closed_throughput(stations, concurrency, think_time_s) == pytest.approx(expected, rel=1e-9)


@given(multiple, populations, think_times)
def test_it_never_exceeds_the_asymptotic_bounds(
    stations: list[Station], concurrency: int, think: float
) -> None:
    exact = closed_throughput(stations, concurrency, think)
    assert exact <= throughput_bound(stations, concurrency, think) * (1 + 1e-9)


@given(multiple, populations, think_times)
def test_one_more_in_the_loop_never_lowers_the_throughput(
    stations: list[Station], concurrency: int, think: float
) -> None:
    more = closed_throughput(stations, concurrency + 1, think)
    assert more >= closed_throughput(stations, concurrency, think) * (1 - 1e-9)


@given(st.integers(1, 8), populations, demands)
def test_a_balanced_chain_has_its_known_throughput(length: int, concurrency: int, demand: float) -> None:
    chain = [Station(demand)] * length
    assert closed_throughput(chain, concurrency) == pytest.approx(
        concurrency / (concurrency + length - 1) / demand
    )


@given(st.integers(1, 40), demands)
def test_as_many_servers_as_requests_are_a_delay(concurrency: int, demand: float) -> None:
    stations = [Station(demand, concurrency), Station(0.01)]
    assert closed_throughput(stations, concurrency) == pytest.approx(
        closed_throughput([Station(0.01)], concurrency, demand)
    )


def test_large_populations_and_long_thinking_neither_overflow_nor_vanish() -> None:
    assert closed_throughput([Station(0.04)] * 16, 5000) == pytest.approx(25, rel=0.01)
    assert closed_throughput([Station(0.001)] * 4, 2000, 10.0) == pytest.approx(200, rel=0.01)
    assert closed_throughput([Station(1.0, 900)], 1800) == pytest.approx(900)


def test_response_time_and_throughput_obey_littles_law() -> None:
    stations = [Station(0.04), Station(0.02, 2)]
    assert closed_response_time(stations, 5, 0.1) == pytest.approx(
        5 / closed_throughput(stations, 5, 0.1) - 0.1
    )


def test_without_demand_only_thinking_takes_time() -> None:
    assert closed_throughput([Station(0.0)], 3) == math.inf
    assert closed_throughput([Station(0.0)], 3, 0.5) == 6


def test_an_open_chain_is_the_sum_of_its_queues() -> None:
    assert open_response_time([Station(0.04), Station(0.0), Station(0.02)], 20) == pytest.approx(
        0.04 / (1 - 0.8) + 0.02 / (1 - 0.4)
    )


def test_beyond_capacity_there_is_no_mean() -> None:
    stations = [Station(0.04)]
    with pytest.raises(ValueError, match="no steady state"):
        open_response_time(stations, capacity(stations))


def test_an_empty_loop_is_refused() -> None:
    with pytest.raises(ValueError, match="concurrency"):
        closed_throughput([Station(0.04)], 0)
