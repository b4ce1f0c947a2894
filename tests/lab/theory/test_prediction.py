from __future__ import annotations

import pytest

from lab.theory.prediction import Prediction, predict_closed, predict_constant, predict_poisson
from lab.topology import Topology
from services.names import Distribution, WorkKind
from services.work import Work

SEQUENTIAL, PARALLEL = Topology.sequential(), Topology.parallel()
EXPONENTIAL = Work(distribution=Distribution.EXPONENTIAL)


@pytest.mark.parametrize(
    ("topology", "concurrency", "rps", "ms"),
    [
        (SEQUENTIAL, 1, 6.25, 160),
        (SEQUENTIAL, 32, 25, 1280),
        (PARALLEL, 3, 18.75, 160),
        (PARALLEL, 32, 100, 320),
    ],
)
def test_constant_work_attains_the_bounds(
    topology: Topology, concurrency: int, rps: float, ms: float
) -> None:
    predicted = predict_closed(topology, concurrency)
    assert (predicted.throughput_rps, predicted.response_time_s) == pytest.approx((rps, ms / 1000))


def test_exponential_work_stays_below_them() -> None:
    predicted = predict_closed(SEQUENTIAL.with_work(EXPONENTIAL), 4)
    assert predicted.throughput_rps == pytest.approx(4 / (4 + 4 - 1) / 0.04)


@pytest.mark.parametrize(
    "work", [Work(kind=WorkKind.TEXT), Work(kind=WorkKind.CPU), Work(distribution=Distribution.LOGNORMAL)]
)
def test_where_no_formula_is_known_nothing_is_predicted(work: Work) -> None:
    topology = SEQUENTIAL.with_work(work)
    nothing = Prediction()
    assert (predict_closed(topology, 3), predict_poisson(topology, 3), predict_constant(topology, 3)) == (
        nothing,
    ) * 3


def test_two_distributions_in_one_topology_are_not_predicted() -> None:
    assert predict_closed(SEQUENTIAL.with_work({"service2": EXPONENTIAL}), 3) == Prediction()


def test_a_service_without_work_changes_nothing() -> None:
    idle = Work(distribution=Distribution.NONE)
    predicted = predict_closed(SEQUENTIAL.with_work({f"service{n}": idle for n in (1, 2, 4)}), 1)
    assert predicted.throughput_rps == pytest.approx(25)


def test_a_chain_of_constant_servers_queues_only_at_its_slowest() -> None:
    slow = SEQUENTIAL.with_work({"service3": Work(mean_ms=80)})
    predicted = predict_poisson(slow, 6.25)
    assert predicted.throughput_rps == 6.25
    assert predicted.response_time_s == pytest.approx(0.2 + 0.08 * 0.5 / (2 * 0.5))


def test_an_exponential_chain_is_jacksons() -> None:
    predicted = predict_poisson(SEQUENTIAL.with_work(EXPONENTIAL), 20)
    assert predicted.response_time_s == pytest.approx(4 * 0.04 / (1 - 0.8))


def test_evenly_spaced_constant_work_never_queues() -> None:
    assert predict_constant(SEQUENTIAL, 24.9) == Prediction(24.9, pytest.approx(0.16))  # type: ignore[arg-type]


def test_what_exceeds_the_capacity_is_not_served_and_has_no_mean_response_time() -> None:
    for predict in (predict_constant, predict_poisson):
        assert predict(PARALLEL, 130) == Prediction(pytest.approx(100))  # type: ignore[arg-type]


def test_turns_between_constant_instances_have_no_known_response_time() -> None:
    assert predict_poisson(PARALLEL, 50) == Prediction(50, None)
