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

    It bounds what it keeps (`max_idle` connections, `idle_timeout_s` each), not how many are open at once:
    that is the limit of what is in flight, and belongs to who sends. Keep `idle_timeout_s` below the peer's
    own (uvicorn's is 5 s), so that a request seldom meets a connection that is being closed.
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
        """How many connections are idle."""
        return len(self._idle)

    def take(self) -> Connection | None:
        """The connection that has been idle for the shortest time, or None: then `open` one."""
        # Whatever makes one useless closes it, and what is closed is forgotten.
        return self._idle.popitem()[0] if self._idle else None

    def open(self, ready: OnReady) -> Opening:
        """Connect, and call `ready` with the connection or with why there is none, unless cancelled."""
        opening = Opening(self, ready)
        self._openings.add(opening)
        return opening

    async def connect(self) -> Connection:
        """A new connection. Raises NotConnected."""
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
        """Keep a connection for the next request, or drop it if it is of no more use."""
        if self._closed or not connection.idle or len(self._idle) >= self.max_idle:
            connection.close()
            return
        self._idle[connection] = self._loop.time()
        if self._timer is None:
            self._timer = self._loop.call_later(self.idle_timeout_s, self._expire)

    def close(self) -> None:
        """Drop idle connections; those in use are dropped when they are given back.

        Who waits for one that is being opened is told at once that there will be none, which is no reason
        not to try elsewhere.
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
    """A connection on its way, for callers that are no coroutines."""

    __slots__ = ("_pool", "_ready", "_task")

    def __init__(self, pool: Pool, ready: OnReady) -> None:
        self._pool = pool
        self._ready: OnReady | None = ready
        self._task = asyncio.ensure_future(pool.connect())
        self._task.add_done_callback(self._done)

    def cancel(self) -> None:
        """Never mind. A connection that is made all the same is kept for others."""
        self._ready = None
        self._task.cancel()

    def fail(self) -> None:
        """Give up, and say so to whoever waits, before this returns."""
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
    """What has come of it: whoever waits is told something, also of what nobody foresaw."""
    if task.cancelled():  # the loop is going down, or nobody waits any more
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
