"""A call that stands in line for an instance with room."""

from __future__ import annotations

import asyncio
import time

from services.balancer.balancer import Core
from services.balancer.instances import Instance

__all__ = ["NoRoomError", "Turn"]


class NoRoomError(Exception):
    """No instance had room, and there was none to wait for or the wait was too long."""


class Turn:
    """Waits in the core's line. Whoever gets an instance from it must tell the roster how that ended."""

    def __init__(self, core: Core, tried: list[Instance]) -> None:
        self.tried = tried
        self._core = core
        self._given: asyncio.Future[Instance] = core.loop.create_future()

    async def instance(self) -> Instance:
        """The instance to call, on which an attempt has begun. Raises NoRoomError."""
        if not self._core.line.join(self):
            raise NoRoomError("no instance has room, and too many calls wait for it")
        try:
            return await self._given
        except asyncio.CancelledError:
            self._core.line.leave(self)
            if self._given.done() and not self._given.cancelled():  # given at the same moment
                now = time.monotonic()
                self._core.roster.released(self._given.result(), now, now)
                self._core.line.move()
            raise

    def on_room(self, instance: Instance) -> None:
        """There is room there."""
        if self._given.done():  # its caller has just gone: the room is somebody else's
            self._core.loop.call_soon(self._core.line.move)
            return
        self._core.roster.started(instance, time.monotonic())
        self._given.set_result(instance)

    def on_queued_out(self) -> None:
        """It has waited too long."""
        if not self._given.done():
            timeout_s = self._core.settings.queue_timeout_s
            self._given.set_exception(NoRoomError(f"no instance had room within {timeout_s:g} s"))
