"""Tell which processes of this machine belong to a trial: all that are left over are others.

These do: this process and what it starts; on a URL of this machine whoever listens there, what that has
started, and the programs of this machine that it is connected to, which are its back ends. As far as this
user may know: processes of other users keep to themselves what they listen at.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterable, Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path

import psutil

from lab.load.requests import socket_path, split_url
from services.addresses import is_loopback

__all__ = ["back_ends", "family", "hides", "is_here", "listeners", "processes_of_trial", "started_by"]

_PORTS = {"http": 80, "https": 443, "grpc": 80}
"""Where a URL without a port is asked."""
_ANY = ("0.0.0.0", "::")
_FORWARDING = frozenset({"docker-proxy", "rootlessport", "slirp4netns", "pasta", "gvproxy", "conmon"})
"""Programs that listen for a server in a container, which has a network of its own."""
_LISTENS, _CONNECTED = "0A", "01"
"""States in /proc/net/tcp (proc(5))."""
_ACCEPTS = 0x10000
"""Flag of a socket in /proc/net/unix that listens."""


def is_here(url: str) -> bool:
    """Tell whether a URL is one of this machine: by a loopback address, one of its own, or its name."""
    host = split_url(url).hostname or ""
    return is_loopback(host) or host in _ANY or host == socket.gethostname().lower() or host in _addresses()


def listeners(url: str) -> frozenset[int]:
    """Return the processes that listen at a URL of this machine; none where it is of another one."""
    if not is_here(url):
        return frozenset()
    parts = split_url(url)
    if parts.scheme == "unix":
        return _holders(set(_unix_sockets(socket_path(url))))
    return _listeners_at({parts.port or _PORTS[parts.scheme]})


def hides(url: str) -> bool:
    """Tell whether a URL is of this machine, and not who serves it.

    So it is where the server is another user's, or in a container: then a program forwards to it at most.
    """
    if not is_here(url):
        return False
    found = listeners(url)
    return not found or any(_name_of(pid) in _FORWARDING for pid in found)


def started_by(pid: int) -> frozenset[int]:
    """Return the processes that a process has started, and those that they have, as far as told."""
    if _tells_children():
        return frozenset(_children(pid))
    with suppress(psutil.Error):
        return frozenset(child.pid for child in psutil.Process(pid).children(recursive=True))
    return frozenset()


def back_ends(servers: Iterable[int]) -> frozenset[int]:
    """Return the processes that these are connected to as clients, on this machine, and so on from there."""
    known = set(servers)
    found: set[int] = set()
    while known:
        held = {name for pid in known for name in _sockets_of(pid)}
        ports = {far for near, far, name in _connections() if name in held and near != far}
        known = set(_listeners_at(ports)) - found - set(servers) - {os.getpid()} if ports else set()
        found |= known
    return frozenset(found)


def family(pids: Iterable[int]) -> frozenset[int]:
    """Return these processes and all that they started.

    Whoever started this process is taken alone: a login, or the first process of the system, has started
    more than a trial.
    """
    ancestors = {parent.pid for parent in psutil.Process().parents()}
    own = frozenset(pids)
    return own.union(*(started_by(pid) for pid in own - ancestors))


def processes_of_trial(*urls: str) -> frozenset[int]:
    """Return the processes of a trial that loads these URLs."""
    at_urls = frozenset[int]().union(*map(listeners, urls))
    return family({os.getpid()} | at_urls | back_ends(at_urls))


def _name_of(pid: int) -> str:
    with suppress(psutil.Error):
        return psutil.Process(pid).name()
    return ""


@cache
def _addresses() -> frozenset[str]:
    return frozenset(each.address.partition("%")[0] for of in psutil.net_if_addrs().values() for each in of)


@cache
def _tells_children() -> bool:
    """Tell whether the kernel lists the children of a process (CONFIG_PROC_CHILDREN)."""
    return Path(f"/proc/self/task/{os.getpid()}/children").exists()


def _children(pid: int) -> Iterator[int]:
    with suppress(OSError):
        for task in os.listdir(f"/proc/{pid}/task"):
            with suppress(OSError):  # it ended meanwhile
                told = Path(f"/proc/{pid}/task/{task}/children").read_text(encoding="ascii")
                for child in map(int, told.split()):
                    yield child
                    yield from _children(child)


def _listeners_at(ports: set[int]) -> frozenset[int]:
    """Return who listens at ports of this machine, at whatever address."""
    if Path("/proc/net/tcp").exists():
        return _holders({name for near, _, name in _connections(_LISTENS) if near in ports})
    found = set()
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            for each in process.net_connections("tcp"):
                if each.status == psutil.CONN_LISTEN and each.laddr.port in ports:
                    found.add(process.pid)
    return frozenset(found)


def _connections(state: str = _CONNECTED) -> Iterator[tuple[int, int, str]]:
    """Yield the near port, the far port where that is of this machine or else 0, and the name of each socket.

    Of either family (proc(5), /proc/net/tcp). Each table is read twice for those that listen: a line may be
    missed while others come and go.
    """
    for table in ("tcp", "tcp6") * (2 if state == _LISTENS else 1):
        with suppress(OSError):
            for line in Path("/proc/net", table).read_text(encoding="ascii").splitlines()[1:]:
                # Thousands of lines may be of connections that were closed a while ago.
                if f" {state} " in line and (fields := line.split())[3] == state:
                    near, far = fields[1].partition(":"), fields[2].partition(":")
                    here = far[0] == near[0]  # who is connected to an own address is so from that address
                    yield int(near[2], 16), int(far[2], 16) if here else 0, f"socket:[{fields[9]}]"


def _unix_sockets(path: str) -> Iterator[str]:
    """Yield the names of the sockets that listen at a path (proc(5), /proc/net/unix)."""
    wanted = os.path.realpath(path)
    with suppress(OSError):
        for line in Path("/proc/net/unix").read_text(encoding="utf-8", errors="replace").splitlines()[1:]:
            fields = line.split(maxsplit=7)
            if len(fields) == 8 and int(fields[3], 16) & _ACCEPTS and os.path.realpath(fields[7]) == wanted:
                yield f"socket:[{fields[6]}]"


def _holders(names: set[str]) -> frozenset[int]:
    """Return the processes that hold one of these sockets."""
    found = set()
    for process in Path("/proc").glob("[0-9]*") if names else ():
        if not names.isdisjoint(_sockets_of(int(process.name))):
            found.add(int(process.name))
    return frozenset(found)


def _sockets_of(pid: int) -> Iterator[str]:
    with suppress(OSError):  # another user's, or it ended meanwhile
        for file in os.listdir(f"/proc/{pid}/fd"):
            with suppress(OSError):
                yield os.readlink(f"/proc/{pid}/fd/{file}")
