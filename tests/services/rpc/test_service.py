"""The services over gRPC: one port each, and the chain of them."""

from __future__ import annotations

import asyncio
import socket

import grpc
import pytest
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2

from services.messages import Analysis, ReportRequest, TextRequest
from services.names import WorkKind
from services.rpc.channels import open_channel
from services.rpc.codec import decode_response, encode
from services.rpc.server import GrpcServer
from services.rpc.service import ServiceServer
from services.settings import SettingsError
from services.work import Work
from tests.support.rpc_serving import (
    PROCESS,
    REPORT,
    call,
    closed_port,
    pipeline,
    service,
    serving,
)
from tests.support.waiting import eventually

Code = grpc.StatusCode
SLOW = Work(WorkKind.IO, mean_ms=60_000)
CHECK = "/grpc.health.v1.Health/Check"


async def test_the_chain_answers_the_documented_example_and_says_where_the_time_went() -> None:
    async with pipeline() as port:
        ended = await call(port)
        answer = decode_response(ended.body)
        assert (answer.status, answer.word_count) == ("success", 4)
        assert answer.top_words == (("the", 2), ("cat", 2))
        named = [entry.partition(";")[0].strip() for entry in ended.metadata["server-timing"].split(",")]
        assert named == [f"service{n}-{part}" for n in (1, 2, 3, 4) for part in ("queue", "work")]


@pytest.mark.parametrize(
    "request_bytes", [b"", b"\xff\xff\xff", encode(TextRequest(text="x", request_id="r"))[:3]]
)
async def test_what_is_no_request_is_an_invalid_argument_in_the_name_of_the_service(
    request_bytes: bytes,
) -> None:
    async with pipeline() as port:
        ended = await call(port, request_bytes)
        assert ended.code is Code.INVALID_ARGUMENT
        assert ended.metadata["answered-by"] == "service1"


async def test_a_message_above_the_limit_is_resource_exhausted_and_the_next_is_served() -> None:
    async with pipeline(body_limit_bytes=1000) as port:
        large = encode(TextRequest(text="x" * 1001, request_id="r"))
        assert (await call(port, large)).code is Code.RESOURCE_EXHAUSTED
        assert (await call(port)).code is Code.OK


async def test_a_message_of_the_very_limit_comes_through_all_four() -> None:
    word = "x" * (1000 - len(encode(TextRequest(text="x" * 500, request_id="r"))) + 500)
    request = encode(TextRequest(text=word, request_id="r"))
    assert len(request) == 1000
    async with pipeline(body_limit_bytes=1000) as port:
        assert decode_response((await call(port, request)).body).top_words == ((word, 1),)


@pytest.mark.parametrize("method", [PROCESS, CHECK])
async def test_a_call_without_a_message_fails_at_once(method: str) -> None:
    async with pipeline() as port:
        channel = open_channel(f"127.0.0.1:{port}")
        calling = channel.stream_unary(method)(iter(()), timeout=3600)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await calling
        assert caught.value.code() is Code.INVALID_ARGUMENT
        await channel.close()


async def test_an_analysis_whose_counts_contradict_each_other_is_an_invalid_argument() -> None:
    request = encode(ReportRequest(analysis=Analysis(1, (("a", 2),), 1), request_id="r"))
    async with serving(ServiceServer(service(4))) as port:
        ended = await call(port, request, REPORT)
        assert (ended.code, ended.metadata["answered-by"]) == (Code.INVALID_ARGUMENT, "service4")


async def test_an_unknown_method_is_unimplemented() -> None:
    async with pipeline() as port:
        assert (await call(port, method=REPORT)).code is Code.UNIMPLEMENTED


async def test_a_full_queue_is_resource_exhausted_with_the_time_to_come_back_also_from_further_down() -> None:
    full = Work(WorkKind.IO, mean_ms=60_000, queue_limit=0)
    last = ServiceServer(service(4, work=full))
    async with serving(last) as port, serving(ServiceServer(service(3, port))) as third:
        first = asyncio.ensure_future(call(third, method="/pipeline.Analyze/Analyze", timeout=20))
        await eventually(lambda: last.slots.busy == 1)
        ended = await call(third, method="/pipeline.Analyze/Analyze")
        assert ended.code is Code.RESOURCE_EXHAUSTED
        assert ended.metadata["retry-after"] == "1"
        assert ended.metadata["answered-by"] == "service4"
        first.cancel()
        await asyncio.wait([first])


async def test_a_deadline_travels_along_the_chain_less_what_was_spent() -> None:
    left: list[float] = []

    async def last(request: bytes, context: object) -> bytes:  # noqa: ARG001
        left.append(context.time_remaining())  # type: ignore[attr-defined]
        return b""

    async with (
        serving(GrpcServer({REPORT: last}, 1 << 20)) as port,
        serving(ServiceServer(service(3, port, work=Work(mean_ms=100)))) as third,
    ):
        await call(third, method="/pipeline.Analyze/Analyze", timeout=5)
    assert 0 < left[0] <= 4.95  # gRPC rounds time-outs


async def test_a_client_out_of_time_is_told_so_and_the_slot_is_free_again() -> None:
    last = ServiceServer(service(4, work=SLOW))
    async with serving(last) as port, serving(ServiceServer(service(3, port))) as third:
        ended = await call(third, method="/pipeline.Analyze/Analyze", timeout=0.2)
        assert ended.code is Code.DEADLINE_EXCEEDED
        await eventually(lambda: last.slots.busy == 0)


async def test_a_hop_that_takes_too_long_is_deadline_exceeded_and_named() -> None:
    async with (
        serving(ServiceServer(service(4, work=SLOW))) as port,
        serving(ServiceServer(service(3, port, timeout_s=0.2))) as third,
    ):
        ended = await call(third, method="/pipeline.Analyze/Analyze")
        assert ended.code is Code.DEADLINE_EXCEEDED
        assert "service4" in ended.details


async def test_a_hop_that_is_not_there_is_unavailable_and_named() -> None:
    async with serving(ServiceServer(service(1, closed_port()))) as port:
        ended = await call(port)
        assert ended.code is Code.UNAVAILABLE
        assert "service2" in ended.details
        assert ended.metadata["answered-by"] == "service1"


async def test_a_hop_that_answers_with_no_result_of_the_pipeline_is_unavailable() -> None:
    async def nonsense(request: bytes, context: object) -> bytes:  # noqa: ARG001
        return b"nonsense"

    async with (
        serving(GrpcServer({"/pipeline.Preprocess/Preprocess": nonsense}, 1 << 20)) as port,
        serving(ServiceServer(service(1, port))) as first,
    ):
        ended = await call(first)
        assert ended.code is Code.UNAVAILABLE
        assert "not with a result" in ended.details


async def test_a_fault_of_the_service_itself_is_internal_and_never_unknown(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    server = ServiceServer(service(1, closed_port()))
    monkeypatch.setattr(server.slots, "_spend", None)
    async with serving(server) as port:
        ended = await call(port)
        assert ended.code is Code.INTERNAL
        assert ended.details == "service1 failed: TypeError"


async def test_the_standard_health_check_answers_for_the_server_and_its_service_until_it_drains() -> None:
    async with serving(ServiceServer(service(1, closed_port()))) as port:
        for name in ("", "pipeline.Input"):
            request = health_pb2.HealthCheckRequest(service=name).SerializeToString()
            ended = await call(port, request, CHECK)
            answer = health_pb2.HealthCheckResponse.FromString(ended.body)
            assert answer.status == health_pb2.HealthCheckResponse.SERVING


async def test_reflection_names_the_service() -> None:
    async with serving(ServiceServer(service(1, closed_port()))) as port:
        channel = open_channel(f"127.0.0.1:{port}")
        ask = channel.stream_stream(
            "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
            request_serializer=reflection_pb2.ServerReflectionRequest.SerializeToString,
            response_deserializer=reflection_pb2.ServerReflectionResponse.FromString,
        )
        question = reflection_pb2.ServerReflectionRequest(list_services="")
        answers = [answer async for answer in ask(iter([question]))]
        await channel.close()
    named = {each.name for each in answers[0].list_services_response.service}
    assert {"pipeline.Input", "grpc.health.v1.Health"} <= named


async def test_a_frozen_server_answers_nothing_until_it_thaws() -> None:
    async with serving(server := ServiceServer(service(4))) as port:
        server.freeze()
        assert (await call(port, b"", REPORT, timeout=0.2)).code is Code.DEADLINE_EXCEEDED
        assert (await call(port, b"", CHECK, timeout=0.2)).code is Code.DEADLINE_EXCEEDED
        waiting = asyncio.ensure_future(call(port, b"", CHECK))
        server.thaw()
        assert (await waiting).code is Code.OK


async def test_a_killed_server_cuts_its_calls_and_frees_its_port_at_once() -> None:
    server = ServiceServer(service(4, work=SLOW))
    async with serving(server) as port, serving(ServiceServer(service(3, port))) as third:
        calling = asyncio.ensure_future(call(third, method="/pipeline.Analyze/Analyze"))
        await eventually(lambda: server.slots.busy == 1)
        server.abort()
        await server.stop(0)
        assert (await calling).code is Code.UNAVAILABLE
        socket.create_server(("127.0.0.1", port)).close()


async def test_two_servers_do_not_share_a_port_unawares() -> None:
    async with serving(ServiceServer(service(4))) as port:
        second = GrpcServer({PROCESS: None}, 100)  # type: ignore[dict-item]
        taken = _Elsewhere(port)
        with pytest.raises(RuntimeError, match="bind"):
            await second.start(taken)  # type: ignore[arg-type]
        await second.stop(0)


class _Elsewhere:
    """A socket that says that it listens on a port."""

    def __init__(self, port: int) -> None:
        self._port = port

    def getsockname(self) -> tuple[str, int]:
        return "127.0.0.1", self._port

    def close(self) -> None:
        pass


async def test_settings_that_make_no_service_are_refused() -> None:
    with pytest.raises(SettingsError, match="SERVICE_PATH"):
        ServiceServer(service(1, 1, path="/nowhere"))


async def test_answers_pass_whatever_their_length() -> None:
    word = "w" * 5_000_000  # which the answer holds twice
    async with pipeline() as port:
        ended = await call(port, encode(TextRequest(text=word, request_id="r")))
        assert decode_response(ended.body).top_words == ((word, 1),)
