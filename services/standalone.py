"""What every server that runs as a program of its own needs: its name, its table of variables, its socket."""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterable

from services.addresses import address_of
from services.environment import SettingsError, Variable

__all__ = ["BACKLOG", "listen", "name_of", "table"]

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
