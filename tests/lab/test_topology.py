"""Topologies are frozen data with the documented names and ports, consistent whatever is done to them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.names import TopologyName
from lab.topology import Balancer, Instance, Service, Topology
from services.balancer.settings import PolicyName
from services.balancer.tuning import Tuning
from services.names import ClientName, ProtocolName, WorkKind
from services.work import Work

SERVICES = ("service1", "service2", "service3", "service4")
replicas = st.integers(1, 12)
topologies = st.builds(Topology.sequential) | st.builds(Topology.parallel, replicas)


def test_the_sequential_topology_has_the_documented_names_and_ports() -> None:
    assert dict(Topology.sequential().ports()) == {
        "service1": 8051,
        "service2": 8052,
        "service3": 8053,
        "service4": 8054,
    }


def test_the_parallel_topology_has_the_documented_names_and_ports() -> None:
    topology = Topology.parallel()
    instances = {s.name: [(i.name[-1], i.port) for i in s.instances] for s in topology.services}
    assert instances == {
        "service1": [("a", 8051), ("b", 8055), ("c", 8057), ("d", 8059)],
        "service2": [("a", 8052), ("b", 8056), ("c", 8058), ("d", 8060)],
        "service3": [("a", 8053), ("b", 8065), ("c", 8067), ("d", 8069)],
        "service4": [("a", 8054), ("b", 8066), ("c", 8068), ("d", 8070)],
    }
    assert [(s.balancer.name, s.balancer.port) for s in topology.services if s.balancer] == [
        (f"service{n}-loadbalancer", 8060 + n) for n in (1, 2, 3, 4)
    ]


def test_a_request_enters_at_the_first_service_or_its_balancer() -> None:
    assert Topology.sequential().entry_url == "http://127.0.0.1:8051/process"
    assert Topology.parallel().entry_url == "http://127.0.0.1:8061/process"


def test_an_ipv6_host_stands_in_brackets_in_every_url() -> None:
    topology = Topology.at("http://[::1]:8051/process")
    assert topology.entry_url == "http://[::1]:8051/process"
    assert topology.with_protocol(ProtocolName.GRPC).entry_url == "grpc://[::1]:8051/pipeline.Input/Process"
    assert Balancer("x", 8061, "::1").url == "http://[::1]:8061"
    assert Instance("x", 8051, "::1").address == "[::1]:8051"


def test_each_service_calls_the_next_ones_balancer_and_the_last_calls_nobody() -> None:
    topology = Topology.parallel()
    assert [topology.next_url(name) for name in SERVICES] == [
        "http://127.0.0.1:8062/preprocess",
        "http://127.0.0.1:8063/analyze",
        "http://127.0.0.1:8064/report",
        None,
    ]


def test_fifth_instances_take_spare_ports_upwards_from_8071_in_order_of_service() -> None:
    fifth = [service.instances[4] for service in Topology.parallel(5).services]
    assert [(i.name, i.port) for i in fifth] == [
        (f"{name}e", port) for name, port in zip(SERVICES, (8071, 8072, 8073, 8074), strict=True)
    ]


def test_everything_listens_on_loopback() -> None:
    assert {host for _, host, _ in Topology.parallel(5).addresses()} == {"127.0.0.1"}


def test_a_service_of_several_instances_needs_a_balancer() -> None:
    with pytest.raises(ValueError, match="no balancer to choose"):
        Service("s", "/", (Instance("a", 1), Instance("b", 2)))


def test_a_service_needs_an_instance() -> None:
    with pytest.raises(ValueError, match="has no instance"):
        Service("s", "/", ())


def test_two_servers_cannot_want_the_same_port() -> None:
    with pytest.raises(ValueError, match="b and a both want port 9000"):
        Topology("x", (Service("s", "/", (Instance("a", 9000),)), Service("t", "/", (Instance("b", 9000),))))


def test_two_servers_cannot_share_a_name() -> None:
    with pytest.raises(ValueError, match="share a name"):
        Topology("x", (Service("s", "/", (Instance("a", 9000),), Balancer("a", 9001)),))


def test_a_service_that_is_not_there_is_an_error_that_names_those_that_are() -> None:
    with pytest.raises(KeyError, match=r"service1.*service4"):
        Topology.sequential().service("service9")


def test_a_topology_of_other_services_is_data_too() -> None:
    topology = Topology(
        "two",
        (
            Service("front", "/in", (Instance("front", 9000),)),
            Service("back", "/out", (Instance("back", 9001),)),
        ),
    )
    assert topology.entry_url == "http://127.0.0.1:9000/in"
    assert topology.next_url("front") == "http://127.0.0.1:9001/out"


@given(name=st.sampled_from(TopologyName), count=replicas)
def test_a_topology_can_be_had_by_name_with_its_replicas(name: TopologyName, count: int) -> None:
    topology = Topology.named(name, count)
    assert topology.name == name
    assert topology.replicas == (1 if name is TopologyName.SEQUENTIAL else count)


@given(count=replicas)
def test_every_service_has_the_replicas_asked_for_and_no_port_twice(count: int) -> None:
    topology = Topology.parallel(count)
    ports = [port for _, port in topology.ports()]
    assert {len(service.instances) for service in topology.services} == {count}
    assert len(set(ports)) == len(ports) == 4 * count + 4


@pytest.mark.parametrize(("replicas", "error"), [(0, ValueError), ("3", TypeError), (2.5, TypeError)])
def test_replicas_that_are_no_count_are_refused_by_name(replicas: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match=f"replicas is {replicas!r}"):
        Topology.parallel(replicas)
    with pytest.raises(error, match=f"replicas is {replicas!r}"):
        Topology.parallel().with_replicas("service1", replicas)


@given(few=replicas, many=replicas, name=st.sampled_from(SERVICES))
def test_replicas_of_one_service_leave_the_others_as_they_are(few: int, many: int, name: str) -> None:
    before, after = Topology.parallel(few), Topology.parallel(few).with_replicas(name, many)
    assert len(after.service(name).instances) == many
    assert [s for s in after.services if s.name != name] == [s for s in before.services if s.name != name]


@given(few=st.integers(1, 6), more=st.integers(0, 6), name=st.sampled_from(SERVICES))
def test_instances_that_were_there_keep_their_names_and_ports_when_more_come(
    few: int, more: int, name: str
) -> None:
    before, after = Topology.parallel(few), Topology.parallel(few).with_replicas(name, few + more)
    assert after.service(name).instances[:few] == before.service(name).instances


@given(topology=topologies, offset=st.integers(-8000, 57000))
def test_shifting_there_and_back_changes_nothing(topology: Topology, offset: int) -> None:
    assert topology.shifted(offset).shifted(-offset) == topology


@given(topology=topologies, offset=st.integers(-8000, 57000))
def test_shifting_moves_every_port_alike(topology: Topology, offset: int) -> None:
    assert [p + offset for _, p in topology.ports()] == [p for _, p in topology.shifted(offset).ports()]


@given(count=replicas, more=st.integers(1, 8), offset=st.integers(0, 50000))
def test_shifting_and_adding_instances_may_be_done_in_either_order(
    count: int, more: int, offset: int
) -> None:
    shifted_first = Topology.parallel(count).shifted(offset).with_replicas("service2", count + more)
    assert shifted_first == Topology.parallel(count).with_replicas("service2", count + more).shifted(offset)


@given(topology=topologies)
def test_a_port_beyond_the_last_is_refused(topology: Topology) -> None:
    with pytest.raises(ValueError, match="does not exist"):
        topology.shifted(65535)


@given(topology=topologies, mean_ms=st.floats(0, 1000))
def test_work_for_one_service_leaves_the_others_as_they_are(topology: Topology, mean_ms: float) -> None:
    work = Work(WorkKind.CPU, mean_ms)
    changed = topology.with_work({"service3": work})
    assert changed.service("service3").work == work
    assert {s.work for s in changed.services if s.name != "service3"} == {Work()}


@given(topology=topologies, client=st.sampled_from(ClientName))
def test_client_and_work_are_set_for_all_services_at_once(topology: Topology, client: ClientName) -> None:
    work = Work(mean_ms=7)
    changed = topology.with_client(client).with_work(work)
    assert {(s.client, s.work) for s in changed.services} == {(client, work)}


@given(policy=st.sampled_from(PolicyName))
def test_a_policy_is_set_in_every_balancer_and_nowhere_else(policy: PolicyName) -> None:
    changed = Topology.parallel().with_policy(policy)
    assert {s.balancer.policy for s in changed.services if s.balancer} == {policy}
    assert Topology.sequential().with_policy(policy) == Topology.sequential()


def test_what_is_chosen_by_name_may_be_given_by_its_plain_name() -> None:
    untyped: Any = Topology
    topology = untyped.named("sequential").with_client("httpx").with_protocol("grpc")
    assert topology == Topology.sequential().with_client(ClientName.HTTPX).with_protocol(ProtocolName.GRPC)
    assert topology.entry_url.startswith("grpc://")
    balancer = untyped.parallel().with_policy("power_of_two").services[0].balancer
    assert type(balancer.policy) is PolicyName


@pytest.mark.parametrize("change", ["with_client", "with_policy", "with_protocol", "named"])
def test_a_name_that_does_not_exist_is_refused_with_those_that_do(change: str) -> None:
    with pytest.raises(ValueError, match=r"must be one of .*, not 'nonsense'"):
        getattr(Topology.parallel(), change)("nonsense")


@given(count=st.integers(2, 8), which=st.integers(0, 7), name=st.sampled_from(SERVICES))
def test_an_instance_less_leaves_the_rest_in_their_places(count: int, which: int, name: str) -> None:
    before = Topology.parallel(count)
    gone = before.service(name).instances[which % count]
    after = before.without_instance(gone.name)
    assert set(before.ports()) - set(after.ports()) == {(gone.name, gone.port)}
    assert [s for s in after.services if s.name != name] == [s for s in before.services if s.name != name]


def test_the_last_instance_of_a_service_stays_and_a_balancer_is_none() -> None:
    with pytest.raises(ValueError, match="has no instance"):
        Topology.sequential().without_instance("service1")
    with pytest.raises(ValueError, match="is a balancer"):
        Topology.parallel().without_instance("service1-loadbalancer")


@given(topology=topologies)
def test_every_server_is_found_by_its_name_with_its_service(topology: Topology) -> None:
    for name, host, port in topology.addresses():
        service, server = topology.server(name)
        assert (server.name, server.host, server.port) == (name, host, port)
        assert server in (*service.instances, service.balancer)


def test_a_route_without_a_method_cannot_be_had_in_grpc() -> None:
    topology = Topology("x", (Service("front", "/in", (Instance("front", 9000),)),))
    with pytest.raises(ValueError, match=r"front answers /in, and only /process, .* have methods in gRPC"):
        topology.with_protocol(ProtocolName.GRPC)


def test_servers_on_different_hosts_may_share_a_port() -> None:
    here, there = Instance("here", 9000), Instance("there", 9000, "10.0.0.5")
    assert len(list(Topology("x", (Service("s", "/", (here,)), Service("t", "/", (there,)))).ports())) == 2


def test_a_topology_is_known_by_the_url_to_post_to() -> None:
    topology = Topology.at("http://10.0.0.5:9000/in")
    assert topology.entry_url == "http://10.0.0.5:9000/in"
    assert Topology.at("http://somewhere/in").services[0].instances[0].port == 80


@given(topology=topologies, protocol=st.sampled_from(ProtocolName))
def test_the_entrys_url_leads_back_to_it(topology: Topology, protocol: ProtocolName) -> None:
    known = Topology.at(topology.with_protocol(protocol).entry_url)
    assert known.entry_url == topology.with_protocol(protocol).entry_url
    assert known.protocol is protocol


@pytest.mark.parametrize(
    "url",
    [
        "somewhere",
        "https://somewhere/in",
        "http://somewhere",
        "http:///in",
        "grpc://somewhere/pipeline.Input/Process",
        "grpc://somewhere:9000/in",
    ],
)
def test_what_is_no_url_to_post_to_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="is no URL to post to"):
        Topology.at(url)


def test_every_balancer_is_tuned_and_a_second_tuning_takes_the_place_of_the_first() -> None:
    topology = Topology.parallel().with_tuning(retry_ratio=0).with_tuning({"failures": 3}, rise=1)
    assert topology.tuned
    assert {s.balancer.tuning for s in topology.services if s.balancer} == {Tuning.read("failures=3 rise=1")}
    assert not topology.with_tuning().tuned
    assert hash(topology) != hash(topology.with_tuning())


def test_a_topology_without_balancers_refuses_a_tuning_that_nothing_would_heed() -> None:
    assert Topology.sequential().with_tuning({}) == Topology.sequential()
    with pytest.raises(ValueError, match="sequential has no balancer, so there is nothing to tune"):
        Topology.sequential().with_tuning(retry_ratio=0)


def test_over_grpc_a_tuning_that_its_balancer_does_not_know_is_refused() -> None:
    tuned = Topology.parallel().with_tuning(head_limit_bytes=1000, retry_ratio=0)
    with pytest.raises(ValueError, match="tuning cannot set head_limit_bytes over grpc"):
        tuned.with_protocol(ProtocolName.GRPC)
    with pytest.raises(ValueError, match="over grpc"):
        Topology.parallel().with_protocol(ProtocolName.GRPC).with_tuning("connect_timeout_s=1")
    assert Topology.parallel().with_tuning(retry_ratio=0).with_protocol(ProtocolName.GRPC).tuned


@pytest.mark.parametrize(
    ("policy", "tuning", "limit"),
    [("random", {}, 0), ("central_queue", {}, 3), ("central_queue", {"in_flight_limit": 2}, 2)],
)
def test_an_instance_gets_as_many_at_once_as_policy_or_tuning_say(
    policy: str, tuning: dict[str, object], limit: int
) -> None:
    topology = Topology.parallel().with_policy(PolicyName(policy)).with_tuning(tuning)
    topology = topology.with_work(Work(slots=3))
    assert {service.in_flight_limit for service in topology.services} == {limit}
