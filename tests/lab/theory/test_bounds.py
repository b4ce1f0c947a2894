from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.theory.bounds import (
    Station,
    capacity,
    knee,
    processor,
    response_time_bound,
    scaling_bound,
    stations_of,
    throughput_bound,
    total_demand,
)
from lab.topology import Topology
from services.names import WorkKind
from services.work import Work

demands = st.floats(0.001, 1)
networks = st.lists(st.builds(Station, demands, st.integers(1, 4)), min_size=1, max_size=8)


@pytest.mark.parametrize(
    ("topology", "most", "where"), [(Topology.sequential(), 25, 4), (Topology.parallel(), 100, 16)]
)
def test_the_documented_work_gives_the_documented_capacity(
    topology: Topology, most: float, where: float
) -> None:
    stations = stations_of(topology)
    assert total_demand(stations) == pytest.approx(0.160)
    assert capacity(stations) == pytest.approx(most)
    assert knee(stations) == pytest.approx(where)


def test_a_slot_more_is_worth_an_instance_more() -> None:
    two_slots = stations_of(Topology.sequential().with_work(Work(slots=2)))
    assert capacity(two_slots) == pytest.approx(capacity(stations_of(Topology.parallel(2))))


@given(networks, st.integers(1, 200), st.floats(0, 2))
def test_the_two_bounds_agree_by_littles_law(
    stations: list[Station], concurrency: int, think_time_s: float
) -> None:
    throughput = throughput_bound(stations, concurrency, think_time_s)
    response_time = response_time_bound(stations, concurrency, think_time_s)
    assert throughput * (response_time + think_time_s) == pytest.approx(concurrency)


@given(networks, st.floats(0, 2))
def test_at_the_knee_the_bounds_meet(stations: list[Station], think_time_s: float) -> None:
    at_knee = knee(stations, think_time_s)
    assert throughput_bound(stations, at_knee, think_time_s) == pytest.approx(capacity(stations))
    assert throughput_bound(stations, at_knee / 2, think_time_s) == pytest.approx(capacity(stations) / 2)


def test_without_any_demand_nothing_bounds() -> None:
    text = stations_of(Topology.sequential().with_work(Work(kind=WorkKind.TEXT)))
    assert capacity(text) == throughput_bound(text, 3) == knee(text) == math.inf


@pytest.mark.parametrize(("cores", "ratio"), [(1, 1), (2, 1), (4, 1), (8, 2), (16, 4), (64, 4)])
def test_burnt_cpu_in_all_services_gains_only_the_cores_that_one_chain_leaves_idle(
    cores: int, ratio: int
) -> None:
    work = Work(kind=WorkKind.CPU)
    before, after = (topology.with_work(work) for topology in (Topology.sequential(), Topology.parallel()))
    assert scaling_bound(before, after, cores) == pytest.approx(ratio)


@pytest.mark.parametrize("cores", [1, 2, 4, 8])
def test_burnt_cpu_in_one_service_gains_a_core_an_instance(cores: int) -> None:
    works = {f"service{n}": Work(WorkKind.CPU, mean_ms=40 if n == 3 else 0) for n in (1, 2, 3, 4)}
    before, after = (topology.with_work(works) for topology in (Topology.sequential(), Topology.parallel()))
    assert scaling_bound(before, after, cores) == pytest.approx(min(4, cores))


def test_more_instances_of_what_takes_no_time_gain_nothing_that_could_be_said() -> None:
    text = Work(kind=WorkKind.TEXT)
    before, after = (topology.with_work(text) for topology in (Topology.sequential(), Topology.parallel()))
    assert math.isnan(scaling_bound(before, after, 4))


def test_waiting_needs_no_core() -> None:
    assert processor(Topology.sequential(), 2).demand_s == 0
