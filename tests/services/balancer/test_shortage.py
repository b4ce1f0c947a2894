"""What the balancer itself runs out of: no instance is blamed, what is idle makes room, and it recovers."""

from __future__ import annotations

import asyncio
import json
import socket

import pytest

from services.addresses import Address
from services.balancer.http.request_reader import RequestReader
from services.wire import FailureKind, NoAnswer, NotConnected, Pool
from tests.support.balancing import balanced, echo, post
from tests.support.shortage import descriptors_left
from tests.support.waiting import eventually


async def test_a_balancer_out_of_descriptors_says_so_blames_no_instance_and_recovers():
    async with balanced(echo, failures=1) as b:
        client = await b.client()
        await eventually(lambda: b.connections)
        with descriptors_left(0):
            client.send(post(b"x"))
            answer = await client.answer()
        assert (answer.status, answer.header("Retry-After")) == (503, "1")
        assert json.loads(answer.body)["detail"] == "service1: the balancer is out of descriptors"
        assert b.counts() == [{"requests": 0, "errors": 0}]
        assert b.events("ejected") == b.events("retried") == []
        assert {event["reason"] for event in b.events("short")} == {"out of descriptors"}
        assert b.server.balancer.counters.shortages["out of descriptors"] >= 1
        client.send(post(b"y"))
        assert (await client.answer()).body == b"service1a:y"


async def test_an_idle_connection_to_an_instance_makes_room_for_one_to_another():
    """Neither side of the new connection is accepted here: that would take a descriptor too."""
    with socket.create_server(("127.0.0.1", 0)) as idle, socket.create_server(("127.0.0.1", 0)) as wanted:
        async with balanced() as b:
            balancer = b.server.balancer
            first = b.server.add_instance(Address("service1x", *idle.getsockname()))
            balancer.pools[first].give_back(await balancer.pools[first].connect())
            b.server.remove_instance("service1x")  # so that the next goes elsewhere; its pool stays
            balancer.pools[first] = pool = Pool(*idle.getsockname(), balancer.deadlines)
            pool.give_back(await pool.connect())
            b.server.add_instance(Address("service1y", *wanted.getsockname()))
            client = await b.client()
            await eventually(lambda: b.connections)
            with descriptors_left(0):
                client.send(post(b"x"))
                await eventually(lambda: b.attempts)
            assert len(pool) == 0


async def test_an_idle_client_makes_room_for_a_request():
    with socket.create_server(("127.0.0.1", 0)) as wanted:
        async with balanced() as b:
            b.server.add_instance(Address("service1y", *wanted.getsockname()))
            idle, busy = await b.client(), await b.client()
            await eventually(lambda: len(b.connections) == 2)
            with descriptors_left(0):
                busy.send(post(b"x"))
                await eventually(lambda: b.attempts)
            assert await idle.closed()
            busy.reset()
            await eventually(lambda: not b.connections)


async def test_a_client_too_many_takes_the_place_of_one_that_is_idle():
    async with balanced(echo) as b:
        idle = await b.client()
        await eventually(lambda: b.connections)
        b.server.balancer.descriptors = 1
        with descriptors_left(4):
            newcomer = await b.client()
            assert await idle.closed()
        newcomer.send(post(b"x"))
        assert (await newcomer.answer()).body == b"service1a:x"


async def test_a_client_too_many_is_turned_away_where_none_is_idle():
    release = asyncio.Event()

    async def held(request):
        await release.wait()
        await echo(request)

    async with balanced(held) as b:
        asking = asyncio.ensure_future(b.ask(post(b"x")))
        await eventually(lambda: b.instances[0].requests)
        b.server.balancer.descriptors = 1
        with descriptors_left(4):
            newcomer = await b.client()
            answer = await newcomer.answer()
        assert (answer.status, answer.header("Retry-After")) == (503, "1")
        assert "out of descriptors" in json.loads(answer.body)["detail"]
        release.set()
        assert (await asking).body == b"service1a:x"


@pytest.mark.parametrize(("kind", "words"), [("no_local_port", "ports"), ("no_memory", "memory")])
async def test_other_shortages_are_the_balancers_own_too(monkeypatch, kind, words):
    async def connect(pool):
        raise NotConnected(FailureKind(kind), f"{pool.host}:{pool.port}")

    async with balanced(echo, echo, failures=1) as b:
        with monkeypatch.context() as patched:
            patched.setattr(Pool, "connect", connect)
            answer = await b.ask(post(b"x"))
        assert answer.status == 503
        assert f"out of {words}" in json.loads(answer.body)["detail"]
        assert b.counts() == [{"requests": 0, "errors": 0}] * 2
        assert b.events("ejected") == []
        assert (await b.ask(post(b"x"))).status == 200


async def test_a_port_missing_for_one_instance_leaves_the_others(monkeypatch):
    really_connect = Pool.connect

    async def connect(pool):
        if pool.port == b.instances[0].port:
            raise NotConnected(FailureKind.NO_LOCAL_PORT, "peer")
        return await really_connect(pool)

    async with balanced(echo, echo, retry_ratio=0.0, retry_per_s=0.0) as b:
        monkeypatch.setattr(Pool, "connect", connect)
        assert [(await b.ask(post(b"x"))).body for _ in range(4)] == [b"service1b:x"] * 4
        assert b.counts() == [{"requests": 0, "errors": 0}, {"requests": 4, "errors": 0}]


async def test_what_ran_short_with_the_request_on_its_way_is_not_sent_again():
    async with balanced(echo, echo) as b:
        client = await b.client()
        client.send(post(b"x"))
        await client.answer()
        b.instances[0].frozen = b.instances[1].frozen = True
        client.send(post(b"y"))
        await eventually(lambda: b.attempts)
        (end,) = b.attempts
        exchange, end._exchange = end._exchange, None
        exchange.on_failure(NoAnswer(FailureKind.NO_MEMORY, end.peer))
        answer = await client.answer()
        assert answer.status == 502
        assert "out of memory" in json.loads(answer.body)["detail"]
        assert sum(count["errors"] for count in b.counts()) == 0
        end.abort()


async def test_a_check_that_the_balancer_cannot_make_fails_no_instance():
    async with balanced(echo, fall=1) as b:
        (instance,) = b.server.balancer.instances
        with descriptors_left(0):
            await b.server._checks.check(instance)
        assert [event["reason"] for event in b.events("short")] == ["out of descriptors"]
        assert b.events("ejected") == []


async def test_a_request_for_which_memory_is_missing_is_refused_and_the_next_served(monkeypatch):
    async with balanced(echo) as b:
        with monkeypatch.context() as patched:

            def feed(*_):
                raise MemoryError

            patched.setattr(RequestReader, "feed", feed)
            answer = await b.ask(post(b"x"))
        assert answer.status == 503
        assert "out of memory" in json.loads(answer.body)["detail"]
        assert b.server.balancer.counters.shortages["out of memory"] == 1
        assert (await b.ask(post(b"y"))).body == b"service1a:y"
