"""What every server that runs as a program of its own needs, from its command line to its end.

Its name and the help's table of environment variables, how many files it may open, its listening socket,
and, but for what uvicorn runs, the time from the first connection to the signal that stops it.
"""

from __future__ import annotations

import asyncio
import errno
import os
import resource
import signal
import socket
import sys
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Protocol

from services.addresses import address_of
from services.environment import SettingsError, Variable
from services.extras import install_command
from services.loops import run

__all__ = [
    "BACKLOG",
    "Server",
    "descriptor_limit",
    "die_with",
    "listen",
    "name_of",
    "not_installed",
    "raise_descriptor_limit",
    "serve",
    "table",
]

BACKLOG = 2048
"""Connections that the kernel holds for a server that is busy accepting others."""
CANNOT_START = 2
"""The exit code of a program that cannot start."""

MOST_DESCRIPTORS = 1024 * 1024
MAC_DESCRIPTORS = 10240
"""What macOS allows a process at most where it says that there is no limit (OPEN_MAX)."""

_PR_SET_PDEATHSIG = 1


class Server(Protocol):
    """What serves one port: an instance of a service, or a balancer."""

    async def start(self, sock: socket.socket) -> None:
        """Accept connections on a listening socket, and own the socket from now on."""

    async def stop(self, grace_s: float) -> None:
        """Accept nothing more, let requests in flight end within `grace_s` seconds, cut the rest."""

    def abort(self) -> None:
        """Cut every connection with a reset and stop listening."""


SHARES_PORT = "PIPELINE_LAB_SHARES_PORT"
"""Set in the environment of a server whose port is held for it by sockets that share it and do not listen."""


def name_of(text: str) -> str:
    """Return the service that an argument names: service1 for `1`, any other text as it is."""
    return f"service{text}" if text.isdecimal() else text


def table(variables: Iterable[Variable], instance: str, meaning: str) -> str:
    """Return the help's table of environment variables: a line each.

    The last line, with `meaning`, is for the variables named after a service, of which `instance` is one.
    """
    rows = [(variable.name, variable.meaning) for variable in variables]
    rows.append((f"{instance} …", meaning))
    width = max(len(name) for name, _ in rows)
    return "\n".join(f"  {name:<{width}}  {text}" for name, text in rows)


def descriptor_limit() -> int:
    """Return how many files this process may open."""
    now, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return MOST_DESCRIPTORS if now == resource.RLIM_INFINITY else now


def raise_descriptor_limit(wanted: int = MOST_DESCRIPTORS) -> int:
    """Let this process, and those it starts, open `wanted` files, or as many as the system allows it.

    Every connection is one, and the limit that a shell sets is often too low for a server (256 on macOS).
    Returns the limit from now on, which is never lowered.
    """
    now, most = descriptor_limit(), resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    allowed = wanted if most == resource.RLIM_INFINITY else min(wanted, most)
    for limit in (allowed, min(allowed, MAC_DESCRIPTORS)):
        if limit <= now:
            break
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (limit, most))
            return limit
    return now


def listen(host: str, port: int, variable: str, host_variable: str = "") -> socket.socket:
    """Return a socket that listens on `host:port`.

    Raises SettingsError where that is not possible, naming the `variable` that sets the port, or the one that
    sets the host, which has the same prefix if it is not given.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    shares = SHARES_PORT in os.environ
    try:
        return socket.create_server((host, port), family=family, backlog=BACKLOG, reuse_port=shares)
    except OSError as error:
        reason = f"{error.strerror}".partition(" (")[0]
        raise SettingsError(
            f"{variable} is {port}, and {address_of(host, port)} cannot be listened on ({reason}):"
            f" {_remedy(error, host_variable or variable.replace('PORT', 'HOST'))}"
        ) from error


def _remedy(error: OSError, host_variable: str) -> str:
    if isinstance(error, socket.gaierror) or error.errno == errno.EADDRNOTAVAIL:
        return f"give {host_variable} an address of this machine"
    if error.errno == errno.EACCES:
        return "choose another, from 1024 up"
    return "stop what listens there, or choose another"


def serve(
    make: Callable[[], Server],
    name: str,
    host: str,
    port: int,
    variable: str,
    host_variable: str,
    *,
    grace_s: float,
    scheme: str = "grpc",
    remark: str = "",
) -> None:
    """Serve until SIGINT or SIGTERM, with the server that `make` returns on the running loop.

    Then lets requests in flight end for `grace_s` seconds. Says where it listens, as a URL of `scheme`, and
    then the `remark`, if any. Raises SettingsError, naming the variables that set port and host, where the
    port cannot be listened on.
    """
    raise_descriptor_limit()
    run(_serve(make, name, listen(host, port, variable, host_variable), grace_s, scheme, remark))


async def _serve(
    make: Callable[[], Server], name: str, sock: socket.socket, grace_s: float, scheme: str, remark: str
) -> None:
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopping.set)
    address = address_of(*sock.getsockname()[:2])
    server = make()
    await server.start(sock)
    print(f"{name} listens on {scheme}://{address}", flush=True)
    if remark:
        print(f"{name} {remark}", flush=True)
    await stopping.wait()
    await server.stop(grace_s)


def not_installed(error: ModuleNotFoundError) -> SystemExit:
    """Say on standard error how to install gRPC, and return the exception that ends the program."""
    print(f"gRPC needs {error.name}, which is not installed: {install_command('grpc')}", file=sys.stderr)
    return SystemExit(CANNOT_START)


def die_with(parent: int) -> None:
    """Have Linux kill this process when its parent dies; end it here where `parent` (a pid) is gone already.

    On other systems the caller has to notice the parent's end, by a pipe that closes.
    """
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)
