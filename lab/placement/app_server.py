"""One ASGI application on uvicorn's HTTP protocol, without what uvicorn does to a whole process.

`uvicorn.Server` installs signal handlers, wakes ten times a second and calls sys.exit where it cannot
start. Twenty servers in one thread need none of that, so AppServer drives uvicorn's protocol and lifespan
classes itself.
"""

from __future__ import annotations

import asyncio
import socket
from contextlib import suppress
from typing import Any

from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from services.command import BACKLOG
from services.wire.connecting import reset_on_close

__all__ = ["AppServer", "abort_with_reset"]

KEEP_ALIVE_S = 75.0
"""How long an idle connection is kept: longer than any client of the lab keeps it in its pool. Where the
server closes first, requests sent at that moment fail."""
CLOSE_S = 0.5
"""How long an application's own shutdown may take, and its listening socket to close."""
POLL_S = 0.005
TURNS = 5
"""Turns of the loop until a connection held by the kernel is accepted and its request is read."""


class AppServer:
    """A server of one ASGI application on one listening socket, from `start` to `stop` or `abort`."""

    def __init__(self, app: Any, headers: list[tuple[bytes, bytes]]) -> None:
        """Serve `app`. `headers` precede each response's own; the list may change, as its date does."""
        self._config = Config(
            app,
            http=HttpToolsProtocol,
            ws="none",
            lifespan="auto",
            log_config=None,
            log_level="warning",
            access_log=False,
            proxy_headers=False,
            timeout_keep_alive=int(KEEP_ALIVE_S),
        )
        self._config.load()
        self._lifespan = self._config.lifespan_class(self._config)
        self._state = ServerState()
        self._state.default_headers = headers
        self._listener: asyncio.Server | None = None
        self._frozen = self._dead = False

    @property
    def dead(self) -> bool:
        """Whether every connection was cut and no other will be served."""
        return self._dead

    async def start(self, sock: socket.socket) -> None:
        """Start the application, then accept connections. Raises RuntimeError if the application fails."""
        await self._lifespan.startup()
        if self._lifespan.should_exit:
            raise RuntimeError("its application failed while starting")
        loop = asyncio.get_running_loop()
        self._listener = await loop.create_server(self._protocol, sock=sock, backlog=BACKLOG)

    async def stop(self, grace_s: float) -> None:
        """Accept nothing more, let requests in flight end for `grace_s` seconds, then cut the rest.

        A request sent before the call is in flight, even where no connection was accepted for it yet:
        closing a socket resets the connections waiting in it, and closing a connection loses what was not
        read from it.
        """
        await _turns()
        self._close_listener()
        await _turns()
        for connection in list(self._state.connections):
            connection.shutdown()
        loop = asyncio.get_running_loop()
        end = loop.time() + grace_s
        # uvicorn's protocol has no event for a connection that is gone, so the set has to be polled.
        while (self._state.connections or self._state.tasks) and loop.time() < end:  # noqa: ASYNC110
            await asyncio.sleep(POLL_S)
        self.abort()
        if self._listener is not None:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._listener.wait_closed(), CLOSE_S)
                await asyncio.wait_for(self._lifespan.shutdown(), CLOSE_S)

    def abort(self) -> None:
        """Cut every connection with a reset and cancel every request, as a crash would."""
        self._dead = True
        self._close_listener()
        for connection in list(self._state.connections):
            abort_with_reset(connection.transport)
        for task in self._state.tasks:
            task.cancel()

    def freeze(self) -> None:
        """Stop reading, also from new connections. Requests already read are still answered."""
        self._frozen = True
        for connection in self._state.connections:
            connection.transport.pause_reading()

    def thaw(self) -> None:
        """Continue reading from every connection."""
        self._frozen = False
        for connection in list(self._state.connections):
            connection.transport.resume_reading()
            if isinstance(connection, _FrozenConnection):
                connection.thaw()

    def _close_listener(self) -> None:
        if self._listener is not None:
            self._listener.close()

    def _protocol(self) -> asyncio.Protocol:
        kind = _FrozenConnection if self._frozen else _Connection
        return kind(self, self._config, self._state, self._lifespan.state)


class _Connection(HttpToolsProtocol):
    """One connection. Accepted just before its server is aborted and made just after, it is reset."""

    def __init__(
        self, server: AppServer, config: Config, state: ServerState, app_state: dict[str, Any]
    ) -> None:
        super().__init__(config, state, app_state)
        self._app_server = server

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if self._app_server.dead:
            abort_with_reset(transport)


class _FrozenConnection(_Connection):
    """A connection accepted while its server is frozen: its first bytes are kept until the server thaws."""

    kept: bytes | None = b""

    def data_received(self, data: bytes) -> None:
        if self.kept is None:
            super().data_received(data)
        else:
            self.kept += data
            self.transport.pause_reading()

    def thaw(self) -> None:
        kept, self.kept = self.kept, None
        if kept:
            super().data_received(kept)


async def _turns() -> None:
    for _ in range(TURNS):
        await asyncio.sleep(0)


def abort_with_reset(transport: asyncio.Transport) -> None:
    """Close a connection as the kernel does when a process dies: with a reset, nothing flushed."""
    reset_on_close(transport)
    transport.abort()
