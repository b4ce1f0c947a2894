"""A tunnel: what a client and an instance send each other once they have switched to websocket."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Protocol, TypeAlias

from services.balancer.balancer import LoadBalancer
from services.balancer.instances import InstanceState
from services.wire.connecting import reset_on_close

__all__ = ["ClientConnection", "OnEnd", "Tunnel"]

OnEnd: TypeAlias = Callable[[], None]
"""What is to be done once a tunnel has ended."""


class ClientConnection(Protocol):
    """A client's connection as its server ends it: a Downstream, and then the Tunnel that it may become."""

    @property
    def idle(self) -> bool:
        """Whether nothing is lost if the connection is closed."""

    def drain(self) -> None:
        """Close if idle; otherwise let what is under way be the last."""

    def vacate(self, instance: InstanceState) -> None:
        """Have a request that waits for an instance which is down go elsewhere, where that does no harm."""

    def abort(self) -> None:
        """Cut the connection, and give up at once what was asked for on it."""

    def reset(self) -> None:
        """Cut the connection with a reset, whatever is in flight, as a crash would."""


class Tunnel:
    """Two connections, each of which gets what comes from the other, until both sides have ended.

    Bytes wait in the transports alone, up to their limit: a side that takes nothing in is not read for. Where
    one side ends in good order, the other may still send for `body_timeout_s` after each piece; where one
    breaks, what is on its way to the other still goes there. A tunnel through which nothing goes for
    `tunnel_idle_s` is cut. `on_end` is called once, when both connections are gone.
    """

    __slots__ = ("_balancer", "_client", "_due", "_idle_s", "_instance", "_on_end", "_tunnels")

    def __init__(
        self,
        balancer: LoadBalancer,
        client: asyncio.Transport,
        instance: asyncio.Transport,
        tunnels: dict[ClientConnection, None],
        on_end: OnEnd,
    ) -> None:
        """Take over both transports. The tunnel is one of `tunnels` until it ends."""
        self._balancer = balancer
        self._on_end = on_end
        self._tunnels = tunnels
        self._idle_s = balancer.settings.tunnel_idle_s
        self._client, self._instance = _TunnelEnd(self, client), _TunnelEnd(self, instance)
        self._client.other, self._instance.other = self._instance, self._client
        tunnels[self] = None
        self.on_progress()
        balancer.deadlines.watch(self, self._due)

    def start(self, to_client: bytes, to_instance: bytes, *, held_up: bool) -> None:
        """Send what has come, and read on: from the instance once the client is not `held_up`."""
        if held_up:
            self._client.pause_writing()
        self._client.write(to_client)
        self._instance.write(to_instance)
        self._client.read_on()
        self._instance.read_on()

    @property
    def idle(self) -> bool:
        """False: nobody can tell when a websocket is of no more use."""
        return False

    def vacate(self, instance: InstanceState) -> None:
        """Stay with the instance: nobody but the client can begin anew."""

    def abort(self) -> None:
        """Cut both sides."""
        self._client.transport.abort()
        self._instance.transport.abort()

    def drain(self) -> None:
        """Go on: what does not end by itself in the time to finish is cut after it."""

    def reset(self) -> None:
        """Cut both sides with a reset."""
        for end in (self._client, self._instance):
            reset_on_close(end.transport)
        self.abort()

    def on_deadline(self) -> None:
        """Cut the tunnel if nothing has gone through it for too long."""
        if self._due > time.monotonic() + 0.001:
            self._balancer.deadlines.watch(self, self._due)
        else:
            self.reset()

    # What the two ends call.

    def on_progress(self) -> None:
        """Note that something goes through."""
        self._due = time.monotonic() + self._idle_s

    def on_ended(self, end: _TunnelEnd) -> None:
        """Pass on that one side sends nothing more; close both once neither does."""
        self._hurry()
        if end.other.ended:
            self.close()
        elif not end.other.transport.is_closing():
            end.other.transport.write_eof()

    def on_lost(self, end: _TunnelEnd) -> None:
        """Close the other side, whose connection this ends; at the second loss the tunnel has ended."""
        if end.other.lost:
            self._balancer.deadlines.forget(self)
            self._tunnels.pop(self, None)
            self._on_end()
            return
        self._hurry()
        end.other.transport.close()

    def close(self) -> None:
        """Close both sides, once they have what is on its way to them."""
        self._client.transport.close()
        self._instance.transport.close()

    def _hurry(self) -> None:
        """Wait no longer for the rest than for a body, however long a tunnel may be idle."""
        if self._balancer.closed:
            return
        self._idle_s = min(self._idle_s, self._balancer.settings.body_timeout_s)
        self.on_progress()
        self._balancer.deadlines.watch(self, self._due)


class _TunnelEnd(asyncio.Protocol):
    """One side of a tunnel, and the protocol of its transport."""

    __slots__ = ("_held_up", "_tunnel", "ended", "lost", "other", "transport")

    other: _TunnelEnd

    def __init__(self, tunnel: Tunnel, transport: asyncio.Transport) -> None:
        self._tunnel = tunnel
        self.transport = transport
        self.ended = self.lost = False
        """Whether this side sends nothing more, and whether its connection is gone."""
        self._held_up = False
        transport.set_protocol(self)

    def write(self, data: bytes) -> None:
        """Send to this side."""
        if data and not self.transport.is_closing():
            self.transport.write(data)

    def read_on(self) -> None:
        """Read from this side, unless the other must take something in before."""
        if not (self.other._held_up or self.ended or self.transport.is_closing()):
            self.transport.resume_reading()

    def data_received(self, data: bytes) -> None:
        self._tunnel.on_progress()
        self.other.write(data)

    def eof_received(self) -> bool:
        self.ended = True
        self._tunnel.on_ended(self)
        return True  # the transport stays open: the other side may have more to say

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        self.ended = self.lost = True
        self._tunnel.on_lost(self)

    def pause_writing(self) -> None:
        self._held_up = True
        if not self.other.transport.is_closing():
            self.other.transport.pause_reading()

    def resume_writing(self) -> None:
        self._held_up = False
        self._tunnel.on_progress()
        self.other.read_on()
