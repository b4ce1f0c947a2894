"""A server of one application ends and loses nothing that was sent to it, or at once and leaves nothing."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from lab.placement.app_server import AppServer
from lab.placement.ports import listen
from services.loops import new_event_loop

REQUEST = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
LOOPS = {"uvloop": new_event_loop, "asyncio": asyncio.new_event_loop}
every_loop = pytest.mark.parametrize("loop", LOOPS)
however_far = pytest.mark.parametrize("turns", range(8))


async def hello(scope: Any, receive: Any, send: Any) -> None:  # noqa: ARG001
    if scope["type"] != "http":
        raise RuntimeError("no lifespan here")
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"5")]})
    await send({"type": "http.response.body", "body": b"hello"})


@asynccontextmanager
async def connected(turns: int, sent: bytes) -> AsyncIterator[tuple[AppServer, socket.socket]]:
    """Connect to a server and send bytes; `turns` of the loop later, give both."""
    server, sock = AppServer(hello, []), listen("one", "127.0.0.1", 0)
    port = sock.getsockname()[1]
    await server.start(sock)
    with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
        client.sendall(sent)
        for _ in range(turns):
            await asyncio.sleep(0)
        yield server, client


def run(loop: str, main: Callable[[], Any]) -> None:
    with asyncio.Runner(loop_factory=LOOPS[loop]) as runner:
        runner.run(main())


@every_loop
@however_far
def test_a_request_that_was_sent_before_the_server_stops_is_answered(loop: str, turns: int) -> None:
    async def main() -> None:
        async with connected(turns, REQUEST) as (server, client):
            await server.stop(10)
            assert (await asyncio.to_thread(client.recv, 1000)).endswith(b"hello")

    run(loop, main)


@every_loop
@however_far
def test_a_request_on_a_kept_connection_that_was_sent_before_the_server_stops_is_answered(
    loop: str, turns: int
) -> None:
    async def main() -> None:
        async with connected(0, REQUEST) as (server, client):
            await asyncio.to_thread(client.recv, 1000)
            client.sendall(REQUEST)
            for _ in range(turns):
                await asyncio.sleep(0)
            await server.stop(10)
            assert (await asyncio.to_thread(client.recv, 1000)).endswith(b"hello")

    run(loop, main)


@however_far
def test_a_server_that_is_killed_cuts_a_connection_however_far_it_has_come(turns: int) -> None:
    pytest.importorskip("uvloop", reason="asyncio itself drops what is accepted just then, and complains")

    async def main() -> None:
        async with connected(turns, b"") as (server, client):
            server.abort()
            await server.stop(0)
            with pytest.raises(ConnectionResetError):
                await asyncio.to_thread(client.recv, 1)

    run("uvloop", main)
