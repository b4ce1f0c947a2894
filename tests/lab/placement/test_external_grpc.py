"""Other people's balancers before instances that speak gRPC."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import grpc
import pytest

import lab
from lab.errors import ProgramMissing
from lab.placement.ports import free_offset
from lab.placement.proxies import GRPC_PROXIES, Profile
from lab.placement.proxies.proxy import find
from services.rpc import pipeline_pb2 as pb
from services.rpc import pipeline_pb2_grpc as stubs
from services.rpc.channels import CHANNEL_OPTIONS


def small(mean_ms: float = 1) -> lab.Topology:
    """Two instances of each service, on free ports."""
    topology = lab.Topology.parallel(2).with_protocol(lab.ProtocolName.GRPC)
    return topology.with_work(lab.Work(mean_ms=mean_ms, slots=8)).shifted(free_offset(topology))


def require(balancer: lab.BalancerName) -> None:
    try:
        find(GRPC_PROXIES[balancer].program)
    except ProgramMissing as missing:
        pytest.skip(str(missing))


@contextmanager
def calling(running: lab.Running) -> Iterator[stubs.InputStub]:
    """Calls on the entry, with the generated stub, all on one connection."""
    with grpc.insecure_channel(running.entry_url.split("/")[2], options=CHANNEL_OPTIONS) as channel:
        yield stubs.InputStub(channel)


def ask(stub: stubs.InputStub) -> str:
    """The status of one answer."""
    return stub.Process(pb.TextRequest(text="The cat, the CAT", request_id="r"), timeout=20).status


def attempts(running: lab.Running, service: str) -> dict[str, tuple[int, int]]:
    """Attempts and errors by the instance's name."""
    stats = running.stats()[f"{service}-loadbalancer"]["stats"]
    return {label.partition(":")[0]: (n["requests"], n["errors"]) for label, n in stats.items()}


@pytest.mark.parametrize("profile", Profile)
@pytest.mark.parametrize("balancer", GRPC_PROXIES)
def test_calls_of_one_connection_are_spread_evenly_and_counted(
    balancer: lab.BalancerName, profile: Profile
) -> None:
    require(balancer)
    with lab.start(small(), balancer=balancer, profile=profile) as running, calling(running) as stub:
        assert {ask(stub) for _ in range(8)} == {"success"}
        for n in (1, 2, 3, 4):
            counted = attempts(running, f"service{n}")
            assert counted == {f"service{n}a": (4, 0), f"service{n}b": (4, 0)}


@pytest.mark.parametrize(
    ("balancer", "policy"),
    [(name, policy) for name, proxy in GRPC_PROXIES.items() for policy in proxy.policies],
)
def test_every_policy_it_has_serves_calls(balancer: lab.BalancerName, policy: lab.PolicyName) -> None:
    require(balancer)
    topology = small().with_policy(policy)
    with lab.start(topology, balancer=balancer) as running, calling(running) as stub:
        assert {ask(stub) for _ in range(4)} == {"success"}
        assert sum(requests for requests, _ in attempts(running, "service1").values()) == 4


@pytest.mark.parametrize("placement", [lab.PlacementName.IN_PROCESS, lab.PlacementName.PROCESSES])
@pytest.mark.parametrize("balancer", GRPC_PROXIES)
def test_instances_killed_between_calls_fail_none(
    balancer: lab.BalancerName, placement: lab.PlacementName
) -> None:
    require(balancer)
    with lab.start(small(), placement=placement, balancer=balancer) as running, calling(running) as stub:
        for n in (1, 2, 3, 4):
            ask(stub)
            running.kill(f"service{n}b")
            assert {ask(stub) for _ in range(4)} == {"success"}


@pytest.mark.parametrize("balancer", [lab.BalancerName.HAPROXY, lab.BalancerName.ENVOY])
def test_calls_under_way_at_an_instance_that_is_killed_are_tried_elsewhere(
    balancer: lab.BalancerName,
) -> None:
    """Not by nginx: see its docstring."""
    require(balancer)
    placement, said = lab.PlacementName.PROCESSES, []
    with lab.start(small(), placement=placement, balancer=balancer) as running, calling(running) as stub:
        assert {ask(stub), ask(stub)} == {"success"}
        running.freeze("service1b")
        callers = [threading.Thread(target=lambda: said.append(ask(stub))) for _ in range(4)]
        for caller in callers:
            caller.start()
        while attempts(running, "service1")["service1b"][0] < 3:
            assert any(caller.is_alive() for caller in callers), "none came to it"
            time.sleep(0.01)
        running.kill("service1b")
        for caller in callers:
            caller.join()
        assert said == ["success"] * 4
        assert attempts(running, "service1")["service1b"][1] > 0


@pytest.mark.parametrize("balancer", GRPC_PROXIES)
def test_where_all_instances_are_dead_the_balancer_says_so_in_grpc(balancer: lab.BalancerName) -> None:
    require(balancer)
    with lab.start(small(), balancer=balancer) as running, calling(running) as stub:
        ask(stub)
        running.kill("service1a")
        running.kill("service1b")
        with pytest.raises(grpc.RpcError) as failed:
            ask(stub)
    assert failed.value.code() is grpc.StatusCode.UNAVAILABLE
    assert "service1a" in failed.value.details()
    assert ("answered-by", "service1-loadbalancer") in [tuple(m) for m in failed.value.trailing_metadata()]
