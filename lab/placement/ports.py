"""Take ports before anything is started, so that a busy one is an error at once, and find free ones."""

from __future__ import annotations

import errno
import os
import random
import socket
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager

import psutil

from lab.errors import BadParameter, PortInUse, StartFailed, advice
from lab.topology import Topology
from services.addresses import is_loopback
from services.command import BACKLOG

__all__ = [
    "free_offset",
    "held",
    "holders",
    "is_held",
    "listen",
    "listen_all",
    "require_free",
    "require_loopback",
    "reserved_offset",
]

OFFSETS = range(10_000, 24_000, 100)
"""Where topologies find room beside others. Above these, outgoing connections take any port."""
RESERVING = 8050
"""A port of no topology. Moved by an offset, it is bound while that offset is reserved."""
_CHANCE = random.SystemRandom()
"""Not to be seeded, so that no two processes try offsets in the same order."""


def require_loopback(topology: Topology) -> None:
    """Raise BadParameter for a server that other machines could reach."""
    for name, host, _ in topology.started():
        if not is_loopback(host):
            raise BadParameter(
                f"{name} would listen on {host}, where other machines can reach it: use 127.0.0.1, "
                "or pass expose=True if that is meant"
            )


def listen_all(addresses: Iterable[tuple[str, str, int]]) -> dict[str, socket.socket]:
    """Return a listening socket for each (name, host, port), by name. Raises what `listen` raises."""
    sockets: dict[str, socket.socket] = {}
    try:
        for name, host, port in addresses:
            sockets[name] = listen(name, host, port)
    except BaseException:
        for sock in sockets.values():
            sock.close()
        raise
    return sockets


def require_free(addresses: Iterable[tuple[str, str, int]]) -> None:
    """Raise PortInUse where another socket listens on one of the addresses."""
    for sock in listen_all(addresses).values():
        sock.close()


def listen(name: str, host: str, port: int) -> socket.socket:
    """Return a listening socket for the server `name`. Connections wait in it until the server accepts them.

    Raises PortInUse where another socket listens there, StartFailed where the system refuses for another
    reason.
    """
    sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    try:
        # A port whose last connections linger in TIME_WAIT may be taken again at once.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if is_held(host, port):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        sock.bind((host, port))
        sock.listen(BACKLOG)
        sock.setblocking(False)
    except OSError as error:
        sock.close()
        if error.errno == errno.EADDRINUSE:
            raise PortInUse(_in_use(name, port)) from None
        raise StartFailed(f"{name} cannot listen on {host}:{port}: {error.strerror or error}") from None
    return sock


@contextmanager
def held(addresses: Iterable[tuple[str, str, int]]) -> Iterator[None]:
    """Hold the addresses against other programs during the block, whether a server listens there or not.

    What `listen` returns meanwhile shares them, and so does a server's process that is told to (SHARES_PORT).
    Raises PortInUse where another socket listens on one of them, or this process holds it already.
    """
    wanted = list(addresses)
    for name, host, port in wanted:
        if is_held(host, port):
            raise PortInUse(_in_use(name, port))
    require_free(wanted)
    with ExitStack() as stack:
        for name, host, port in wanted:
            stack.callback(_hold(name, host, port).close)
        own = {(host, port) for _, host, port in wanted}
        _held.update(own)
        try:
            yield
        finally:
            _held.difference_update(own)


def is_held(host: str, port: int) -> bool:
    """Return whether this process holds the address."""
    return (host, port) in _held


_held: set[tuple[str, int]] = set()


def _hold(name: str, host: str, port: int) -> socket.socket:
    """Bind a socket that never listens: it is given no connection, and lets only those in that share.

    Where connections of a server that did not share linger, SO_REUSEADDR is needed as well; until they are
    gone a program that sets it could get in while no server listens.
    """
    for options in ((socket.SO_REUSEPORT,), (socket.SO_REUSEPORT, socket.SO_REUSEADDR)):
        sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
        try:
            for option in options:
                sock.setsockopt(socket.SOL_SOCKET, option, 1)
            sock.bind((host, port))
            return sock
        except OSError:
            sock.close()
    raise PortInUse(_in_use(name, port))


def holders() -> dict[int, str]:
    """Return the holder of each listening TCP port of this machine, as `pid 4242 (nginx -g …)`.

    A holder is `another program` where the system does not tell its pid; the result is empty where the system
    tells nothing (macOS, except to root).
    """
    try:
        connections = psutil.net_connections(kind="tcp")
    except (psutil.Error, OSError):
        return {}
    return {
        connection.laddr.port: _describe(connection.pid)
        for connection in connections
        if connection.laddr and connection.status == psutil.CONN_LISTEN
    }


def _describe(pid: int | None) -> str:
    if pid is None:
        return "another program"
    if pid == os.getpid():
        return f"this very process (pid {pid})"
    try:
        command = " ".join(psutil.Process(pid).cmdline())
    except psutil.Error:
        command = ""
    return f"pid {pid} ({command[:80]})" if command else f"pid {pid}"


def _in_use(name: str, port: int) -> str:
    holder = holders().get(port, "another program")
    offset = max(1, port // 1000 - 7) * 1000  # moves the documented ports past this one, moved or not
    remedy = advice(
        command=f"lab up --offset {offset}, nox -s sweep -- -p port_offset {offset}, "
        f"Topology.shifted({offset})",
        notebook=f"port_offset = {offset}, or Topology.shifted({offset})",
    )
    return f"port {port}, which {name} wants, is taken by {holder}: stop that, or move all ports ({remedy})"


def free_offset(topology: Topology) -> int:
    """Return an offset at which every port of the topology is free now: for one start, at once.

    Raises StartFailed where there is none.
    """
    with reserved_offset(topology) as offset:
        return offset


@contextmanager
def reserved_offset(topology: Topology) -> Iterator[int]:
    """Reserve, during the block, an offset at which every port of the topology is free.

    To be used by what starts there later, or several times: between two starts the ports are free, and
    another process that tries them would have them for a moment. Raises StartFailed where there is none.
    """
    for offset in _CHANCE.sample(OFFSETS, len(OFFSETS)):
        with ExitStack() as stack:
            try:
                stack.enter_context(_reserve(offset))
                require_free(topology.shifted(offset).started())
            except (OSError, PortInUse):
                continue
            yield offset
            return
    raise StartFailed(f"no room for {topology.name}: no offset leaves all its ports free")


def _reserve(offset: int) -> socket.socket:
    """Bind the port that says the offset is reserved. Raises OSError where it is reserved already."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        sock.bind(("127.0.0.1", RESERVING + offset))
    except OSError:
        sock.close()
        raise
    return sock
