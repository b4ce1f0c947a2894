"""An instance that reads requests strictly, remembers them as they came, and answers as their path asks."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterable
from types import TracebackType
from typing import cast

from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser

from benchmarks.input_kinds import Kind

__all__ = ["StrictInstance"]

_OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
_SWITCH = (
    b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
)


class StrictInstance:
    """An instance on a loop in a thread of its own, for the length of a `with` block."""

    def __init__(self, kinds: Iterable[Kind]) -> None:
        self.seen: list[bytes] = []
        """The requests read since it was last cleared."""
        self.malformed = 0
        """How often what came was no HTTP."""
        self.port = 0
        self.answers = {kind.request.split(b" ")[1]: kind for kind in kinds}
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)

    def __enter__(self) -> StrictInstance:
        self._thread.start()
        self._server = asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result()
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._server.close)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _listen(self) -> asyncio.Server:
        return await self._loop.create_server(lambda: _Connection(self), "127.0.0.1", 0)


class _Connection(asyncio.Protocol):
    """A connection to the instance."""

    def __init__(self, instance: StrictInstance) -> None:
        self._instance = instance
        self._parser = HttpRequestParser(self)
        self._raw = self._path = b""
        self._switched = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        if self._switched:
            return
        self._raw += data
        try:
            self._parser.feed_data(data)
        except HttpParserUpgrade:
            self._switched = True
        except HttpParserError:
            self._instance.malformed += 1
            self._transport.close()

    def on_message_begin(self) -> None:
        self._path = b""

    def on_url(self, url: bytes) -> None:
        self._path += url

    def on_header(self, name: bytes, value: bytes) -> None:
        if name.lower() == b"expect" and value.lower() == b"100-continue":
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_message_complete(self) -> None:
        raw, self._raw = self._raw, b""
        path = self._path.partition(b"?")[0]
        self._instance.seen.append(raw)
        kind = self._instance.answers.get(path)
        if path == b"/websocket":
            self._transport.write(_SWITCH)
        elif kind is None:
            self._transport.write(_OK)
        else:
            self._transport.write(kind.answer)
            if kind.ends:
                self._transport.close()
