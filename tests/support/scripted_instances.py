"""Instances that do what a request's headers ask, and a client that shows their answers."""

from __future__ import annotations

import asyncio
import http.client
import json
import socket
import threading
from base64 import b64encode
from collections.abc import Coroutine
from contextlib import suppress
from dataclasses import dataclass, field
from hashlib import sha1
from typing import Any, TypeVar

from lab.placement.proxies import ProxyProcess

T = TypeVar("T")


@dataclass(frozen=True)
class Request:
    """A request as an instance received it."""

    head: dict[str, str]
    version: str
    connection: int
    length: int


@dataclass
class ScriptedInstance:
    """Answers with its name, or does what a request's headers ask.

    X-Drop and X-Hold name instances, as in `service1a service1b`: those close the connection instead of
    answering, or wait for `release`. X-Status is the status to answer, X-Echo has the body sent back.
    """

    name: str
    port: int
    requests: list[Request] = field(default_factory=list)
    release: asyncio.Event = field(default_factory=asyncio.Event)
    in_flight: int = 0
    most_in_flight: int = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while await self._answer(reader, writer):
                await writer.drain()
        writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").strip().split("\r\n")
        head = {key.lower(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
        body = await reader.readexactly(int(head.get("content-length", 0)))
        if " /health " in first:
            writer.write(_answer("200", b"{}"))
            return True
        self.requests.append(Request(head, first.rpartition(" ")[2], id(writer), len(body)))
        if head.get("upgrade", "").lower() == "websocket":
            await _echo_frames(head, reader, writer)
            return False
        if self.name in head.get("x-drop", ""):
            return False
        if self.name in head.get("x-hold", ""):
            self.in_flight += 1
            self.most_in_flight = max(self.most_in_flight, self.in_flight)
            await self.release.wait()
            self.in_flight -= 1
        said = body if "x-echo" in head else json.dumps({"instance": self.name}).encode()
        writer.write(_answer(head.get("x-status", "200"), said))
        return True


async def _echo_frames(
    head: dict[str, str], reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    """Speak websocket (RFC 6455): send each short frame back, unmasked, until one says to close."""
    accept = b64encode(sha1(head["sec-websocket-key"].encode() + _GUID).digest()).decode()
    lines = ("HTTP/1.1 101 Switching Protocols", "Upgrade: websocket", "Connection: Upgrade")
    writer.write("\r\n".join((*lines, f"Sec-WebSocket-Accept: {accept}", "", "")).encode())
    kind = b""
    while kind != CLOSING:
        kind, length = await reader.readexactly(1), (await reader.readexactly(1))[0] - 128
        mask, masked = await reader.readexactly(4), await reader.readexactly(length)
        writer.write(kind + bytes((length,)) + unmasked(mask, masked))
        await writer.drain()


_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
CLOSING = b"\x88"


def unmasked(mask: bytes, data: bytes) -> bytes:
    """Mask the content of a frame, or undo it, which is the same."""
    return bytes(byte ^ mask[place % 4] for place, byte in enumerate(data))


class WebSocket:
    """A websocket to a balancer, whose frames are short texts."""

    def __init__(self, port: int) -> None:
        self._sock = socket.create_connection(("127.0.0.1", port), timeout=30)
        self._sock.sendall(
            b"GET /chat HTTP/1.1\r\nHost: localhost\r\n"
            b"Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        )
        self._file = self._sock.makefile("rb")
        self.head = list(iter(lambda: self._file.readline().decode().strip(), ""))
        """The lines of the answer's head."""

    def say(self, text: bytes, kind: bytes = b"\x81") -> bytes:
        """Send a frame, and return the content of the one that comes back."""
        mask = b"\x37\xfa\x21\x3d"
        self._sock.sendall(kind + bytes((128 + len(text),)) + mask + unmasked(mask, text))
        assert self._file.read(1) == kind
        return self._file.read(self._file.read(1)[0])

    def close(self) -> bool:
        """Close as both sides should. Return whether the other side then ends the connection."""
        with self._sock, self._file:
            self.say(b"", CLOSING)
            return self._file.read() == b""


def _answer(status: str, body: bytes) -> bytes:
    head = (
        f"HTTP/1.1 {status} Said",
        "Content-Type: application/json",
        "Server-Timing: service1-work;dur=40.3",
        f"Content-Length: {len(body)}",
    )
    return "\r\n".join((*head, "", "")).encode() + body


class ScriptedInstances:
    """Scripted instances by name, on a loop in a thread of its own.

    They accept connections themselves: asyncio.Server loses those that it accepts at the moment it is closed.
    """

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        self._listeners: dict[str, socket.socket] = {}
        self._writers: dict[str, list[asyncio.StreamWriter]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self.by_name: dict[str, ScriptedInstance] = {}

    def __getitem__(self, name: str) -> ScriptedInstance:
        return self.by_name[name]

    def start(self, *names: str) -> None:
        for name in names:
            self._run(self._start(name))

    def close(self, name: str) -> None:
        """Cut an instance's connections, and refuse others from now on."""
        self._run(self._close(name))

    def let_go(self, name: str) -> None:
        """Have an instance answer the requests it holds."""
        self._loop.call_soon_threadsafe(self[name].release.set)

    def counts(self) -> dict[str, int]:
        return {name: len(instance.requests) for name, instance in self.by_name.items()}

    def stop(self) -> None:
        for name in tuple(self._listeners):
            self.close(name)
        self._run(self._stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    async def _start(self, name: str) -> None:
        listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        listener.setblocking(False)
        self._listeners[name] = listener
        self._writers[name] = []
        self.by_name[name] = ScriptedInstance(name, listener.getsockname()[1])
        self._loop.add_reader(listener.fileno(), self._accept, name)

    def _accept(self, name: str) -> None:
        with suppress(BlockingIOError):
            sock, _ = self._listeners[name].accept()
            self._tasks.add(self._loop.create_task(self._attend(name, sock)))

    async def _attend(self, name: str, sock: socket.socket) -> None:
        reader, writer = await asyncio.open_connection(sock=sock)
        self._writers[name].append(writer)
        if name not in self._listeners:
            writer.transport.abort()
        await self[name].serve(reader, writer)

    async def _close(self, name: str) -> None:
        listener = self._listeners.pop(name)
        self._loop.remove_reader(listener.fileno())
        listener.close()
        for writer in self._writers[name]:
            writer.transport.abort()

    async def _stop(self) -> None:
        for instance in self.by_name.values():
            instance.release.set()
        await asyncio.gather(*self._tasks)


@dataclass(frozen=True)
class Reply:
    """An answer as a client sees it."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def ask(
    proxy: ProxyProcess,
    path: str = "/process",
    body: bytes | None = b"{}",
    **headers: str,
) -> Reply:
    """Send one request to a balancer, on a connection of its own; `X_Hold` in `headers` is X-Hold."""
    connection = http.client.HTTPConnection("127.0.0.1", proxy.settings.port, timeout=30)
    try:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request("GET" if body is None else "POST", path, body, named)
        response = connection.getresponse()
        return Reply(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())
    finally:
        connection.close()
