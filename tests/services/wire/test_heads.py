"""An answer means the same whether or not one with the same head came before it."""

from __future__ import annotations

import pytest

from services.wire import Connection, FailureKind
from services.wire.heads import RepeatedHead
from tests.support.waiting import eventually
from tests.support.wire_peers import BOTH_LOOPS, Record, answering, listening

GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-A: b\r\n\r\n"
OK = HEAD + b"hello"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
EMPTY = b"HTTP/1.1 204 No Content\r\n\r\n"

PAIRS = {
    "body": [(OK, 200, b"hello"), (HEAD + b"world", 200, b"world")],
    "status": [(OK, 200, b"hello"), (OK.replace(b"200", b"404"), 404, b"hello")],
    "header": [(OK, 200, b"hello"), (OK.replace(b"X-A", b"X-B"), 200, b"hello")],
    "length": [
        (OK, 200, b"hello"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\nhello, world", 200, b"hello, world"),
    ],
    "chunks": [
        (CHUNKED + b"5\r\nhello\r\n0\r\n\r\n", 200, b"hello"),
        (CHUNKED + b"04\r\nhell\r\n0\r\n\r\n", 200, b"hell"),
    ],
    "last chunk": [
        (CHUNKED + b"5\r\nhello\r\n0\r\n\r\n", 200, b"hello"),
        (CHUNKED + b"0\r\n\r\n", 200, b""),
    ],
    "interim answer": [(CONTINUE + OK, 200, b"hello"), (OK, 200, b"hello")],
    "no body": [(EMPTY, 204, b""), (OK, 200, b"hello")],
}
"""Two answers that differ in one thing, as a rule not in their size."""


async def familiar(peer, *, times=3, is_head=False):
    """A connection on which the peer's answer came `times` times already."""
    connection = await Connection.open("127.0.0.1", peer.port, timeout_s=30, collect_headers=False)
    for _ in range(times):
        exchange = Record()
        connection.send(exchange, GET, is_head=is_head)
        await exchange.over.wait()
        assert connection.idle
    return connection


@pytest.mark.parametrize("collect_headers", [True, False])
@pytest.mark.parametrize("name", PAIRS)
async def test_an_answer_means_the_same_after_many_like_it_and_after_others(name, collect_headers):
    one, other = PAIRS[name]
    row = [one, one, one, other, one, other, other, other, one]

    async with listening(answering(*(answer for answer, _, _ in row))) as peer:
        connection = await Connection.open(
            "127.0.0.1", peer.port, timeout_s=30, collect_headers=collect_headers
        )
        for answer, status, body in row:
            exchange = Record()
            connection.send(exchange, GET)
            await exchange.over.wait()
            assert (exchange.ends, exchange.status, exchange.body) == ([None], status, body)
            assert exchange.interim == ([100] if answer.startswith(CONTINUE) else [])
            assert bool(exchange.headers) is (collect_headers and status != 204)
        connection.close()


async def test_a_familiar_answer_may_come_in_pieces():
    async def handler(reader, writer):
        for cut in (len(OK), len(OK), len(OK), len(HEAD), 10, len(OK) - 1):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(OK[:cut])
            if cut < len(OK):
                await reader.readuntil(b"go on")
                writer.write(OK[cut:])
        await reader.read()

    async with listening(handler) as peer:
        connection = await familiar(peer)
        for _ in range(3):
            exchange = Record()
            connection.send(exchange, GET)
            await eventually(lambda: connection._bytes_seen)
            assert not exchange.ends
            connection.write(b"go on")
            await exchange.over.wait()
            assert (exchange.ends, exchange.status, exchange.body) == ([None], 200, b"hello")
        connection.close()


async def test_a_body_that_looks_like_a_familiar_answer_is_a_body():
    async def handler(reader, writer):
        for _ in range(3):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(OK)
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (2 * len(OK)))
        for _ in range(2):
            await reader.readuntil(b"go on")
            writer.write(OK)
        await reader.read()

    async with listening(handler) as peer:
        connection = await familiar(peer)
        exchange = Record()
        connection.send(exchange, GET)
        await eventually(lambda: exchange.status)
        connection.write(b"go on")
        await eventually(lambda: exchange.body == OK)
        connection.write(b"go on")
        await exchange.over.wait()
        assert (exchange.ends, exchange.body) == ([None], OK + OK)
        connection.close()


@pytest.mark.parametrize(
    ("last", "how"),
    [(OK, {"is_head": True}), (OK, {"more": True}), (OK + b"HTT", {}), (OK + OK, {})],
    ids=["a body after HEAD", "before the end of the upload", "more after it", "twice"],
)
async def test_a_familiar_answer_that_ought_to_spoil_the_connection_does(last, how):
    async with listening(answering(OK, OK, OK, last)) as peer:
        connection = await familiar(peer)
        exchange = Record()
        connection.send(exchange, GET, **how)
        await exchange.over.wait()
        assert (exchange.ends, exchange.body) == ([None], b"" if "is_head" in how else b"hello")
        assert not connection.idle


async def test_an_answer_to_head_is_no_pattern_for_one_to_get():
    async def handler(reader, writer):
        for _ in range(3):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(HEAD)
        await reader.readuntil(b"\r\n\r\n")
        writer.write(HEAD)
        await reader.readuntil(b"go on")
        writer.write(b"hello")
        await reader.read()

    async with listening(handler) as peer:
        connection = await familiar(peer, is_head=True)
        exchange = Record()
        connection.send(exchange, GET)
        await eventually(lambda: exchange.status)
        connection.write(b"go on")
        await exchange.over.wait()
        assert exchange.body == b"hello"
        connection.close()


@pytest.mark.parametrize("where", ["on_head", "on_body"])
async def test_aborting_a_familiar_answer_tells_the_exchange_once(where):
    async with listening(answering(OK, OK, OK)) as peer:
        connection = await familiar(peer, times=2)
        exchange = Record()
        setattr(exchange, where, lambda *_: connection.abort())
        connection.send(exchange, GET)
        await exchange.over.wait()
        assert exchange.error.kind is FailureKind.ABORTED
        assert exchange.chunks == []
        assert not connection.idle


@BOTH_LOOPS
@pytest.mark.parametrize("takes", [True, False])
async def test_a_familiar_answer_is_told_at_once_to_an_exchange_that_takes_it_so(takes):
    class Asked(Record):
        wholes = ()

        def on_whole(self, status, raw_head, body):
            self.wholes += ((status, raw_head, body),)
            if takes:
                assert connection.idle
                self.over.set()
            return takes

    async with listening(answering(*[OK] * 5)) as peer:
        connection = await Connection.open("127.0.0.1", peer.port, timeout_s=30, collect_headers=False)
        for i in range(5):
            exchange = Asked()
            connection.send(exchange, GET)
            await exchange.over.wait()
            if i < 2:
                assert exchange.wholes == ()
            else:
                assert exchange.wholes == ((200, HEAD[:-4], b"hello"),)
            told_in_parts = i < 2 or not takes
            assert (exchange.ends, exchange.body) == (([None], b"hello") if told_in_parts else ([], b""))
        connection.close()


@BOTH_LOOPS
async def test_the_next_request_may_be_sent_while_an_answer_is_taken_as_a_whole():
    class Chain(Record):
        left = 5

        def on_whole(self, *answer):
            self.chunks.append(answer[-1])
            self.left -= 1
            if self.left:
                connection.send(self, GET)
            else:
                self.over.set()
            return True

    async with listening(answering(*[OK] * 7)) as peer:
        connection = await familiar(peer, times=2)
        chain = Chain()
        connection.send(chain, GET)
        await chain.over.wait()
        assert chain.chunks == [b"hello"] * 5
        assert peer.connections == 1
        connection.close()


def test_a_head_is_worth_keeping_after_two_answers_of_one_size():
    repeated_head = RepeatedHead()
    assert [repeated_head.worth(size) for size in (9, 9, 8, 9, 9, 9)] == [
        False,
        True,
        False,
        False,
        True,
        True,
    ]


def test_a_long_head_is_not_kept():
    repeated_head = RepeatedHead()
    head = HEAD[:-4] + b"\r\nX-B: " + b"b" * 1024
    data = head + b"\r\n\r\nhello"
    repeated_head.keep(head, 200, len(data), 5)
    assert not repeated_head.begins(data)
    assert repeated_head.head == b""


def test_what_begins_with_a_kept_head_and_is_as_long_is_such_an_answer():
    repeated_head = RepeatedHead()
    assert not repeated_head.begins(OK)
    repeated_head.keep(HEAD.removesuffix(b"\r\n\r\n"), 200, len(OK), 5)
    assert repeated_head.begins(OK)
    assert repeated_head.begins(HEAD + b"world")
    for other in (HEAD, OK + b"!", OK[:-1], OK.replace(b"X-A", b"X-B"), b"", HEAD + b"hello" * 2):
        assert not repeated_head.begins(other)
