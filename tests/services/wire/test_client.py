"""The client returns whole answers, reuses connections and never repeats a request."""

from __future__ import annotations

import asyncio

import pytest

from services.wire import BrokenAnswer, FailureKind, NoAnswer, NotConnected, WireClient
from tests.support.waiting import eventually
from tests.support.wire_peers import answering, listening

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-A: 1\r\nx-a: 2\r\n\r\nhello"


async def echo(reader, writer):
    """Answer each request with its head and body."""
    while True:
        head = await reader.readuntil(b"\r\n\r\n")
        fields = dict(line.split(b": ", 1) for line in head.split(b"\r\n")[1:-2])
        body = await reader.readexactly(int(fields.get(b"Content-Length", b"0")))
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(head + body) + head + body)


async def test_a_post_arrives_as_written_and_connections_are_reused():
    async with listening(echo) as peer, WireClient() as client:
        for _ in range(5):
            response = await client.post(
                f"http://127.0.0.1:{peer.port}/process?x=1#part", b'{"a": 1}', {"Content-Type": "x/y"}
            )
            assert response.status == 200
            assert response.body == (
                b"POST /process?x=1 HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nContent-Type: x/y\r\n"
                b'Content-Length: 8\r\n\r\n{"a": 1}' % peer.port
            )
        assert peer.connections == 1


async def test_values_of_one_header_are_joined_whatever_its_case():
    async with listening(answering(OK)) as peer, WireClient() as client:
        response = await client.get(f"http://127.0.0.1:{peer.port}")
        assert response.header(b"X-a") == b"1, 2"
        assert response.header(b"X-b") is None


async def test_no_more_than_the_limit_of_connections_is_opened():
    async with listening(echo) as peer, WireClient(max_connections=3) as client:
        url = f"http://127.0.0.1:{peer.port}/"
        answers = await asyncio.gather(*[client.post(url, b"%d" % i) for i in range(20)])
        assert [answer.body[-len(str(i)) :] for i, answer in enumerate(answers)] == [
            b"%d" % i for i in range(20)
        ]
        assert peer.connections <= 3


async def test_waiting_for_a_connection_is_bounded_too():
    async with listening(answering(b"")) as peer, WireClient(max_connections=1) as client:
        url = f"http://127.0.0.1:{peer.port}/"
        first = asyncio.ensure_future(client.get(url))
        await eventually(lambda: peer.connections)
        with pytest.raises(NotConnected, match="in use"):
            await client.get(url, timeout_s=0.1)
        first.cancel()


async def test_a_request_is_sent_once_even_if_its_connection_closes():
    heads = []

    async def close_on_second(reader, writer):
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(OK)
        heads.append(await reader.readuntil(b"\r\n\r\n"))

    async with listening(close_on_second) as peer, WireClient() as client:
        url = f"http://127.0.0.1:{peer.port}/"
        await client.get(url)
        with pytest.raises(NoAnswer):
            await client.get(url)
        assert len(heads) == 2
        assert (await client.get(url)).status == 200


async def test_cancelling_closes_the_connection_and_frees_its_place():
    async with listening(answering(b"")) as peer, WireClient(max_connections=1) as client:
        url = f"http://127.0.0.1:{peer.port}/"
        for done in range(3):
            task = asyncio.ensure_future(client.get(url))
            await eventually(lambda done=done: peer.connections > done)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await eventually(lambda done=done: peer.closed > done)


async def test_a_body_over_the_limit_is_not_swallowed():
    async with listening(answering(OK)) as peer, WireClient(max_body_bytes=4) as client:
        with pytest.raises(BrokenAnswer) as caught:
            await client.get(f"http://127.0.0.1:{peer.port}/")
        assert caught.value.kind is FailureKind.TOO_LARGE


async def test_a_body_in_a_coding_that_was_not_asked_for_is_not_passed_off_as_plain():
    odd = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"

    async with listening(answering(odd)) as peer, WireClient() as client:
        with pytest.raises(BrokenAnswer) as caught:
            await client.get(f"http://127.0.0.1:{peer.port}/")
        assert caught.value.kind is FailureKind.PROTOCOL_ERROR


async def test_an_answer_to_head_is_its_head():
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"

    async with listening(answering(head, OK)) as peer, WireClient() as client:
        url = f"http://127.0.0.1:{peer.port}/"
        assert (await client.request("HEAD", url, None)).body == b""
        assert (await client.get(url)).body == b"hello"
        assert peer.connections == 1


@pytest.mark.parametrize(
    ("url", "headers"),
    [
        ("https://127.0.0.1/", {}),
        ("ftp://x/", {}),
        ("http:///x", {}),
        ("http://127.0.0.1/a b", {}),
        ("http://127.0.0.1/\r\nX: y", {}),
        ("http://127.0.0.1/", {"X": "a\r\nY: b"}),
        ("http://127.0.0.1/", {"X: a\r\nY": "b"}),
        ("http://127.0.0.1/", {"X ": "b"}),
    ],
)
async def test_what_cannot_stand_in_a_request_is_refused_before_anything_is_sent(url, headers):
    async with WireClient() as client:
        with pytest.raises(ValueError, match=r"cannot stand|no http"):
            await client.get(url, headers)
