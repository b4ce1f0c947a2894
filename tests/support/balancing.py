"""A balancer before instances that do as a test tells them, and clients that send any bytes at all."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

from services.balancer.downstream import Downstream
from services.balancer.server import BalancerServer
from services.balancer.settings import Address, BalancerSettings
from services.wire import Connection
from services.wire.connecting import reset_on_close
from tests.support.waiting import eventually

Answerer = Callable[["Request"], Awaitable[None]]


class Answer:
    """A whole response, as a client reads it."""

    def __init__(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        self.status, self.headers, self.body = status, headers, body

    def header(self, name: str) -> str | None:
        return next((value for key, value in self.headers if key.lower() == name.lower()), None)


class Wire:
    """One end of a connection, which reads and writes HTTP messages."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    async def head(self) -> tuple[str, list[tuple[str, str]]]:
        raw = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        first, *lines = raw[:-4].split("\r\n")
        return first, [(name, value.strip()) for name, _, value in (line.partition(":") for line in lines)]

    async def body(self, headers: list[tuple[str, str]], *, until_close: bool = False) -> bytes:
        found = {name.lower(): value for name, value in headers}
        if found.get("transfer-encoding") == "chunked":
            return await self._chunks()
        if "content-length" in found:
            return await self.reader.readexactly(int(found["content-length"]))
        return await self.reader.read() if until_close else b""

    async def answer(self, *, is_head: bool = False) -> Answer:
        first, headers = await self.head()
        status = int(first.split(" ")[1])
        if is_head or status < 200 or status in (204, 304):
            return Answer(status, headers, b"")
        return Answer(status, headers, await self.body(headers, until_close=True))

    async def closed(self) -> bool:
        """Return whether the other side closes, rather than send something."""
        try:
            return await self.reader.read(1) == b""
        except ConnectionError:
            return True

    def reset(self) -> None:
        reset_on_close(self.writer.transport)
        self.writer.transport.abort()

    async def _chunks(self) -> bytes:
        out = b""
        while size := int((await self.reader.readuntil(b"\r\n")).split(b";")[0], 16):
            out += await self.reader.readexactly(size)
            assert await self.reader.readexactly(2) == b"\r\n"
        while await self.reader.readuntil(b"\r\n") != b"\r\n":
            pass
        return out


class Request:
    """A request as an instance got it, and the way to answer it."""

    def __init__(self, wire: Wire, instance: Instance, line: str, headers: list[tuple[str, str]]) -> None:
        self.wire, self.instance, self.line, self.headers = wire, instance, line, headers
        self.body = b""

    def header(self, name: str) -> str | None:
        values = [value for key, value in self.headers if key.lower() == name.lower()]
        assert len(values) < 2, f"{name} came {len(values)} times"
        return values[0] if values else None

    async def begin(self, data: bytes) -> None:
        """Send the first bytes of a response, and wait until the balancer has read them.

        A reset would drop those that are not read yet.
        """
        self.wire.send(data)
        peer = self.wire.writer.get_extra_info("peername")

        def read() -> bool:
            ends = self.instance.balanced.attempts if self.instance.balanced else []
            mine = [
                end for end in ends if end._transport and end._transport.get_extra_info("sockname") == peer
            ]
            return all(end._bytes_seen >= len(data) for end in mine)

        await eventually(read)

    def answer(self, body: bytes = b"", status: str = "200 OK", headers: str = "") -> None:
        head = f"HTTP/1.1 {status}\r\n{headers}Content-Length: {len(body)}\r\n\r\n"
        self.wire.send(head.encode() + body)


class Instance:
    """A server whose answers a test writes. It reads whole requests, unless it is told not to."""

    def __init__(self, name: str, answer: Answerer, *, read_body: bool = True) -> None:
        self.name = name
        self.port = 0
        self.balanced: Balanced | None = None
        """The balancer before the instance, where a test's `balanced` made both."""
        self.requests: list[Request] = []
        self.checks = 0
        self.health = "200 OK"
        self.frozen = False
        self.connections = 0
        self.closed = 0
        self._answer = answer
        self._read_body = read_body
        self._tasks: set[asyncio.Task[Any]] = set()
        self._wires: set[Wire] = set()
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def kill(self) -> None:
        """Reset every connection and listen no more, as a crash would."""
        assert self._server is not None
        self._server.close()
        for wire in list(self._wires):
            wire.reset()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        wire = Wire(reader, writer)
        self._wires.add(wire)
        self.connections += 1
        try:
            with suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
                while True:
                    line, headers = await wire.head()
                    request = Request(wire, self, line, headers)
                    if self.frozen:
                        await silent(request)
                    if line.startswith("GET /health "):
                        self.checks += 1
                        request.answer(status=self.health)
                        continue
                    self.requests.append(request)
                    if self._read_body:
                        request.body = await wire.body(headers)
                    await self._answer(request)
        finally:
            self.closed += 1
            self._tasks.discard(task)
            self._wires.discard(wire)
            writer.close()


class Balanced:
    """A running balancer, its instances, and as many clients as a test wants."""

    def __init__(self, server: BalancerServer, port: int, instances: list[Instance]) -> None:
        self.server, self.port, self.instances = server, port, instances
        self._clients: list[Wire] = []

    async def client(self) -> Wire:
        wire = Wire(*await asyncio.open_connection("127.0.0.1", self.port))
        self._clients.append(wire)
        return wire

    async def ask(self, data: bytes, *, is_head: bool = False) -> Answer:
        """Send one request over a connection of its own, and read its response."""
        client = await self.client()
        client.send(data)
        return await client.answer(is_head=is_head)

    @property
    def connections(self) -> list[Downstream]:
        """The clients' connections, as the balancer has them."""
        return list(self.server._connections)

    @property
    def attempts(self) -> list[Connection]:
        """The connections to instances over which a request was sent and is not answered yet."""
        forwards = [connection._forward for connection in self.connections]
        attempts = [forward._attempt for forward in forwards if forward is not None]
        return [a._connection for a in attempts if a is not None and a._connection is not None]

    def counts(self) -> list[dict[str, int]]:
        stats = self.server.stats()["stats"]
        assert isinstance(stats, dict)
        return list(stats.values())

    def events(self, kind: str) -> list[dict[str, object]]:
        """The balancer's events of a kind, oldest first."""
        return [event for event in self.server.balancer.log.last() if event["event"] == kind]

    def close(self) -> None:
        for client in self._clients:
            client.writer.close()


async def echo(request: Request) -> None:
    """Answer with the instance's name and the body."""
    request.answer(request.instance.name.encode() + b":" + request.body)


async def silent(request: Request) -> None:
    """Never answer, as a frozen process would: the connection stays until the other side closes it."""
    await request.wire.reader.read()
    raise ConnectionError


@asynccontextmanager
async def balanced(*answers: Answerer, read_body: bool = True, **settings: Any) -> AsyncIterator[Balanced]:
    """Run a balancer of service1 before one instance for each answerer: service1a, service1b …"""
    instances = [
        Instance(f"service1{chr(97 + i)}", answer, read_body=read_body) for i, answer in enumerate(answers)
    ]
    for instance in instances:
        await instance.start()
    addresses = tuple(Address(instance.name, "127.0.0.1", instance.port) for instance in instances)
    settings = {"check_interval_s": 0.0, **settings}
    server = BalancerServer(BalancerSettings("service1", 0, addresses, **settings))
    sock = socket.create_server(("127.0.0.1", 0))
    port = sock.getsockname()[1]
    await server.start(sock)
    running = Balanced(server, port, instances)
    for instance in instances:
        instance.balanced = running
    try:
        yield running
    finally:
        running.close()
        await server.stop(0)
        for instance in instances:
            await instance.kill()


def let_time_pass(waiting: Downstream | Connection) -> None:
    """Act as if the time that a connection may wait for were over, at once and on any machine."""
    waiting._due = time.monotonic()
    waiting.on_deadline()


def post(body: bytes = b"", path: str = "/process", headers: str = "") -> bytes:
    """Return the bytes of a POST request."""
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\n{headers}Content-Length: {len(body)}\r\n\r\n"
    return head.encode() + body
