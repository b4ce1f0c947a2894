"""Servers for the tests of services: apps and scripted peers on free ports, in a background thread."""

from __future__ import annotations

import asyncio
import http.client
import json
import re
import socket
import threading
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, TypeVar

import pytest
import uvicorn

from services.loops import new_event_loop

T = TypeVar("T")
Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Background:
    """A loop in a thread of its own, with servers on it."""

    def __init__(self) -> None:
        self.loop = new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever)
        self._thread.start()
        self._apps: dict[int, tuple[uvicorn.Server, asyncio.Task[None]]] = {}
        self._peers: list[asyncio.Server] = []
        self._tasks: set[asyncio.Task[None]] = set()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(20)

    def serve_app(self, app: Any) -> int:
        """Serves an ASGI application with uvicorn. Returns its port."""
        sock = socket.create_server(("127.0.0.1", 0))
        config = uvicorn.Config(
            app, log_config=None, log_level="critical", access_log=False, lifespan="on", ws="none",
            timeout_graceful_shutdown=1,
        )  # fmt: skip
        server = uvicorn.Server(config)
        port = int(sock.getsockname()[1])
        self._apps[port] = server, self.run(self._start(server, sock))
        return port

    def stop_app(self, port: int) -> None:
        """Ends the application on that port in good order; nobody listens there any more."""
        server, task = self._apps.pop(port)
        server.should_exit = True
        self.run(_ended(task))

    async def _start(self, server: uvicorn.Server, sock: socket.socket) -> asyncio.Task[None]:
        task = asyncio.create_task(server.serve([sock]))
        while not server.started:
            assert not task.done(), "the application did not start"
            await asyncio.sleep(0.005)
        return task

    def serve_peer(self, handler: Handler) -> int:
        """Serves each connection with a coroutine. Returns the port."""

        def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            self._tasks.add(self.loop.create_task(self._attend(handler, reader, writer)))

        async def start() -> asyncio.Server:
            return await asyncio.start_server(accept, "127.0.0.1", 0)

        server = self.run(start())
        self._peers.append(server)
        return int(server.sockets[0].getsockname()[1])

    async def _attend(
        self, handler: Handler, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        try:
            with suppress(asyncio.IncompleteReadError, ConnectionError):
                await handler(reader, writer)
        finally:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()

    def stop(self) -> None:
        async def end() -> None:
            for peer in self._peers:
                peer.close()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            for server, _ in self._apps.values():
                server.should_exit = True
            await asyncio.gather(*(task for _, task in self._apps.values()))
            rest = asyncio.all_tasks() - {asyncio.current_task()}
            for task in rest:
                task.cancel()
            await asyncio.gather(*rest, return_exceptions=True)

        self.run(end())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
        self.loop.close()


async def _ended(task: asyncio.Task[None]) -> None:
    await task


@dataclass
class Peer:
    """A next hop that reads each request to its end, notes it, and answers the same bytes to each."""

    answer: bytes = b""
    closes: bool = False
    delay_s: float = 0.0
    connections: int = 0
    heads: list[str] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    port: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/there"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            length = re.search(r"content-length: *(\d+)", head.lower())
            assert length, "every request to a peer has a length"
            self.bodies.append(await reader.readexactly(int(length[1])))
            self.heads.append(head)
            await asyncio.sleep(self.delay_s)
            writer.write(self.answer)
            await writer.drain()
            if self.closes:
                return


@dataclass
class Reply:
    """An answer as a client of the pipeline sees it."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def detail(self) -> Any:
        return self.json["detail"]


@pytest.fixture(scope="module")
def background() -> Iterator[Background]:
    background = Background()
    yield background
    background.stop()


@pytest.fixture
def peer(background: Background) -> Peer:
    """A scripted next hop, listening."""
    peer = Peer()
    peer.port = background.serve_peer(peer.serve)
    return peer


@pytest.fixture
def ask() -> Callable[..., Reply]:
    """One request to a port, on a connection of its own: `ask(port, "POST", "/process", body)`."""

    def ask(
        port: int,
        method: str = "GET",
        path: str = "/health",
        body: Any = None,
        headers: dict[str, str] | None = None,
    ) -> Reply:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        try:
            if isinstance(body, dict):
                body = json.dumps(body).encode()
            connection.request(method, path, body, headers or {})
            response = connection.getresponse()
            return Reply(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())
        finally:
            connection.close()

    return ask
