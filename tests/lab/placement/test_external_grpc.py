"""External load balancers before instances that speak gRPC."""

from __future__ import annotations

import threading

import grpc
import pytest

import lab
from lab.placement.proxies import GRPC_PROXIES, Profile
from tests.support.calling import ask, placed
from tests.support.placing import pairs, require
from tests.support.waiting import wait_until


def counts(running: lab.Running, service: str) -> dict[str, tuple[int, int]]:
    """Return attempts and errors by the instance's name."""
    stats = running.stats()[f"{service}-loadbalancer"]["stats"]
    return {label.partition(":")[0]: (n["requests"], n["errors"]) for label, n in stats.items()}


@pytest.mark.parametrize("profile", Profile)
@pytest.mark.parametrize("balancer", GRPC_PROXIES)
def test_calls_of_one_connection_are_spread_evenly_and_counted(
    balancer: lab.BalancerName, profile: Profile
) -> None:
    require(balancer)
    with placed(pairs(), balancer=balancer, profile=profile) as (running, stub):
        assert {ask(stub).status for _ in range(8)} == {"success"}
        for n in (1, 2, 3, 4):
            counted = counts(running, f"service{n}")
            assert counted == {f"service{n}a": (4, 0), f"service{n}b": (4, 0)}


@pytest.mark.parametrize(
    ("balancer", "policy"),
    [(name, policy) for name, proxy in GRPC_PROXIES.items() for policy in proxy.policies],
)
def test_every_policy_it_has_serves_calls(balancer: lab.BalancerName, policy: lab.PolicyName) -> None:
    require(balancer)
    with placed(pairs().with_policy(policy), balancer=balancer) as (running, stub):
        assert {ask(stub).status for _ in range(4)} == {"success"}
        assert sum(requests for requests, _ in counts(running, "service1").values()) == 4


@pytest.mark.parametrize("placement", [lab.PlacementName.IN_PROCESS, lab.PlacementName.PROCESSES])
@pytest.mark.parametrize("balancer", GRPC_PROXIES)
def test_instances_killed_between_calls_fail_none(
    balancer: lab.BalancerName, placement: lab.PlacementName
) -> None:
    require(balancer)
    with placed(pairs(), placement=placement, balancer=balancer) as (running, stub):
        for n in (1, 2, 3, 4):
            ask(stub)
            running.kill(f"service{n}b")
            assert {ask(stub).status for _ in range(4)} == {"success"}


@pytest.mark.parametrize("balancer", [lab.BalancerName.HAPROXY, lab.BalancerName.ENVOY])
def test_calls_under_way_at_an_instance_that_is_killed_are_tried_elsewhere(
    balancer: lab.BalancerName,
) -> None:
    """Not by nginx: see its docstring."""
    require(balancer)
    placement, said = lab.PlacementName.PROCESSES, []
    with placed(pairs(), placement=placement, balancer=balancer) as (running, stub):
        assert {ask(stub).status, ask(stub).status} == {"success"}
        running.freeze("service1b")
        callers = [threading.Thread(target=lambda: said.append(ask(stub).status)) for _ in range(4)]
        for caller in callers:
            caller.start()
        wait_until(lambda: counts(running, "service1")["service1b"][0] >= 3)
        running.kill("service1b")
        for caller in callers:
            caller.join()
        assert said == ["success"] * 4
        assert counts(running, "service1")["service1b"][1] > 0


@pytest.mark.parametrize("balancer", GRPC_PROXIES)
def test_where_all_instances_are_dead_the_balancer_says_so_in_grpc(balancer: lab.BalancerName) -> None:
    require(balancer)
    with placed(pairs(), balancer=balancer) as (running, stub):
        ask(stub)
        running.kill("service1a")
        running.kill("service1b")
        with pytest.raises(grpc.RpcError) as failed:
            ask(stub)
    assert failed.value.code() is grpc.StatusCode.UNAVAILABLE
    assert "service1a" in failed.value.details()
    assert ("answered-by", "service1-loadbalancer") in [tuple(m) for m in failed.value.trailing_metadata()]
