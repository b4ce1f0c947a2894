"""One server of gRPC as a program: from its settings to the signal that ends it."""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import Callable
from typing import Protocol

from services.addresses import address_of
from services.loops import run
from services.standalone import listen

__all__ = ["serve"]

GRACE_S = 3
"""How long calls in flight may take to end once the server is told to stop."""


class Server(Protocol):
    """What has a beginning and an end on a port."""

    async def start(self, sock: socket.socket) -> None:
        """Serve where the socket listens."""

    async def stop(self, grace_s: float) -> None:
        """Let calls in flight end for so long, then cut the rest."""


def serve(make: Callable[[], Server], name: str, host: str, port: int, variable: str) -> None:
    """Serve until SIGINT or SIGTERM what `make` makes on the running loop.

    Raises SettingsError where the port cannot be had, naming the `variable` that sets it.
    """
    run(_serve(make, name, listen(host, port, variable)))


async def _serve(make: Callable[[], Server], name: str, sock: socket.socket) -> None:
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopping.set)
    address = address_of(*sock.getsockname()[:2])
    with sock:
        server = make()
        await server.start(sock)
    print(f"{name} listens on grpc://{address}", flush=True)
    await stopping.wait()
    await server.stop(GRACE_S)
