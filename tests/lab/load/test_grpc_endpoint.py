"""Load over gRPC accounts for every request as load over HTTP does."""

from __future__ import annotations

import asyncio
import socket
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

import grpc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.arrivals import Closed, Constant
from lab.errors import BadParameter
from lab.load.endpoints import endpoint_of
from lab.load.grpc_endpoint import rpc_messages
from lab.load.requests import numbered
from lab.load.run import run
from lab.load.spec import LoadSpec, PipelineBody
from lab.placement.background import BackgroundLoop
from services.rpc.codec import decode_text
from services.rpc.server import GrpcServer

METHOD = "/any.Service/Method"
Answer = Callable[[bytes, object], Awaitable[bytes]]


@contextmanager
def serving(answer: Answer) -> Iterator[str]:
    """A server in a thread of its own; gives the URL of its method."""
    loop = BackgroundLoop("scripted gRPC server")
    loop.start()
    sock = socket.create_server(("127.0.0.1", 0))
    url = f"grpc://127.0.0.1:{sock.getsockname()[1]}{METHOD}"

    async def start() -> GrpcServer:
        server = GrpcServer({METHOD: answer}, 1 << 20)
        await server.start(sock)
        return server

    server = loop.run(start(), 10)
    try:
        yield url
    finally:
        loop.run(server.stop(0), 10)
        loop.close(10)


class Scripted:
    """Answers in turn: well, with a status of its own, with a broken connection's."""

    def __init__(self) -> None:
        self.seen: list[bytes] = []

    async def answer(self, request: bytes, context: object) -> bytes:
        self.seen.append(request)
        timing = ("server-timing", "a-work;dur=2.5")
        match len(self.seen) % 3:
            case 0:
                signed = (("answered-by", "a"), timing)
                await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "full", signed)  # type: ignore[attr-defined]
            case 1:
                await context.abort(grpc.StatusCode.UNAVAILABLE, "Socket closed")  # type: ignore[attr-defined]
        context.set_trailing_metadata((timing,))  # type: ignore[attr-defined]
        return b"answer"


@pytest.mark.parametrize("load", [Closed(4), Constant(100)])
def test_every_call_is_accounted_for_by_what_became_of_it(load: Closed | Constant) -> None:
    scripted = Scripted()
    with serving(scripted.answer) as url:
        result = run(LoadSpec(url=url, load=load, duration_s=0.5, warmup_s=0.1, body=b"request"))
    served: Counter[str] = Counter()
    for turn in range(1, len(scripted.seen) + 1):
        served[("grpc_resource_exhausted", "reset", "http_200")[turn % 3]] += 1
    assert result.totals == served
    assert set(scripted.seen) == {b"request"}
    assert result.stages_ms == {"a-work": 2.5}


def test_an_open_loop_calls_as_often_as_its_schedule_says() -> None:
    async def answer(request: bytes, context: object) -> bytes:  # noqa: ARG001
        return b""

    with serving(answer) as url:
        result = run(LoadSpec(url=url, load=Constant(200), duration_s=0.5, warmup_s=0.1))
    assert set(result.totals) == {"http_200"}
    assert result.sent_in_all + result.dropped_in_all == 120


def test_a_call_without_an_answer_is_a_read_timeout() -> None:
    async def answer(request: bytes, context: object) -> bytes:  # noqa: ARG001
        await asyncio.sleep(60)
        return b""

    with serving(answer) as url:
        result = run(LoadSpec(url=url, load=Closed(3), duration_s=0.3, warmup_s=0.0, read_timeout_s=0.2))
    assert result.totals.keys() == {"read_timeout"}


def test_where_no_server_listens_calls_are_refused_and_none_is_sent() -> None:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        port = sock.getsockname()[1]
    url = f"grpc://127.0.0.1:{port}{METHOD}"
    result = run(LoadSpec(url=url, load=Constant(50), duration_s=0.5, warmup_s=0.0))
    assert result.totals == {"refused": 25 - result.dropped_in_all}
    assert result.sent_in_all == 0


@given(st.lists(st.text(max_size=300), min_size=1, max_size=3), st.text("abc0{}", max_size=5))
def test_each_message_has_its_text_and_an_id_of_its_own(texts: list[str], prefix: str) -> None:
    render = numbered([(b"", message) for message in rpc_messages(texts, prefix)], prefix)
    found = [decode_text(render()) for _ in range(2 * len(texts))]
    assert [each.text for each in found] == texts * 2
    assert [each.request_id for each in found] == [f"{prefix}-{n:010d}" for n in range(2 * len(texts))]


def test_calls_go_to_the_first_address_of_a_name_that_takes_them(name_here: Callable[..., None]) -> None:
    async def answer(request: bytes, context: object) -> bytes:  # noqa: ARG001
        return b""

    name_here("pipeline.test", "::1", "127.0.0.1")  # in this process; the generator's knows nothing of it
    with serving(answer) as url:
        named = url.replace("127.0.0.1", "pipeline.test")
        result = run(LoadSpec(url=named, load=Closed(2), duration_s=0.2, warmup_s=0.0))
    assert result.totals.keys() == {"http_200"}


def test_a_url_without_a_port_is_refused() -> None:
    with pytest.raises(BadParameter, match="port"):
        endpoint_of(
            LoadSpec(url="grpc://127.0.0.1/a.B/C", load=Closed(1), body=PipelineBody()), ["127.0.0.1"]
        )
