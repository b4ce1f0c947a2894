"""Lines, and open files with them, over a socket between two processes."""

from __future__ import annotations

import socket

__all__ = ["read_line"]


def read_line(sock: socket.socket) -> tuple[bytes, list[int]]:
    """A line, and the descriptors that came with it. The line is empty where the other end is closed.

    Nobody may send a second line before the first is answered: it would be taken for part of that.
    """
    line, descriptors = bytearray(), []
    while not line.endswith(b"\n"):
        part, came, _, _ = socket.recv_fds(sock, 65536, 1)
        descriptors += came
        if not part:
            return b"", descriptors
        line += part
    return bytes(line), descriptors
