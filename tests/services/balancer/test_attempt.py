"""A request goes to an instance and its answer to the client, whole, in order and in the right frame."""

from __future__ import annotations

import asyncio
import json

import pytest

from tests.support.balancing import balanced, echo, post, silent
from tests.support.waiting import eventually


async def test_requests_go_round_and_carry_where_they_come_from():
    async with balanced(echo, echo) as b:
        answers = [await b.ask(post(b"%d" % i)) for i in range(4)]
        assert [a.body for a in answers] == [
            b"service1a:0",
            b"service1b:1",
            b"service1a:2",
            b"service1b:3",
        ]
        assert b.counts() == [{"requests": 2, "errors": 0}] * 2
        request = b.instances[0].requests[0]
        assert request.line == "POST /process HTTP/1.1"
        assert request.header("Host") == "x"
        assert request.header("X-Forwarded-For") == "127.0.0.1"
        assert request.header("Via") == "1.1 service1-loadbalancer"
        assert request.header("X-Request-ID")
        assert request.header("X-Request-Deadline-Ms") == "30000"
        ids = {r.header("X-Request-ID") for i in b.instances for r in i.requests}
        assert len(ids) == 4


async def test_what_the_client_said_of_itself_is_added_to_and_not_replaced():
    async with balanced(echo) as b:
        said = "X-Forwarded-For: 9.9.9.9\r\nX-Request-ID: mine\r\nX-Request-Deadline-Ms: 1500\r\n"
        await b.ask(post(headers=said))
        (request,) = b.instances[0].requests
        assert request.header("X-Forwarded-For") == "9.9.9.9, 127.0.0.1"
        assert request.header("X-Request-ID") == "mine"
        assert 0 < int(request.header("X-Request-Deadline-Ms")) <= 1500


async def test_one_connection_carries_many_requests_and_reuses_one_to_the_instance():
    async with balanced(echo) as b:
        client = await b.client()
        for i in range(20):
            client.send(post(b"%d" % i))
            assert (await client.answer()).body == b"service1a:%d" % i
        assert b.instances[0].connections == 1


@pytest.mark.parametrize("status", ["200 OK", "404 Not Found", "503 Service Unavailable", "204 No Content"])
async def test_the_tenth_answer_is_like_the_first(status):
    async def answer(request):
        body = b"" if status.startswith("204") else request.body
        request.answer(body, status, "A: 1\r\nConnection: keep-alive, X-B\r\nX-B: 2\r\n")

    async with balanced(answer) as b:
        client = await b.client()
        first = None
        for i in range(10):
            client.send(post(b"%d" % i))
            got = await client.answer()
            assert got.body == (b"" if status.startswith("204") else b"%d" % i)
            first = first or got
            assert (got.status, got.headers) == (int(status[:3]), first.headers)
        stated = [] if status.startswith("204") else ["Content-Length"]
        assert [name for name, _ in first.headers] == ["A", *stated]
        old = await b.ask(b"POST / HTTP/1.0\r\nHost: x\r\nContent-Length: 1\r\n\r\nx")
        assert old.header("Connection") == "close"
        assert b.counts() == [{"requests": 11, "errors": 0}]
        assert b.instances[0].connections == 1


async def test_pipelined_requests_are_answered_in_their_order():
    async def slow_first(request):
        await asyncio.sleep(0.05 if request.body == b"0" else 0)
        await echo(request)

    async with balanced(slow_first, slow_first) as b:
        client = await b.client()
        client.send(b"".join(post(b"%d" % i) for i in range(50)) + b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
        for i in range(50):
            assert (await client.answer()).body.endswith(b":%d" % i)
        assert json.loads((await client.answer()).body)["status"] == "healthy"


async def test_it_does_not_matter_how_the_bytes_of_requests_are_cut():
    async with balanced(echo) as b:
        client = await b.client()
        chunked = b"POST /p HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
        chunked += b"2\r\nab\r\n1\r\nc\r\n0\r\nT: x\r\n\r\n"
        for byte in post(b"hello") + b"\r\n" + chunked:
            client.send(bytes([byte]))
            await asyncio.sleep(0)
        assert (await client.answer()).body == b"service1a:hello"
        assert (await client.answer()).body == b"service1a:abc"
        assert b.instances[0].requests[1].header("Content-Length") == "3"


async def test_the_answer_to_head_is_a_head_and_the_connection_goes_on():
    async with balanced(echo) as b:
        client = await b.client()
        client.send(b"HEAD /process HTTP/1.1\r\nHost: x\r\n\r\n")

        async def head_only(request):
            request.wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n")

        b.instances[0]._answer = head_only
        answer = await client.answer(is_head=True)
        assert (answer.status, answer.header("Content-Length")) == (200, "7")
        b.instances[0]._answer = echo
        client.send(post(b"x"))
        assert (await client.answer()).body == b"service1a:x"


@pytest.mark.parametrize(
    "raw",
    [
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"5\r\nhello\r\n6\r\n world\r\n0\r\nX-T: 1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\nhello world",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\nhello world",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"b\r\nhello world\r\n0\r\nContent-Length: 5\r\nX-T: 1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"b\r\nhello world\r\n0\r\nTransfer-Encoding: gzip\r\nConnection: close\r\n\r\n",
        b"HTTP/1.0 200 OK\r\n\r\nhello world",
        b"\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\nhello world",
    ],
)
@pytest.mark.parametrize("minor", [0, 1])
async def test_answers_of_every_frame_come_through_without_trailers(raw, minor):
    async def answer(request):
        request.wire.send(raw)
        if b"HTTP/1.0" in raw:
            request.wire.writer.close()

    async with balanced(answer) as b:
        answer_ = await b.ask(b"GET / HTTP/1.%d\r\nHost: x\r\n\r\n" % minor)
        assert (answer_.status, answer_.body) == (200, b"hello world")
        assert answer_.header("X-T") is None
        assert minor or answer_.header("Transfer-Encoding") is None


async def test_the_answer_after_one_with_a_length_as_trailer_is_read_as_strictly_as_any():
    raws = [
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\nContent-Length: 5\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n1\r\nx\r\n0\r\n\r\n",
    ]

    async def answer(request):
        request.wire.send(raws[len(request.instance.requests) - 1])

    async with balanced(answer) as b:
        assert [(await b.ask(post())).status for _ in raws] == [200, 502]
        assert b.instances[0].connections == 1


async def test_interim_answers_go_on_to_clients_that_know_them():
    hints = b"HTTP/1.1 103 Early Hints\r\nLink: </%d>\r\nConnection: X-A\r\nX-A: 1\r\n\r\n"
    raw = b"HTTP/1.1 100 Continue\r\n\r\n" + hints % 1 + b"HTTP/1.1 102 Processing\r\n\r\n" + hints % 2

    async def answer(request):
        request.wire.send(raw)
        await request.begin(b"")
        await echo(request)

    async with balanced(answer) as b:
        client = await b.client()
        for _ in range(2):
            client.send(post(b"x"))
            seen = [await client.head() for _ in range(3)]
            assert seen == [
                ("HTTP/1.1 103 Early Hints", [("Link", "</1>")]),
                ("HTTP/1.1 102 Processing", []),
                ("HTTP/1.1 103 Early Hints", [("Link", "</2>")]),
            ]
            assert (await client.answer()).body == b"service1a:x"
        old = await b.ask(b"GET / HTTP/1.0\r\n\r\n")
        assert (old.status, old.body) == (200, b"service1a:")


async def test_an_instance_that_sends_interim_answers_without_end_is_not_heard_for_ever():
    async def hints(request):
        request.wire.send(b"HTTP/1.1 103 Early Hints\r\n\r\n" * 5000)

    async with balanced(hints) as b:
        client = await b.client()
        client.send(post(path="/order"))
        while (await client.head())[0] == "HTTP/1.1 103 Early Hints":
            pass
        assert b.counts() == [{"requests": 1, "errors": 1}]


async def test_who_names_no_host_as_http_1_0_allows_is_sent_on_with_the_instances():
    async with balanced(echo) as b:
        port = b.instances[0].port
        await b.ask(b"GET / HTTP/1.0\r\n\r\n")
        await b.ask(
            b"POST / HTTP/1.0\r\nConnection: Host\r\nX-Forwarded-For: a\r\nContent-Length: 1\r\n\r\nx"
        )
        await b.ask(b"GET / HTTP/1.0\r\nHost: y\r\n\r\n")
        hosts = [request.header("Host") for request in b.instances[0].requests]
        assert hosts == [f"127.0.0.1:{port}", f"127.0.0.1:{port}", "y"]


async def test_an_http_1_0_client_may_keep_its_connection():
    async with balanced(echo) as b:
        client = await b.client()
        for _ in range(2):
            client.send(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
            answer = await client.answer()
            assert (answer.body, answer.header("Connection")) == (b"service1a:", "keep-alive")
        client.send(b"GET / HTTP/1.0\r\n\r\n")
        assert (await client.answer()).header("Connection") == "close"
        assert await client.closed()


async def test_an_http_1_0_client_that_would_keep_its_connection_sees_the_end_of_an_answer_without_length():
    async def endless(request):
        request.wire.send(b"HTTP/1.0 200 OK\r\n\r\nhello world")
        request.wire.writer.close()

    async with balanced(endless) as b:
        client = await b.client()
        client.send(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
        answer = await client.answer()
        assert (answer.body, answer.header("Connection")) == (b"hello world", "close")
        assert await client.closed()


async def test_a_client_that_expects_100_is_told_to_go_on():
    async with balanced(echo) as b:
        client = await b.client()
        client.send(b"POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n")
        assert (await client.answer()).status == 100
        client.send(b"hello")
        assert (await client.answer()).body == b"service1a:hello"
        assert b.instances[0].requests[0].header("Expect") is None


@pytest.mark.parametrize("chunked", [False, True])
async def test_a_long_body_streams_both_ways(chunked):
    size = 5 * 1024 * 1024

    async with balanced(echo) as b:
        client = await b.client()
        framing = b"Transfer-Encoding: chunked" if chunked else b"Content-Length: %d" % size
        client.send(b"POST /process HTTP/1.1\r\nHost: x\r\n" + framing + b"\r\n\r\n")
        for start in range(0, size, 65536):
            piece = bytes([start // 65536 % 256]) * 65536
            client.send(b"10000\r\n" + piece + b"\r\n" if chunked else piece)
            await client.writer.drain()
        if chunked:
            client.send(b"0\r\n\r\n")
        answer = await client.answer()
        body = b"".join(bytes([i % 256]) * 65536 for i in range(size // 65536))
        assert answer.body == b"service1a:" + body
        (request,) = b.instances[0].requests
        assert request.header("Content-Length") == (None if chunked else str(size))


async def test_a_slow_reader_holds_the_instance_back_and_gets_it_all():
    size, sent = 32 * 1024 * 1024, []

    async def flood(request):
        request.wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
        for _ in range(size // 65536):
            request.wire.send(b"x" * 65536)
            await request.wire.writer.drain()
            sent.append(65536)

    async with balanced(flood) as b:
        client = await b.client()
        client.reader._limit = 1024  # so that what is not read is not taken in
        client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        await eventually(lambda: any(c._held_up for c in b.connections))
        assert sum(sent) < size
        assert len((await client.answer()).body) == size


async def test_an_upload_waits_for_an_instance_that_does_not_read():
    size = 32 * 1024 * 1024
    read_on = asyncio.Event()

    async def reluctant(request):
        await read_on.wait()
        await request.wire.reader.readexactly(size)
        request.answer(b"done")

    async with balanced(reluctant, read_body=False) as b:
        client = await b.client()
        client.send(b"POST /process HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % size)

        async def upload():
            for _ in range(size // 65536):
                client.send(b"x" * 65536)
                await client.writer.drain()

        uploading = asyncio.ensure_future(upload())
        await eventually(lambda: any(c._paused for c in b.connections))
        assert not uploading.done()
        read_on.set()
        assert (await client.answer()).body == b"done"
        await uploading


async def test_a_slow_sender_holds_no_instance():
    async with balanced(echo, in_flight_limit=1, queue_limit=0) as b:
        slow = await b.client()
        slow.send(b"POST /process HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nhello")
        await eventually(lambda: any(c._reader.coming for c in b.connections))
        assert (await b.ask(post(b"x"))).status == 200
        slow.send(b"world")
        assert (await slow.answer()).body == b"service1a:helloworld"


async def test_a_client_that_goes_away_takes_its_request_along():
    async with balanced(silent) as b:
        client = await b.client()
        client.send(post(b"x"))
        await eventually(lambda: b.instances[0].requests)
        client.writer.close()
        await eventually(lambda: b.instances[0].closed)
        assert b.counts() == [{"requests": 1, "errors": 0}]
        (instance,) = b.server.balancer.instances
        assert instance.in_flight == 0


async def test_an_answer_before_the_end_of_the_upload_comes_through():
    async def refuse(request):
        request.answer(b"no", status="403 Forbidden")
        await request.wire.reader.read()

    async with balanced(refuse, read_body=False, replay_limit_bytes=1000) as b:
        client = await b.client()
        client.send(b"POST /process HTTP/1.1\r\nHost: x\r\nContent-Length: 90000\r\n\r\n" + b"x" * 50_000)
        answer = await client.answer()
        assert (answer.status, answer.header("Connection")) == (403, "close")
        assert await client.closed()


async def test_statuses_pass_through_with_their_bodies():
    async def broken(request):
        request.answer(b"it broke", status="500 Internal Server Error", headers="X-Why: so\r\n")

    async with balanced(broken, echo) as b:
        answer = await b.ask(post())
        assert (answer.status, answer.body, answer.header("X-Why")) == (500, b"it broke", "so")
        assert b.counts()[0] == {"requests": 1, "errors": 0}
