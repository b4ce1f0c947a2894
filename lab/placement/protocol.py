"""What the protocol of a topology decides about its servers: how they are made, and how they are asked."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

from lab.topology import Balancer, Instance, Topology

__all__ = ["Freezable", "ProtocolAdapter", "Server"]


class Server(Protocol):
    """What serves one port: a service's instance, or a balancer."""

    async def start(self, sock: socket.socket) -> None:
        """Accept connections on a listening socket, and own it from now on."""

    async def stop(self, grace_s: float) -> None:
        """Accept nothing more, let requests in flight end for that long, cut the rest."""

    def abort(self) -> None:
        """Cut every connection with a reset and stop listening."""


@runtime_checkable
class Freezable(Protocol):
    """A server that can be made to hang."""

    def freeze(self) -> None:
        """Accept connections, and answer nothing."""

    def thaw(self) -> None:
        """Go on."""


class ProtocolAdapter(Protocol):
    """One protocol's way of doing things."""

    service_module: str
    """What a process runs that is an instance of a service; it has a function `main`."""
    balancer_module: str

    def server(self, topology: Topology, name: str, headers: list[tuple[bytes, bytes]]) -> Server:
        """The server of that name, for the running loop. `headers` are those that all answers share."""

    def is_healthy(self, host: str, port: int) -> bool:
        """Whether the server there says so, soon."""

    def ask(
        self, server: Balancer | Instance, method: str, path: str, content: Mapping[str, Any] | None = None
    ) -> tuple[int, Any]:
        """Status and JSON of what the server answers to that request.

        Raises PlacementError where it gives no such answer.
        """
