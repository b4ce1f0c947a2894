"""A client that reads slowly gets all that it was answered, and costs no more memory than another."""

from __future__ import annotations

import asyncio
import socket
import time

import pytest

from services.balancer import downstream
from tests.support.balancing import balanced
from tests.support.waiting import eventually

LENGTH = 60_000
"""More than the sockets below hold, and less than makes the balancer hold back."""


async def slow_client(b, *, sends):
    """A client that takes in next to nothing unless it reads, and the balancer's end of its connection."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.setblocking(False)
    await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", b.port))
    while not b.server._connections:  # noqa: ASYNC110
        await asyncio.sleep(0.001)
    (end,) = b.server._connections
    end._transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    await asyncio.get_running_loop().sock_sendall(sock, sends)
    return sock, end


async def read(sock, length):
    """So many bytes or a few more, or fewer where the other side ends before."""
    data = b""
    while len(data) < length and (more := await asyncio.get_running_loop().sock_recv(sock, 65536)):
        data += more
    return data


async def long_answer(request):
    request.answer(b"x" * LENGTH)


def unsent(end):
    return end._transport.get_write_buffer_size() if end._transport is not None else 0


LAST = [b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", b"GET / HTTP/1.0\r\n\r\n"]


@pytest.mark.parametrize("last_request", LAST)
async def test_the_last_answer_on_a_connection_waits_for_a_client_that_is_slow_to_read_it(
    monkeypatch, last_request
):
    monkeypatch.setattr(downstream, "LINGER_S", 0.05)

    async with balanced(long_answer) as b:
        client, end = await slow_client(b, sends=last_request)
        await eventually(lambda: end._lingering)
        assert unsent(end)
        await asyncio.sleep(0.3)
        answer = await read(client, 2 * LENGTH)
        assert len(answer.partition(b"\r\n\r\n")[2]) == LENGTH
        client.close()


async def test_a_client_that_was_answered_its_last_and_does_not_read_is_cut_off_in_the_end():
    async with balanced(long_answer, body_timeout_s=0.1) as b:
        client, end = await slow_client(b, sends=LAST[0])
        await eventually(lambda: end._lingering)
        await eventually(lambda: not b.server._connections)
        client.close()


async def test_a_client_that_was_answered_its_last_and_has_read_it_may_stay_but_a_moment(monkeypatch):
    monkeypatch.setattr(downstream, "LINGER_S", 0.05)

    async with balanced(long_answer, body_timeout_s=1000.0) as b:
        client, end = await slow_client(b, sends=LAST[0])
        await eventually(lambda: end._lingering)
        assert len(await read(client, 2 * LENGTH)) > LENGTH
        await eventually(lambda: not b.server._connections)
        client.close()


@pytest.mark.parametrize("last_request", [LAST[0], b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"])
async def test_a_client_is_not_too_slow_as_long_as_it_takes_something_in(last_request):
    async def flood(request):
        request.answer(b"x" * 5 * LENGTH)

    async with balanced(flood) as b:
        client, end = await slow_client(b, sends=last_request)
        await eventually(lambda: unsent(end))
        for _ in range(3):
            before = unsent(end)
            while unsent(end) == before:
                await read(client, 1)
                await asyncio.sleep(0.001)
            end._due = time.monotonic()  # as if its time had passed
            end.on_deadline()
            assert end._transport is not None
        end._due = time.monotonic()
        end.on_deadline()
        await eventually(lambda: not b.server._connections)
        client.close()


@pytest.mark.parametrize(("path", "number"), [(b"/process", 1_000), (b"/health", 20_000)])
async def test_requests_wait_while_the_client_does_not_read_the_answers_to_those_before(path, number):
    """Else what a client asks for and does not read would pile up without end."""

    async def answer(request):
        request.answer(b"%8d" % len(request.instance.requests) * 1000)

    async with balanced(answer) as b:
        client, end = await slow_client(b, sends=b"")
        reader, writer = await asyncio.open_connection(sock=client, limit=1024)
        writer.write(b"GET %b HTTP/1.1\r\nHost: x\r\n\r\n" % path * number)
        await eventually(lambda: unsent(end))
        seen = -1
        while seen < unsent(end):
            seen = unsent(end)
            await asyncio.sleep(0.3)
        assert seen < 200_000
        assert len(b.instances[0].requests) < number / 2
        for i in range(1, number + 1):
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.partition(b"Content-Length: ")[2].split()[0])
            body = await reader.readexactly(length)
            assert path == b"/health" or body == b"%8d" % i * 1000
        writer.write(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
        assert b"200 OK" in await reader.readuntil(b"\r\n\r\n")
        writer.close()


async def test_a_client_that_reads_none_of_its_answers_is_cut_off_with_the_requests_that_wait():
    async with balanced(long_answer, body_timeout_s=0.1) as b:
        client, _ = await slow_client(b, sends=b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" * 20)
        await eventually(lambda: not b.server._connections)
        assert 0 < len(b.instances[0].requests) < 20
        assert b.counts()[0]["errors"] == 0
        client.close()


async def test_draining_answers_what_is_asked_and_closes_where_the_client_had_to_catch_up():
    async with balanced(long_answer) as b:
        client, end = await slow_client(b, sends=b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" * 2)
        await eventually(lambda: len(b.instances[0].requests) == 2)
        await eventually(lambda: b.counts()[0]["requests"] == 2 and end._forward is None)
        stopping = asyncio.ensure_future(b.server.stop(15))
        await asyncio.sleep(0)
        assert (await read(client, 1_000_000)).count(b"x") == 2 * LENGTH
        client.close()
        await stopping
