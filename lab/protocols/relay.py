"""A relay between a client and a server that counts the bytes that pass it, each way."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass

__all__ = ["Relay"]

_PIECE = 64 * 1024
CONNECT_S = 5.0


@dataclass(slots=True)
class Relay:
    """Listens on a port of its own from `start` to `stop`, and passes everything on to one server.

    It counts what TCP carries: heads, frames and all that opens a connection of HTTP, but not the headers of
    TCP and IP. Belongs to the running loop.
    """

    host: str
    port: int
    sent: int = 0
    """Bytes from clients to the server."""
    received: int = 0
    """Bytes from the server to clients."""
    _server: asyncio.Server | None = None

    async def start(self) -> int:
        """Begin to listen on the loopback; gives the port."""
        self._server = await asyncio.start_server(self._pass_on, "127.0.0.1", 0)
        return int(self._server.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        """Listen no more. What is open ends with its peers."""
        if self._server is not None:
            self._server.close()

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.closing(writer):
            opening = asyncio.open_connection(self.host, self.port)
            there, to_there = await asyncio.wait_for(opening, CONNECT_S)
            with contextlib.closing(to_there):
                await asyncio.gather(
                    self._pump(reader, to_there, upwards=True), self._pump(there, writer, upwards=False)
                )

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, *, upwards: bool) -> None:
        with contextlib.suppress(OSError):
            while data := await source.read(_PIECE):
                if upwards:
                    self.sent += len(data)
                else:
                    self.received += len(data)
                sink.write(data)
                await sink.drain()
            sink.write_eof()
