"""Peers that answer what a test tells them to, byte by byte, on real sockets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from services.loops import new_event_loop
from services.wire import Exchange, Headers, WireError
from services.wire.connecting import reset_on_close

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Record(Exchange):
    """An exchange that notes everything it is told, and lets a test wait for the end."""

    def __init__(self) -> None:
        self.status = 0
        self.headers: Headers = []
        self.interim: list[int] = []
        self.chunks: list[bytes] = []
        self.ends: list[WireError | None] = []
        self.paused: list[bool] = []
        self.over = asyncio.Event()

    @property
    def body(self) -> bytes:
        return b"".join(self.chunks)

    @property
    def error(self) -> WireError:
        assert len(self.ends) == 1
        assert self.ends[0] is not None, "the exchange did not fail"
        return self.ends[0]

    def on_informational(self, status: int) -> None:
        self.interim.append(status)

    def on_head(self, status: int, headers: Headers) -> None:
        self.status, self.headers = status, headers

    def on_body(self, chunk: bytes) -> None:
        self.chunks.append(chunk)

    def on_complete(self) -> None:
        self.ends.append(None)
        self.over.set()

    def on_failure(self, error: WireError) -> None:
        self.ends.append(error)
        self.over.set()

    def pause_writing(self) -> None:
        self.paused.append(True)

    def resume_writing(self) -> None:
        self.paused.append(False)


class Peer:
    """A listening socket and what its connections did."""

    def __init__(self) -> None:
        self.port = 0
        self.connections = 0
        self.closed = 0
        self.tasks: set[asyncio.Task[Any]] = set()


@asynccontextmanager
async def listening(handler: Handler) -> AsyncIterator[Peer]:
    """Serve each connection with `handler` on a free port of loopback."""
    seen = Peer()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.connections += 1
        task = asyncio.current_task()
        assert task is not None
        seen.tasks.add(task)
        try:
            await handler(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            seen.closed += 1
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    seen.port = server.sockets[0].getsockname()[1]
    try:
        yield seen
    finally:
        server.close()
        for task in seen.tasks:
            task.cancel()
        await asyncio.gather(*seen.tasks, return_exceptions=True)


def answering(*answers: bytes, then_close: bool = False) -> Handler:
    """Answer each request (a head without a body) with the next of these bytes."""

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for answer in answers:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(answer)
        if not then_close:
            await reader.read()

    return handler


def reset(writer: asyncio.StreamWriter) -> None:
    """Close as a crash would, with a RST."""
    reset_on_close(writer.transport)
    writer.transport.abort()


BOTH_LOOPS = pytest.mark.parametrize(
    "anyio_backend",
    [
        pytest.param(("asyncio", {"loop_factory": new_event_loop}), id="uvloop"),
        pytest.param(("asyncio", {"loop_factory": asyncio.new_event_loop}), id="asyncio"),
    ],
)
"""Runs an async test on either kind of loop."""
