from __future__ import annotations

import math
from decimal import Decimal, localcontext

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.theory.queues import (
    erlang_c,
    lindley_waits,
    md1_mean_response_time,
    md1_response_time_quantile,
    mm1_mean_response_time,
    mm1_response_time_quantile,
    mmc_mean_response_time,
    power_of_two_mean_response_time,
    round_robin_mean_response_time,
)

utilizations = st.floats(0.01, 0.97)


def erlang_1909(utilization: float, wait: float) -> float:
    """P(W ≤ wait) in M/D/1 by Erlang's alternating sum, with digits enough to survive the cancellation."""
    with localcontext() as context:
        context.prec = 120
        rate, time = Decimal(utilization), Decimal(wait)
        total = Decimal(0)
        for k in range(math.floor(wait) + 1):
            x = rate * (time - k)
            power = (-x) ** k if k else Decimal(1)  # to the power of 0 even 0 is 1
            total += x.exp() * power / math.factorial(k)
        return float((1 - rate) * total)


@pytest.mark.parametrize("utilization", [0.1, 0.5, 0.7, 0.9, 0.97])
@pytest.mark.parametrize("quantile", [0.5, 0.95, 0.99, 0.999])
def test_md1_quantiles_agree_with_erlangs_own_formula(utilization: float, quantile: float) -> None:
    wait = md1_response_time_quantile(utilization, 1.0, quantile) - 1
    if wait < 1e-5:  # the quantile is an empty queue
        assert erlang_1909(utilization, 0.0) >= quantile
    else:
        assert erlang_1909(utilization, wait) == pytest.approx(quantile, abs=1e-6)


@given(utilizations, st.floats(0.001, 10))
def test_a_quantile_scales_with_the_service_time(utilization: float, service_time: float) -> None:
    scaled = md1_response_time_quantile(utilization / service_time, service_time, 0.9)
    assert scaled == pytest.approx(service_time * md1_response_time_quantile(utilization, 1.0, 0.9), rel=1e-5)


@given(utilizations)
def test_constant_service_waits_half_as_long_as_exponential(utilization: float) -> None:
    constant = md1_mean_response_time(utilization, 1.0) - 1
    assert constant == pytest.approx((mm1_mean_response_time(utilization, 1.0) - 1) / 2)


@given(utilizations, st.floats(0.01, 0.99))
def test_the_share_below_an_mm1_quantile_is_the_quantile(utilization: float, quantile: float) -> None:
    time = mm1_response_time_quantile(utilization, 1.0, quantile)
    assert 1 - math.exp(-time * (1 - utilization)) == pytest.approx(quantile)


@given(utilizations)
def test_one_server_of_many_is_one_server(utilization: float) -> None:
    assert mmc_mean_response_time(utilization, 1.0, 1) == pytest.approx(
        mm1_mean_response_time(utilization, 1.0)
    )
    assert erlang_c(utilization, 1) == pytest.approx(utilization)


def test_four_servers_at_utilization_0_8_have_their_known_response_time() -> None:
    assert mmc_mean_response_time(3.2, 1.0, 4) == pytest.approx(1.746, abs=5e-4)


@given(st.integers(1, 500), utilizations)
def test_erlang_c_is_a_probability_and_falls_with_more_servers(servers: int, utilization: float) -> None:
    offered = servers * utilization
    waits = erlang_c(offered, servers)
    assert 0 <= erlang_c(offered, servers + 1) <= waits <= 1


@pytest.mark.parametrize("rate", [1.0, 1.5, -0.1])
def test_without_a_steady_state_there_is_no_answer(rate: float) -> None:
    for formula in (mm1_mean_response_time, md1_mean_response_time):
        with pytest.raises(ValueError, match="steady state"):
            formula(rate, 1.0)


gaps = st.lists(st.tuples(st.floats(0, 5), st.floats(0, 5)), max_size=50)


@given(gaps)
def test_the_recursion_is_the_one_lindley_wrote_down(pairs: list[tuple[float, float]]) -> None:
    arrivals = np.cumsum([gap for gap, _ in pairs])
    services = [service for _, service in pairs]
    expected: list[float] = []
    for n in range(len(pairs)):
        expected.append(max(0.0, expected[-1] + services[n - 1] - pairs[n][0]) if n else 0.0)
    assert lindley_waits(arrivals, services).tolist() == pytest.approx(expected)


@given(gaps)
def test_another_server_never_makes_anyone_wait_longer(pairs: list[tuple[float, float]]) -> None:
    arrivals = np.cumsum([gap for gap, _ in pairs])
    services = [service for _, service in pairs]
    one, two = (lindley_waits(arrivals, services, servers) for servers in (1, 2))
    assert np.all(two <= one + 1e-9)


def test_as_many_servers_as_requests_leave_no_wait() -> None:
    assert lindley_waits([0.0, 0.0, 0.0], [5.0, 5.0, 5.0], servers=3).tolist() == [0, 0, 0]
    assert lindley_waits([0.0, 0.0, 0.0], [5.0, 5.0, 5.0], servers=2).tolist() == [0, 0, 5]


def test_the_recursion_agrees_with_the_closed_forms() -> None:
    draw = np.random.default_rng(5)
    arrivals = np.cumsum(draw.exponential(1 / 0.5, 400_000))
    constant = lindley_waits(arrivals, np.ones(400_000)) + 1
    assert constant.mean() == pytest.approx(md1_mean_response_time(0.5, 1.0), rel=0.02)
    assert np.quantile(constant, 0.99) == pytest.approx(md1_response_time_quantile(0.5, 1.0, 0.99), rel=0.02)
    services = draw.exponential(1, 400_000)
    exponential = lindley_waits(arrivals, services) + services
    assert exponential.mean() == pytest.approx(mm1_mean_response_time(0.5, 1.0), rel=0.02)
    assert np.quantile(exponential, 0.99) == pytest.approx(
        mm1_response_time_quantile(0.5, 1.0, 0.99), rel=0.02
    )


def test_times_out_of_order_or_without_partner_are_refused() -> None:
    with pytest.raises(ValueError, match="order"):
        lindley_waits([1.0, 0.5], [1.0, 1.0])
    with pytest.raises(ValueError, match="service time"):
        lindley_waits([1.0, 2.0], [1.0])


def test_the_formulas_give_the_published_figures() -> None:
    assert round_robin_mean_response_time(0.8, 1.0, 4) == pytest.approx(3.267, abs=5e-4)
    assert round_robin_mean_response_time(0.8, 1.0, 1) == pytest.approx(5.0)
    assert round_robin_mean_response_time(0.0, 2.0, 4) == 2.0
    assert power_of_two_mean_response_time(0.8, 1.0) == pytest.approx(1.947, abs=5e-4)
    assert power_of_two_mean_response_time(0.0, 2.0) == 2.0


@pytest.mark.parametrize("utilization", [1.0, -0.1])
def test_a_policy_without_a_steady_state_has_no_mean(utilization: float) -> None:
    with pytest.raises(ValueError, match="utilization"):
        round_robin_mean_response_time(utilization, 1.0, 4)
    with pytest.raises(ValueError, match="utilization"):
        power_of_two_mean_response_time(utilization, 1.0)
