"""Topologies that speak gRPC, in both placements."""

from __future__ import annotations

import gc
import http.client
import json
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace

import grpc
import pytest
from hypothesis import given
from hypothesis import strategies as st

import lab
from lab.arrivals import Closed
from lab.errors import NotSupported
from lab.load.run import run
from lab.load.spec import LoadSpec, PipelineBody
from lab.placement.ports import free_offset, require_free
from services.rpc import pipeline_pb2 as pb
from services.rpc import pipeline_pb2_grpc as stubs
from services.rpc.channels import CHANNEL_OPTIONS

TEXT = lab.Work(lab.WorkKind.TEXT)
PLACEMENTS = [lab.PlacementName.IN_PROCESS, lab.PlacementName.PROCESSES]


def moved(topology: lab.Topology) -> lab.Topology:
    """On free ports."""
    return topology.shifted(free_offset(topology))


def over_grpc(topology: lab.Topology) -> lab.Topology:
    """The same in gRPC, on free ports."""
    return moved(topology.with_protocol(lab.ProtocolName.GRPC))


@contextmanager
def calling(running: lab.Running) -> Iterator[stubs.InputStub]:
    """Calls on the entry, with the generated stub."""
    address = running.entry_url.split("/")[2]
    with grpc.insecure_channel(address, options=CHANNEL_OPTIONS) as channel:
        yield stubs.InputStub(channel)


def ask(stub: stubs.InputStub, text: str = "The cat, the CAT") -> pb.PipelineResponse:
    """One call on the pipeline."""
    return stub.Process(pb.TextRequest(text=text, request_id="r"), timeout=20)


def attempts(running: lab.Running) -> dict[str, int]:
    """Attempts by label at the first service's instances."""
    stats = running.stats()["service1-loadbalancer"]["stats"]
    return {label: counted["requests"] for label, counted in stats.items()}


@pytest.fixture(scope="module")
def pair() -> Iterator[tuple[lab.Running, stubs.InputStub]]:
    """The same pipeline twice: its HTTP form, and calls on its gRPC form."""
    with ExitStack() as stack:
        rest = stack.enter_context(lab.start(moved(lab.Topology.sequential().with_work(TEXT))))
        rpc = stack.enter_context(lab.start(over_grpc(lab.Topology.parallel(2).with_work(TEXT))))
        yield rest, stack.enter_context(calling(rpc))


@given(text=st.text())
def test_both_protocols_give_the_same_result_on_the_same_text(
    pair: tuple[lab.Running, stubs.InputStub], text: str
) -> None:
    rest, stub = pair
    connection = http.client.HTTPConnection(rest.entry_url.split("/")[2], timeout=20)
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
    topology = over_grpc(lab.Topology.parallel(2).with_work(TEXT))
    with lab.start(topology, placement=placement) as running, calling(running) as stub:
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
        assert attempts(running)[f"{added.name}:{added.port}"] > 0
        running.remove_instance(added.name)
        assert ask(stub).word_count == 4
        assert f"{added.name}:{added.port}" not in attempts(running)
        assert "listen" in running.logs("service2a")
        assert running.cpu_seconds().servers_s


@pytest.mark.parametrize("placement", PLACEMENTS)
def test_one_instance_of_each_service_killed_under_load_fails_no_call(placement: lab.PlacementName) -> None:
    work = lab.Work(mean_ms=5)
    with lab.start(over_grpc(lab.Topology.parallel(2).with_work(work)), placement=placement) as running:

        def kill() -> None:
            for n in (1, 2, 3, 4):
                time.sleep(0.2)
                running.kill(f"service{n}b")

        killer = threading.Thread(target=kill)
        killer.start()
        load = run(
            LoadSpec(url=running.entry_url, load=Closed(8), duration_s=1.5, warmup_s=0.1, body=PipelineBody())
        )
        killer.join()
        assert load.totals.keys() == {"http_200"}
        errors = [sum(i["errors"] for i in each["stats"].values()) for each in running.stats().values()]
        assert all(errors), "nobody noticed the kill"


def test_leaving_the_block_frees_every_port_whatever_is_in_flight() -> None:
    topology = over_grpc(lab.Topology.sequential().with_work(lab.Work(mean_ms=60_000)))
    with lab.start(topology) as running, calling(running) as stub:
        waiting = stub.Process.future(pb.TextRequest(text="x", request_id="r"), timeout=20)
        time.sleep(0.1)
    with pytest.raises(grpc.RpcError):
        waiting.result()
    with lab.start(topology.with_work(TEXT)) as again, calling(again) as stub:
        assert ask(stub).word_count == 4


@pytest.mark.parametrize("balancer", [lab.BalancerName.CADDY, lab.BalancerName.TRAEFIK])
def test_a_balancer_that_is_not_set_up_for_grpc_names_those_that_are(balancer: lab.BalancerName) -> None:
    with pytest.raises(NotSupported, match=rf"{balancer} .* take nginx, haproxy, envoy, or the built-in"):
        lab.start(over_grpc(lab.Topology.parallel()), balancer=balancer)


def test_what_runs_elsewhere_is_known_by_its_url_and_asked_in_its_protocol() -> None:
    elsewhere = over_grpc(lab.Topology.parallel(2).with_work(TEXT))
    with lab.start(elsewhere) as running:
        with (
            lab.start(lab.Topology.at(running.entry_url), placement=lab.PlacementName.REMOTE) as remote,
            calling(remote) as stub,
        ):
            assert ask(stub).word_count == 4
        with lab.start(elsewhere, placement=lab.PlacementName.REMOTE) as remote:
            assert sum(attempts(remote).values()) == 1


def test_when_one_server_cannot_start_none_of_the_others_goes_on() -> None:
    topology = over_grpc(lab.Topology.parallel(2))
    first, *others = topology.services
    topology = replace(topology, services=(replace(first, app="somebody:create_app"), *others))
    with pytest.raises(NotSupported, match="service1 runs an application of its own"), lab.start(topology):
        pass
    require_free(topology.addresses())
    gc.collect()  # a server that was left running says so now, since its loop is closed
