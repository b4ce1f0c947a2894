"""No body outlives its request: nothing waits for garbage to be collected."""

from __future__ import annotations

import asyncio
import gc
from collections import deque
from types import CellType, MethodType

import pytest

from tests.support.balancing import balanced, echo, post, silent
from tests.support.waiting import eventually

MARK = b"this body is found wherever it is held"
BODY = MARK * 1000


CONTAINERS = (list, tuple, dict, set, deque, MethodType, CellType)


def holds(each, depth=3):
    """Whether an object has bytes with the mark in them, at most so many containers deep."""
    return any(
        MARK in held
        if type(held) in (bytes, bytearray)
        else depth and type(held) in CONTAINERS and holds(held, depth - 1)
        for held in gc.get_referents(each)
    )


def holders():
    """The kinds of the balancer's objects, garbage included, that have bytes with the mark in them."""
    ours = [each for each in gc.get_objects() if str(type(each).__module__).startswith("services.")]
    return [type(each).__name__ for each in ours if holds(each)]


@pytest.fixture
def without_gc():
    gc.collect()
    gc.disable()
    yield
    gc.enable()


async def half_an_answer(request):
    await request.begin(b"HTTP/1.1 200 OK\r\nContent-Length: 999999\r\n\r\n" + BODY)
    request.wire.reset()
    raise ConnectionError


async def short_and_cut(request):
    await request.begin(b"HTTP/1.1 200 OK\r\nContent-Length: 999\r\n\r\n" + MARK)
    request.wire.reset()
    raise ConnectionError


async def drop(request):
    request.wire.reset()
    raise ConnectionError


async def no_http(request):
    request.wire.send(b"no HTTP " + BODY)


CHUNKED = "Transfer-Encoding: chunked\r\n"
HEAD = "POST /process HTTP/1.1\r\nHost: x\r\n"
CUT = {
    "a short upload cut off": (f"{HEAD}Content-Length: 99999\r\n\r\n".encode() + BODY, [echo], {}),
    "a chunked upload cut off": (f"{HEAD}{CHUNKED}\r\nfffff\r\n".encode() + BODY, [echo], {}),
    "a streamed upload cut off": (
        f"{HEAD}Content-Length: 99999\r\n\r\n".encode() + BODY,
        [silent],
        {"replay_limit_bytes": 1000},
    ),
    "a client that leaves": (post(BODY), [silent], {}),
    "a client that leaves the queue": (post(BODY), [silent], {"in_flight_limit": 1}),
}
ANSWERED = {
    "an answer": (post(BODY), [echo], {}),
    "a retry": (post(BODY), [drop, echo], {}),
    "no retry": (post(BODY, path="/order"), [drop], {}),
    "all instances fail": (post(BODY), [drop, drop], {}),
    "a refused request": (post(BODY)[:-1] + b"\r\n\x00 no request", [echo], {}),
    "a bad chunk": (f"{HEAD}{CHUNKED}\r\n".encode() + b"%x\r\n%bXX" % (len(BODY), BODY), [echo], {}),
    "a truncated answer": (post(), [half_an_answer], {}),
    "a short truncated answer": (post(), [short_and_cut], {}),
    "an answer that is no HTTP": (post(BODY), [no_http], {}),
    "a deadline": (post(BODY, headers="X-Request-Deadline-Ms: 50\r\n"), [silent], {}),
    "a deadline in the queue": (
        post(BODY, headers="X-Request-Deadline-Ms: 50\r\n"),
        [silent],
        {"in_flight_limit": 1},
    ),
    "no instance": (post(BODY), [], {}),
    "too long": (post(BODY), [echo], {"body_limit_bytes": 100}),
}


async def _forgotten(b):
    """Wait until the balancer's side of every connection is gone, and let the loop finish with it."""
    await eventually(lambda: not b.connections)
    await eventually(lambda: not holders())


@pytest.mark.parametrize("what", CUT)
@pytest.mark.usefixtures("without_gc")
async def test_a_body_that_was_cut_off_is_forgotten(what):
    data, answerers, settings = CUT[what]
    async with balanced(*answerers, **settings) as b:
        if "in_flight_limit" in settings:
            first = await b.client()
            first.send(post())
            await eventually(lambda: b.instances[0].requests)
        client = await b.client()
        client.send(data)
        if answerers == [silent]:
            await eventually(lambda: b.attempts or b.server.balancer.queue.nonempty)
        await eventually(lambda: any(end._reader.coming or end._forward for end in b.connections))
        for each in list(b._clients):
            each.reset()
        await _forgotten(b)


@pytest.mark.parametrize("what", ANSWERED)
@pytest.mark.usefixtures("without_gc")
async def test_the_body_of_a_request_that_is_over_is_forgotten(what):
    data, answerers, settings = ANSWERED[what]
    async with balanced(*answerers, **settings) as b:
        if "in_flight_limit" in settings:
            first = await b.client()
            first.send(post())
            await eventually(lambda: b.instances[0].requests)
        client = await b.client()
        client.send(data)
        await client.reader.read(100)
        for each in list(b._clients):
            each.reset()
        await _forgotten(b)


@pytest.mark.usefixtures("without_gc")
async def test_no_connection_is_left_as_garbage():
    async with balanced(echo) as b:
        for _ in range(5):
            client = await b.client()
            client.send(post(b"x"))
            await client.answer()
            client.reset()
            await eventually(lambda: not b.connections)
        await asyncio.sleep(0)

        def left():
            kinds = [type(each).__name__ for each in gc.get_objects()]
            return {kind: kinds.count(kind) for kind in ("Downstream", "RequestReader", "Forward", "Attempt")}

        await eventually(lambda: not any(left().values()))
