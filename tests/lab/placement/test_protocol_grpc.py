"""Topologies that speak gRPC, in both placements."""

from __future__ import annotations

import gc
import http.client
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace

import grpc
import pytest
from hypothesis import given
from hypothesis import strategies as st

import lab
from lab.errors import NotSupported
from lab.placement.ports import require_free
from services.rpc import pipeline_pb2 as pb
from services.rpc import pipeline_pb2_grpc as stubs
from tests.support.calling import ask, calling, placed
from tests.support.placing import attempts, claimed
from tests.support.waiting import wait_until

Claim = Callable[[lab.Topology], lab.Topology]
TEXT = lab.Work(lab.WorkKind.TEXT)
PLACEMENTS = [lab.PlacementName.IN_PROCESS, lab.PlacementName.PROCESSES]


def pairs(work: lab.Work = TEXT) -> lab.Topology:
    """Two instances of each service, over gRPC."""
    return lab.Topology.parallel(2).with_work(work).with_protocol(lab.ProtocolName.GRPC)


def errors(running: lab.Running, service: str) -> int:
    """Failed attempts that the balancer of a service counted."""
    return sum(each["errors"] for each in running.stats()[f"{service}-loadbalancer"]["stats"].values())


@pytest.fixture(scope="module")
def pair() -> Iterator[tuple[lab.Running, stubs.InputStub]]:
    """The same pipeline twice: its HTTP form, and calls on its gRPC form."""
    with ExitStack() as stack:
        topology = stack.enter_context(claimed(lab.Topology.sequential().with_work(TEXT)))
        _, stub = stack.enter_context(placed(pairs()))
        yield stack.enter_context(lab.start(topology)), stub


@given(text=st.text())
def test_both_protocols_give_the_same_result_on_the_same_text(
    pair: tuple[lab.Running, stubs.InputStub], text: str
) -> None:
    rest, stub = pair
    connection = http.client.HTTPConnection(rest.entry_url.split("/")[2], timeout=30)
    body = json.dumps({"text": text, "request_id": "r"})
    connection.request("POST", "/process", body, {"content-type": "application/json"})
    over_http = json.loads(connection.getresponse().read())
    connection.close()
    answer = ask(stub, text)
    assert over_http == {
        "status": answer.status,
        "message": answer.message,
        "word_count": answer.word_count,
        "report": answer.report,
        "top_words": [[top.word, top.count] for top in answer.top_words],
    }


@pytest.mark.parametrize("placement", PLACEMENTS)
def test_servers_can_be_killed_restarted_frozen_added_and_removed(placement: lab.PlacementName) -> None:
    with placed(pairs(), placement=placement) as (running, stub):
        running.kill("service1a")
        running.kill("service3b")
        assert not running.alive("service1a")
        for _ in range(4):
            assert ask(stub).word_count == 4
        running.restart("service3b")
        added = running.add_instance("service1")
        running.freeze("service4a")
        running.thaw("service4a")
        for _ in range(6):
            assert ask(stub).word_count == 4
        assert attempts(running, "service1")[added.name] > 0
        running.remove_instance(added.name)
        assert ask(stub).word_count == 4
        assert added.name not in attempts(running, "service1")
        assert "listen" in running.logs("service2a")
        assert running.cpu_seconds().servers_s


@pytest.mark.parametrize("placement", PLACEMENTS)
def test_one_instance_of_each_service_killed_under_load_fails_no_call(placement: lab.PlacementName) -> None:
    with placed(pairs(lab.Work(mean_ms=5, slots=8)), placement=placement) as (running, stub):
        said: list[str] = []
        over = threading.Event()

        def keep_calling() -> None:
            while not over.is_set():
                try:
                    said.append(ask(stub).status)
                except grpc.RpcError as error:
                    said.append(repr(error))

        callers = [threading.Thread(target=keep_calling) for _ in range(8)]
        for caller in callers:
            caller.start()
        for n in (1, 2, 3, 4):
            before = len(said)
            wait_until(lambda: len(said) >= before + 20)  # noqa: B023 (called in this turn of the loop)
            running.kill(f"service{n}b")
            wait_until(lambda: errors(running, f"service{n}") > 0)  # noqa: B023
        over.set()
        for caller in callers:
            caller.join()
        assert set(said) == {"success"}


def test_leaving_the_block_frees_every_port_whatever_is_in_flight(claim: Claim) -> None:
    topology = claim(lab.Topology.parallel(1).with_protocol(lab.ProtocolName.GRPC))
    forever = topology.with_work(lab.Work(mean_ms=600_000))
    with lab.start(forever) as running, calling(running) as stub:
        waiting = stub.Process.future(pb.TextRequest(text="x", request_id="r"), timeout=60)
        wait_until(lambda: attempts(running, "service1")["service1a"] == 1)
    with pytest.raises(grpc.RpcError):
        waiting.result()
    with lab.start(topology.with_work(TEXT)) as again, calling(again) as stub:
        assert ask(stub).word_count == 4


@pytest.mark.parametrize("balancer", [lab.BalancerName.CADDY, lab.BalancerName.TRAEFIK])
def test_a_balancer_that_is_not_set_up_for_grpc_names_those_that_are(balancer: lab.BalancerName) -> None:
    with pytest.raises(NotSupported, match=rf"{balancer} .* take nginx, haproxy, envoy, or the built-in"):
        lab.start(pairs(), balancer=balancer)


def test_what_runs_elsewhere_is_known_by_its_url_and_asked_in_its_protocol(claim: Claim) -> None:
    elsewhere = claim(pairs())
    with lab.start(elsewhere) as running:
        with (
            lab.start(lab.Topology.at(running.entry_url), placement=lab.PlacementName.REMOTE) as remote,
            calling(remote) as stub,
        ):
            assert ask(stub).word_count == 4
        with lab.start(elsewhere, placement=lab.PlacementName.REMOTE) as remote:
            assert sum(attempts(remote, "service1").values()) == 1


def test_when_one_server_cannot_start_none_of_the_others_goes_on(claim: Claim) -> None:
    topology = claim(pairs())
    first, *others = topology.services
    topology = replace(topology, services=(replace(first, app="somebody:create_app"), *others))
    with pytest.raises(NotSupported, match="service1 runs an application of its own"), lab.start(topology):
        pass
    require_free(topology.addresses())
    gc.collect()  # a server that was left running says so now, since its loop is closed
