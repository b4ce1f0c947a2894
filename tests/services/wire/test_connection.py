"""A connection hands over what comes, whatever way it is framed, and says how it failed."""

from __future__ import annotations

import asyncio
import socket
import time

import pytest

from services.wire import BrokenAnswer, Connection, FailureKind, NoAnswer, NotConnected, NotSent
from tests.support.waiting import eventually
from tests.support.wire_peers import BOTH_LOOPS, Record, answering, listening, reset

GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
HEAD = b"HEAD / HTTP/1.1\r\nHost: x\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-A: b\r\n\r\nhello"

WHOLE = {
    "content-length": (OK, 200, b"hello", True),
    "empty body": (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 200, b"", True),
    "chunked": (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2;ext=1\r\nlo\r\n0\r\n\r\n",
        200,
        b"hello",
        True,
    ),
    "chunked with trailers": (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX-T: 1\r\n\r\n",
        200,
        b"hello",
        True,
    ),
    "204": (b"HTTP/1.1 204 No Content\r\n\r\n", 204, b"", True),
    "304 with a length": (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", 304, b"", True),
    "connection: close": (
        b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello",
        200,
        b"hello",
        False,
    ),
    "HTTP/1.0": (b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello", 200, b"hello", False),
    "interim answers first": (
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + OK,
        200,
        b"hello",
        True,
    ),
}


@pytest.mark.parametrize("collect_headers", [True, False])
@pytest.mark.parametrize("name", WHOLE)
async def test_an_answer_comes_through_in_whatever_way_it_is_framed(name, collect_headers):
    answer, status, body, reusable = WHOLE[name]

    async with listening(answering(answer)) as peer:
        connection = await Connection.open(
            "127.0.0.1", peer.port, timeout_s=30, collect_headers=collect_headers
        )
        exchange = Record()
        connection.send(exchange, GET)
        await exchange.over.wait()
        assert exchange.ends == [None]
        assert (exchange.status, exchange.body) == (status, body)
        assert connection.idle is reusable
        assert collect_headers or exchange.headers == []
        connection.close()


@pytest.mark.parametrize(
    "before",
    [
        b"",
        b"\r\n",
        b"\r\n\r\n",
        b"\n",
        b"HTTP/1.1 100 Continue\r\n\r\n",
        b"\r\nHTTP/1.1 100 Continue\r\n\r\n\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n\r\n",
    ],
)
async def test_the_raw_head_is_the_final_answers_whatever_comes_before_it(before):
    async with listening(answering(before + OK)) as peer:
        connection = await Connection.open("127.0.0.1", peer.port, timeout_s=30, collect_headers=False)
        heads = []

        class Heads(Record):
            def on_head(self, status, headers):  # noqa: ARG002
                heads.append(connection.raw_head)

        exchange = Heads()
        connection.send(exchange, GET)
        await exchange.over.wait()
        assert (heads, exchange.ends) == ([OK.partition(b"\r\n\r\n")[0]], [None])
        connection.close()


async def test_an_exchange_that_raises_fails_as_if_the_answer_were_no_http():
    """Not as `aborted`, which would say that the answer was not wanted."""

    class Fussy(Record):
        def on_head(self, status, headers):  # noqa: ARG002
            raise LookupError("what an odd answer")

    raised = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: raised.append(context))
    async with listening(answering(OK)) as peer:
        connection = await Connection.open("127.0.0.1", peer.port, timeout_s=30)
        exchange = Fussy()
        connection.send(exchange, GET)
        await exchange.over.wait()
        assert exchange.error.kind is FailureKind.PROTOCOL_ERROR
        await eventually(lambda: raised)


@pytest.mark.parametrize("collect_headers", [True, False])
@pytest.mark.parametrize(
    "head", [b"HTTP/1.1 200 OK\r\n\r\n", b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.0 200 OK\r\n\r\n"]
)
async def test_an_answer_without_a_length_ends_where_the_peer_closes(head, collect_headers):
    body = b"text\r\nContent-Length: 7\r\n\r\n"  # what looks like a head is none: it is the body

    async with listening(answering(head + body, then_close=True)) as peer:
        connection = await Connection.open(
            "127.0.0.1", peer.port, timeout_s=30, collect_headers=collect_headers
        )
        exchange = Record()
        connection.send(exchange, GET)
        await exchange.over.wait()
        assert exchange.ends == [None]
        assert exchange.body == body
        assert not connection.idle


@pytest.mark.parametrize("name", WHOLE)
async def test_it_does_not_matter_how_the_bytes_are_cut(name):
    answer, status, body, _ = WHOLE[name]

    async def dribble(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        for i in range(len(answer)):
            writer.write(answer[i : i + 1])
            await writer.drain()
            await asyncio.sleep(0)
        await reader.read()

    async with listening(dribble) as peer:
        connection = await Connection.open("127.0.0.1", peer.port, timeout_s=30)
        exchange = Record()
        connection.send(exchange, GET)
        await exchange.over.wait()
        assert (exchange.ends, exchange.status, exchange.body) == ([None], status, body)
        connection.close()


async def test_interim_answers_are_told_apart_from_the_final_one():
    async with listening(answering(WHOLE["interim answers first"][0])) as peer:
        connection = await Connection.open("127.0.0.1", peer.port, timeout_s=30)
        exchange = Record()
        connection.send(exchange, GET)
        await exchange.over.wait()
        assert exchange.interim == [100, 103]
        assert exchange.headers == [(b"Content-Length", b"5"), (b"X-A", b"b")]
        connection.close()


async def test_an_answer_to_head_has_no_body_and_the_connection_goes_on():
    to_head = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"

    async with listening(answering(to_head, OK)) as peer:
        connection = await Connection.open("127.0.0.1", peer.port, timeout_s=30)
        first, second = Record(), Record()
        connection.send(first, HEAD, is_head=True)
        await first.over.wait()
        assert (first.ends, first.body) == ([None], b"")
        connection.send(second, GET)
        await second.over.wait()
        assert (second.ends, second.body) == ([None], b"hello")
        connection.close()


async def test_one_connection_carries_many_exchanges():
    async with listening(answering(*[OK] * 50)) as peer:
        connection = await Connection.open("127.0.0.1", peer.port, timeout_s=30)
        for _ in range(50):
            assert connection.idle
            exchange = Record()
            connection.send(exchange, GET)
            assert not connection.idle
            await exchange.over.wait()
            assert exchange.body == b"hello"
        assert peer.connections == 1
        connection.close()


@pytest.mark.parametrize("extra", [b"HTT", OK, b"\x00", b"hello"])
async def test_bytes_after_an_answer_spoil_the_connection_and_not_the_answer(extra):
    async with listening(answering(OK + extra)) as peer:
        connection = await Connection.open("127.0.0.1", peer.port, timeout_s=30)
        exchange = Record()
        connection.send(exchange, GET)
        await exchange.over.wait()
        assert (exchange.ends, exchange.body) == ([None], b"hello")
        assert not connection.idle


async def test_a_body_after_the_answer_to_head_spoils_the_connection():
    async with listening(answering(OK)) as peer:
        connection = await Connection.open("127.0.0.1", peer.port, timeout_s=30)
        exchange = Record()
        connection.send(exchange, HEAD, is_head=True)
        await exchange.over.wait()
        assert (exchange.ends, exchange.body) == ([None], b"")
        assert not connection.idle


@pytest.mark.parametrize("farewell", [b"", b"HTTP/1.1 408 Request Timeout\r\n\r\n"])
async def test_a_peer_that_closes_or_speaks_unasked_is_noticed_while_idle(farewell):
    async def handler(_reader, writer):
        writer.write(farewell)

    async with listening(handler) as peer:
        connection = await Connection.open("127.0.0.1", peer.port, timeout_s=30)
        gone = asyncio.Event()
        connection.on_closed = lambda _: gone.set()
        await gone.wait()
        assert not connection.idle
        exchange = Record()
        connection.send(exchange, GET)
        assert isinstance(exchange.error, NotSent)


BROKEN = {
    "nothing": (b"", NoAnswer, FailureKind.CLOSED_EARLY),
    "half a head": (b"HTTP/1.1 200 OK\r\nContent-", BrokenAnswer, FailureKind.CLOSED_EARLY),
    "only an interim answer": (b"HTTP/1.1 100 Continue\r\n\r\n", BrokenAnswer, FailureKind.CLOSED_EARLY),
    "a short body": (
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello",
        BrokenAnswer,
        FailureKind.SHORT_BODY,
    ),
    "a short body, then close": (
        b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 9\r\n\r\nhello",
        BrokenAnswer,
        FailureKind.SHORT_BODY,
    ),
    "no last chunk": (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
        BrokenAnswer,
        FailureKind.SHORT_BODY,
    ),
    "garbage": (b"\x16\x03\x01 this is not HTTP", BrokenAnswer, FailureKind.PROTOCOL_ERROR),
    "a bad chunk size": (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nhello\r\n0\r\n\r\n",
        BrokenAnswer,
        FailureKind.PROTOCOL_ERROR,
    ),
    "two framings": (
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        BrokenAnswer,
        FailureKind.PROTOCOL_ERROR,
    ),
    "another protocol": (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\nxxx",
        BrokenAnswer,
        FailureKind.PROTOCOL_ERROR,
    ),
    "an endless head": (
        b"HTTP/1.1 200 OK\r\n" + b"X-A: " + b"b" * 70_000,
        BrokenAnswer,
        FailureKind.TOO_LARGE,
    ),
}


@pytest.mark.parametrize("collect_headers", [True, False])
@pytest.mark.parametrize("name", BROKEN)
async def test_a_broken_answer_is_named(name, collect_headers):
    answer, kind_of_error, kind = BROKEN[name]

    async with listening(answering(answer, then_close=True)) as peer:
        connection = await Connection.open(
            "127.0.0.1", peer.port, timeout_s=30, collect_headers=collect_headers
        )
        exchange = Record()
        connection.send(exchange, GET)
        await exchange.over.wait()
        assert type(exchange.error) is kind_of_error
        assert exchange.error.kind is kind
        assert f"127.0.0.1:{peer.port}" in str(exchange.error)
        assert not connection.idle


@pytest.mark.parametrize("interim", [b"", b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"])
@pytest.mark.parametrize("pause", [0, 1])
@pytest.mark.parametrize(("size", "fits"), [(60_000, True), (100_000, False)])
async def test_a_head_is_taken_or_refused_by_its_size_however_it_is_cut(size, fits, pause, interim):
    body = b"x" * 200_000  # which is no part of it
    head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nX-A: %s\r\n\r\n" % (len(body), b"b" * size)

    class Dribbling(Record):
        async def feed(self, connection):
            data = interim + head + body
            pieces = [data] if not pause else [data[:30_000], data[30_000:70_000], data[70_000:]]
            for piece in pieces:
                if not self.ends:
                    connection.data_received(piece)

    async with listening(answering(b"")) as peer:
        connection = await Connection.open("127.0.0.1", peer.port, timeout_s=30)
        exchange = Dribbling()
        connection.send(exchange, GET)
        await exchange.feed(connection)
        assert (exchange.ends == [None]) is fits
        assert fits or exchange.error.kind is FailureKind.TOO_LARGE
        connection.close()


@pytest.mark.parametrize(("begun", "kind_of_error"), [(b"", NoAnswer), (OK[:-1], BrokenAnswer)])
async def test_a_reset_is_told_from_an_orderly_close(begun, kind_of_error):
    async def handler(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(begun)
        # A reset throws away what has arrived and was not read.
        await eventually(lambda: connection._bytes_seen == len(begun))
        reset(writer)

    async with listening(handler) as peer:
        connection = await Connection.open("127.0.0.1", peer.port, timeout_s=30)
        exchange = Record()
        connection.send(exchange, GET)
        await exchange.over.wait()
        assert type(exchange.error) is kind_of_error
        assert exchange.error.kind is FailureKind.RESET


async def test_a_deadline_ends_a_wait_for_a_silent_peer():
    async with listening(answering(b"")) as peer:
        connection = await Connection.open("127.0.0.1", peer.port, timeout_s=30)
        exchange = Record()
        connection.send(exchange, GET, deadline=time.monotonic() + 0.1)
        await exchange.over.wait()
        assert type(exchange.error) is NoAnswer
        assert exchange.error.kind is FailureKind.READ_TIMEOUT


async def test_a_deadline_moved_nearer_ends_a_wait_for_the_rest_of_an_answer():
    async with listening(answering(OK[:-1])) as peer:
        connection = await Connection.open("127.0.0.1", peer.port, timeout_s=30)
        exchange = Record()
        connection.send(exchange, GET, deadline=time.monotonic() + 3600)
        await eventually(lambda: exchange.body)
        connection.set_deadline(time.monotonic() + 0.1)
        await exchange.over.wait()
        assert type(exchange.error) is BrokenAnswer
        assert exchange.error.kind is FailureKind.READ_TIMEOUT


async def test_a_deadline_can_be_lifted():
    async def slow(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        await asyncio.sleep(0.2)
        writer.write(OK)
        await reader.read()

    async with listening(slow) as peer:
        connection = await Connection.open("127.0.0.1", peer.port, timeout_s=30)
        exchange = Record()
        connection.send(exchange, GET, deadline=time.monotonic() + 0.05)
        connection.set_deadline(None)
        await exchange.over.wait()
        assert exchange.ends == [None]
        connection.close()


async def test_aborting_tells_the_exchange_once_and_closes_the_socket():
    async with listening(answering(b"")) as peer:
        connection = await Connection.open("127.0.0.1", peer.port, timeout_s=30)
        exchange = Record()
        connection.send(exchange, GET)
        connection.abort()
        connection.abort()
        assert exchange.error.kind is FailureKind.ABORTED
        await eventually(lambda: peer.closed)


async def test_a_second_exchange_must_wait_for_the_first():
    async with listening(answering(b"")) as peer:
        connection = await Connection.open("127.0.0.1", peer.port, timeout_s=30)
        connection.send(Record(), GET)
        with pytest.raises(RuntimeError, match="in flight"):
            connection.send(Record(), GET)
        connection.close()


async def test_a_paused_answer_is_felt_by_the_peer():
    size = 32 * 1024 * 1024

    async def handler(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
        for _ in range(size // 65536):
            writer.write(b"x" * 65536)
            await writer.drain()
        drained.set()
        await reader.read()

    drained = asyncio.Event()

    async with listening(handler) as peer:
        connection = await Connection.open("127.0.0.1", peer.port, timeout_s=30)
        exchange = Record()
        connection.send(exchange, GET)
        connection.pause_reading()
        await asyncio.sleep(0.2)
        assert not drained.is_set()
        assert len(exchange.body) < size
        connection.resume_reading()
        await exchange.over.wait()
        assert len(exchange.body) == size
        connection.close()


async def test_an_upload_is_held_back_by_a_peer_that_does_not_read():
    size, piece = 16 * 1024 * 1024, 65536
    read_on = asyncio.Event()

    async def handler(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        await read_on.wait()
        await reader.readexactly(size)
        writer.write(OK)
        await reader.read()

    async with listening(handler) as peer:
        connection = await Connection.open("127.0.0.1", peer.port, timeout_s=30)
        exchange = Record()
        connection.send(exchange, GET, more=True)
        for _ in range(size // piece):
            connection.write(b"x" * piece)
        connection.finish()
        assert exchange.paused == [True]
        read_on.set()
        await exchange.over.wait()
        assert exchange.ends == [None]
        assert exchange.paused == [True, False]
        assert connection.idle
        connection.close()


async def test_an_answer_before_the_end_of_the_upload_costs_the_connection():
    async with listening(answering(OK)) as peer:
        connection = await Connection.open("127.0.0.1", peer.port, timeout_s=30)
        exchange = Record()
        connection.send(exchange, GET, more=True)
        await exchange.over.wait()
        assert exchange.ends == [None]
        assert not connection.idle
        connection.write(b"more")


@BOTH_LOOPS
async def test_a_refused_connection_is_not_connected():
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        with pytest.raises(NotConnected) as caught:
            await Connection.open("127.0.0.1", unused.getsockname()[1], timeout_s=30)
    assert caught.value.kind is FailureKind.REFUSED


async def test_a_reset_as_the_connection_is_made_is_not_taken_for_one_of_a_request(monkeypatch):
    async def reset(*_, **__):
        raise ConnectionResetError

    # The kernel does that at a moment that a test cannot choose.
    monkeypatch.setattr(asyncio.get_running_loop(), "create_connection", reset)
    with pytest.raises(NotConnected) as caught:
        await Connection.open("127.0.0.1", 9, timeout_s=30)
    assert caught.value.kind is FailureKind.UNREACHABLE


@BOTH_LOOPS
async def test_a_peer_that_does_not_take_the_connection_times_out():
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        waiting = [socket.socket() for _ in range(4)]
        for one in waiting:
            one.setblocking(False)
            one.connect_ex(full.getsockname())

        try:
            with pytest.raises(NotConnected) as caught:
                await Connection.open("127.0.0.1", full.getsockname()[1], timeout_s=0.3)
            assert caught.value.kind is FailureKind.CONNECT_TIMEOUT
        finally:
            for one in waiting:
                one.close()


async def test_a_name_without_an_address_is_not_connected():
    with pytest.raises(NotConnected) as caught:
        await Connection.open("no..name", 80, timeout_s=30)
    assert caught.value.kind is FailureKind.UNRESOLVED
