"""Checks of the documented behaviour, made over gRPC on a topology that is up."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import grpc
from grpc_health.v1 import health_pb2

from lab.cli.acceptance import EXAMPLE, TIMEOUT_S, Check, unasked
from lab.cli.acceptance import attempts as attempts_over_http
from lab.names import BalancerName
from lab.topology import Topology
from services.addresses import address_of
from services.messages import TextRequest
from services.rpc import pipeline_pb2 as pb
from services.rpc.channels import CHANNEL_OPTIONS
from services.rpc.codec import MalformedError, decode_response, encode
from services.rpc.methods import METHODS
from services.rpc.statuses import text_metadata
from services.server_timing import SERVER_TIMING, metric_names

__all__ = ["acceptance", "report_of"]

_CHECK = "/grpc.health.v1.Health/Check"
_STATS = "/pipeline.Balancer/Stats"


@dataclass(frozen=True, slots=True)
class _Ended:
    code: grpc.StatusCode
    details: str
    body: bytes = b""
    metadata: Mapping[str, str] = field(default_factory=dict)


def acceptance(topology: Topology, balancer: BalancerName) -> Iterator[Check]:
    """Check the health, the documented example, bad input and the statistics of a topology that is up.

    Statistics of external balancers come over HTTP. Where nothing answers at the entry, that is the last
    check: all others would fail for the same reason.
    """
    unserving = set()
    for name, host, port in topology.addresses():
        ended = _call(host, port, _CHECK, health_pb2.HealthCheckRequest().SerializeToString())
        status = health_pb2.HealthCheckResponse.FromString(ended.body).status
        serving = status == health_pb2.HealthCheckResponse.SERVING
        yield Check(f"{name} is healthy", serving, _short(ended))
        if not serving:
            unserving.add(name)
    if topology.entry.name in unserving:
        yield unasked(topology.entry.name)
        return
    builtin = balancer is BalancerName.BUILTIN
    counting, place = (_attempts, "Stats") if builtin else (attempts_over_http, "/stats")
    before = counting(topology)
    yield from _example(topology, _post(topology, encode(TextRequest(**EXAMPLE))))
    yield from _bad_input(topology)
    for name, attempts in counting(topology).items():
        counted = attempts > before[name] >= 0
        yield Check(f"{name} counts its requests in {place}", counted, f"{before[name]}, then {attempts}")


def report_of(topology: Topology, text: str) -> str:
    """Send a text through the pipeline and return its report; empty if the answer has none."""
    ended = _post(topology, encode(TextRequest(text=text, request_id="lab-test")))
    return pb.PipelineResponse.FromString(ended.body).report


def _example(topology: Topology, ended: _Ended) -> Iterator[Check]:
    yield Check(f"a call of {topology.entry_url} ends OK", ended.code is grpc.StatusCode.OK, _short(ended))
    try:
        answer: Any = decode_response(ended.body)
    except MalformedError as error:
        yield Check("the answer is a result of the pipeline", False, str(error))
        return
    yield Check("word_count: 4", answer.word_count == 4, repr(answer.word_count))
    wanted = (("the", 2), ("cat", 2))
    yield Check("top_words: the 2, cat 2", answer.top_words == wanted, repr(answer.top_words))
    yield Check("report is a text", answer.report != "", repr(answer.report))
    timed = metric_names(ended.metadata.get(SERVER_TIMING, ""))
    named = {f"{service.name}-{part}" for service in topology.services for part in ("queue", "work")}
    yield Check("server-timing names queue and work of every service", named <= timed, repr(sorted(timed)))


def _bad_input(topology: Topology) -> Iterator[Check]:
    missing = pb.TextRequest(text="x").SerializeToString()
    for what, body in (("a missing field", missing), ("what is no protobuf", b"\xff\xff")):
        ended = _post(topology, body)
        invalid = ended.code is grpc.StatusCode.INVALID_ARGUMENT
        yield Check(f"{what} is answered INVALID_ARGUMENT", invalid, _short(ended))
    server = topology.entry
    ended = _call(server.host, server.port, "/pipeline.Nothing/Nothing", b"")
    unknown = ended.code is grpc.StatusCode.UNIMPLEMENTED
    yield Check("an unknown method is answered UNIMPLEMENTED", unknown, _short(ended))


def _attempts(topology: Topology) -> dict[str, int]:
    """Return the attempts that each balancer counted; -1 where its statistics are not as documented."""
    counts = {}
    for service in topology.services:
        if service.balancer:
            ended = _call(service.balancer.host, service.balancer.port, _STATS, b"")
            stats = pb.StatsResponse.FromString(ended.body)
            labels = [f"{instance.name}:{instance.port}" for instance in service.instances]
            total = sum(stats.stats[label].requests for label in labels)
            counts[service.balancer.name] = total if list(stats.instances) == labels else -1
    return counts


def _post(topology: Topology, body: bytes) -> _Ended:
    server = topology.entry
    return _call(server.host, server.port, METHODS[topology.services[0].path], body)


def _call(host: str, port: int, method: str, body: bytes) -> _Ended:
    with grpc.insecure_channel(address_of(host, port), options=CHANNEL_OPTIONS) as channel:
        calling: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(method)
        try:
            answer, call = calling.with_call(body, timeout=TIMEOUT_S)
        except grpc.RpcError as error:
            return _Ended(error.code(), error.details() or "")
        return _Ended(grpc.StatusCode.OK, "", answer, text_metadata(call.trailing_metadata()))


def _short(ended: _Ended) -> str:
    return f"{ended.code.name} {ended.details}"
