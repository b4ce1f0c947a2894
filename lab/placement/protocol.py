"""What the protocol of a topology decides about its servers: how they are made, and how they are asked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

from lab.topology import Balancer, Instance, Topology
from services.command import Server

__all__ = ["Freezable", "ProtocolAdapter"]


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
