"""An instance over gRPC fails as it is told to."""

from __future__ import annotations

import json

import grpc
import pytest

from services.rpc import pipeline_pb2 as pb
from services.rpc.fault_injection import _is_on_this_machine
from services.rpc.methods import ASK
from services.rpc.service import ServiceServer
from tests.support.rpc_serving import call, closed_port, service, serving

REPORT = "/pipeline.Report/Report"
REQUEST = pb.ReportRequest(
    analysis=pb.Analysis(word_count=1, unique_words=1), request_id="r"
).SerializeToString()
Code = grpc.StatusCode


async def tell(port: int, path: str = "/faults", **faults: float) -> int:
    """Set the faults of an instance; return the status of its answer."""
    request = pb.AdminRequest(method="POST", path=path, body=json.dumps(faults).encode())
    return pb.AdminResponse.FromString((await call(port, request.SerializeToString(), ASK)).body).status


@pytest.mark.parametrize(
    ("faults", "code", "executed"),
    [({"errors": 1.0}, Code.INTERNAL, 0), ({"drops": 1.0}, Code.UNAVAILABLE, 1), ({}, Code.OK, 1)],
)
async def test_an_instance_fails_as_it_is_told_and_an_error_is_not_executed(
    faults: dict[str, float], code: Code, executed: int
) -> None:
    server = ServiceServer(service(4, faults=True, ledger_limit=10))
    async with serving(server) as port:
        assert await tell(port, **faults) == 200
        ended = await call(port, REQUEST, REPORT)
        assert ended.code is code
        assert ("answered-by" in ended.metadata) is (code is Code.INTERNAL)
        assert server.ledger is not None
        assert sum(server.ledger.executed.values()) == executed


async def test_an_instance_is_slowed_down_and_brought_back() -> None:
    async with serving(server := ServiceServer(service(4, faults=True))) as port:
        usual = server.slots.work.mean_ms
        assert await tell(port, slowdown=4) == 200
        assert server.slots.work.mean_ms == 4 * usual
        assert await tell(port) == 200
        assert server.slots.work.mean_ms == usual


async def test_what_is_no_fault_is_refused_as_are_faults_that_settings_do_not_allow() -> None:
    async with serving(ServiceServer(service(4, faults=True))) as port:
        assert await tell(port, errors=2) == 422
        assert await tell(port, path="/elsewhere") == 404
        assert (await call(port, b"\xff", ASK)).code is Code.INVALID_ARGUMENT
    async with serving(ServiceServer(service(1, closed_port()))) as port:
        assert (await call(port, b"", ASK)).code is Code.UNIMPLEMENTED


@pytest.mark.parametrize(
    ("peer", "local"),
    [
        ("ipv4:127.0.0.1:40000", True),
        ("ipv6:%5B::1%5D:40000", True),
        ("ipv6:[::ffff:127.0.0.1]:40000", True),
        ("unix:", True),
        ("ipv4:192.0.2.1:40000", False),
        ("ipv6:%5B2001:db8::1%5D:40000", False),
        ("", False),
    ],
)
def test_a_peer_is_on_this_machine_by_its_address_as_grpc_writes_it(peer: str, local: bool) -> None:
    assert _is_on_this_machine(peer) is local
