"""External load balancers before instances of either placement: the same questions, the same blows."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator
from dataclasses import replace

import psutil
import pytest

import lab
from lab.errors import NotSupported, PortInUse
from lab.placement.proxies import ProxyProcess
from lab.topology import Topology
from tests.support.placing import attempts, claimed, connects, pairs, post, require

Claim = Callable[[Topology], Topology]
REAL = [name for name in lab.BalancerName if name is not lab.BalancerName.BUILTIN]


def has_ipv6() -> bool:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return False
    return True


@pytest.fixture(scope="module", params=REAL)
def running(request: pytest.FixtureRequest) -> Iterator[lab.Running]:
    require(request.param)
    with claimed(pairs()) as topology, lab.start(topology, balancer=request.param) as started:
        yield started


def test_requests_pass_and_are_counted_in_the_documented_shape(running: lab.Running) -> None:
    def totals() -> list[int]:
        return [sum(attempts(running, f"service{n}").values()) for n in (1, 2, 3, 4)]

    before = totals()
    for _ in range(4):
        assert post(running.entry_url) == 200
    assert totals() == [count + 4 for count in before]


def test_what_a_balancer_logs_that_it_ran_out_of_is_told(running: lab.Running) -> None:
    assert running.shortages() == {}
    process = running._processes["service3-loadbalancer"]  # type: ignore[attr-defined]
    os.write(process._log.fileno(), b"[crit] accept4() failed (24: Too many open files)\n")
    assert running.shortages() == {"out of descriptors": 1}


def test_a_killed_instance_fails_no_request(running: lab.Running) -> None:
    running.kill("service2a")
    assert {post(running.entry_url) for _ in range(6)} == {200}
    running.restart("service2a")
    assert running.alive("service2a")


def test_a_killed_balancer_comes_back(running: lab.Running) -> None:
    running.kill("service3-loadbalancer")
    assert not running.alive("service3-loadbalancer")
    assert "service3-loadbalancer" not in running.stats()
    running.restart("service3-loadbalancer")
    assert post(running.entry_url) == 200


@pytest.mark.parametrize("name", ["service3-loadbalancer", "service3a"])
def test_a_restarted_server_is_another_incarnation(running: lab.Running, name: str) -> None:
    before = running.incarnations()
    assert running.incarnations() == before
    running.restart(name)
    after = running.incarnations()
    assert {n for n in {*before, *after} if before.get(n) != after.get(n)} == {name}


def test_cpu_time_and_memory_of_balancers_are_told_apart(running: lab.Running) -> None:
    before = running.cpu_seconds()
    running.kill("service1-loadbalancer")
    after = running.cpu_seconds()
    running.restart("service1-loadbalancer")
    assert before.balancers_s is not None
    assert after.balancers_s is not None
    assert after.balancers_s >= before.balancers_s
    assert 1 < running.balancers_rss_mb() <= running.rss_mb()


def test_cpu_time_begins_anew_when_the_topology_comes_up_again(
    claim: Claim, monkeypatch: pytest.MonkeyPatch
) -> None:
    require(lab.BalancerName.NGINX)
    monkeypatch.setattr(ProxyProcess, "cpu_seconds", lambda _: 1.0)
    running = lab.start(claim(pairs()), balancer=lab.BalancerName.NGINX)
    for _ in range(2):
        with running:
            assert running.cpu_seconds().balancers_s == 4.0


@pytest.mark.skipif(not has_ipv6(), reason="no IPv6 on this machine")
@pytest.mark.parametrize("balancer", lab.BalancerName)
def test_all_may_listen_on_ipv6(balancer: lab.BalancerName, claim: Claim) -> None:
    require(balancer)
    topology = claim(pairs())
    services = tuple(
        replace(
            service,
            instances=tuple(replace(instance, host="::1") for instance in service.instances),
            balancer=replace(service.balancer, host="::1") if service.balancer else None,
        )
        for service in topology.services
    )
    with lab.start(replace(topology, services=services), balancer=balancer) as running:
        assert post(running.entry_url) == 200
        assert sum(attempts(running, "service4").values()) >= 1


def test_instances_cannot_be_added_while_it_runs(running: lab.Running) -> None:
    with pytest.raises(NotSupported, match="built-in"):
        running.add_instance("service1")
    with pytest.raises(NotSupported, match="built-in"):
        running.remove_instance("service1a")


@pytest.mark.parametrize("placement", [lab.PlacementName.IN_PROCESS, lab.PlacementName.PROCESSES])
def test_after_the_block_no_process_and_no_port_is_left(placement: lab.PlacementName, claim: Claim) -> None:
    require(lab.BalancerName.NGINX)
    topology, before = claim(pairs()), psutil.Process().children(recursive=True)
    with lab.start(topology, placement=placement, balancer=lab.BalancerName.NGINX) as running:
        assert post(running.entry_url) == 200
        running.freeze("service1-loadbalancer")
    assert psutil.Process().children(recursive=True) == before
    assert not any(connects(port) for _, port in topology.ports())


def test_a_busy_balancer_port_is_named_and_nothing_is_left_running(claim: Claim) -> None:
    require(lab.BalancerName.NGINX)
    topology = claim(pairs())
    balancer = topology.services[1].balancer
    assert balancer is not None
    with (
        socket.create_server(("127.0.0.1", balancer.port)),
        pytest.raises(PortInUse, match=f"port {balancer.port}, which service2-loadbalancer wants"),
        lab.start(topology, balancer=lab.BalancerName.NGINX),
    ):
        pass
    assert not any(connects(port) for _, port in topology.ports())


def test_a_policy_that_it_does_not_have_is_an_error_and_nothing_is_left_running(claim: Claim) -> None:
    require(lab.BalancerName.NGINX)
    topology = claim(pairs()).with_policy(lab.PolicyName("peak_ewma"))
    with pytest.raises(NotSupported, match="peak_ewma"), lab.start(topology, balancer=lab.BalancerName.NGINX):
        pass
    assert not any(connects(port) for _, port in topology.ports())


def test_a_topology_without_balancers_runs_behind_any(claim: Claim) -> None:
    require(lab.BalancerName.NGINX)
    topology = Topology.sequential().with_work(lab.Work(mean_ms=1))
    with lab.start(claim(topology), balancer=lab.BalancerName.NGINX) as running:
        assert post(running.entry_url) == 200
        assert running.stats() == {}
