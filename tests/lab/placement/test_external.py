"""Other people's balancers before instances of either placement: the same questions, the same blows."""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Iterator
from dataclasses import replace

import psutil
import pytest

import lab
from lab.errors import NotSupported, PortInUse, ProgramMissing
from lab.placement.ports import free_offset
from lab.placement.proxies import PROXIES, ProxyProcess
from lab.placement.proxies.proxy import find
from lab.topology import Topology

EXAMPLE = json.dumps({"text": "The cat, the CAT", "request_id": "r1"}).encode()
REAL = [name for name in lab.BalancerName if name is not lab.BalancerName.BUILTIN]


def small() -> Topology:
    """Two instances of each service, quick ones, on free ports."""
    topology = Topology.parallel(2).with_work(lab.Work(mean_ms=1, slots=8))
    return topology.shifted(free_offset(topology))


def post(url: str) -> int:
    address, _, path = url.removeprefix("http://").partition("/")
    connection = http.client.HTTPConnection(address, timeout=20)
    try:
        connection.request("POST", f"/{path}", EXAMPLE, {"Content-Type": "application/json"})
        return connection.getresponse().status
    finally:
        connection.close()


def connects(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
    except (ConnectionRefusedError, ConnectionResetError):  # reset: it closes this very moment
        return False
    return True


def has_ipv6() -> bool:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return False
    return True


def require(balancer: lab.BalancerName) -> None:
    try:
        find(PROXIES[balancer].program)
    except ProgramMissing as missing:
        pytest.skip(str(missing))


@pytest.fixture(scope="module", params=REAL)
def running(request: pytest.FixtureRequest) -> Iterator[lab.Running]:
    require(request.param)
    with lab.start(small(), balancer=request.param) as started:
        yield started


def test_requests_pass_and_are_counted_in_the_documented_shape(running: lab.Running) -> None:
    def attempts(name: str) -> int:
        return sum(counts["requests"] for counts in running.stats()[name]["stats"].values())

    names = [f"service{n}-loadbalancer" for n in (1, 2, 3, 4)]
    before = {name: attempts(name) for name in names}
    for _ in range(4):
        assert post(running.entry_url) == 200
    assert {name: attempts(name) - before[name] for name in names} == dict.fromkeys(names, 4)


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
def test_a_restart_is_the_beginning_of_another_life(running: lab.Running, name: str) -> None:
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


def test_cpu_time_begins_anew_when_the_topology_comes_up_again(monkeypatch: pytest.MonkeyPatch) -> None:
    require(lab.BalancerName.NGINX)
    monkeypatch.setattr(ProxyProcess, "cpu_seconds", lambda _: 1.0)
    running = lab.start(small(), balancer=lab.BalancerName.NGINX)
    for _ in range(2):
        with running:
            assert running.cpu_seconds().balancers_s == 4.0


@pytest.mark.skipif(not has_ipv6(), reason="no IPv6 on this machine")
@pytest.mark.parametrize("balancer", lab.BalancerName)
def test_all_may_listen_on_ipv6(balancer: lab.BalancerName) -> None:
    if balancer is not lab.BalancerName.BUILTIN:
        require(balancer)
    topology = small()
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
        counted = running.stats()["service4-loadbalancer"]["stats"]
    assert sum(count["requests"] for count in counted.values()) >= 1


def test_instances_cannot_be_added_while_it_runs(running: lab.Running) -> None:
    with pytest.raises(NotSupported, match="built-in"):
        running.add_instance("service1")
    with pytest.raises(NotSupported, match="built-in"):
        running.remove_instance("service1a")


@pytest.mark.parametrize("placement", [lab.PlacementName.IN_PROCESS, lab.PlacementName.PROCESSES])
def test_after_the_block_no_process_and_no_port_is_left(placement: lab.PlacementName) -> None:
    require(lab.BalancerName.NGINX)
    topology, before = small(), psutil.Process().children(recursive=True)
    with lab.start(topology, placement=placement, balancer=lab.BalancerName.NGINX) as running:
        assert post(running.entry_url) == 200
        running.freeze("service1-loadbalancer")
    assert psutil.Process().children(recursive=True) == before
    assert not any(connects(port) for _, port in topology.ports())


def test_a_busy_balancer_port_is_named_and_nothing_is_left_running() -> None:
    require(lab.BalancerName.NGINX)
    topology = small()
    balancer = topology.services[1].balancer
    assert balancer is not None
    with (
        socket.create_server(("127.0.0.1", balancer.port)),
        pytest.raises(PortInUse, match=f"port {balancer.port}, which service2-loadbalancer wants"),
        lab.start(topology, balancer=lab.BalancerName.NGINX),
    ):
        pass
    assert not any(connects(port) for _, port in topology.ports())


def test_a_policy_that_it_does_not_have_is_an_error_and_nothing_is_left_running() -> None:
    require(lab.BalancerName.NGINX)
    topology = small().with_policy(lab.PolicyName("peak_ewma"))
    with pytest.raises(NotSupported, match="peak_ewma"), lab.start(topology, balancer=lab.BalancerName.NGINX):
        pass
    assert not any(connects(port) for _, port in topology.ports())


def test_a_topology_without_balancers_runs_behind_any() -> None:
    require(lab.BalancerName.NGINX)
    topology = Topology.sequential().with_work(lab.Work(mean_ms=1))
    with lab.start(topology.shifted(free_offset(topology)), balancer=lab.BalancerName.NGINX) as running:
        assert post(running.entry_url) == 200
        assert running.stats() == {}
