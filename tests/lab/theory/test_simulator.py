"""The simulator against recursions exact request by request, and against formulas exact on average."""

from __future__ import annotations

from itertools import islice

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.random import SeedSequence, default_rng
from numpy.typing import NDArray

from lab.arrivals import Closed, Constant, Poisson
from lab.errors import BadParameter
from lab.theory.model import Stage, stages_of
from lab.theory.queues import (
    lindley_waits,
    md1_response_time_quantile,
    mm1_mean_response_time,
    mm1_response_time_quantile,
    mmc_mean_response_time,
    power_of_two_mean_response_time,
    round_robin_mean_response_time,
)
from lab.theory.simulator import Simulated, simulate
from lab.topology import Topology
from services.balancer.policies import PolicyName
from services.names import Distribution
from services.work import Work

SURE = 0.9999
"""The confidence of every comparison with a mean: the seeds are fixed, and 1 in 10,000 seeds would fail."""


def services_drawn(stage: Stage, seed: int, count: int) -> NDArray[np.float64]:
    """The service times that a simulation of this one stage deals out, in order."""
    return np.array(list(islice(stage.service_times(default_rng(SeedSequence(seed).spawn(2)[1])), count)))


def assert_mean(found: Simulated, exact: float, bias: float = 0.0) -> None:
    assert abs(found.mean_s - exact) < found.margin_s(SURE) + bias * exact
    assert found.margin_s(SURE) < 0.12 * exact, "too few requests to tell anything"


# --- request by request ---

distributions = st.sampled_from([Distribution.CONSTANT, Distribution.EXPONENTIAL, Distribution.LOGNORMAL])


@given(distributions, st.integers(1, 3), st.floats(0.1, 1.2), st.integers(0, 1000))
@settings(max_examples=40)
def test_one_instance_is_a_queue_first_come_first_served(
    distribution: Distribution, slots: int, utilization: float, seed: int
) -> None:
    stage = Stage(1, distribution=distribution, slots=slots)
    found = simulate(stage, Poisson(utilization * slots), requests=300, seed=seed, transient=True)
    services = services_drawn(stage, seed, 300)
    expected = lindley_waits(found.arrived_s, services, slots) + services
    np.testing.assert_allclose(found.response_times_s, expected, rtol=0, atol=1e-9)


@given(distributions, st.integers(1, 6), st.floats(0.1, 1.2), st.integers(0, 1000))
@settings(max_examples=40)
def test_a_central_queue_over_n_instances_is_one_queue_with_n_servers(
    distribution: Distribution, instances: int, utilization: float, seed: int
) -> None:
    stage = Stage(instances, distribution=distribution, policy=PolicyName.CENTRAL_QUEUE)
    found = simulate(stage, Poisson(utilization * instances), requests=300, seed=seed, transient=True)
    services = services_drawn(stage, seed, 300)
    expected = lindley_waits(found.arrived_s, services, instances) + services
    np.testing.assert_allclose(found.response_times_s, expected, rtol=0, atol=1e-9)


def test_round_robin_gives_each_instance_every_nth_request() -> None:
    stage = Stage(3, policy=PolicyName.ROUND_ROBIN)
    found = simulate(stage, Poisson(2.4), requests=3000, seed=5)
    services = services_drawn(stage, 5, 3000)
    for first in range(3):
        mine = slice(first, None, 3)
        expected = lindley_waits(found.arrived_s[mine], services[mine]) + services[mine]
        np.testing.assert_allclose(found.response_times_s[mine], expected, rtol=0, atol=1e-9)


def test_a_slower_instance_takes_longer_by_its_factor() -> None:
    stage = Stage(2, distribution=Distribution.CONSTANT, speeds=(0.25,))
    found = simulate(stage, Poisson(0.001), requests=100)
    assert sorted(set(found.response_times_s.round(9))) == [1.0, 4.0]


def test_stages_in_a_row_add_up_for_a_request_alone() -> None:
    stages = [Stage(2, service, Distribution.CONSTANT) for service in (0.1, 0.2, 0.4)]
    found = simulate(stages, Closed(1, think_time_s=0.3), requests=50)
    np.testing.assert_allclose(found.response_times_s, 0.7)
    assert found.throughput_rps == pytest.approx(1.0)
    assert found.requests == ((25, 25),) * 3


def test_a_request_is_in_flight_at_every_stage_until_the_last_has_answered() -> None:
    one_at_a_time = Stage(1, 0.1, Distribution.CONSTANT, PolicyName.CENTRAL_QUEUE)
    found = simulate([one_at_a_time, Stage(4, 0.9, Distribution.CONSTANT)], Closed(4), requests=200)
    assert found.throughput_rps == pytest.approx(1.0)  # not 4 / 0.9: only one may be past the first balancer


def test_a_slot_is_given_back_before_the_next_stage_is_called() -> None:
    found = simulate(
        [Stage(1, 0.1, Distribution.CONSTANT), Stage(4, 0.9, Distribution.CONSTANT)], Closed(4), requests=200
    )
    assert found.throughput_rps == pytest.approx(4 / 1.0, rel=0.02)


# --- on average ---


@pytest.mark.parametrize(
    ("policy", "exact"),
    [
        (PolicyName.RANDOM, mm1_mean_response_time(0.8, 1.0)),
        (PolicyName.ROUND_ROBIN, round_robin_mean_response_time(0.8, 1.0, 4)),
        (PolicyName.WEIGHTED_ROUND_ROBIN, round_robin_mean_response_time(0.8, 1.0, 4)),
        (PolicyName.CENTRAL_QUEUE, mmc_mean_response_time(3.2, 1.0, 4)),
    ],
)
def test_four_instances_take_as_long_as_theory_says(policy: PolicyName, exact: float) -> None:
    assert_mean(simulate(Stage(policy=policy), Poisson(3.2), requests=200_000, warmup=2_000, seed=7), exact)


def test_power_of_two_over_many_instances_comes_near_its_limit() -> None:
    stage = Stage(1000, policy=PolicyName.POWER_OF_TWO)
    found = simulate(stage, Poisson(800), requests=80_000, warmup=40_000, seed=2)
    assert_mean(found, power_of_two_mean_response_time(0.8, 1.0), bias=0.01)


def test_each_stage_of_a_tandem_by_chance_is_a_queue_of_its_own() -> None:
    # Jackson, Networks of Waiting Lines, 1957.
    stages = [Stage(4, service, policy=PolicyName.RANDOM) for service in (0.5, 0.8, 0.25)]
    found = simulate(stages, Poisson(3.0), requests=150_000, warmup=3_000, seed=3)
    exact = sum(mm1_mean_response_time(3.0 / 4, service) for service in (0.5, 0.8, 0.25))
    assert_mean(found, exact)


def test_what_a_policy_knows_makes_it_better() -> None:
    means = {
        policy: simulate(Stage(8, policy=policy), Poisson(7.2), requests=60_000, warmup=5_000, seed=4).mean_s
        for policy in PolicyName
    }
    best_first = sorted(means, key=lambda policy: means[policy])
    assert best_first[0] is PolicyName.CENTRAL_QUEUE
    assert best_first[1] is PolicyName.LEAST_CONNECTIONS
    assert best_first[-1] is PolicyName.RANDOM
    assert means[PolicyName.POWER_OF_TWO] < means[PolicyName.ROUND_ROBIN]


def test_round_robin_drowns_one_slow_instance_and_least_connections_does_not() -> None:
    def grown(policy: PolicyName) -> float:
        """How many times longer the last fifth of the requests took than the first."""
        stage = Stage(4, policy=policy, speeds=(0.25,))
        times = simulate(stage, Poisson(2.2), requests=20_000, seed=6, transient=True).response_times_s
        return float(times[-4000:].mean() / times[:4000].mean())

    assert grown(PolicyName.ROUND_ROBIN) > 4
    assert grown(PolicyName.LEAST_CONNECTIONS) < 2


def test_a_saturated_closed_loop_runs_at_capacity() -> None:
    stage = Stage(4, 0.04, Distribution.CONSTANT)
    assert stage.capacity_rps == pytest.approx(100)
    found = simulate(stage, Closed(32), requests=5_000, warmup=100)
    assert found.throughput_rps == pytest.approx(100, rel=0.01)
    assert found.mean_s == pytest.approx(32 / 100, rel=0.01)


# --- seeds, warm-up, topologies, errors ---


@pytest.mark.parametrize("traffic", [Poisson(3.0), Closed(5, 0.1)])
def test_the_same_seed_is_the_same_run_and_another_is_not(traffic: Poisson | Closed) -> None:
    stage = Stage(policy=PolicyName.POWER_OF_TWO)
    one, same, other = (simulate(stage, traffic, requests=500, seed=seed) for seed in (8, 8, 9))
    np.testing.assert_array_equal(one.response_times_s, same.response_times_s)
    assert not np.array_equal(one.response_times_s, other.response_times_s)


def test_policies_are_compared_on_the_same_arrivals() -> None:
    one, other = (simulate(Stage(policy=p), Poisson(3.0), requests=500) for p in list(PolicyName)[:2])
    np.testing.assert_array_equal(one.arrived_s, other.arrived_s)


def test_a_central_queue_before_instances_of_several_slots_fills_them_all() -> None:
    work = Work(mean_ms=20, slots=2)
    topology = Topology.parallel(3).with_work(work).with_policy(PolicyName.CENTRAL_QUEUE)
    stage = stages_of(topology)[-1]
    found = simulate(stage, Closed(6), requests=600)
    assert found.throughput_rps == pytest.approx(stage.capacity_rps, rel=0.02)


def test_stages_draw_lots_independently_of_each_other_and_of_other_seeds() -> None:
    stages = [Stage(policy=PolicyName.RANDOM)] * 3
    runs = [simulate(stages, Closed(1), requests=1000, seed=seed) for seed in range(3)]
    counts = [requests for run in runs for requests in run.requests]
    assert len(set(counts)) == len(counts)


def test_a_policy_that_draws_lots_changes_no_service_time() -> None:
    one, other = (
        simulate(Stage(1, policy=policy), Poisson(0.5), requests=500, seed=3)
        for policy in (PolicyName.RANDOM, PolicyName.ROUND_ROBIN)
    )
    np.testing.assert_array_equal(one.response_times_s, other.response_times_s)


def test_the_warmup_is_cut_off_and_nothing_else() -> None:
    whole = simulate(Stage(), Poisson(3.0), requests=500, seed=1)
    cut = simulate(Stage(), Poisson(3.0), requests=400, warmup=100, seed=1)
    np.testing.assert_array_equal(whole.response_times_s[100:], cut.response_times_s)
    np.testing.assert_array_equal(whole.arrived_s[100:], cut.arrived_s)


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (lambda: Poisson(0.0), "rate"),
        (lambda: Closed(0), "concurrency"),
        (lambda: Closed(1, -1.0), "think_time_s"),
        (lambda: simulate(Stage(), Poisson(1.0), requests=0), "requests is 0"),
        (lambda: simulate([], Poisson(1.0), requests=1), "nothing to measure"),
        (lambda: simulate(Stage(), Poisson(1.0), requests=50).margin_s(), "too few"),
        (lambda: simulate(Stage(), Poisson(1.0), requests=50).margin_s(95), "confidence is 95"),
        (lambda: simulate(Stage(), Poisson(1.0), requests=50).margin_s(batches=1), "batches is 1"),
        (lambda: simulate("four", Poisson(1.0), requests=1), "stages are"),  # type: ignore[arg-type]
        (lambda: simulate([Stage(), 4], Poisson(1.0), requests=1), "stages are"),  # type: ignore[list-item]
        (lambda: simulate(Stage(), 5.0, requests=1), "traffic is 5.0"),  # type: ignore[arg-type]
        (lambda: simulate(Stage(), Constant(1.0), requests=1), "traffic is Constant"),  # type: ignore[arg-type]
        (lambda: simulate(Stage(), Closed(2.5), requests=1), "concurrency is 2.5"),  # type: ignore[arg-type]
        (lambda: simulate(Stage(), Closed(1, float("inf")), requests=1), "think_time_s is inf"),
        (lambda: simulate(Stage(), Poisson(1.0), requests=1.5), "requests is 1.5"),  # type: ignore[arg-type]
        (lambda: simulate(Stage(), Poisson(1.0), requests=1, warmup=-1), "warmup is -1"),
        (lambda: simulate(Stage(), Poisson(1.0), requests=1, seed="a"), "seed is 'a'"),  # type: ignore[arg-type]
        (lambda: mm1_response_time_quantile(0.5, 1.0, 1.0), "quantile is 1.0"),
        (lambda: md1_response_time_quantile(0.5, 1.0, 99), "quantile is 99"),
        (lambda: mmc_mean_response_time(0.5, 1.0, 0), "servers is 0"),
    ],
)
def test_what_makes_no_sense_is_refused_by_name(make: object, named: str) -> None:
    assert callable(make)
    with pytest.raises(ValueError, match=named):
        make()


UNEVEN = (0.25,)


@pytest.mark.parametrize(
    ("stages", "most"),
    [
        (Stage(), 4.0),
        (Stage(4, slots=2), 8.0),
        (Stage(4, speeds=UNEVEN), 1.0),
        (Stage(4, speeds=UNEVEN, policy=PolicyName.RANDOM), 1.0),
        (Stage(4, speeds=UNEVEN, policy=PolicyName.WEIGHTED_ROUND_ROBIN, weights=(1, 4, 4, 4)), 3.25),
        (Stage(4, speeds=UNEVEN, policy=PolicyName.LEAST_CONNECTIONS), 3.25),
        (Stage(4, speeds=UNEVEN, policy=PolicyName.POWER_OF_TWO), 3.25),
        (Stage(4, speeds=(0.1, 0.1, 0.1), policy=PolicyName.PEAK_EWMA), 0.6),
        (Stage(4, policy=PolicyName.CENTRAL_QUEUE), 4.0),
        ([Stage(1, 0.1, policy=PolicyName.CENTRAL_QUEUE), Stage(4, 0.9)], 1.0),
        ([Stage(4), Stage(1, 0.5)], 2.0),
    ],
)
def test_a_rate_that_the_stages_cannot_sustain_is_refused_unless_it_is_meant(
    stages: Stage | list[Stage], most: float
) -> None:
    simulate(stages, Poisson(0.999 * most), requests=1)
    with pytest.raises(BadParameter, match=f"more than the {most:g} that the stages sustain.*transient=True"):
        simulate(stages, Poisson(1.001 * most), requests=1)
    simulate(stages, Poisson(2 * most), requests=1, transient=True)


@pytest.mark.parametrize(
    ("policy", "speeds"), [(p, s) for p in PolicyName for s in (UNEVEN, (0.1, 0.1, 0.1))]
)
def test_beyond_what_a_policy_sustains_the_queue_grows_and_below_it_does_not(
    policy: PolicyName, speeds: tuple[float, ...]
) -> None:
    stage = Stage(4, policy=policy, speeds=speeds)

    def grown(share: float) -> float:
        traffic = Poisson(share * stage.sustained_rps)
        times = simulate(stage, traffic, requests=40_000, seed=6, transient=True).response_times_s
        return float(times[-10_000:].mean() / times[10_000:20_000].mean())

    assert grown(0.8) < 1.5 < grown(1.3)


def test_services_that_take_no_time_sustain_any_rate() -> None:
    for stage in (Stage(distribution=Distribution.NONE), Stage(service_time_s=0)):
        assert simulate(stage, Poisson(1e6), requests=10).mean_s == 0


def test_a_single_request_has_no_throughput_to_speak_of() -> None:
    assert simulate(Stage(), Poisson(1.0), requests=1).throughput_rps == float("inf")
