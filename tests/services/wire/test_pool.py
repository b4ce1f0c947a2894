"""A pool keeps connections for the next request, and none that is of no use."""

from __future__ import annotations

import asyncio
import socket

from services.wire import Connection, Deadlines, FailureKind, NotConnected, Pool
from tests.support.waiting import eventually
from tests.support.wire_peers import Record, answering, listening

GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"


async def exchange_once(connection):
    record = Record()
    connection.send(record, GET)
    await record.over.wait()
    assert record.ends == [None]


async def test_what_is_given_back_last_is_taken_first():
    async with listening(answering(OK)) as peer:
        pool = Pool("127.0.0.1", peer.port, Deadlines())
        first, second = await pool.connect(), await pool.connect()
        pool.give_back(first)
        pool.give_back(second)
        assert (pool.take(), pool.take(), pool.take()) == (second, first, None)
        first.close()
        second.close()
        pool.close()


async def test_a_connection_that_cannot_be_reused_is_dropped():
    closing = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"

    async with listening(answering(closing)) as peer:
        pool = Pool("127.0.0.1", peer.port, Deadlines())
        connection = await pool.connect()
        await exchange_once(connection)
        pool.give_back(connection)
        assert len(pool) == 0
        pool.close()


async def test_a_connection_with_an_exchange_in_flight_is_not_kept():
    async with listening(answering(b"")) as peer:
        pool = Pool("127.0.0.1", peer.port, Deadlines())
        connection = await pool.connect()
        record = Record()
        connection.send(record, GET)
        pool.give_back(connection)
        assert len(pool) == 0
        assert record.error.kind is FailureKind.ABORTED
        pool.close()


async def test_no_more_than_max_idle_are_kept():
    async with listening(answering(OK)) as peer:
        pool = Pool("127.0.0.1", peer.port, Deadlines(), max_idle=1)
        first, second = await pool.connect(), await pool.connect()
        pool.give_back(first)
        pool.give_back(second)
        assert len(pool) == 1
        assert not second.idle
        pool.close()


async def test_an_idle_connection_closed_by_the_peer_leaves_the_pool():
    async with listening(answering(OK, then_close=True)) as peer:
        pool = Pool("127.0.0.1", peer.port, Deadlines())
        connection = await pool.connect()
        await exchange_once(connection)
        pool.give_back(connection)
        await eventually(lambda: len(pool) == 0)
        assert pool.take() is None
        pool.close()


async def test_what_is_idle_for_too_long_is_closed():
    async with listening(answering(OK)) as peer:
        pool = Pool("127.0.0.1", peer.port, Deadlines(), idle_timeout_s=0.1)
        pool.give_back(await pool.connect())
        await asyncio.sleep(0.05)
        pool.give_back(await pool.connect())
        await eventually(lambda: peer.closed == 2)
        assert len(pool) == 0
        pool.close()


async def test_opening_calls_back_with_a_connection():
    async with listening(answering(OK)) as peer:
        pool = Pool("127.0.0.1", peer.port, Deadlines())
        got = asyncio.get_running_loop().create_future()
        pool.open(got.set_result)
        connection = await got
        assert isinstance(connection, Connection)
        await exchange_once(connection)
        connection.close()
        pool.close()


async def test_opening_calls_back_with_what_went_wrong():
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        pool = Pool("127.0.0.1", unused.getsockname()[1], Deadlines())
        got = asyncio.get_running_loop().create_future()
        pool.open(got.set_result)
        error = await got
        assert isinstance(error, NotConnected)
        assert error.kind is FailureKind.REFUSED
        pool.close()


async def test_a_cancelled_opening_never_calls_back():
    async with listening(answering(OK)) as peer:
        pool = Pool("127.0.0.1", peer.port, Deadlines())
        calls = []
        pool.open(calls.append).cancel()
        await asyncio.sleep(0.05)
        assert calls == []
        pool.close()


async def test_closing_leaves_nothing_open():
    async with listening(answering(OK)) as peer:
        pool = Pool("127.0.0.1", peer.port, Deadlines())
        pool.give_back(await pool.connect())
        pool.open(lambda _: None)
        pool.close()
        await eventually(lambda: peer.closed == peer.connections)
        assert len(pool) == 0


async def test_closing_fails_every_opening_at_once():
    async with listening(answering(OK)) as peer:
        pool = Pool("127.0.0.1", peer.port, Deadlines())
        told = []
        pool.open(told.append)
        pool.close()
        (error,) = told
        assert isinstance(error, NotConnected)
        assert error.kind is FailureKind.ABORTED
        await eventually(lambda: peer.closed == peer.connections)
        assert told == [error]


async def test_an_opening_that_an_unforeseen_error_ends_calls_back_with_it(monkeypatch):
    async def broken(*_args, **_kwargs):
        raise RuntimeError("a bug")

    monkeypatch.setattr(Connection, "open", broken)
    pool = Pool("127.0.0.1", 9, Deadlines())
    told = asyncio.get_running_loop().create_future()
    pool.open(told.set_result)
    result = await told
    assert isinstance(result, NotConnected)
    assert "a bug" in str(result)
    pool.close()
