"""The callers there are, and the requests that wait for one."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from lab.load.carrier import Carrier
from lab.load.endpoints import Site
from lab.load.inflight import InFlight
from lab.load.workers import Caller
from services.wire.deadlines import Deadlines
from services.wire.errors import NotConnected

if TYPE_CHECKING:
    from lab.load.grpc_endpoint import RpcSite

__all__ = ["Crew"]


class Crew:
    """Gives each request to an idle caller, or hires one more, up to `limit`; beyond that requests wait.

    A connection in the making belongs to no request: whichever comes first, an idle caller or a new one,
    takes the request that has waited longest, and if no connection can be made, that is the one that fails.
    """

    def __init__(
        self,
        site: Site | RpcSite,
        limit: int,
        in_flight: InFlight,
        hire: Callable[[Carrier], Caller],
        on_no_connection: Callable[[int, NotConnected], None],
    ) -> None:
        self._site = site
        self._limit = limit
        self._in_flight = in_flight
        self._hire = hire
        self._on_no_connection = on_no_connection
        self._deadlines = Deadlines()
        self._callers: set[Caller] = set()
        self._idle: list[Caller] = []
        self._waiting: deque[int] = deque()
        self._connecting: set[asyncio.Task[None]] = set()
        self._accepting = True

    def put(self, intended_ns: int) -> None:
        """Send a request as soon as there is a caller for it: now, if one is idle."""
        if self._idle:
            self._send(self._idle.pop(), intended_ns, time.monotonic_ns())
        else:
            self._waiting.append(intended_ns)
            self._connect()

    def put_back(self, intended_ns: int) -> None:
        """Send a request before all others that wait."""
        self._waiting.appendleft(intended_ns)
        self._connect()

    def free(self, caller: Caller, now_ns: int) -> None:
        """A caller's request is over: it takes the next, unless its connection went with the last."""
        if caller.connection is None:
            self._connect()
        elif self._waiting:
            self._send(caller, self._waiting.popleft(), now_ns)
        else:
            self._idle.append(caller)

    def lost(self, caller: Caller) -> None:
        """A caller's connection is gone."""
        self._callers.discard(caller)
        if caller in self._idle:
            self._idle.remove(caller)

    def dismiss(self) -> Sequence[int]:
        """Send nothing more. Gives the intended starts of what still waited."""
        self._accepting = False
        unsent = list(self._waiting)
        self._waiting.clear()
        return unsent

    async def close(self) -> None:
        """Close every connection. What is still in flight on one fails as unanswered."""
        self.dismiss()
        for task in self._connecting:
            task.cancel()
        await asyncio.gather(*self._connecting, return_exceptions=True)
        for caller in list(self._callers):
            if caller.connection is not None:
                caller.connection.abort()
        self._deadlines.close()

    def _send(self, caller: Caller, intended_ns: int, now_ns: int) -> None:
        self._in_flight.change(1, now_ns)
        caller.send(intended_ns, now_ns)

    def _connect(self) -> None:
        """Make one more connection, if what waits calls for it and the limit allows it."""
        making = len(self._connecting)
        if self._accepting and making < len(self._waiting) and making + len(self._callers) < self._limit:
            task = asyncio.get_running_loop().create_task(self._open())
            self._connecting.add(task)
            task.add_done_callback(self._connected)

    def _connected(self, task: asyncio.Task[None]) -> None:
        self._connecting.discard(task)
        self._connect()

    async def _open(self) -> None:
        try:
            connection = await self._site.connect(self._deadlines)
        except NotConnected as error:
            if self._waiting:
                self._on_no_connection(self._waiting.popleft(), error)
            return
        caller = self._hire(connection)
        self._callers.add(caller)
        self.free(caller, time.monotonic_ns())
