"""A balancer begins on a socket it is given, and ends without losing what it can finish."""

from __future__ import annotations

import asyncio
import json
import socket

import pytest

from services.balancer.server import BalancerServer
from services.balancer.settings import Address, BalancerSettings
from tests.support.balancing import Balanced, balanced, echo, post, silent
from tests.support.waiting import eventually


async def test_draining_finishes_what_is_in_flight_and_takes_nothing_more():
    release = asyncio.Event()

    async def held(request):
        await release.wait()
        await echo(request)

    async with balanced(held) as b:
        idle, busy = await b.client(), await b.client()
        idle.send(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
        await idle.answer()
        busy.send(post(b"x"))
        await eventually(lambda: b.instances[0].requests)
        stopping = asyncio.ensure_future(b.server.stop(5))
        assert await idle.closed()
        with pytest.raises(ConnectionRefusedError):
            await b.client()
        release.set()
        answer = await busy.answer()
        assert (answer.body, answer.header("Connection")) == (b"service1a:x", "close")
        busy.writer.close()
        await stopping


async def test_a_draining_balancer_is_unready():
    async with balanced(silent) as b:
        client = await b.client()
        client.send(b"GET /health HTTP/1.1\r\nHost: x\r\n")
        await eventually(lambda: any(c._reader.buffer for c in b.connections))
        stopping = asyncio.ensure_future(b.server.stop(5))
        await eventually(lambda: b.server.balancer.draining)
        client.send(b"\r\n")
        answer = await client.answer()
        assert (answer.status, json.loads(answer.body)["status"]) == (503, "draining")
        client.writer.close()
        await stopping


async def test_a_balancer_that_is_to_be_unready_first_says_so_and_goes_on_accepting():
    async with balanced(echo, unready_s=1000.0) as b:
        kept = await b.client()
        kept.send(post(b"x"))
        await kept.answer()
        stopping = asyncio.ensure_future(b.server.stop(5))
        await eventually(lambda: b.server.balancer.draining)
        ready = await b.ask(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
        assert (ready.status, json.loads(ready.body)["status"]) == (503, "draining")
        assert (await b.ask(post(b"y"))).body == b"service1a:y"
        kept.send(post(b"z"))
        answer = await kept.answer()
        assert (answer.body, answer.header("Connection")) == (b"service1a:z", "close")
        stopping.cancel()
        b.server.abort()


async def test_an_outer_balancer_sends_nothing_to_one_that_is_about_to_stop_and_no_request_fails():
    checks = {"check_interval_s": 0.02, "check_timeout_s": 30.0, "fall": 2}

    async with balanced(echo, unready_s=1000.0) as inner, balanced(echo) as other:
        instances = tuple(Address(name, "127.0.0.1", b.port) for name, b in (("a", inner), ("b", other)))
        outer = BalancerServer(BalancerSettings("service1", 0, instances, **checks))
        sock = socket.create_server(("127.0.0.1", 0))
        through = Balanced(outer, sock.getsockname()[1], [])
        await outer.start(sock)
        stopping = asyncio.ensure_future(inner.server.stop(5))
        statuses, client = set(), await through.client()

        async def order():
            # Not declared idempotent: an attempt that meets the end of the inner one cannot be hidden.
            client.send(post(path="/order"))
            statuses.add((await client.answer()).status)

        while not outer.balancer.log.last():
            await order()
        seen = len(inner.instances[0].requests)
        for turn in range(20):
            if turn == 10:
                stopping.cancel()
                inner.server.abort()
            await order()
        assert statuses == {200}
        assert len(inner.instances[0].requests) == seen
        log = outer.balancer.log.last()
        assert [(event["event"], event["reason"]) for event in log] == [("ejected", "checks")]
        through.close()
        await outer.stop(0)


async def test_what_was_aborted_is_not_unready_first():
    async with balanced(echo, unready_s=1000.0) as b:
        b.server.abort()
        await b.server.stop(0)


async def test_what_does_not_end_in_time_is_cut():
    async with balanced(silent) as b:
        client = await b.client()
        client.send(post())
        await eventually(lambda: b.instances[0].requests)
        await b.server.stop(0.05)
        assert await client.closed()
        await eventually(lambda: b.instances[0].closed == b.instances[0].connections)


async def test_aborting_resets_connections_and_frees_the_port():
    async with balanced(silent) as b:
        client = await b.client()
        client.send(post())
        await eventually(lambda: b.instances[0].requests)
        b.server.abort()
        with pytest.raises(ConnectionResetError):
            await client.reader.read()
        await b.server.stop(0)
        socket.create_server(("127.0.0.1", b.port)).close()


@pytest.mark.parametrize("turns", range(6))
async def test_aborting_cuts_a_connection_however_far_it_has_come(turns):
    pytest.importorskip("uvloop", reason="asyncio itself drops what is accepted just then, and complains")

    async with balanced(echo) as b:
        with socket.create_connection(("127.0.0.1", b.port), timeout=10) as client:
            for _ in range(turns):
                await asyncio.sleep(0)
            b.server.abort()
            await b.server.stop(0)
            with pytest.raises(ConnectionResetError):
                await asyncio.to_thread(client.recv, 1)


async def test_stopping_what_was_never_started_is_nothing():
    server = BalancerServer(BalancerSettings("service1", 0, ()))
    server.abort()
    await server.stop(0)
    with pytest.raises(RuntimeError, match="not started"):
        server.stats()


async def test_a_balancer_that_stopped_leaves_no_task_behind():
    before = asyncio.all_tasks()
    async with balanced(echo, check_interval_s=0.01) as b:
        await b.ask(post())
        await b.server.stop(0)
    await eventually(lambda: asyncio.all_tasks() <= before)
