"""Send requests to instances that close connections as requests come, beside nginx, HAProxy and Envoy."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any

from benchmarks.backends import free_ports
from benchmarks.balancers import builtin, external
from benchmarks.goals import GoalFigure, at_least, at_most, reference
from lab.errors import ProgramMissing
from lab.names import BalancerName
from services.balancer.settings import Address, BalancerSettings
from services.loops import run
from services.wire import WireClient, WireError

__all__ = ["balancer_stale", "serving_apart"]

REQUESTS = 40
ORDERS = 10
PEERS = (BalancerName.NGINX, BalancerName.HAPROXY, BalancerName.ENVOY)
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

Server = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Coroutine[Any, Any, None]]


def balancer_stale() -> Iterator[GoalFigure]:
    """Have an instance close at the second request on each connection, or at once: what clients notice."""
    with serving_apart(_close_at_second) as port:
        settings = _settings(port)
        with builtin(settings):
            for method, path in (("GET", "/x"), ("POST", "/process")):
                got = _statuses(settings.port, method, path, REQUESTS).count(200)
                yield at_least(f"{method}, builtin: answered of {REQUESTS}", got, REQUESTS)
        for name in PEERS:
            try:
                with external(name, settings):
                    got = _statuses(settings.port, "GET", "/x", REQUESTS).count(200)
                    yield reference(f"GET, {name}: answered of {REQUESTS}", got)
            except ProgramMissing as error:
                yield reference(f"{name} is not compared: {error}", float("nan"))
    attempts: list[None] = []

    async def close_at_once(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        attempts.append(None)
        writer.close()

    with serving_apart(close_at_once) as port:
        settings = _settings(port, check_interval_s=0.0, failures=1000)
        with builtin(settings):
            _statuses(settings.port, "POST", "/order", ORDERS)
    yield at_most(
        f"attempts at an instance that accepts and closes, of {ORDERS} orders", len(attempts), ORDERS
    )


@contextmanager
def serving_apart(serve: Server) -> Iterator[int]:
    """Serve connections on a free port, in a thread and loop of their own, and give the port."""
    loop = asyncio.new_event_loop()
    server = loop.run_until_complete(_listening(serve))
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        server.close()
        loop.close()


async def _listening(serve: Server) -> asyncio.Server:
    return await asyncio.start_server(serve, "127.0.0.1", 0)


async def _close_at_second(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer the first request and every health check; at the second request, close without a word."""
    answered = 0
    try:
        while head := (await reader.readuntil(b"\r\n\r\n")).lower():
            length = head.partition(b"content-length:")[2].split(b"\r\n")[0]
            await reader.readexactly(int(length or 0))
            answered += not head.startswith(b"get /health")
            if answered > 1:
                break
            writer.write(OK)
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    writer.close()


def _settings(port: int, **changes: Any) -> BalancerSettings:
    instances = (Address("service1a", "127.0.0.1", port),)
    return BalancerSettings("service1", free_ports(1)[0], instances, **changes)


def _statuses(port: int, method: str, path: str, count: int) -> list[int]:
    """Send requests one after the other, and return their statuses; 0 where there is no answer."""

    async def main() -> list[int]:
        statuses = []
        async with WireClient() as client:
            for _ in range(count):
                try:
                    body = None if method == "GET" else b"x"
                    answer = await client.request(method, f"http://127.0.0.1:{port}{path}", body)
                    statuses.append(answer.status)
                except WireError:
                    statuses.append(0)
        return statuses

    return run(main())
