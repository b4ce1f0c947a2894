"""Kept-alive connections to one peer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeAlias

from services.wire.connection import Connection
from services.wire.deadlines import Deadlines
from services.wire.errors import FailureKind, NotConnected

__all__ = ["Opening", "Pool"]


class Pool:
    """Connections to `host:port`, of which idle ones are kept for the next request.

    The pool bounds what it keeps (`max_idle` connections, `idle_timeout_s` seconds each), not how many are
    open at once: the sender limits what is in flight. Keep `idle_timeout_s` below the peer's own (uvicorn's
    is 5 s), so that a request seldom meets a connection that is being closed.
    """

    __slots__ = (
        "_closed",
        "_collect_headers",
        "_deadlines",
        "_idle",
        "_loop",
        "_openings",
        "_timer",
        "connect_timeout_s",
        "host",
        "idle_timeout_s",
        "max_idle",
        "port",
    )

    def __init__(
        self,
        host: str,
        port: int,
        deadlines: Deadlines,
        *,
        connect_timeout_s: float = 5.0,
        idle_timeout_s: float = 4.0,
        max_idle: int = 512,
        collect_headers: bool = True,
    ) -> None:
        self.host, self.port = host, port
        self.connect_timeout_s, self.idle_timeout_s, self.max_idle = (
            connect_timeout_s,
            idle_timeout_s,
            max_idle,
        )
        self._collect_headers = collect_headers
        self._deadlines = deadlines
        self._loop = asyncio.get_running_loop()
        self._idle: dict[Connection, float] = {}
        """Since when each has been idle, the longest first."""
        self._openings: set[Opening] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._closed = False

    def __len__(self) -> int:
        """Return the number of idle connections."""
        return len(self._idle)

    def take(self) -> Connection | None:
        """Return the connection that has been idle for the shortest time, or None: then `open` one."""
        # Every kept connection is usable: one that becomes useless is closed, and so forgotten.
        return self._idle.popitem()[0] if self._idle else None

    def open(self, ready: OnReady) -> Opening:
        """Connect, and call `ready` with the connection or with the failure, unless cancelled."""
        opening = Opening(self, ready)
        self._openings.add(opening)
        return opening

    async def connect(self) -> Connection:
        """Open a new connection. Raises NotConnected."""
        connection = await Connection.open(
            self.host,
            self.port,
            timeout_s=self.connect_timeout_s,
            collect_headers=self._collect_headers,
            deadlines=self._deadlines,
        )
        connection.on_closed = self._forget
        return connection

    def give_back(self, connection: Connection) -> None:
        """Keep a connection for the next request, or close it if it is of no more use."""
        if self._closed or not connection.idle or len(self._idle) >= self.max_idle:
            connection.close()
            return
        self._idle[connection] = self._loop.time()
        if self._timer is None:
            self._timer = self._loop.call_later(self.idle_timeout_s, self._expire)

    def shed(self) -> bool:
        """Close the connection that has been idle the longest. Returns False if there is none."""
        connection = next(iter(self._idle), None)
        if connection is None:
            return False
        connection.close()
        return True

    def close(self) -> None:
        """Close idle connections; those in use are closed when they are given back.

        Openings fail at once with NotConnected, so that their requests can be tried elsewhere.
        """
        self._closed = True
        for opening in list(self._openings):
            opening.fail()
        for connection in list(self._idle):
            connection.close()
        self._idle.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _forget(self, connection: Connection) -> None:
        self._idle.pop(connection, None)

    def _expire(self) -> None:
        self._timer = None
        stale = self._loop.time() - self.idle_timeout_s + 0.001
        for connection, since in list(self._idle.items()):
            if since > stale:
                break
            connection.close()
        for since in self._idle.values():
            self._timer = self._loop.call_at(since + self.idle_timeout_s, self._expire)
            break


class Opening:
    """A connection that is being made, for senders that are no coroutines."""

    __slots__ = ("_pool", "_ready", "_task")

    def __init__(self, pool: Pool, ready: OnReady) -> None:
        self._pool = pool
        self._ready: OnReady | None = ready
        self._task = asyncio.ensure_future(pool.connect())
        self._task.add_done_callback(self._done)

    def cancel(self) -> None:
        """Call `ready` no more. A connection that is made all the same is kept for others."""
        self._ready = None
        self._task.cancel()

    def fail(self) -> None:
        """Give up, and call `ready` with a failure before this returns."""
        ready = self._ready
        self.cancel()
        if ready is not None:
            ready(NotConnected(FailureKind.ABORTED, self._peer, "no more connections are made there"))

    def _done(self, task: asyncio.Task[Connection]) -> None:
        self._pool._openings.discard(self)
        ready, self._ready = self._ready, None
        result = _outcome(task, self._peer)
        if ready is not None:
            ready(result)
        elif isinstance(result, Connection):
            self._pool.give_back(result)

    @property
    def _peer(self) -> str:
        return f"{self._pool.host}:{self._pool.port}"


def _outcome(task: asyncio.Task[Connection], peer: str) -> Connection | NotConnected:
    """Return the connection or the failure of a finished task, also where an unforeseen error ended it."""
    if task.cancelled():  # the loop is going down, or the opening was cancelled
        return NotConnected(FailureKind.ABORTED, peer)
    error = task.exception()
    if error is None:
        return task.result()
    if isinstance(error, NotConnected):
        return error
    unforeseen = NotConnected(FailureKind.UNREACHABLE, peer, repr(error))
    unforeseen.__cause__ = error
    return unforeseen


OnReady: TypeAlias = Callable[[Connection | NotConnected], None]
