"""One server of gRPC as a program: from its settings to the signal that ends it.

What every server that runs as a program of its own needs: its name, its table of variables, its socket.

What a program says where gRPC is not installed.
"""

from __future__ import annotations

import asyncio
import errno
import signal
import socket
import sys
from collections.abc import Callable, Iterable
from typing import Protocol

from services.addresses import address_of
from services.environment import SettingsError, Variable
from services.loops import run

__all__ = ["BACKLOG", "listen", "name_of", "not_installed", "serve", "table"]

BACKLOG = 2048
"""Connections that the kernel holds for a server that is busy accepting others."""


def name_of(text: str) -> str:
    """The service that an argument names: `1` is service1, and any other name is itself."""
    return f"service{text}" if text.isdecimal() else text


def table(variables: Iterable[Variable], instance: str, meaning: str) -> str:
    """A line for each variable, and one for those that are named after a service, such as `instance`."""
    rows = [(variable.name, variable.meaning) for variable in variables]
    rows.append((f"{instance} …", meaning))
    width = max(len(name) for name, _ in rows)
    return "\n".join(f"  {name:<{width}}  {what}" for name, what in rows)


def listen(host: str, port: int, variable: str) -> socket.socket:
    """A listening socket. Raises SettingsError, naming the `variable` of the port, where it cannot be."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as error:
        reason = f"{error.strerror}".partition(" (")[0]
        raise SettingsError(
            f"{variable} is {port}, and {address_of(host, port)} cannot be listened on ({reason}):"
            f" {_remedy(error, variable)}"
        ) from error


def _remedy(error: OSError, variable: str) -> str:
    if isinstance(error, socket.gaierror) or error.errno == errno.EADDRNOTAVAIL:
        return f"give {variable.replace('PORT', 'HOST')} an address of this machine"
    if error.errno == errno.EACCES:
        return "choose another, from 1024 up"
    return "stop what listens there, or choose another"


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


CANNOT_START = 2


def not_installed(error: ModuleNotFoundError) -> SystemExit:
    """The end of a program that needs the module: it says on standard error what to install."""
    print(
        f"gRPC needs {error.name}, which is not installed: pip install 'pipeline-lab[grpc]'", file=sys.stderr
    )
    return SystemExit(CANNOT_START)
