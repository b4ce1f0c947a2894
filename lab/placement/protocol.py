"""What depends on the protocol of a topology: how its servers are made, and how they are asked."""

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
        """Accept connections, and answer no request."""

    def thaw(self) -> None:
        """Answer requests again."""


class ProtocolAdapter(Protocol):
    """How the servers of one protocol are made and asked."""

    service_module: str
    """The module whose `main` a process runs as an instance of a service."""
    balancer_module: str
    """The module whose `main` a process runs as a balancer."""

    def server(self, topology: Topology, name: str, headers: list[tuple[bytes, bytes]]) -> Server:
        """Make the server `name` for the running loop. `headers` are those that all HTTP responses share.

        Raises BadParameter for an application that does not exist, NotSupported for one the protocol
        excludes.
        """

    def is_healthy(self, host: str, port: int) -> bool:
        """Return whether the server there says within a second that it is healthy."""

    def read(self, server: Balancer | Instance, path: str) -> bytes:
        """Return the server's answer to GET `path`, whatever its status.

        Raises PlacementError where the server gives no answer.
        """

    def ask(
        self, server: Balancer | Instance, method: str, path: str, content: Mapping[str, Any] | None = None
    ) -> tuple[int, Any]:
        """Send the server a request, with `content` as JSON. Return the status and the JSON of its answer.

        Raises PlacementError where the server gives no such answer.
        """
