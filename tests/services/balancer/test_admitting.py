"""What a client may send, how much of it and how slowly; and what becomes of the rest."""

from __future__ import annotations

import asyncio
import json
import random
from contextlib import suppress

import pytest

from tests.support.balancing import balanced, echo, post, silent
from tests.support.waiting import eventually

REFUSED = {
    "no HTTP at all": (b"\x16\x03\x01\x02\x00\x01\x00", 400),
    "a bare LF": (b"GET / HTTP/1.1\nHost: x\n\n", 400),
    "no Host": (b"GET / HTTP/1.1\r\n\r\n", 400),
    "a length and a coding": (
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        400,
    ),
    "a bad chunk": (b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 400),
    "Upgrade": (b"GET / HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n", 501),
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
    async with balanced(echo, head_timeout_s=0.1, body_timeout_s=0.1) as b:
        client = await b.client()
        client.send(begun)
        assert (await client.answer()).status == 408
        assert await client.closed()


async def test_dribbling_a_head_gains_no_time():
    async with balanced(echo, head_timeout_s=0.2) as b:
        client = await b.client()

        async def dribble():
            while True:
                client.send(b"a")
                await client.writer.drain()
                await asyncio.sleep(0.01)

        with pytest.raises(ConnectionError):
            await dribble()


async def test_a_client_that_says_nothing_is_sent_away():
    async with balanced(echo, head_timeout_s=0.1, idle_timeout_s=0.1) as b:
        assert await (await b.client()).closed()
        client = await b.client()
        client.send(post())
        await client.answer()
        assert await client.closed()


async def test_a_client_is_not_idle_while_it_waits_for_its_answer():
    async def slow(request):
        await asyncio.sleep(0.3)
        await echo(request)

    async with balanced(slow, head_timeout_s=0.1, idle_timeout_s=0.1, body_timeout_s=0.1) as b:
        assert (await b.ask(post(b"x"))).body == b"service1a:x"


async def test_a_client_that_reads_nothing_is_cut_off_and_the_instance_not_blamed():
    async def flood(request):
        request.answer(b"x" * 64_000_000)

    async with balanced(flood, body_timeout_s=0.2, timeout_s=1.0) as b:
        client = await b.client()
        client.reader._limit = 1024
        client.send(post())
        await eventually(lambda: b.instances[0].requests)
        (instance,) = b.server.balancer.instances
        await eventually(lambda: instance.in_flight == 0)
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
    async with balanced(silent, read_body=False, replay_limit_bytes=10, timeout_s=0.2, failures=1) as b:
        client = await b.client()
        client.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n" + b"x" * 50)
        assert (await client.answer()).status == 408
        assert b.server.balancer.log.last() == []


async def test_an_upload_that_stalls_holds_its_instance_no_longer_than_a_body_may_take():
    limits = {"replay_limit_bytes": 10, "in_flight_limit": 1, "failures": 1}
    async with balanced(echo, body_timeout_s=0.1, **limits) as b:
        client = await b.client()
        client.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n" + b"x" * 50)
        await eventually(lambda: b.instances[0].requests)
        assert (await b.ask(post(b"y"))).body == b"service1a:y"
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

    settings = {"body_timeout_s": 0.3, "idle_timeout_s": 0.1}
    async with balanced(reluctant, read_body=False, **settings) as b:
        client = await b.client()
        client.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % size)

        async def upload():
            for _ in range(size // 65536):
                client.send(b"x" * 65536)
                await client.writer.drain()

        uploading = asyncio.ensure_future(upload())
        await eventually(lambda: any(c._paused for c in b.server._connections))
        await asyncio.sleep(0.6)
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


async def test_nothing_that_is_sent_crashes_it_hangs_it_or_ends_up_in_another_clients_answer():
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
