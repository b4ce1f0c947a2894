"""A client's connection: what is refused, who is too slow, and what a slow reader gets and costs."""

from __future__ import annotations

import asyncio
import json
import random
import socket
from contextlib import suppress

import pytest

from services.balancer import downstream_flow
from services.balancer.http.request_reader import STEPS
from tests.support.balancing import balanced, echo, let_time_pass, post, silent
from tests.support.waiting import eventually

LENGTH = 60_000
"""More than the sockets below hold, and less than makes the balancer hold back."""


async def slow_client(b, *, sends):
    """Return a client that takes in next to nothing unless it reads, and the balancer's end of it."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.setblocking(False)
    await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", b.port))
    await eventually(lambda: b.connections)
    (end,) = b.connections
    end._transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    await asyncio.get_running_loop().sock_sendall(sock, sends)
    return sock, end


async def read(sock, length):
    """Read `length` bytes or a few more, or fewer where the other side ends before."""
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
    monkeypatch.setattr(downstream_flow, "LINGER_S", 0.05)

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
    monkeypatch.setattr(downstream_flow, "LINGER_S", 0.05)

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
            let_time_pass(end)
            assert end._transport is not None
        let_time_pass(end)
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


REFUSED = {
    "no HTTP at all": (b"\x16\x03\x01\x02\x00\x01\x00", 400),
    "a bare LF": (b"GET / HTTP/1.1\nHost: x\n\n", 400),
    "no Host": (b"GET / HTTP/1.1\r\n\r\n", 400),
    "a length and a coding": (
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        400,
    ),
    "a bad chunk": (b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 400),
    "CONNECT": (b"CONNECT x:80 HTTP/1.1\r\nHost: x:80\r\n\r\n", 501),
    "a head over the limit": (b"GET / HTTP/1.1\r\nHost: x\r\nA: " + b"b" * 5000 + b"\r\n\r\n", 431),
    "a head without end": (b"GET / HTTP/1.1\r\nHost: x\r\nA: " + b"b" * 5000, 431),
    "a body over the limit": (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5001\r\n\r\n", 413),
    "a chunked body over the limit": (
        b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2000\r\n" + b"x" * 5001,
        413,
    ),
}


@pytest.mark.parametrize("name", REFUSED)
async def test_a_refused_request_is_answered_the_connection_closed_and_nothing_forwarded(name):
    data, status = REFUSED[name]

    async with balanced(echo, head_limit_bytes=4000, body_limit_bytes=5000) as b:
        client = await b.client()
        client.send(data + post(b"smuggled"))
        answer = await client.answer()
        assert (answer.status, answer.header("Connection")) == (status, "close")
        assert json.loads(answer.body)["detail"]
        assert await client.closed()
        assert b.instances[0].requests == []
        assert (await b.ask(post(b"x"))).status == 200


async def test_a_client_that_still_sends_gets_to_read_why_it_was_refused():
    async with balanced(echo, body_limit_bytes=1000) as b:
        client = await b.client()
        client.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4000000\r\n\r\n" + b"x" * 4_000_000)
        assert (await client.answer()).status == 413


@pytest.mark.parametrize(
    "begun", [b"GET / HT", b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nhello"]
)
async def test_a_request_that_ends_in_the_middle_is_refused(begun):
    async with balanced(echo) as b:
        client = await b.client()
        client.send(begun)
        client.writer.write_eof()
        assert (await client.answer()).status == 400
        assert await client.closed()


@pytest.mark.parametrize(
    "begun", [b"GET / HT", b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nhello"]
)
async def test_a_request_that_does_not_come_to_its_end_in_time_is_refused(begun):
    async with balanced(echo) as b:
        client = await b.client()
        client.send(begun)
        await eventually(lambda: any(c._reader.buffer or c._reader.coming for c in b.connections))
        let_time_pass(b.connections[0])
        assert (await client.answer()).status == 408
        assert await client.closed()


async def test_dribbling_a_head_gains_no_time():
    async with balanced(echo) as b:
        client = await b.client()
        client.send(b"G")
        await eventually(lambda: any(c._reader.buffer for c in b.connections))
        (end,) = b.connections
        due = end._due
        for length in range(2, 10):
            client.send(b"a")
            await eventually(lambda length=length: len(end._reader.buffer) == length)
            assert end._due == due


async def test_a_client_that_says_nothing_is_sent_away():
    async with balanced(echo) as b:
        for requests in (0, 1):
            client = await b.client()
            for _ in range(requests):
                client.send(post())
                await client.answer()
            await eventually(lambda: b.connections)
            let_time_pass(b.connections[0])
            assert await client.closed()
            await eventually(lambda: not b.connections)


async def test_a_client_is_not_idle_while_it_waits_for_its_answer():
    release = asyncio.Event()

    async def slow(request):
        await release.wait()
        await echo(request)

    async with balanced(slow) as b:
        asking = asyncio.ensure_future(b.ask(post(b"x")))
        await eventually(lambda: b.instances[0].requests)
        let_time_pass(b.connections[0])
        release.set()
        assert (await asking).body == b"service1a:x"


async def test_a_client_that_reads_nothing_is_cut_off_and_the_instance_not_blamed():
    async def flood(request):
        request.answer(b"x" * 64_000_000)

    async with balanced(flood) as b:
        client = await b.client()
        client.reader._limit = 1024
        client.send(post())
        await eventually(lambda: any(c._held_up for c in b.connections))
        (instance,) = b.server.balancer.instances
        while b.connections:  # it may still take in what its socket holds
            let_time_pass(b.connections[0])
            await asyncio.sleep(0.01)
        assert instance.in_flight == 0
        assert b.counts() == [{"requests": 1, "errors": 0}]


async def test_a_bad_chunk_in_a_body_on_its_way_ends_both_sides():
    async with balanced(silent, read_body=False, replay_limit_bytes=10) as b:
        client = await b.client()
        client.send(
            b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n14\r\n" + b"x" * 20 + b"\r\n"
        )
        await eventually(lambda: b.instances[0].requests)
        client.send(b"zz\r\n")
        assert (await client.answer()).status == 400
        await eventually(lambda: b.instances[0].closed)
        assert b.counts() == [{"requests": 1, "errors": 0}]
        assert b.server.balancer.counters.answers == {("", 400): 1}


async def test_an_upload_that_stalls_on_its_way_is_the_clients_fault():
    async with balanced(silent, read_body=False, replay_limit_bytes=10, failures=1) as b:
        client = await b.client()
        client.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n" + b"x" * 50)
        await eventually(lambda: b.instances[0].requests)
        let_time_pass(b.attempts[0])
        assert (await client.answer()).status == 408
        assert b.server.balancer.log.last() == []


async def test_an_upload_that_stalls_holds_its_instance_no_longer_than_a_body_may_take():
    limits = {"replay_limit_bytes": 10, "in_flight_limit": 1, "failures": 1, "queue_timeout_s": 60.0}
    async with balanced(echo, **limits) as b:
        client = await b.client()
        client.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n" + b"x" * 50)
        await eventually(lambda: b.instances[0].requests)
        (stalled,) = b.connections
        other = asyncio.ensure_future(b.ask(post(b"y")))
        await eventually(lambda: b.server.balancer.queue.nonempty)
        let_time_pass(stalled)
        assert (await other).body == b"service1a:y"
        assert (await client.answer()).status == 408
        assert await client.closed()
        balancer = b.server.balancer
        assert balancer.counters.answers[("", 408)] == 1
        assert b.counts() == [{"requests": 2, "errors": 0}]
        assert balancer.log.last() == []


async def test_an_upload_that_waits_for_its_instance_is_not_slow():
    size, read_on = 32 * 1024 * 1024, asyncio.Event()

    async def reluctant(request):
        await read_on.wait()
        await request.wire.reader.readexactly(size)
        request.answer(b"done")

    async with balanced(reluctant, read_body=False) as b:
        client = await b.client()
        client.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % size)

        async def upload():
            for _ in range(size // 65536):
                client.send(b"x" * 65536)
                await client.writer.drain()

        uploading = asyncio.ensure_future(upload())
        await eventually(lambda: any(c._paused for c in b.connections))
        let_time_pass(b.connections[0])
        read_on.set()
        assert (await client.answer()).body == b"done"
        await uploading


SEEDS = (
    b"POST /process HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello",
    b"POST /process HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    b"GET /a HTTP/1.1\r\nHost: x\r\nConnection: keep-alive\r\n\r\n",
    b"HEAD /a HTTP/1.1\r\nHost: x\r\n\r\n",
)


def mutated(rng):
    data = bytearray(rng.choice(SEEDS) + rng.choice(SEEDS))
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(data))
        match rng.randrange(3):
            case 0:
                data[at : at + rng.randint(0, 3)] = bytes([rng.choice(b"\r\n \t:0159afF,;\0\xff")])
            case 1:
                del data[at : at + rng.randint(1, 8)]
            case _:
                data[at:at] = data[at : at + rng.randint(1, 30)]
    return bytes(data)


async def test_nothing_that_is_sent_crashes_or_hangs_the_balancer_or_ends_up_in_anothers_answer():
    """Mutated requests on many connections, while another client's requests must come through untouched."""

    async def tagged(request):
        await asyncio.sleep(0)
        request.answer((request.header("X-Tag") or "").encode() + b"|" + request.body)

    async with balanced(tagged, tagged, head_timeout_s=0.2, body_timeout_s=0.2) as b:
        rng = random.Random(9)
        done = asyncio.Event()

        async def attack():
            for _ in range(150):
                client = await b.client()
                client.send(mutated(rng))
                client.writer.write_eof()
                with suppress(ConnectionError):
                    await client.reader.read()
                client.writer.close()

        async def behave(name):
            client = await b.client()
            count = 0
            while not done.is_set():
                count += 1
                tag = f"{name}-{count}"
                client.send(post(tag.encode(), headers=f"X-Tag: {tag}\r\n"))
                answer = await client.answer()
                assert (answer.status, answer.body.decode()) == (200, f"{tag}|{tag}")
            assert count > 10

        behaving = [asyncio.ensure_future(behave(name)) for name in "ab"]
        await asyncio.gather(*[attack() for _ in range(4)])
        done.set()
        await asyncio.gather(*behaving)


def chunked(chunk, number, last=b"0\r\n\r\n"):
    head = b"POST /process HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    return head + chunk * number + last


class Turns:
    """How many turns the loop takes until something is over."""

    def __init__(self):
        self.number = 0
        self._loop = asyncio.get_running_loop()
        self._handle = self._loop.call_soon(self._count)

    def _count(self):
        self.number += 1
        self._handle = self._loop.call_soon(self._count)

    def end(self):
        self._handle.cancel()


async def test_a_body_in_small_chunks_arrives_whole_and_takes_many_turns():
    async with balanced(echo) as b:
        client = await b.client()
        client.send(chunked(b"1\r\nx\r\n", 20_000))
        await eventually(lambda: b.connections)
        turns = Turns()
        answer = await client.answer()
        turns.end()
        assert answer.body == b"service1a:" + b"x" * 20_000
        assert turns.number >= 20_000 // STEPS


@pytest.mark.parametrize("replay_limit_bytes", [100, 100_000])
async def test_small_chunks_and_requests_in_advance_are_answered_in_order(replay_limit_bytes):
    async with balanced(echo, replay_limit_bytes=replay_limit_bytes) as b:
        client = await b.client()
        client.send(
            chunked(b"2\r\nab\r\n", 3_000) + post(b"next") + chunked(b"1\r\nc\r\n", 600) + post(b"last")
        )
        bodies = [(await client.answer()).body for _ in range(4)]
        assert bodies == [b"service1a:" + body for body in (b"ab" * 3_000, b"next", b"c" * 600, b"last")]


async def test_an_upload_in_small_chunks_waits_for_an_instance_that_does_not_read():
    release = asyncio.Event()

    async def later(request):
        await release.wait()
        request.body = await request.wire.body(request.headers)
        request.answer(b"%d" % len(request.body))

    async with balanced(later, read_body=False, replay_limit_bytes=1000) as b:
        client = await b.client()
        client.reader._limit = 2**20
        chunk = b"%x\r\n%b\r\n" % (4000, b"x" * 4000)
        client.send(chunked(chunk, 3_000))
        await eventually(lambda: b.connections and b.connections[0]._upload_held)
        release.set()
        assert (await client.answer()).body == b"%d" % (3_000 * 4000)


async def test_the_balancers_own_routes_are_answered_one_a_turn():
    async with balanced(echo) as b:
        client = await b.client()
        client.send(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n" * 200)
        await eventually(lambda: b.connections)
        turns = Turns()
        answers = [await client.answer() for _ in range(200)]
        turns.end()
        assert {answer.status for answer in answers} == {200}
        assert turns.number >= 190


async def test_requests_in_advance_are_answered_although_the_client_says_that_it_sends_no_more():
    async with balanced(echo) as b:
        client = await b.client()
        client.send(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n" * 3)
        client.writer.write_eof()
        assert [(await client.answer()).status for _ in range(3)] == [200] * 3
        assert await client.closed()


async def test_chunks_that_are_mostly_extensions_are_refused():
    async with balanced(echo) as b:
        client = await b.client()
        client.send(chunked(b"1;" + b"e" * 4000 + b"\r\nx\r\n", 5, b""))
        assert (await client.answer()).status == 400
        assert b.instances[0].requests == []
