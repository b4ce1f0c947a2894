"""After a 101 client and instance speak to each other, each at the other's pace, until both have ended."""

from __future__ import annotations

import asyncio

import pytest

from tests.support.balancing import balanced, echo, let_time_pass, post
from tests.support.waiting import eventually

ASK = (
    b"GET /chat HTTP/1.1\r\nHost: x\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
SWITCH = (
    b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
)


async def back(request):
    """Switch, and send back what comes until the client ends."""
    request.wire.send(SWITCH)
    while data := await request.wire.reader.read(65536):
        request.wire.send(data)
        await request.wire.writer.drain()
    raise ConnectionError


async def opened(b, ask=ASK):
    client = await b.client()
    client.send(ask)
    first, headers = await client.head()
    assert first == "HTTP/1.1 101 Switching Protocols"
    return client, {name.lower(): value for name, value in headers}


def in_flight(b):
    return [instance.in_flight for instance in b.server.balancer.instances]


async def test_client_and_instance_speak_to_each_other():
    async with balanced(back) as b:
        client, headers = await opened(b)
        assert (headers["connection"], headers["upgrade"]) == ("Upgrade", "websocket")
        assert headers["sec-websocket-accept"] == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
        for data in (b"\x81\x05hello", b"GET / HTTP/1.1\r\n\r\n", bytes(range(256))):
            client.send(data)
            assert await client.reader.readexactly(len(data)) == data
        asked = b.instances[0].requests[0]
        assert (asked.header("Connection"), asked.header("Upgrade")) == ("Upgrade", "websocket")
        assert asked.header("Sec-WebSocket-Key") == "dGhlIHNhbXBsZSBub25jZQ=="
        assert asked.header("X-Forwarded-For") == "127.0.0.1"


async def test_what_either_sends_early_is_not_lost():
    async def speaks_first(request):
        request.wire.send(b"HTTP/1.1 103 Early Hints\r\n\r\n" + SWITCH + b"welcome")
        request.wire.send(await request.wire.reader.readexactly(5))

    async with balanced(speaks_first) as b:
        client = await b.client()
        client.send(ASK + b"early")
        assert (await client.head())[0] == "HTTP/1.1 103 Early Hints"
        assert (await client.head())[0] == "HTTP/1.1 101 Switching Protocols"
        assert await client.reader.readexactly(12) == b"welcomeearly"


async def test_a_tunnel_is_in_flight_at_its_instance_until_it_ends_and_then_counted_once():
    async with balanced(back, back) as b:
        client, _ = await opened(b)
        assert in_flight(b) == [1, 0]
        assert b.server.balancer.counters.answers == {(b.server.stats()["instances"][0], 101): 1}
        client.writer.close()
        await eventually(lambda: in_flight(b) == [0, 0])
        assert b.counts() == [{"requests": 1, "errors": 0}, {"requests": 0, "errors": 0}]
        await eventually(lambda: not b.connections)


async def test_a_tunnel_takes_the_room_of_a_request_and_gives_it_back():
    async def either(request):
        await (back if request.line.startswith("GET") else echo)(request)

    async with balanced(either, in_flight_limit=1) as b:
        client, _ = await opened(b)
        waiting = asyncio.ensure_future(b.ask(post(b"x")))
        await eventually(lambda: b.server.balancer.queue.nonempty)
        client.writer.close()
        assert (await waiting).body == b"service1a:x"


async def test_each_side_is_read_no_faster_than_the_other_takes_it_in():
    begin = asyncio.Event()
    size = 40_000_000

    async def late(request):
        request.wire.send(SWITCH)
        await begin.wait()
        while data := await request.wire.reader.read(65536):
            request.wire.send(data)
            await request.wire.writer.drain()

    async with balanced(late) as b:
        client, _ = await opened(b)
        client.send(b"x" * size)
        (tunnel,) = b.connections
        await eventually(lambda: tunnel._instance._held_up)
        assert tunnel._instance.transport.get_write_buffer_size() < 1_000_000
        assert client.writer.transport.get_write_buffer_size() > 0
        begin.set()
        await eventually(lambda: tunnel._client._held_up)
        assert tunnel._client.transport.get_write_buffer_size() < 1_000_000
        assert await client.reader.readexactly(size) == b"x" * size


async def test_a_side_that_has_ended_still_gets_what_the_other_sends():
    async def at_the_end(request):
        request.wire.send(SWITCH)
        request.wire.send(b"got %d" % len(await request.wire.reader.read()))
        raise ConnectionError

    async with balanced(at_the_end) as b:
        client, _ = await opened(b)
        client.send(b"x" * 100_000)
        client.writer.write_eof()
        assert await client.reader.read() == b"got 100000"
        await eventually(lambda: in_flight(b) == [0])


async def test_an_instance_that_ends_ends_the_client_and_is_not_blamed():
    async def leaves(request):
        request.wire.send(SWITCH + b"bye")
        raise ConnectionError

    async with balanced(leaves) as b:
        client, _ = await opened(b)
        assert await client.reader.read() == b"bye"
        client.writer.close()
        await eventually(lambda: in_flight(b) == [0])
        assert b.counts() == [{"requests": 1, "errors": 0}]
        assert b.events("ejected") == []


async def test_after_101_nothing_is_tried_again():
    async def dies(request):
        request.wire.send(SWITCH)
        await request.wire.reader.readexactly(1)
        request.wire.reset()
        raise ConnectionError

    async with balanced(dies, dies) as b:
        client, _ = await opened(b)
        client.send(b"x")
        assert await client.closed()
        await eventually(lambda: in_flight(b) == [0, 0])
        assert sum(count["requests"] for count in b.counts()) == 1
        assert b.events("retried") == []


async def test_a_client_that_breaks_off_takes_the_tunnel_along():
    async with balanced(back) as b:
        client, _ = await opened(b)
        client.reset()
        await eventually(lambda: in_flight(b) == [0])
        await eventually(lambda: b.instances[0].closed == 1)


async def test_before_101_a_failure_is_tried_elsewhere():
    async def dies(request):
        request.wire.reset()
        raise ConnectionError

    async with balanced(dies, back) as b:
        client, _ = await opened(b)
        client.send(b"x")
        assert await client.reader.readexactly(1) == b"x"
        assert [len(instance.requests) for instance in b.instances] == [1, 1]


async def test_an_instance_may_answer_otherwise_and_the_connection_goes_on():
    async def refuses(request):
        request.answer(b"no", "403 Forbidden")

    async with balanced(refuses) as b:
        client = await b.client()
        for _ in range(3):
            client.send(ASK)
            answer = await client.answer()
            assert (answer.status, answer.body) == (403, b"no")
        assert b.instances[0].connections == 1


@pytest.mark.parametrize(
    "answer",
    [
        SWITCH.replace(b"Upgrade: websocket", b"Upgrade: h2c"),
        SWITCH.replace(b"Upgrade: websocket\r\n", b""),
        SWITCH.replace(b"Connection: Upgrade\r\n", b""),
    ],
)
async def test_a_switch_to_something_else_is_a_bad_gateway(answer):
    async def switches(request):
        request.wire.send(answer)

    async with balanced(switches) as b:
        assert (await b.ask(ASK)).status == 502


async def test_a_switch_that_nobody_asked_for_is_a_bad_gateway():
    async def switches(request):
        request.wire.send(SWITCH)

    async with balanced(switches) as b:
        assert (await b.ask(post())).status == 502
        h2c = ASK.replace(b"websocket", b"h2c")
        assert (await b.ask(h2c)).status == 502
        assert b.instances[0].requests[1].header("Upgrade") is None


async def test_a_stop_lets_a_tunnel_end_by_itself():
    async with balanced(back) as b:
        client, _ = await opened(b)
        stopping = asyncio.ensure_future(b.server.stop(30))
        await eventually(lambda: b.server.balancer.draining)
        client.send(b"x")
        assert await client.reader.readexactly(1) == b"x"
        client.writer.close()
        await stopping
        assert b.instances[0].closed == 1


async def test_a_stop_ends_a_tunnel_that_goes_on():
    async with balanced(back) as b:
        client, _ = await opened(b)
        await b.server.stop(0.05)
        assert await client.closed()
        assert in_flight(b) == [0]
        await eventually(lambda: b.instances[0].closed == 1)


async def test_a_tunnel_through_which_nothing_goes_is_cut():
    async with balanced(back) as b:
        client, _ = await opened(b)
        (tunnel,) = b.connections
        tunnel.on_deadline()
        client.send(b"x")
        assert await client.reader.readexactly(1) == b"x"
        let_time_pass(tunnel)
        assert await client.closed()
        await eventually(lambda: in_flight(b) == [0])
        assert len(b.server.balancer.deadlines) == 0


async def test_an_instance_that_is_removed_keeps_its_tunnels():
    async with balanced(back) as b:
        client, _ = await opened(b)
        (instance,) = b.server.balancer.instances
        b.server.remove_instance("service1a")
        client.send(b"x")
        assert await client.reader.readexactly(1) == b"x"
        client.writer.close()
        await eventually(lambda: instance.in_flight == 0)
