"""HTTP over a Unix socket, for the administration of balancers that have one."""

from __future__ import annotations

import http.client
import socket

__all__ = ["UnixConnection"]


class UnixConnection(http.client.HTTPConnection):
    """A connection to the server that listens on that path."""

    def __init__(self, path: str, timeout_s: float) -> None:
        super().__init__("localhost", timeout=timeout_s)
        self._path = path

    def connect(self) -> None:
        """Connect to the socket instead of to a port."""
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)
