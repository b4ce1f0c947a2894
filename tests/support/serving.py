"""What the tests of services talk to: applications and scripted next hops on free ports, and a client."""

from __future__ import annotations

import asyncio
import http.client
import json
import re
import socket
import threading
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, TypeVar

import uvicorn

from services.loops import new_event_loop
from services.slots import Slots

T = TypeVar("T")
Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class ServerThread:
    """A loop in a thread of its own, with servers on it."""

    def __init__(self) -> None:
        self.loop = new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever)
        self._thread.start()
        self._apps: dict[int, tuple[uvicorn.Server, asyncio.Task[None]]] = {}
        self._listeners: list[asyncio.Server] = []
        self._tasks: set[asyncio.Task[None]] = set()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine on the loop, and return its result."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(40)

    def serve_app(self, app: Any) -> int:
        """Serve an ASGI application with uvicorn. Returns its port."""
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
        """End the application on that port in good order; nothing listens there any more."""
        server, task = self._apps.pop(port)
        server.should_exit = True
        self.run(_ended(task))

    async def _start(self, server: uvicorn.Server, sock: socket.socket) -> asyncio.Task[None]:
        task = asyncio.create_task(server.serve([sock]))
        while not server.started:
            assert not task.done(), "the application did not start"
            await asyncio.sleep(0.005)
        return task

    def listen(self, handler: Handler) -> int:
        """Serve each connection with a coroutine. Returns the port."""

        def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            self._tasks.add(self.loop.create_task(self._attend(handler, reader, writer)))

        async def start() -> asyncio.Server:
            return await asyncio.start_server(accept, "127.0.0.1", 0)

        server = self.run(start())
        self._listeners.append(server)
        return int(server.sockets[0].getsockname()[1])

    async def _attend(
        self, handler: Handler, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        try:
            with suppress(asyncio.IncompleteReadError, ConnectionError):
                await handler(reader, writer)
        finally:
            await _close(writer)

    def stop(self) -> None:
        """Stop all servers and the thread."""

        async def end() -> None:
            for listener in self._listeners:
                listener.close()
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


async def _close(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with suppress(ConnectionError):
        await writer.wait_closed()


@dataclass
class NextHop:
    """A next hop that reads each request to its end, notes it, and answers the same bytes to each."""

    answer: bytes = b""
    closes: bool = False
    """Whether it closes the connection after an answer; `closed` counts them."""
    answers: bool = True
    connections: int = 0
    closed: int = 0
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
            assert length, "every request to a next hop has a length"
            body = await reader.readexactly(int(length[1]))
            self.heads.append(head)
            self.bodies.append(body)
            if not self.answers:
                await reader.read()  # until the other side gives up
                return
            writer.write(self.answer)
            await writer.drain()
            if self.closes:
                await _close(writer)
                self.closed += 1
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


def ask(
    port: int,
    method: str = "GET",
    path: str = "/health",
    body: Any = None,
    headers: dict[str, str] | None = None,
) -> Reply:
    """Send one request to a port, on a connection of its own: `ask(port, "POST", "/process", body)`."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=40)
    try:
        if isinstance(body, dict):
            body = json.dumps(body).encode()
        connection.request(method, path, body, headers or {})
        response = connection.getresponse()
        return Reply(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())
    finally:
        connection.close()


class HeldWork:
    """Keeps requests in their slots until `release`, instead of for their service times, which it notes."""

    def __init__(self, slots: Slots) -> None:
        self.service_times_s: list[float] = []
        self._released = asyncio.Event()
        slots._spend = self._spend  # type: ignore[method-assign]

    def release(self) -> None:
        """Let all go, now and later. From another thread: by `call_soon_threadsafe`."""
        self._released.set()

    async def _spend(self, duration_s: float) -> None:
        self.service_times_s.append(duration_s)
        await self._released.wait()
